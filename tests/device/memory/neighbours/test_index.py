"""The index finds what a comparison with each would find."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pytest

from earmark.memory.neighbours import Fingerprint, index, likeness
from earmark.memory.neighbours.fingerprint import MAX_FRAMES
from earmark.memory.neighbours.index import CANDIDATES, MISSES, Match, PeakIndex

LEAST = 0.28


@pytest.fixture(scope="module")
def many(peaks: Any) -> list[Fingerprint]:
    """1,000 of different lengths, all unlike."""
    rng = np.random.default_rng(5)
    return [peaks.drawn(rng, int(rng.integers(40, 200)), 300) for _ in range(1000)]


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[Fingerprint]:
    """Whatever is compared in full."""
    seen: list[Fingerprint] = []

    def counted(one: Fingerprint, other: Fingerprint) -> float:
        seen.append(other)
        return likeness(one, other)

    monkeypatch.setattr(index, "likeness", counted)
    return seen


def filled(capacity: int, *fingerprints: Fingerprint) -> PeakIndex:
    made = PeakIndex(capacity)
    for number, each in enumerate(fingerprints):
        made.add(number, each.to_bytes())
    return made


def numbers(matches: list[Match]) -> list[int]:
    return sorted(match.number for match in matches)


def test_all_copies_are_found_among_a_thousand(
    peaks: Any, many: list[Fingerprint], rng: np.random.Generator
) -> None:
    one = peaks.drawn(rng, 120, 250)
    here = list(many)
    copies = rng.choice(1000, 20, replace=False)
    for number in copies:
        count = int(rng.integers(100, 121))
        copy = peaks.changed(peaks.at(*_places(one)[:count]), rng, rng.uniform(0.0, 0.5))
        here[number] = peaks.later(copy, int(rng.integers(400)))
    found = filled(1000, *here).like(one, LEAST)
    alike = {n: likeness(one, each) for n, each in enumerate(here)}
    assert numbers(found) == sorted(copies) == [n for n, value in alike.items() if value > LEAST]
    for match in found:
        assert match.likeness == alike[match.number]
        assert match.peaks == len(here[match.number]) <= 120


def _places(one: Fingerprint) -> list[tuple[int, int]]:
    return list(zip(one.frames.tolist(), one.bins.tolist(), strict=True))


def test_only_what_is_over_the_least(peaks: Any, rng: np.random.Generator) -> None:
    one = peaks.drawn(rng)
    made = filled(9, one, peaks.changed(one, rng, 0.5))
    half = likeness(one, peaks.changed(one, np.random.default_rng(1), 0.5))
    assert numbers(made.like(one, half + 0.1)) == [0]
    assert made.like(one, 1.0) == []
    assert made.like(one, 0.999) == [Match(0, 1.0, 120)]


def test_matches_tell_the_smaller_number_of_peaks(peaks: Any, rng: np.random.Generator) -> None:
    one = peaks.drawn(rng, 60)
    fewer = peaks.at(*_places(one)[:40])
    assert [match.peaks for match in filled(5, fewer).like(one, 0.5)] == [40]
    assert [match.peaks for match in filled(5, one).like(fewer, 0.5)] == [40]


@pytest.mark.parametrize("shift", [*range(18), 511, MAX_FRAMES - 10])
def test_any_shift_is_found(
    peaks: Any, many: list[Fingerprint], rng: np.random.Generator, shift: int
) -> None:
    one = peaks.drawn(rng, 80, 10)
    copy = peaks.changed(one, rng, 0.4)
    for query, there in ((one, peaks.later(copy, shift)), (peaks.later(one, shift), copy)):
        assert 3 in numbers(filled(9, *many[:3], there, *many[3:8]).like(query, 0.4))


def test_nothing_is_found_in_nothing_and_by_nothing(peaks: Any, rng: np.random.Generator) -> None:
    made = PeakIndex(5)
    assert len(made) == 0
    assert made.like(peaks.drawn(rng), 0.0) == []
    made.add(0, peaks.at().to_bytes())
    assert len(made) == 1
    assert made.like(peaks.drawn(rng), 0.0) == []
    assert made.like(peaks.at(), 0.0) == []


@pytest.mark.parametrize("capacity", [1, 3, 4, 5, 8, 9])
@pytest.mark.parametrize("shard", [1, 2, 4])
def test_beyond_the_capacity_the_oldest_are_never_returned(
    peaks: Any,
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
    capacity: int,
    shard: int,
) -> None:
    monkeypatch.setattr(index, "SHARD", shard)
    one = peaks.drawn(rng, 40)
    made = PeakIndex(capacity)
    for number in range(20):
        made.add(3 * number, peaks.changed(one, rng, 0.2).to_bytes())
        last = [3 * n for n in range(max(0, number + 1 - capacity), number + 1)]
        assert numbers(made.like(one, LEAST)) == last
        assert len(made) == len(last)


def test_what_is_beyond_the_capacity_is_forgotten_by_and_by(
    peaks: Any, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    monkeypatch.setattr(index, "SHARD", 4)
    made = PeakIndex(6)
    held: list[weakref.ref[Fingerprint]] = []
    for number in range(40):
        one = peaks.drawn(rng, 10)
        held.append(weakref.ref(one))
        made.add(number, one.to_bytes())
        del one
        assert sum(each() is not None for each in held) <= 6 + 4 - 1


def test_numbers_must_rise(peaks: Any, rng: np.random.Generator) -> None:
    made = filled(5, peaks.drawn(rng))
    made.add(7, peaks.drawn(rng).to_bytes())
    for number in (7, 3):
        with pytest.raises(ValueError, match=f"number {number} is not above 7"):
            made.add(number, peaks.drawn(rng).to_bytes())
    assert len(made) == 2


def test_a_capacity_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="below 1"):
        PeakIndex(0)


def test_few_are_compared_in_full(
    many: list[Fingerprint], compared: list[Fingerprint], peaks: Any, rng: np.random.Generator
) -> None:
    made = filled(1000, *many)
    assert made.like(peaks.drawn(rng), LEAST) == []
    assert len(compared) == MISSES
    compared.clear()
    made.like(peaks.drawn(rng), LEAST, misses=2)
    assert len(compared) == 2


def sharing(
    peaks: Any, one: Fingerprint, rng: np.random.Generator, shifts: list[int], size: int = 60
) -> Fingerprint:
    """So many peaks, of which the first ones are those of `one`, each later by its shift."""
    rest = peaks.drawn(rng, size, 250)
    shared = [(f + s, b) for (f, b), s in zip(_places(one), shifts, strict=False)]
    others = [place for place in _places(rest) if place not in shared]
    made: Fingerprint = peaks.at(*shared, *others[: size - len(shared)])
    assert len(made) == size
    return made


def test_shifts_at_the_border_of_two_steps_are_one_guess(
    peaks: Any, rng: np.random.Generator
) -> None:
    one = peaks.drawn(rng, 60, 150)
    plain, split = (sharing(peaks, one, rng, shifts) for shifts in ([0] * 22, [7, 8] * 16))
    assert likeness(one, split) > likeness(one, plain)
    found = filled(9, plain, split, *[peaks.drawn(rng, 60)] * 3).like(one, LEAST)
    assert [match.number for match in found] == [1, 0]


def test_a_small_copy_is_a_better_guess_than_a_large_one_with_little_more(
    peaks: Any, rng: np.random.Generator
) -> None:
    one = peaks.drawn(rng, 120, 150)
    small, large = (sharing(peaks, one, rng, [0] * n, size) for n, size in ((30, 30), (45, 200)))
    found = filled(9, small, large, *[peaks.drawn(rng, 60)] * 3).like(one, 0.25)
    assert [match.number for match in found] == [0, 1]


@pytest.mark.parametrize("off", [-1, 1])
def test_peaks_beside_their_bin_are_guesses_too(
    many: list[Fingerprint], peaks: Any, rng: np.random.Generator, off: int
) -> None:
    inner = [(f, min(242, max(1, b))) for f, b in _places(peaks.drawn(rng, 100))]
    one, beside = peaks.at(*set(inner)), peaks.at(*{(f, b + off) for f, b in inner})
    made = filled(1000, *many[:400], beside, *many[400:])
    assert numbers(made.like(one, LEAST, misses=1)) == [400]


def test_misses_count_one_after_the_other(peaks: Any, rng: np.random.Generator) -> None:
    """Guesses by votes: unlike, alike, unlike, alike."""
    one = peaks.drawn(rng, 60, 150)
    spread = [0, 3, 6, 1, 4, 7, 2, 5] * 8  # one step of shifts, and no shift has many
    there = [
        sharing(peaks, one, rng, shifts)
        for shifts in (spread[:60], [0] * 50, spread[:42], [0] * 32)
    ]
    assert [likeness(one, each) > 0.4 for each in there] == [False, True, False, True]
    assert numbers(filled(9, *there).like(one, 0.4, misses=2)) == [1, 3]


def test_a_copy_makes_up_for_misses(
    many: list[Fingerprint], compared: list[Fingerprint], peaks: Any, rng: np.random.Generator
) -> None:
    one = peaks.drawn(rng)
    made = filled(1000, *many[:400], *[one] * 3, *many[403:])
    assert numbers(made.like(one, LEAST, misses=2)) == [400, 401, 402]
    assert len(compared) == 3 + 2


def test_of_many_copies_so_many_are_returned(
    many: list[Fingerprint], compared: list[Fingerprint], peaks: Any, rng: np.random.Generator
) -> None:
    one = peaks.drawn(rng)
    made = filled(1000, *many[:500], *[one] * (2 * CANDIDATES))
    assert len(made.like(one, LEAST)) == len(compared) == CANDIDATES


def test_a_thin_search_goes_by_every_third_peak(
    many: list[Fingerprint], compared: list[Fingerprint], peaks: Any, rng: np.random.Generator
) -> None:
    one = peaks.drawn(rng, 60, 200)
    made = filled(1000, *many[:500], peaks.later(peaks.changed(one, rng, 0.3), 9), *many[500:])
    assert numbers(made.like(one, LEAST, thin=3)) == [500]
    assert compared[0].frames.size == 60, "a full comparison goes by all peaks"
    places = _places(one)
    third = peaks.at(*places[::3])
    rest = peaks.at(*(place for at, place in enumerate(places) if at % 3))
    assert len(rest) == 40
    # What every third peak does not meet is no candidate, what it meets is.
    assert filled(5, _far(rest, third, peaks)).like(one, 0.0, thin=3) == []
    assert numbers(filled(5, third).like(one, LEAST, thin=3)) == [0]


def _far(rest: Fingerprint, third: Fingerprint, peaks: Any) -> Fingerprint:
    """`rest` without the bins that `third` would meet at some shift."""
    near = np.abs(rest.bins[:, None] - third.bins[None, :]).min(axis=1) <= 1
    kept = peaks.at(*(p for p, met in zip(_places(rest), near, strict=True) if not met))
    assert len(kept) > 10
    return Fingerprint(kept.frames, kept.bins)
