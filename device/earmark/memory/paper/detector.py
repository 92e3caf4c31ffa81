"""The paper's detector: a query that is too like the last k ones is part of an attack."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from earmark.memory.carrier import CarrierKind
from earmark.memory.paper.fingerprint import PaperFingerprint, cosines
from earmark.memory.paper.settings import PaperSettings
from earmark.memory.paper.weights import scores

CARRIERS: tuple[CarrierKind, ...] = ("speech", "music")
"""The classes with a threshold each (Guo et al. 2023, section "Parameter selection")."""


@dataclass(frozen=True)
class PaperReport:
    """What the detector makes of one query.

    Parameters
    ----------
    score : weighted mean similarity with the remembered queries, s (Eq. 1); None without a
        verdict: nothing is remembered, or not enough and the policy is to wait.
    threshold : what it was held against, delta.
    alarm : score > threshold.
    remembered : queries in the memory when this one came.
    """

    score: float | None
    threshold: float
    alarm: bool
    remembered: int


class PaperDetector:
    """A memory of the last queries, first in, first out.

    Parameters
    ----------
    settings : depth, weights and policies.
    thresholds : for each carrier class, calibrated for these settings on people: at most the
        wanted share of their queries scores above. The published ones belong to another
        similarity and never fit.

    Raises
    ------
    ValueError
        A class has no threshold, or one that is no number.
    """

    def __init__(self, settings: PaperSettings, thresholds: Mapping[CarrierKind, float]) -> None:
        for carrier in CARRIERS:
            if not math.isfinite(thresholds.get(carrier, math.nan)):
                raise ValueError(f"no threshold for {carrier}")
        self._settings = settings
        self._thresholds = dict(thresholds)
        self._memory: deque[PaperFingerprint] = deque(maxlen=settings.depth)

    def restore(self, fingerprints: Iterable[PaperFingerprint]) -> None:
        """Take in what a store kept, oldest first."""
        self._memory.extend(fingerprints)

    def examine(self, fingerprint: PaperFingerprint, carrier: CarrierKind) -> PaperReport:
        """Score a query, then remember it; an alarm empties the memory, where it is set so."""
        remembered = len(self._memory)
        threshold = self._thresholds[carrier]
        score = self._score(fingerprint)
        alarm = score is not None and score > threshold
        self._memory.append(fingerprint)
        if alarm and self._settings.clear_on_alarm:
            self._memory.clear()
        return PaperReport(score, threshold, alarm, remembered)

    def _score(self, fingerprint: PaperFingerprint) -> float | None:
        settings = self._settings
        enough = 1 if settings.young == "score" else settings.depth
        if len(self._memory) < enough:
            return None
        similarities = cosines(fingerprint, self._memory)
        return float(scores(similarities[None], settings.weights, settings.depth)[0])
