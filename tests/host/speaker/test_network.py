"""The paper's network has the paper's size, and a recording is heard as the device hears it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from earmark.speaker import cover
from earmark_host.speaker.network import DEVICE_SHAPE, PAPER_SHAPE, SHAPES, Shape, SpeakerNet

from .corpora import SMALL


def net(shape: Shape = SMALL, people: int = 5) -> SpeakerNet:
    torch.manual_seed(1)
    return SpeakerNet(shape, people).eval()


def test_the_paper_s_has_its_number_of_parameters() -> None:
    count = sum(value.numel() for value in SpeakerNet(PAPER_SHAPE, 251).parameters())
    assert count == 219_223
    assert PAPER_SHAPE.dimensions == 32
    assert PAPER_SHAPE.window_samples == 5 * 16_000


def test_the_device_s_hears_two_seconds() -> None:
    assert DEVICE_SHAPE.window_samples == 33_024
    assert DEVICE_SHAPE.dimensions == 128


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_shape_hears_any_length(shape: Shape) -> None:
    small = net(replace(shape, channels=(4,) * 7))
    for samples in (shape.least_samples, shape.window_samples):
        logits = small(torch.randn(2, samples))
        assert logits.shape == (2, 5)
        assert torch.isfinite(logits).all()


@pytest.mark.parametrize(
    "change",
    [
        {"pooling": "both"},
        {"pooling": "mean"},
        {"embedding": 0},
        {"head": "cosine"},
        {"first": "conv2d"},
        {"teacher": 3},
    ],
)
def test_a_shape_survives_being_described(change: dict[str, object]) -> None:
    shape = replace(SMALL, **change)  # type: ignore[arg-type]
    assert Shape.of(shape.described()) == shape
    small = net(shape)
    embedding = small.embed(torch.randn(2, shape.window_samples))
    assert embedding.shape == (2, shape.dimensions)
    assert small.classify(embedding).shape == (2, 5)
    if shape.teacher:
        assert small.project is not None
        assert small.project(embedding).shape == (2, 3)


@pytest.mark.parametrize("samples", [1, 700, 3200, 3201, 10_000, 15_999])
def test_windows_are_the_device_s(samples: int) -> None:
    signal = torch.randn(samples)
    there = net().windows(signal)
    np.testing.assert_array_equal(there, cover(signal.numpy(), SMALL.window_samples))


def test_a_recording_is_the_mean_of_its_windows_with_a_gradient() -> None:
    small = net()
    signal = (0.1 * torch.randn(9_000)).requires_grad_()
    embedding, logits = small.recording(signal)
    parts = small.embed(small.windows(signal))
    assert len(parts) == 3
    torch.testing.assert_close(embedding, parts.mean(0))
    torch.testing.assert_close(logits, small.classify(parts.mean(0)[None])[0])
    (gradient,) = torch.autograd.grad(logits[0], signal)
    assert gradient.abs().gt(0.0).float().mean() > 0.7  # the rest lost every maximum over time


def test_the_paper_s_hears_a_recording_at_once() -> None:
    whole = net(replace(SMALL, whole=True))
    for samples in (100, 9_000):
        signal = 0.1 * torch.randn(samples)
        heard = whole.windows(signal)
        assert heard.shape == (1, max(samples, SMALL.least_samples))
        torch.testing.assert_close(heard[0, :samples], signal)


def test_logits_of_the_cosine_head_are_cosines() -> None:
    small = net(replace(SMALL, head="cosine", scale=7.0))
    weights = small.head.weight.detach()
    logits = small.classify(torch.cat([weights, -5.0 * weights]))
    torch.testing.assert_close(logits[:5].diagonal(), torch.full((5,), 7.0))
    torch.testing.assert_close(logits[5:].diagonal(), torch.full((5,), -7.0))


def test_bfloat16_is_near_float32() -> None:
    small = net()
    signal = 0.1 * torch.randn(4, SMALL.window_samples)
    exact = small.embed(signal)
    small.bf16 = True
    rough = small.embed(signal)
    assert rough.dtype == torch.float32
    assert not torch.equal(rough, exact)
    assert torch.cosine_similarity(rough, exact).min() > 0.99
