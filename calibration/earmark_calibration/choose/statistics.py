"""What a count of failures says: exact intervals, and how many failures a prediction allows."""

from __future__ import annotations

import numpy as np
from scipy import stats

from earmark.binomial import interval
from earmark_calibration.record import Estimate

CONFIDENCE = 0.95
"""Of all intervals, two-sided."""

_TAIL = (1.0 - CONFIDENCE) / 2.0


def share(hits: int, n: int) -> Estimate:
    """A share with its exact interval (Clopper and Pearson, Biometrika 26(4), 1934).

    With `n` 0 nothing is known: 0.5 between 0 and 1.

    Raises
    ------
    ValueError
        `hits` is not in 0..n.
    """
    low, high = interval(hits, n, CONFIDENCE)
    return Estimate(value=hits / n if n else 0.5, low=low, high=high, n=n)


def expected(hits: int, n: int, tries: int) -> tuple[int, int]:
    """How many hits to expect in `tries` more trials after `hits` in `n`: least and most.

    The interval of a beta-binomial with Jeffreys' prior: it allows for what the `n` do not tell
    of the share, and for the chance in the `tries`. As counts are whole, it covers
    :data:`CONFIDENCE` or more.

    Raises
    ------
    ValueError
        `hits` is not in 0..n, or `tries` is negative.
    """
    if not 0 <= hits <= n or tries < 0:
        raise ValueError(f"{hits} of {n}, then {tries} tries")
    if tries == 0:
        return 0, 0
    after = stats.betabinom(tries, hits + 0.5, n - hits + 0.5)
    cdf = after.cdf(np.arange(tries + 1))
    low = int(np.count_nonzero(cdf < _TAIL))
    high = int(np.count_nonzero(cdf < 1.0 - _TAIL))
    return low, min(high, tries)


def agrees(hits: int, n: int, played: int, tries: int) -> bool:
    """Whether `played` hits in `tries` are what `hits` of `n` predicted."""
    low, high = expected(hits, n, tries)
    return low <= played <= high
