"""Exact bounds of a share."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from earmark.binomial import interval, upper


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (0, 40), (1, 40), (7, 12), (40, 40), (3, 2000)])
def test_the_interval_is_that_of_scipy(hits: int, n: int) -> None:
    theirs = binomtest(hits, n).proportion_ci(0.95, method="exact")
    assert interval(hits, n, 0.95) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@pytest.mark.parametrize(("hits", "n"), [(0, 40), (1, 40), (40, 40)])
def test_the_upper_bound_is_that_of_scipy(hits: int, n: int) -> None:
    theirs = binomtest(hits, n, alternative="less").proportion_ci(0.95, method="exact")
    assert upper(hits, n, 0.95) == pytest.approx(theirs.high, abs=1e-9)


def test_of_no_tries_nothing_is_known() -> None:
    assert interval(0, 0, 0.95) == (0.0, 1.0)


@pytest.mark.parametrize(("hits", "n"), [(-1, 3), (4, 3)])
def test_what_is_no_share_is_refused(hits: int, n: int) -> None:
    with pytest.raises(ValueError, match="is no share"):
        interval(hits, n, 0.95)
