"""From figures of benign audio to the thresholds of the query memory; no audio in here.

Each threshold belongs to a share of benign audio that may be above it:

- the paper's detector (:func:`paper_threshold`): 0.1 % of the queries when recordings are streamed
  in random order (Guo et al. 2023, "Parameter selection");
- near-copies (:func:`likeness_line`): 0.05 % of the pairs of different takes, at every length;
- the second ear (:func:`mean_limit`): 0.02 % of a household's queries;
- approved repeats (:func:`approved_limit`): 5 % of the repeats are below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from earmark.errors import EarmarkError
from earmark_host.bench.statistics import Interval

Floats: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]

PAPER_SHARE = 1e-3
"""Share of benign queries above the paper's threshold (Guo et al. 2023, "Parameter selection")."""

TAKES_SHARE = 5e-4
"""Share of the pairs of different takes above the limit, in each of :data:`RANGES`. An alarm takes
five near-copies of one query; among 100 earlier takes of the same phrase, if pairs know nothing of
each other, that has a chance of 2e-9."""

MEAN_SHARE = 2e-4
"""Share of benign queries above the limit of the second ear: a fifth of what all alarms together
may be, 0.1 %."""

APPROVED_SHARE = 0.05
"""Share of the hearings of an approved repeat that do not pass as such: few enough for the owner,
and what merely resembles the repeat does not pass."""

LIKENESS_MARGIN = 1.05
"""Factor on the line of the near-copies, for other people than those who were measured."""

MEAN_MARGIN = 1.5
"""Factor on the highest mean that was heard, where the share cannot be resolved: what may be above
the limit is less than one query of those that were heard."""

RANGES = (10, 16, 20, 26, 34, 45, 60, 80, 110, 150, 201)
"""Edges of the ranges of peaks in which the limits hold: from the fewest peaks that are looked at
to the most that are kept, each about a third wider than the one before."""

USUAL_PEAKS = 34
"""Of the lines that keep the promise in all ranges, the lowest from here on is taken: a command of
one second has 40 peaks."""

LEAST_PAIRS = 100
"""Ranges with fewer pairs do not bend the line: the highest of so few says little."""

SLOPES = np.linspace(0.0, 6.0, 121)
"""Slopes that are tried; 6 puts a limit of .42 at 200 peaks if the floor is 0."""

RESAMPLES = 500
"""Bootstrap resamples; the ends of an interval then move by about 3 % of its width."""


@dataclass(frozen=True)
class Threshold:
    """One threshold of the paper's detector.

    Parameters
    ----------
    value : the quantile.
    ci95 : its interval, had other people or tunes been recorded (a bootstrap over them).
    """

    value: float
    ci95: Interval


def paper_threshold(
    scores: Floats, groups: Indices, share: float, rng: np.random.Generator
) -> Threshold:
    """The score that `share` of the benign queries exceed.

    Parameters
    ----------
    scores : shape (n,), one a query.
    groups : shape (n,), from 0: whose query it is, a person or a tune.
    share : in (0, 1).
    rng : draws the groups of each resample.
    """
    order = np.argsort(scores)
    ordered, owners = scores[order], groups[order]
    count = int(groups.max()) + 1
    found = []
    for _ in range(RESAMPLES):
        times = np.bincount(rng.integers(count, size=count), minlength=count)
        below = np.cumsum(times[owners])
        if below[-1]:
            found.append(ordered[np.searchsorted(below, (1.0 - share) * below[-1])])
    low, high = np.quantile(found, (0.025, 0.975))
    return Threshold(_upper(scores, share), (float(low), float(high)))


@dataclass(frozen=True)
class Line:
    """The likeness limit ``floor + slope / sqrt(peaks)``."""

    floor: float
    slope: float

    def at(self, peaks: Floats | Indices) -> Floats:
        """The limit for so many peaks of the smaller fingerprint."""
        return np.asarray(self.floor + self.slope / np.sqrt(peaks))


