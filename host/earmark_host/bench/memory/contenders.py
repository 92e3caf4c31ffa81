"""Our own fingerprints in the shape of a peer, so that all are put to the same test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from earmark.memory import NeighboursLimits, NeighboursSettings
from earmark.memory.neighbours import Fingerprint, fingerprint, likeness
from earmark.memory.paper import PaperFingerprint, cosines
from earmark.memory.paper import fingerprint as paper_fingerprint
from earmark.signal import Signal

SHIPPED_TAU = 0.5
"""Threshold of :class:`Shipped`: its similarity is this where the likeness is at the limit."""


class Shipped:
    """The default detector's notion of a near-copy: its limit by the number of peaks, its speeds.

    The similarity is the likeness over twice the limit, at most 1.
    """

    name = "neighbours"

    def __init__(self, settings: NeighboursSettings, limits: NeighboursLimits) -> None:
        self._settings = settings
        self._limits = limits

    def fingerprint(self, signal: Signal) -> Fingerprint:
        """The strongest peaks of `signal`."""
        return fingerprint(signal)

    def similarity(self, a: Fingerprint, b: Fingerprint) -> float:
        """Likeness over twice its limit; 0 where either has too few peaks to tell."""
        return float(self.similarities(a, [b])[0])

    def similarities(self, a: Fingerprint, many: Sequence[Fingerprint]) -> NDArray[np.float64]:
        """The same with each of `many`, shape (len(many),)."""
        speeds = (0.0, *self._settings.speeds_percent)
        versions = [a, *(a.at_speed(1.0 / (1.0 + percent / 100.0)) for percent in speeds[1:])]
        return np.array([max(self._one(version, b) for version in versions) for b in many])

    def _one(self, a: Fingerprint, b: Fingerprint) -> float:
        peaks = min(len(a), len(b))
        if peaks < self._settings.min_peaks:
            return 0.0
        return min(1.0, SHIPPED_TAU * likeness(a, b) / self._limits.likeness(peaks))


class AlignedCosine:
    """The same fingerprint under the rule of the peers: one threshold, one speed."""

    name = "aligned_cosine"

    def fingerprint(self, signal: Signal) -> Fingerprint:
        """The strongest peaks of `signal`."""
        return fingerprint(signal)

    def similarity(self, a: Fingerprint, b: Fingerprint) -> float:
        """The likeness."""
        return likeness(a, b)

    def similarities(self, a: Fingerprint, many: Sequence[Fingerprint]) -> NDArray[np.float64]:
        """The same with each of `many`, shape (len(many),)."""
        return np.array([likeness(a, b) for b in many])


class PlainCosine:
    """The paper's: peaks at their absolute times (Guo et al. 2023, Eq. 1)."""

    name = "paper_cosine"

    def fingerprint(self, signal: Signal) -> PaperFingerprint:
        """The peaks of the first 4 s of `signal`."""
        return paper_fingerprint(signal)

    def similarity(self, a: PaperFingerprint, b: PaperFingerprint) -> float:
        """The cosine of the two masks."""
        return float(self.similarities(a, [b])[0])

    def similarities(
        self, a: PaperFingerprint, many: Sequence[PaperFingerprint]
    ) -> NDArray[np.float64]:
        """The same with each of `many`, shape (len(many),)."""
        return cosines(a, many)
