"""The training attack stays in its ball, climbs, and leaves the network as it was."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from earmark_host.speaker.attack import evaluating, perturb
from earmark_host.speaker.network import SpeakerNet

from .corpora import SMALL

EPS = 0.01


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_it_stays_in_the_ball_and_in_range() -> None:
    signal = torch.tensor([[-1.0, -0.999, 0.0, 0.5, 0.999, 1.0]])
    up = perturb(lambda x: x.sum(), signal, EPS, 10, 0.3 * EPS, generator())
    down = perturb(lambda x: -x.sum(), signal, EPS, 10, 0.3 * EPS, generator())
    torch.testing.assert_close(up, (signal + EPS).clamp(max=1.0))
    torch.testing.assert_close(down, (signal - EPS).clamp(min=-1.0))
    for attacked in (up, down):
        assert attacked.abs().max() <= 1.0
        assert not attacked.requires_grad


def test_without_steps_it_is_somewhere_in_the_ball() -> None:
    signal = torch.zeros(1, 1000)
    attacked = perturb(lambda x: x.sum(), signal, EPS, 0, EPS, generator())
    assert attacked.std() == pytest.approx(EPS / 3.0**0.5, rel=0.1)
    assert attacked.max() > 0.9 * EPS
    assert attacked.min() < -0.9 * EPS


def test_the_same_generator_starts_at_the_same_place() -> None:
    signal = torch.zeros(1, 50)
    one, two, other = (
        perturb(lambda x: (x**2).sum(), signal, EPS, 1, 0.1 * EPS, generator(seed))
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_more_steps_find_more() -> None:
    def bumps(x: Tensor) -> Tensor:
        return torch.sin(700.0 * x).sum()

    signal = torch.zeros(1, 200)
    found = [
        bumps(perturb(bumps, signal, EPS, steps, 0.1 * EPS, generator())).item()
        for steps in (0, 3, 20)
    ]
    assert found == sorted(found)
    assert found[2] > found[0] + 50.0


def test_the_network_is_left_as_it_was() -> None:
    net = SpeakerNet(SMALL, 3).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    signal = 0.1 * torch.randn(4, SMALL.window_samples)
    label = torch.tensor([0, 1, 2, 0])
    with evaluating(net):
        assert not net.training
        perturb(
            lambda x: torch.nn.functional.cross_entropy(net(x), label),
            signal,
            EPS,
            2,
            EPS,
            generator(),
        )
    assert net.training
    assert all(module.training for module in net.modules())
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(value.grad is None for value in net.parameters())
