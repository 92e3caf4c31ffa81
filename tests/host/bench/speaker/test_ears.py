"""Everything that hears gives the same answer as it is used and where it is attacked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.host.bench.speaker.toys import PITCHES_HZ, Toy
from tests.host.speaker.corpora import SMALL, hum

from earmark.signal import Signal
from earmark_host.bench.speaker.cast import Trained
from earmark_host.bench.speaker.ears import (
    Checkpoint,
    Device,
    Ear,
    Heard,
    Naming,
    Net,
    Peer,
    Shipped,
    Verifying,
    mean_print,
    place,
    sixteen_bit,
)
from earmark_host.speaker.attacks import Pgd, Raise, craft_one
from earmark_host.speaker.checkpoint import Trained as Saved
from earmark_host.speaker.checkpoint import save
from earmark_host.speaker.network import SpeakerNet


def voice(person: int = 0, seconds: float = 0.5, seed: int = 0) -> Signal:
    return sixteen_bit(hum(PITCHES_HZ[person], seconds, np.random.default_rng(seed)))


def net() -> Net:
    torch.manual_seed(0)
    return Net(SpeakerNet(SMALL, 3), Trained(("ann", "bob", "cy")))


@pytest.mark.parametrize("kind", ["net", "device", "peer"])
def test_a_batch_is_heard_like_each_of_its_recordings(kind: str, model: Path) -> None:
    ear: Ear
    if kind == "net":
        ear = net()
    elif kind == "device":
        ear = Shipped(model, None).open()
    else:
        ear = Peer("resemblyzer").open()
    said = [voice(0, 0.9), voice(1, 1.3)]
    x = torch.zeros(2, max(each.size for each in said))
    for row, each in zip(x, said, strict=True):
        row[: each.size] = torch.from_numpy(each)
    samples = [each.size for each in said]
    heard = [ear.hear(each) for each in said]
    np.testing.assert_allclose(
        ear.embeddings(x, samples).detach().numpy(),
        np.stack([each.embedding for each in heard]),
        atol=2e-3,
    )
    for found in heard:
        assert np.linalg.norm(found.embedding) == pytest.approx(1.0, abs=1e-5)
    if kind == "peer":
        assert heard[0].logits is None
        with pytest.raises(ValueError, match="nobody"):
            ear.logits(x, samples)
    else:
        logits = np.stack([np.asarray(each.logits) for each in heard])
        np.testing.assert_allclose(ear.logits(x, samples).detach().numpy(), logits, atol=0.02)


def test_the_copy_of_the_int8_file_has_a_gradient(model: Path) -> None:
    ear = Shipped(model, None).open()
    x = torch.from_numpy(voice())[None].requires_grad_()
    (slope,) = torch.autograd.grad(ear.embeddings(x)[0, 0], x)
    assert slope.abs().max() > 0.0


def test_a_checkpoint_says_whom_it_has_heard(tmp_path: Path) -> None:
    split = {"test_clips": ["ann/1/a.flac"], "extra_people": ["dee"]}
    trained = Saved(SpeakerNet(SMALL, 2), SMALL, ("ann", "bob"), "hat10", 1, {}, split, 3)
    save(tmp_path / "net.pt", trained)
    found = Checkpoint(tmp_path / "net.pt").open().trained
    assert found.people == ("ann", "bob")
    assert found.test_clips == {"ann/1/a.flac"}
    assert found.heard == {"ann", "bob", "dee"}


def test_whom_a_model_without_parent_has_heard_is_not_known(model: Path) -> None:
    ear = Shipped(model, None).open()
    assert isinstance(ear, Device)
    assert ear.trained == Trained()
    assert ear.bytes == (model / "speaker.tflite").stat().st_size


def test_people_are_named_by_logits_or_by_voiceprints() -> None:
    ear = Toy(knows=4).open()
    prints = np.stack([ear.hear(voice(person)).embedding for person in (2, 0)])
    said = voice(2, seed=9)
    assert Naming(ear).named(said) == 2
    assert Naming(ear, prints).named(said) == 0
    x = torch.from_numpy(said)[None]
    for voiceprints in (None, prints):
        soft, exact = Naming(ear, voiceprints), Naming(ear, voiceprints, exact=True)
        assert soft.differentiable
        assert not exact.differentiable
        np.testing.assert_allclose(soft.logits(x), exact.logits(x), rtol=1e-4)


@pytest.mark.parametrize(("label", "limit"), [(0, 2.0), (1, -2.0)])
def test_a_push_goes_where_it_should(label: int, limit: float) -> None:
    ear = Toy().open()
    target = ear.hear(voice(0)).embedding
    said = voice(1 if label == 0 else 0, seed=3)
    attack = Pgd(5, Raise.MARGIN, best=True)
    victim = Verifying(ear, target, limit)
    example = craft_one(attack, victim, said, label, 0.002, np.random.default_rng(1))
    moved = float((ear.hear(example).embedding - ear.hear(said).embedding) @ target)
    assert moved > 0.01 if label == 0 else moved < -0.01
    assert np.abs(example - said).max() <= 0.002


def test_a_voiceprint_is_the_direction_of_the_mean() -> None:
    found = mean_print([np.asarray([1.0, 0.0], np.float32), np.asarray([0.0, 1.0], np.float32)])
    np.testing.assert_allclose(found, [0.5**0.5] * 2, rtol=1e-6)


def test_without_logits_nobody_is_named() -> None:
    heard = Heard(np.ones(2, np.float32))
    assert place(heard, np.asarray([[-1.0, 0.0], [0.0, 1.0]], np.float32)) == 1
    with pytest.raises(ValueError, match="nobody"):
        place(heard, None)
