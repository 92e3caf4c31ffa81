"""The mean plain cosine."""

from __future__ import annotations

import math
from typing import Any

import pytest

from earmark.memory.neighbours.second_ear import SecondEar

ONE = [(1, 1), (2, 2), (3, 3), (4, 4)]
ELSEWHERE = [(50, 10), (51, 20), (52, 30), (53, 40)]


@pytest.fixture
def ear(peaks: Any) -> SecondEar:
    """Remembers 4, 2, 1 and 0 of four peaks of ONE."""
    ear = SecondEar(9)
    ear.add(10, peaks.at(*ONE))
    ear.add(11, peaks.at(*ONE[:2], *ELSEWHERE[:2]))
    ear.add(12, peaks.at(ONE[3], *ELSEWHERE, (60, 1), (61, 1), (62, 1), (63, 1)))
    ear.add(13, peaks.at(*ELSEWHERE))
    return ear


def test_the_mean_by_hand(ear: SecondEar, peaks: Any) -> None:
    wanted = (1.0 + 0.5 + 1.0 / math.sqrt(4 * 9) + 0.0) / 4.0
    assert ear.mean(peaks.at(*ONE)) == pytest.approx(wanted)
    assert ear.mean(peaks.at(ONE[0])) == pytest.approx((0.5 + 0.5) / 4.0)


def test_near_copies_are_left_out(ear: SecondEar, peaks: Any) -> None:
    assert ear.mean(peaks.at(*ONE), {10}) == pytest.approx((0.5 + 1.0 / 6.0) / 3.0)
    assert ear.mean(peaks.at(*ONE), {9, 14}) == ear.mean(peaks.at(*ONE))


def test_too_few_make_no_verdict(peaks: Any, ear: SecondEar) -> None:
    assert ear.mean(peaks.at(*ONE), {10, 11}) is None, "2 of 9 are fewer than a third"
    fresh = SecondEar(9)
    for number in range(3):
        assert fresh.mean(peaks.at(*ONE)) is None
        fresh.add(number, peaks.at(*ONE))
    assert fresh.mean(peaks.at(*ONE)) == pytest.approx(1.0)
    smallest = SecondEar(1)
    assert smallest.mean(peaks.at(*ONE)) is None
    smallest.add(0, peaks.at(*ELSEWHERE))
    assert smallest.mean(peaks.at(*ONE)) == 0.0


def test_nothing_has_no_mean(ear: SecondEar, peaks: Any) -> None:
    assert ear.mean(peaks.at()) is None


def test_the_oldest_is_forgotten(peaks: Any) -> None:
    ear = SecondEar(3)
    ear.add(0, peaks.at(*ONE))
    ear.add(1, peaks.at(*ELSEWHERE))
    ear.add(2, peaks.at(*ELSEWHERE))
    assert ear.mean(peaks.at(*ONE)) == pytest.approx(1.0 / 3.0)
    ear.add(3, peaks.at(*ELSEWHERE))
    assert ear.mean(peaks.at(*ONE)) == 0.0


def test_time_is_absolute_and_a_place_is_exact(peaks: Any) -> None:
    ear = SecondEar(1)
    ear.add(0, peaks.at(*ONE))
    for frame, place in ((1, 0), (0, 1), (-1, 0)):
        moved = peaks.at(*((f + frame, b + place) for f, b in ONE))
        assert ear.mean(moved) == 0.0
    # The last bin of a frame is not the first of the next.
    ear.add(1, peaks.at((1, 243)))
    assert ear.mean(peaks.at((2, 0))) == 0.0
    assert ear.mean(peaks.at((1, 243))) == 1.0
