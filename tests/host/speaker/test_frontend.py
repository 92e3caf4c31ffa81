"""Torch hears what the device hears, and its derivative is the right one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from earmark.speaker import DEVICE, PAPER, PAPER_FLOORED, FrontEnd
from earmark_host.speaker.frontend import TorchFrontEnd, _Power

from .corpora import FRONT_END, hum

KINDS = [DEVICE, PAPER, PAPER_FLOORED, FRONT_END]


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_device_s_within_a_thousandth_of_a_decibel(kind: FrontEnd) -> None:
    rng = np.random.default_rng(1)
    signals = np.stack([hum(120.0, 1.0, rng), hum(260.0, 1.0, rng)])
    there = TorchFrontEnd(kind)(torch.from_numpy(signals))
    assert there.shape == (2, kind.mels, kind.frames(16_000))
    for signal, frames in zip(signals, there, strict=True):
        np.testing.assert_allclose(frames.T, kind.log_mel(signal), atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_its_gradient_is_that_of_the_plain_transform(kind: FrontEnd) -> None:
    generator = torch.Generator().manual_seed(1)
    signal = 0.1 * torch.randn(2, kind.samples(9) + 5, generator=generator)
    front = TorchFrontEnd(kind)
    weight = torch.randn(2, kind.mels, 9, generator=generator)

    def plain(values: torch.Tensor) -> torch.Tensor:
        before = torch.nn.functional.pad(values[:, :-1], (1, 0))
        frames = (values - kind.pre_emphasis * before).unfold(-1, kind.window, kind.hop)
        power = torch.fft.rfft(frames * front.window, n=kind.fft).abs().square()
        return 10.0 * torch.log10(power @ front.filters + kind.floor).transpose(1, 2)

    gradients = []
    for function in (front, plain):
        values = signal.clone().requires_grad_()
        (gradient,) = torch.autograd.grad((function(values) * weight).sum(), values)
        gradients.append(gradient)
    # abs() has a bad derivative where the spectrum is near 0; else they agree to rounding.
    scale = gradients[1].abs().max()
    assert (gradients[0] - gradients[1]).abs().max() < 1e-4 * scale


@pytest.mark.parametrize(("window", "fft", "hop"), [(16, 16, 8), (12, 16, 5)])
def test_the_derivative_of_the_power_is_that_of_differences(
    window: int, fft: int, hop: int
) -> None:
    signal = torch.randn(2, 40, dtype=torch.float64, requires_grad=True)
    weights = torch.hann_window(window, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: _Power.apply(x, weights, hop, fft), signal)
