"""Intervals against published values, and at the ends where formulas break."""

from __future__ import annotations

import numpy as np
import pytest

from earmark_host.bench.statistics import proportion_interval, quantile_interval, ratio_interval


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        (0, 20, 0.0, 0.1684),
        (0, 300, 0.0, 0.0122),
        (20, 20, 0.8316, 1.0),
        (5, 10, 0.1871, 0.8129),
        (1, 100, 0.0003, 0.0545),
        (0, 0, 0.0, 1.0),
    ],
)
def test_share_has_the_exact_interval(hits: int, n: int, low: float, high: float) -> None:
    assert proportion_interval(hits, n) == pytest.approx((low, high), abs=6e-5)


def test_the_median_of_a_hundred_lies_between_the_40th_and_the_61st() -> None:
    values = np.random.default_rng(0).permutation(np.arange(1.0, 101.0))
    assert quantile_interval(list(values), 0.5) == (40.0, 61.0)


def test_an_extreme_quantile_of_a_small_sample_reaches_its_largest_value() -> None:
    low, high = quantile_interval([float(value) for value in range(1, 21)], 0.99)
    assert high == 20.0
    assert low < 20.0
    assert quantile_interval([7.0], 0.5) == (7.0, 7.0)


def test_the_quantile_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    truth = np.log(2.0)  # the median of the exponential distribution
    hits = 0
    for _ in range(400):
        low, high = quantile_interval(list(rng.exponential(size=60)), 0.5)
        hits += low <= truth <= high
    assert hits >= 372  # 95 % less three standard errors


def test_a_ratio_is_as_uncertain_as_its_groups() -> None:
    rng = np.random.default_rng(2)
    even = ratio_interval([1.0] * 50, [10.0] * 50, rng)
    assert even == pytest.approx((0.1, 0.1))
    low, high = ratio_interval([10.0] * 5 + [0.0] * 45, [10.0] * 50, rng)
    assert low < 0.05
    assert high > 0.16


def test_a_ratio_without_any_hit_has_an_upper_bound() -> None:
    rng = np.random.default_rng(3)
    assert ratio_interval([0.0] * 3, [100.0] * 3, rng) == proportion_interval(0, 300)


def test_what_is_no_share_and_no_sample_is_refused() -> None:
    rng = np.random.default_rng(4)
    with pytest.raises(ValueError, match="no share"):
        proportion_interval(3, 2)
    with pytest.raises(ValueError, match="needs a sample"):
        quantile_interval([], 0.5)
    with pytest.raises(ValueError, match="at least one group"):
        ratio_interval([0.0], [0.0], rng)
