"""The three losses of the attack are those of the paper."""

from __future__ import annotations

import numpy as np
import ot
import pytest
import torch

from earmark_host.speaker.arms import ARMS, arm
from earmark_host.speaker.losses import (
    adversarial,
    cross_entropy,
    feature_scattering,
    margin,
    sinkhorn,
)


@pytest.mark.parametrize("regularisation", [0.01, 0.1])
@pytest.mark.parametrize("spread", [0.05, 1.0])
def test_the_plan_is_that_of_an_independent_library(regularisation: float, spread: float) -> None:
    rng = np.random.default_rng(1)
    cost = spread * rng.random((12, 12))
    weights = np.full(12, 1.0 / 12.0)
    plan = sinkhorn(torch.tensor(cost), regularisation, iterations=20_000).numpy()
    there = ot.sinkhorn(
        weights, weights, cost, regularisation, "sinkhorn_log", numItermax=20_000, stopThr=1e-9
    )
    np.testing.assert_allclose(plan, there, atol=1e-5)
    assert (plan * cost).sum() == pytest.approx((there * cost).sum(), rel=1e-3)


def test_the_paper_s_hundred_iterations_do_on_logits() -> None:
    rng = np.random.default_rng(2)
    clean = rng.standard_normal((64, 209))
    cost = ot.dist(clean, clean + 0.7 * rng.standard_normal(clean.shape), "cosine")
    weights = np.full(64, 1.0 / 64.0)
    plan = sinkhorn(torch.tensor(cost)).numpy()
    exact = ot.sinkhorn(weights, weights, cost, 0.01, "sinkhorn_log", numItermax=5_000)
    np.testing.assert_allclose(plan, exact, atol=1e-4 / 64.0)


class TestFeatureScattering:
    clean = torch.randn(16, 30, generator=torch.Generator().manual_seed(1))

    def gradient(self, attacked: torch.Tensor) -> torch.Tensor:
        attacked = attacked.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(feature_scattering(self.clean, attacked), attacked)
        return gradient

    def test_at_the_clip_it_is_zero_and_so_is_its_gradient(self) -> None:
        assert feature_scattering(self.clean, self.clean).item() == pytest.approx(0.0, abs=1e-6)
        assert self.gradient(self.clean).abs().max() < 1e-7

    def test_elsewhere_it_is_not(self) -> None:
        moved = self.clean + 0.05 * torch.randn_like(self.clean)
        assert feature_scattering(self.clean, moved) > 1e-5
        assert self.gradient(moved).abs().max() > 1e-4

    def test_it_does_not_care_who_is_who(self) -> None:
        turned = self.clean[torch.randperm(16)]
        assert feature_scattering(self.clean, turned).item() == pytest.approx(0.0, abs=1e-5)

    def test_its_gradient_grows_it(self) -> None:
        moved = self.clean + 0.3 * torch.randn_like(self.clean)
        more = feature_scattering(self.clean, moved + 0.1 * self.gradient(moved).sign())
        assert more > feature_scattering(self.clean, moved)


class TestMargin:
    def test_it_is_the_mean_and_by_hand(self) -> None:
        logits = torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, -1.0]])
        label = torch.tensor([0, 2])
        assert margin(logits, label).item() == pytest.approx(-(51.0 + 44.0) / 2.0)
        twice = margin(logits.repeat(2, 1), label.repeat(2))
        assert twice.item() == pytest.approx(margin(logits, label).item())

    def test_beyond_its_confidence_it_does_not_grow(self) -> None:
        logits = torch.tensor([[-30.0, 30.0]])
        assert margin(logits, torch.tensor([0])).item() == 0.0


def test_cross_entropy_smooths_on_request() -> None:
    logits = torch.tensor([[4.0, 0.0]])
    label = torch.tensor([0])
    plain = -torch.log_softmax(logits, 1)[0]
    assert cross_entropy(logits, label).item() == pytest.approx(plain[0].item())
    smooth = cross_entropy(logits, label, 0.5).item()
    assert smooth == pytest.approx((0.75 * plain[0] + 0.25 * plain[1]).item())


def test_an_arm_maximises_the_losses_that_it_names() -> None:
    generator = torch.Generator().manual_seed(1)
    clean = torch.randn(6, 4, generator=generator)
    attacked = torch.randn(6, 4, generator=generator)
    label = torch.tensor([0, 1, 2, 3, 0, 1])
    one = {
        "pgd10": cross_entropy(attacked, label),
        "fs10": feature_scattering(clean, attacked),
        "margin": margin(attacked, label),
    }
    for name, loss in one.items():
        assert adversarial(ARMS[name], clean, attacked, label) == pytest.approx(loss)
    assert adversarial(arm("hat10"), clean, attacked, label) == pytest.approx(sum(one.values()))
    pair = one["pgd10"] + one["fs10"]
    assert adversarial(arm("ce+fs"), clean, attacked, label) == pytest.approx(pair)
