"""The second ear: the mean plain cosine over the last queries, for noise too loud for copies.

An attacker may lay his own noise over each query, louder than the sound that he crafts. Each pair
of his queries then has too little in common to be a near-copy, but all pairs have some of it, in
the same place, which different sounds do not. No shift in time is tried: the chance of the best of
many shifts is what the mean would drown in. Guo et al. 2023, Eq. 1, with equal weights.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from earmark.memory.neighbours.fingerprint import BINS, Fingerprint

LEAST_SHARE = 3
"""No verdict before a third of the depth is there: the mean of fewer cosines scatters more."""


class SecondEar:
    """The last fingerprints as sets of places.

    Parameters
    ----------
    depth : how many, at least 1.
    """

    def __init__(self, depth: int) -> None:
        self._least = max(1, depth // LEAST_SHARE)
        self._last: deque[tuple[int, NDArray[np.int32]]] = deque(maxlen=depth)

    def mean(self, fingerprint: Fingerprint, without: Collection[int] = ()) -> float | None:
        """The mean cosine, 0 to 1, with those that are remembered; None with too few of them.

        Parameters
        ----------
        without : numbers of near-copies. They are counted as such; a single one would lift the
            mean as much as many that hardly hang together.
        """
        others = [places for number, places in self._last if number not in without]
        if len(others) < self._least or not len(fingerprint):
            return None
        sizes = np.array([each.size for each in others])
        of = np.repeat(np.arange(sizes.size), sizes)
        shared = np.isin(np.concatenate(others), _places(fingerprint))
        common = np.bincount(of[shared], minlength=sizes.size)
        return float(np.mean(common / np.sqrt(sizes))) / math.sqrt(len(fingerprint))

    def add(self, number: int, fingerprint: Fingerprint) -> None:
        """Remember the query of this number, which has a peak at least."""
        self._last.append((number, _places(fingerprint)))


def _places(fingerprint: Fingerprint) -> NDArray[np.int32]:
    """Each peak as one number; no two peaks have the same."""
    places: NDArray[np.int32] = fingerprint.frames * BINS + fingerprint.bins
    return places
