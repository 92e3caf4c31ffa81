"""Exact intervals, and what a prediction allows."""

from __future__ import annotations

import numpy as np
import pytest

from earmark_calibration.choose.statistics import agrees, expected, share


def test_the_exact_interval_of_published_cases() -> None:
    # Clopper and Pearson: 0 of 10 and 5 of 10 at 95 %.
    none, half = share(0, 10), share(5, 10)
    assert (none.low, none.high) == pytest.approx((0.0, 0.3085), abs=1e-4)
    assert (half.low, half.high) == pytest.approx((0.1871, 0.8129), abs=1e-4)
    assert share(10, 10).high == 1.0
    assert share(0, 0).high == 1.0
    assert share(0, 0).n == 0


@pytest.mark.parametrize(("hits", "n"), [(-1, 5), (6, 5)])
def test_more_hits_than_trials_are_refused(hits: int, n: int) -> None:
    with pytest.raises(ValueError, match="no share"):
        share(hits, n)
    with pytest.raises(ValueError, match=f"{hits} of {n}"):
        expected(hits, n, 3)


def test_what_is_expected_covers_what_happens() -> None:
    """Predict from one count, then count again: 95 % and more lie within."""
    rng = np.random.default_rng(1)
    within = 0
    for rate in (0.0, 0.03, 0.2, 0.5, 0.9):
        for _ in range(400):
            hits, later = rng.binomial(80, rate), rng.binomial(12, rate)
            within += agrees(hits, 80, later, 12)
    assert within >= 0.95 * 2000


def test_a_gross_error_of_the_prediction_is_noticed() -> None:
    assert expected(0, 80, 0) == (0, 0)
    assert not agrees(0, 80, 3, 12)
    assert agrees(0, 80, 0, 12)
    low, high = expected(40, 80, 12)
    assert 0 < low < 6 < high < 12
