"""Arms differ in the attack alone, unless their names say otherwise."""

from __future__ import annotations

import pytest

from earmark.errors import EarmarkError
from earmark_host.speaker.arms import ARMS, SAME, arm

MATCHED = ("pgd10", "fs10", "hat10", "margin", "ce+fs", "ce+margin", "fs+margin")


def test_hat_is_algorithm_1_as_written() -> None:
    hat = arm("hat10")
    assert (hat.beta, hat.gamma, hat.zeta) == (1.0, 1.0, 1.0)
    assert (hat.w1, hat.w2, hat.steps) == (1.0, 1.0, 10)
    assert hat.smoothing == 0.0
    assert hat.clean_gradient


@pytest.mark.parametrize("name", MATCHED)
def test_the_outer_loss_of_the_comparison_is_hat_s(name: str) -> None:
    one, hat = arm(name), arm("hat10")
    for field in ("steps", "w1", "w2", "smoothing", "clean_gradient"):
        assert getattr(one, field) == getattr(hat, field)


def test_no_two_arms_are_the_same() -> None:
    kinds = {
        (one.steps, one.beta, one.gamma, one.zeta, one.w1, one.smoothing, one.clean_gradient)
        for one in ARMS.values()
    }
    assert len(kinds) == len(ARMS)


def test_as_released_is_what_confounds() -> None:
    assert not arm("hat10-released").clean_gradient
    assert arm("pgd10-released").smoothing == 0.7
    assert arm("pgd10-released").w1 == arm("pgd10-paper").w1 == 0.0


def test_the_ablation_s_names_are_known() -> None:
    for name, other in SAME.items():
        assert arm(name) is ARMS[other]


def test_each_is_documented_in_a_line() -> None:
    for name, one in ARMS.items():
        assert one.name == name
        assert 10 < len(one.doc) < 90


def test_an_unknown_one_is_named_with_the_known() -> None:
    with pytest.raises(EarmarkError, match=r"'hat11'.*hat10"):
        arm("hat11")
