"""Confidence intervals of what a bench counts and measures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from scipy import special

from earmark.binomial import interval

Interval: TypeAlias = tuple[float, float]

CONFIDENCE = 0.95
"""All intervals are two-sided at this confidence."""

_TAIL = (1.0 - CONFIDENCE) / 2.0

RESAMPLES = 2000
"""Bootstrap resamples: the ends of a 95 % interval then move by about 1 % of its width."""


def proportion_interval(hits: int, n: int) -> Interval:
    """Exact interval of a share (Clopper and Pearson, Biometrika 26(4), 1934).

    Parameters
    ----------
    hits, n : `hits` of `n` independent tries; with `n` 0 nothing is known: (0, 1).

    Raises
    ------
    ValueError
        `hits` is not in 0..n.
    """
    return interval(hits, n, CONFIDENCE)


def quantile_interval(values: Sequence[float], share: float) -> Interval:
    """Distribution-free interval of a quantile from order statistics.

    The ends are the sample's own values whose ranks a binomial count leaves on one side with
    2.5 % or less (David and Nagaraja, Order Statistics, 2003, section 7.1). A sample that is too
    small for that gives its smallest or largest value, and covers less.

    Parameters
    ----------
    values : the sample, not empty.
    share : which quantile, in (0, 1).
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    n = ordered.size
    if n == 0 or not 0.0 < share < 1.0:
        raise ValueError("a quantile needs a sample and a share in (0, 1)")
    # below[k] = P(at most k of n values lie below the quantile).
    below = special.bdtr(np.arange(n, dtype=np.float64), n, share)
    low_rank = int(np.count_nonzero(below <= _TAIL))  # 0: not even the smallest is low enough
    high_rank = int(np.count_nonzero(below < 1.0 - _TAIL)) + 1
    low, high = ordered[max(low_rank - 1, 0)], ordered[min(high_rank - 1, n - 1)]
    return float(low), float(high)


def ratio_interval(
    parts: Sequence[float], wholes: Sequence[float], rng: np.random.Generator
) -> Interval:
    """Bootstrap interval of ``sum(parts) / sum(wholes)`` over independent groups.

    Errors come in bursts, so whole sessions are drawn again, not single slots. Where no group
    has any part (or each is all part), every resample is the same and says nothing: the exact
    interval over the units stands in, which takes them for independent.

    Parameters
    ----------
    parts, wholes : for each group, how many of its units are hits, and its units; wholes
        above 0 in sum.
    rng : draws the groups.
    """
    hits, units = np.asarray(parts, np.float64), np.asarray(wholes, np.float64)
    if hits.size == 0 or units.sum() <= 0.0:
        raise ValueError("a ratio needs at least one group with a unit")
    if hits.sum() in (0.0, units.sum()):
        return proportion_interval(round(float(hits.sum())), round(float(units.sum())))
    drawn = rng.integers(0, hits.size, (RESAMPLES, hits.size))
    ratios = hits[drawn].sum(axis=1) / np.maximum(units[drawn].sum(axis=1), 1.0)
    low, high = np.quantile(ratios, (_TAIL, 1.0 - _TAIL))
    return float(low), float(high)
