"""From the similarities with each remembered query to one score (Guo et al. 2023, Eqs. 1, 12).

The score is a weighted mean of the similarities. The weight of the i-th comes from how even
the similarities around it are, its coefficient ``a_i = 1 - std_i / mean_i``, and all are
divided by their sum. How many neighbours count goes by the length l, which changes from one i
to the next: 2, 3, .. 7, then 3, 4, .. 7, 3, and so on.

Read as follows, where the text leaves it open: i = 0 is the oldest query; the neighbours are
max(1, l // 2) on either side and i itself, cut at the ends of the memory; std is that of the
population; a mean of 0 gives the coefficient 0; coefficients that sum to 0 give equal weights.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from earmark.memory.paper.settings import Weighting

Floats = NDArray[np.float64]

PAPER_DEPTH = 75
"""Depth of the paper's memory, k."""

SMALLEST_SUM = 1e-6
"""A sum of coefficients nearer to 0 than this counts as 0. The std is a difference of two
means, whose rounding leaves up to some 1e-8 in a coefficient that should be 0."""


def lengths(count: int, depth: int = PAPER_DEPTH) -> list[int]:
    """The schedule of l for the first `count` queries of a memory of `depth`.

    l begins with 2, grows by 1 up to floor(0.1 depth), at least 2, and starts again from half
    of that, at least 2.
    """
    longest = max(2, depth // 10)
    schedule: list[int] = []
    length = 2
    for _ in range(count):
        schedule.append(length)
        length = length + 1 if length < longest else max(2, longest // 2)
    return schedule


def scores(similarities: Floats, weighting: Weighting, depth: int = PAPER_DEPTH) -> Floats:
    """One score for each row of similarities.

    Parameters
    ----------
    similarities : shape (n, m), each in 0..1; m, the queries remembered, oldest first, is at
        least 1 and at most `depth`.
    weighting : ``clip | raw | mean | official``; see :class:`PaperSettings`.
    depth : the memory's depth, which sets the longest l.

    Returns
    -------
    Floats
        Shape (n,). In 0..1, but for ``raw`` and ``official``, which have negative weights and
        can give anything.
    """
    values = _prepared(np.asarray(similarities, np.float64), weighting)
    return np.asarray(np.sum(values * _weights(values, weighting, depth), axis=1))


def weights(similarities: Floats, weighting: Weighting, depth: int = PAPER_DEPTH) -> Floats:
    """The weights alpha of one row: shape (m,) in, shape (m,) out, with the sum 1."""
    values = _prepared(np.asarray(similarities, np.float64)[np.newaxis], weighting)
    return np.asarray(_weights(values, weighting, depth)[0])


def _prepared(values: Floats, weighting: Weighting) -> Floats:
    """For ``official`` each row scaled to 0..1; a row of equal values becomes 0."""
    if weighting != "official":
        return values
    low = values.min(axis=1, keepdims=True)
    span = values.max(axis=1, keepdims=True) - low
    return np.asarray(np.divide(values - low, span, out=np.zeros_like(values), where=span > 0.0))


def _weights(values: Floats, weighting: Weighting, depth: int) -> Floats:
    count = values.shape[1]
    uniform = np.full_like(values, 1.0 / count)
    if weighting == "mean":
        return uniform
    averaging = _averaging(count, depth)
    mean = values @ averaging
    variance = np.square(values) @ averaging - np.square(mean)
    std = np.sqrt(np.maximum(variance, 0.0))
    # 1 - std / mean, and 0 where the mean is 0.
    coefficients = np.divide(mean - std, mean, out=np.zeros_like(mean), where=mean > 0.0)
    if weighting == "clip":
        coefficients = np.maximum(coefficients, 0.0)
    total = coefficients.sum(axis=1, keepdims=True)
    return np.divide(coefficients, total, out=uniform, where=np.abs(total) > SMALLEST_SUM)


@lru_cache(maxsize=128)
def _averaging(count: int, depth: int) -> Floats:
    """Shape (count, count): a row of values times this is the mean around each of them."""
    matrix = np.zeros((count, count))
    for index, length in enumerate(lengths(count, depth)):
        half = max(1, length // 2)
        window = slice(max(0, index - half), index + half + 1)
        matrix[window, index] = 1.0 / len(range(count)[window])
    return matrix
