"""Thresholds keep the promised shares, on figures whose quantiles are known."""

from __future__ import annotations

import numpy as np
import pytest

from earmark.errors import EarmarkError
from earmark_host.memory.calibrate import (
    LIKENESS_MARGIN,
    MEAN_MARGIN,
    RANGES,
    TAKES_SHARE,
    USUAL_PEAKS,
    Line,
    approved_limit,
    exceedances,
    likeness_line,
    mean_limit,
    numbered,
    paper_threshold,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_papers_threshold_leaves_the_share_above() -> None:
    scores = rng().permutation(np.linspace(0.0, 1.0, 10_000))
    found = paper_threshold(scores, np.arange(10_000) % 100, 1e-3, rng())
    assert np.count_nonzero(scores > found.value) <= 10
    assert np.count_nonzero(scores >= found.value) > 9
    assert found.ci95[0] < found.value < found.ci95[1]


def test_its_interval_is_over_people_not_over_queries() -> None:
    one_loud = np.repeat([0.0, 1.0], [9_900, 100]) + rng().uniform(0.0, 0.1, 10_000)
    people = np.arange(10_000) // 100  # the last of 100 people said all of the loud ones
    low, high = paper_threshold(one_loud, people, 1e-3, rng()).ci95
    assert low < 0.2, "in a third of the resamples he is not drawn at all"
    assert high > 1.0
    mixed = paper_threshold(one_loud, rng().permutation(people), 1e-3, rng()).ci95
    assert mixed[0] > 1.0


def test_names_become_numbers() -> None:
    assert numbered(["b", "a", "b"]).tolist() == [1, 0, 1]


def pairs(
    n: int, seed: int = 0, slope: float = 2.0, floor: float = 0.05
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of every length whose likeness falls with the root of the peaks."""
    random = rng(seed)
    peaks = random.integers(RANGES[0], RANGES[-1], n)
    return peaks, (floor + slope / np.sqrt(peaks)) * random.beta(4, 8, n)


def test_the_line_keeps_its_promise_in_every_range() -> None:
    near, far = pairs(40_000), pairs(40_000, 1, slope=1.0)
    line = likeness_line([far, near])
    for kind in (near, far):
        rows = exceedances(line, *kind)
        assert [row["peaks_from"] for row in rows] == list(RANGES[:-1])
        assert sum(int(row["pairs"]) for row in rows) == 40_000
        assert all(row["above"] <= TAKES_SHARE * row["pairs"] for row in rows)


def test_the_line_is_no_higher_than_it_must_be() -> None:
    near = pairs(40_000)
    line = likeness_line([near])
    bare = Line(line.floor / LIKENESS_MARGIN, line.slope / LIKENESS_MARGIN)
    rows = [row for row in exceedances(bare, *near) if row["peaks_from"] >= USUAL_PEAKS]
    assert all(row["above"] <= TAKES_SHARE * row["pairs"] for row in rows)
    assert any(row["above"] > 0.5 * TAKES_SHARE * row["pairs"] for row in rows)
    lower = Line(bare.floor - 0.02, bare.slope)
    assert any(row["above"] > TAKES_SHARE * row["pairs"] for row in exceedances(lower, *near))
    assert max(row["limit"] / row["quantile"] for row in rows) < 1.15


def test_a_kind_of_pairs_is_not_thinned_out_by_another() -> None:
    peaks = np.full(2_000, 50)
    few = rng().uniform(0.3, 0.4, 2_000)
    many = np.full(40_000, 50), rng().uniform(0.0, 0.1, 40_000)
    line = likeness_line([many, (peaks, few)])
    assert np.count_nonzero(few > line.at(peaks)) <= 1
    assert line.at(np.array([50.0]))[0] > 0.39


def test_few_pairs_cannot_resolve_the_share_and_none_exceeds() -> None:
    peaks = np.full(300, 70)
    likeness = rng().uniform(0.0, 0.3, 300)
    likeness[7] = 0.5
    assert likeness_line([(peaks, likeness)]).at(np.array([70.0]))[0] > 0.5


def test_the_line_never_begins_below_zero() -> None:
    line = likeness_line([pairs(20_000, floor=-0.04)])
    assert line.floor >= 0.0
    assert line.slope > 0.0


def test_too_few_pairs() -> None:
    with pytest.raises(EarmarkError, match="60 pairs"):
        likeness_line([pairs(60)])


def test_the_second_ear() -> None:
    few = np.linspace(0.0, 0.01, 1_000)
    assert mean_limit(few) == pytest.approx(0.01 * MEAN_MARGIN)
    many = rng().permutation(np.linspace(0.0, 1.0, 20_000))
    limit = mean_limit(many)
    assert 1 <= np.count_nonzero(many > limit) <= 4


def test_approved_repeats() -> None:
    likeness = np.linspace(0.0, 1.0, 1_001)
    assert approved_limit(likeness) == pytest.approx(0.05)
