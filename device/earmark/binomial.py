"""Exact bounds of a share that was counted (Clopper and Pearson, Biometrika 26(4), 1934)."""

from __future__ import annotations

from scipy.special import betaincinv


def interval(hits: int, n: int, confidence: float) -> tuple[float, float]:
    """The share behind `hits` of `n` independent tries, least and most.

    Parameters
    ----------
    hits, n : with `n` 0 nothing is known: (0, 1).
    confidence : of both bounds together, 0 to 1.

    Raises
    ------
    ValueError
        `hits` is not in 0..n.
    """
    tail = (1.0 - confidence) / 2.0
    most = upper(hits, n, 1.0 - tail)
    least = 0.0 if hits == 0 else float(betaincinv(hits, n - hits + 1, tail))
    return least, most


def upper(hits: int, n: int, confidence: float) -> float:
    """The most that the share is with `confidence`, 0 to 1.

    Raises
    ------
    ValueError
        `hits` is not in 0..n.
    """
    if not 0 <= hits <= n:
        raise ValueError(f"{hits} of {n} is no share")
    return 1.0 if hits == n else float(betaincinv(hits + 1, n - hits, confidence))