def likeness_line(kinds: Sequence[tuple[Indices, Floats]]) -> Line:
    """The lowest line that at most :data:`TAKES_SHARE` of the pairs exceed, kind by kind.

    It holds for each kind of pairs in each of :data:`RANGES`. For every slope there is one lowest
    floor: the highest of their quantiles of ``likeness - slope / sqrt(peaks)``. Of these lines the
    one with the lowest mean limit over the ranges from :data:`USUAL_PEAKS` on is taken, and raised
    by :data:`LIKENESS_MARGIN`.
    Fewer than 2,000 pairs cannot resolve the share: none of them exceeds the line.

    Parameters
    ----------
    kinds : for each kind of pairs the peaks of the smaller fingerprint, shape (n,), and the
        likeness, shape (n,).

    Raises
    ------
    EarmarkError
        Nowhere are there :data:`LEAST_PAIRS` pairs.
    """
    cells = [
        (peaks[inside], likeness[inside])
        for peaks, likeness in kinds
        for low, high in _ranges()
        if np.count_nonzero(inside := (peaks >= low) & (peaks < high)) >= LEAST_PAIRS
    ]
    if not cells:
        raise EarmarkError(
            f"the corpus has {sum(peaks.size for peaks, _ in kinds)} pairs of different takes, "
            f"and {LEAST_PAIRS} of about the same length are needed",
            "add several takes of the same words (role command, with speaker and label)",
        )
    middles = np.sqrt([low * high for low, high in _ranges() if low >= USUAL_PEAKS])
    lines = []
    for slope in SLOPES:
        rest = [likeness - slope / np.sqrt(peaks) for peaks, likeness in cells]
        floor = max(_upper(each, TAKES_SHARE) for each in rest)
        lines.append(Line(max(0.0, floor), float(slope)))
    best = min(lines, key=lambda line: float(np.mean(line.at(middles))))
    return Line(best.floor * LIKENESS_MARGIN, best.slope * LIKENESS_MARGIN)


def exceedances(line: Line, peaks: Indices, likeness: Floats) -> list[dict[str, float | int]]:
    """For each range of peaks: how many pairs there are, how many exceed the line, the quantile."""
    rows: list[dict[str, float | int]] = []
    for low, high in _ranges():
        mask = (peaks >= low) & (peaks < high)
        if mask.any():
            rows.append(
                {
                    "peaks_from": low,
                    "peaks_to": high - 1,
                    "pairs": int(mask.sum()),
                    "above": int(np.count_nonzero(likeness[mask] > line.at(peaks[mask]))),
                    "quantile": _upper(likeness[mask], TAKES_SHARE),
                    "limit": float(np.mean(line.at(peaks[mask]))),
                }
            )
    return rows


def mean_limit(means: Floats) -> float:
    """The limit of the second ear, above the mean of every benign query or nearly so.

    With enough queries that some lie above it, the quantile that belongs to :data:`MEAN_SHARE`;
    else the highest times :data:`MEAN_MARGIN`.
    """
    if means.size * MEAN_SHARE >= 1.0:
        return float(_upper(means, MEAN_SHARE))
    return float(means.max()) * MEAN_MARGIN


def approved_limit(likeness: Floats) -> float:
    """The likeness that all but :data:`APPROVED_SHARE` of the repeats reach."""
    return float(np.quantile(likeness, APPROVED_SHARE))


def numbered(names: Sequence[str]) -> Indices:
    """Each name as a number from 0, equal names alike."""
    return np.asarray(np.unique(names, return_inverse=True)[1], np.intp)


def _ranges() -> list[tuple[int, int]]:
    return list(pairwise(RANGES))


def _upper(values: Floats, share: float) -> float:
    """The smallest of `values` that at most `share` of them exceed."""
    return float(np.quantile(values, 1.0 - share, method="higher"))
