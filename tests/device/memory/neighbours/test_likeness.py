"""The aligned cosine."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from earmark.memory.neighbours import Fingerprint, likeness
from earmark.memory.neighbours.fingerprint import MAX_FRAMES

CORNERS = [(10, 20), (15, 80), (40, 140), (100, 200)]


def plainly(a: Fingerprint, b: Fingerprint) -> float:
    """The definition, pair by pair."""
    weights = {(0, 0): 1.0, (0, 1): 0.5, (1, 0): 0.5, (1, 1): 0.25}
    pairs = list(
        itertools.product(
            zip(a.frames.tolist(), a.bins.tolist(), strict=True),
            zip(b.frames.tolist(), b.bins.tolist(), strict=True),
        )
    )
    shifts = {one[0] - other[0] + off for one, other in pairs for off in (-1, 0, 1)}
    best = max(
        sum(
            weights.get((abs(one[0] - other[0] - shift), abs(one[1] - other[1])), 0.0)
            for one, other in pairs
        )
        for shift in shifts
    )
    return min(1.0, best / math.sqrt(len(a) * len(b)))


def test_one_for_itself_wherever_it_begins(peaks: Any, rng: np.random.Generator) -> None:
    for count in (1, 2, 10, 200):
        one = peaks.drawn(rng, count)
        for shift in (0, 1, 100, MAX_FRAMES - 250):
            assert likeness(one, peaks.later(one, shift)) == pytest.approx(1.0)
            assert likeness(peaks.later(one, shift), one) == pytest.approx(1.0)


def test_from_the_first_to_the_last_frame(peaks: Any) -> None:
    first, last = peaks.at((0, 5)), peaks.at((MAX_FRAMES - 1, 5))
    assert likeness(first, last) == likeness(last, first) == 1.0


@pytest.mark.parametrize(
    ("frame", "bin_", "weight"),
    [
        (0, 0, 1.0),
        (0, 1, 0.5),
        (0, -1, 0.5),
        (1, 0, 0.5),
        (-1, 0, 0.5),
        (1, 1, 0.25),
        (-1, 1, 0.25),
        (1, -1, 0.25),
        (-1, -1, 0.25),
        (0, 2, 0.0),
        (2, 0, 0.0),
        (1, 2, 0.0),
    ],
)
def test_a_peak_beside_its_place(peaks: Any, frame: int, bin_: int, weight: float) -> None:
    *rest, (at, of) = CORNERS
    moved = peaks.at(*rest, (at + frame, of + bin_))
    for shift in (0, 7):
        assert likeness(peaks.at(*CORNERS), peaks.later(moved, shift)) == (3.0 + weight) / 4.0


def test_counted_over_the_root_of_both_sizes(peaks: Any) -> None:
    larger = peaks.at(*CORNERS, (160, 30), (170, 60), (180, 100), (190, 120), (199, 10))
    assert likeness(peaks.at(*CORNERS), larger) == 4.0 / 6.0
    assert likeness(larger, peaks.at(*CORNERS)) == 4.0 / 6.0


def test_the_best_shift_counts_and_not_their_sum(peaks: Any) -> None:
    # Two of four peaks agree at the shift 0, two others at the shift 50.
    one = peaks.at(*CORNERS)
    other = peaks.at(*CORNERS[:2], *((frame + 50, place) for frame, place in CORNERS[2:]))
    assert likeness(one, other) == 0.5


def test_nothing_in_common(peaks: Any) -> None:
    one, other = peaks.at((3, 10), (9, 50)), peaks.at((3, 12), (9, 100))
    assert likeness(one, other) == 0.0
    nothing = peaks.at()
    assert likeness(one, nothing) == likeness(nothing, one) == likeness(nothing, nothing) == 0.0


def test_crosswise_matches_are_cut_at_one(peaks: Any) -> None:
    pair = peaks.at((5, 10), (5, 11))
    assert plainly(pair, pair) == likeness(pair, pair) == 1.0


def test_agrees_with_the_definition_both_ways_round(peaks: Any, rng: np.random.Generator) -> None:
    for share in (0.0, 0.3, 0.6, 0.9, 1.0):
        # 30 peaks in 20 frames: some match in more than one way.
        one = peaks.drawn(rng, 30, 20)
        other = peaks.later(peaks.changed(one, rng, share), int(rng.integers(30)))
        assert likeness(one, other) == pytest.approx(plainly(one, other))
        assert likeness(one, other) == likeness(other, one)
