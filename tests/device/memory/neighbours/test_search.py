"""Near-copies at several speeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import soxr

from earmark.demo.clips import ClipKind, Clips
from earmark.memory.neighbours import Fingerprint, NeighboursLimits, fingerprint
from earmark.memory.neighbours.index import PeakIndex
from earmark.memory.neighbours.search import Copy, near_copies
from earmark.memory.neighbours.settings import NeighboursSettings
from earmark.signal import RATE_HZ

LIMITS = NeighboursLimits(floor=0.1, slope=1.8, mean=0.03, approved=0.6)
SPEEDS = NeighboursSettings().speeds_percent


@pytest.fixture(scope="module")
def said(clips: Clips) -> dict[str, Fingerprint]:
    return {clip.name: fingerprint(clip.spoken) for clip in clips.all(ClipKind.COMMAND)}


@pytest.fixture(scope="module")
def heard(said: dict[str, Fingerprint]) -> PeakIndex:
    index = PeakIndex(100)
    for number, each in enumerate(said.values()):
        index.add(number, each.to_bytes())
    return index


@pytest.mark.parametrize("percent", [*SPEEDS, 0.0, -4.0, -2.0, 1.0, 2.0, 4.0])
def test_a_copy_at_another_speed_is_found_and_its_speed_told(
    clips: Clips, said: dict[str, Fingerprint], heard: PeakIndex, percent: float
) -> None:
    for name in ("lobsters", "bedtime"):
        rate_hz = RATE_HZ * (1.0 + percent / 100.0)
        played = soxr.resample(clips.command(name).spoken, rate_hz, RATE_HZ, quality="VHQ")
        copies = near_copies(heard, fingerprint(played), LIMITS, SPEEDS)
        assert [copy.number for copy in copies] == [list(said).index(name)]
        assert copies[0].speed_percent == pytest.approx(percent, abs=0.76)
        assert copies[0].likeness > 0.4
    if abs(percent) > 2.0:
        assert near_copies(heard, fingerprint(played), LIMITS, ()) == []


def test_what_was_said_by_others_is_no_copy(said: dict[str, Fingerprint], heard: PeakIndex) -> None:
    for number, each in enumerate(said.values()):
        assert near_copies(heard, each, LIMITS, SPEEDS) == [Copy(number, 1.0, 0.0)]


def test_each_once_and_the_most_alike_first(peaks: Any, rng: np.random.Generator) -> None:
    one = peaks.drawn(rng)
    index = PeakIndex(9)
    for number, share in enumerate((0.5, 0.1, 0.3, 1.0, 0.2)):
        index.add(number, peaks.changed(one, rng, share).to_bytes())
    copies = near_copies(index, one, LIMITS, (-0.05, 0.05))  # too little to move a peak
    assert [copy.number for copy in copies] == [1, 4, 2, 0]
    assert {copy.speed_percent for copy in copies} == {0.0}, "its own speed, where it is as good"
    values = [copy.likeness for copy in copies]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.85


def test_the_speed_is_that_of_the_greatest_likeness(peaks: Any, rng: np.random.Generator) -> None:
    one = peaks.drawn(rng)
    index = PeakIndex(9)
    index.add(0, one.to_bytes())
    for speeds in ((-3.0, 1.0, 3.0), (3.0, 1.0, -3.0)):
        [copy] = near_copies(index, one.at_speed(1.01), LIMITS, speeds)
        assert copy.speed_percent == 1.0
        [copy] = near_copies(index, one.at_speed(0.97), LIMITS, speeds)
        assert copy.speed_percent == -3.0
        [copy] = near_copies(index, one, LIMITS, speeds)
        assert copy == Copy(0, 1.0, 0.0)


def test_the_limit_is_that_of_the_smaller_fingerprint(peaks: Any, rng: np.random.Generator) -> None:
    one = peaks.drawn(rng, 100)
    some = peaks.at(*zip(one.frames[:25].tolist(), one.bins[:25].tolist(), strict=True))
    # 25 / sqrt(25 * 100) = .5: over the limit for 100 peaks (.28), but not for 36 (.4).
    index = PeakIndex(1)
    index.add(0, some.to_bytes())
    for slope, found in ((1.9, True), (2.0, False)):  # .48 and .5 for 25 peaks
        limits = NeighboursLimits(floor=0.1, slope=slope, mean=0.03, approved=0.6)
        assert bool(near_copies(index, one, limits, ())) == found
        assert limits.likeness(100) < 0.5


def test_only_over_the_limit(peaks: Any, rng: np.random.Generator) -> None:
    one = peaks.drawn(rng, 16)
    index = PeakIndex(1)
    index.add(0, one.to_bytes())
    for floor, found in ((0.749, True), (0.75, False)):  # 1.8 / 4 = .45
        limits = NeighboursLimits(floor=floor - 0.2, slope=1.8, mean=0.03, approved=0.6)
        assert bool(near_copies(index, one, limits, ())) == found


def test_a_fingerprint_that_leaves_the_band_at_a_speed_does_no_harm(peaks: Any) -> None:
    edge = peaks.at(*((10 * frame, 243) for frame in range(12)))
    index = PeakIndex(1)
    index.add(0, edge.to_bytes())
    assert near_copies(index, edge, LIMITS, (-4.5, 4.5)) == [Copy(0, 1.0, 0.0)]
