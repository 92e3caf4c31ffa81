"""One attack on one carrier: what it may do, what it asks, when it has won.

Every attack searches for a perturbation and puts each proposal to a :class:`Probe`, which keeps
the terms, counts the queries and ends the search at the first one that is heard as the target.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from earmark.signal import Signal, gain, rms
from earmark_host.memory.oracle import BudgetSpent, Oracle

Perturbation: TypeAlias = NDArray[np.float64]
"""What is added to a carrier, shape (n,) like the carrier."""

PEAK_OVER_RMS = 2.0
"""Level at which a perturbation starts under a bound on its peak: the peak over this, a factor.
Noise then has 5 % of its samples at the bound, and most of the power that it may have."""

LEAST_SCORE = -1e3
"""Lower scores are taken for this one: a recogniser may give minus infinity to a label."""


@dataclass(frozen=True)
class Terms:
    """How loud a perturbation may be, and what counts as a win.

    Parameters
    ----------
    least_snr_db : carrier over perturbation, dB (query memory paper, Eq. 14), at least. 10 dB
        lies between the paper's loud attack (CS, 7.4 dB) and its next one (DW, 18.4 dB). None:
        any.
    peak_share : most of the carrier's largest sample that any sample of the perturbation may
        have, > 0: the L-infinity bound of attacks on images. None: any.
    margin : by how much the target must lead all other labels, in units of the scores, >= 0;
        a tie never wins.

    Raises
    ------
    ValueError
        There is neither bound, or a value is out of its range.
    """

    least_snr_db: float | None = 10.0
    peak_share: float | None = None
    margin: float = 0.0

    def __post_init__(self) -> None:
        if self.least_snr_db is None and self.peak_share is None:
            raise ValueError("a perturbation needs a bound: least_snr_db or peak_share")
        if self.peak_share is not None and self.peak_share <= 0.0:
            raise ValueError(f"peak_share must be above 0, got {self.peak_share}")
        if self.margin < 0.0:
            raise ValueError(f"margin must not be negative, got {self.margin}")

    def level(self, carrier: Signal) -> float:
        """Rms of a perturbation of `carrier` that uses what it may."""
        levels = []
        if self.least_snr_db is not None:
            levels.append(rms(carrier) * gain(-self.least_snr_db))
        if self.peak_share is not None:
            levels.append(self._peak(carrier, self.peak_share) / PEAK_OVER_RMS)
        return min(levels)

    def bounded(self, delta: Perturbation, carrier: Signal) -> Perturbation:
        """`delta`, clipped and turned down where it is beyond the bounds."""
        if self.peak_share is not None:
            peak = self._peak(carrier, self.peak_share)
            delta = np.clip(delta, -peak, peak)
        if self.least_snr_db is not None:
            most = rms(carrier) * gain(-self.least_snr_db)
            delta = delta * min(1.0, most / max(most, float(np.sqrt(np.mean(delta**2)))))
        return delta

    @staticmethod
    def _peak(carrier: Signal, share: float) -> float:
        return share * float(np.abs(carrier).max())


DEFAULT_TERMS = Terms()
"""Terms of an attack that is given none."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """How an attack ended.

    Parameters
    ----------
    won : a query was heard as the target.
    queries : how often the oracle answered, withheld queries and the winning one included.
    withheld : how many of them the defence withheld.
    signal : the query that won, as it was sent, float32 in [-1, 1]; None without a win.
    snr_db : its carrier over its perturbation, dB; None without a win, and where the carrier
        won without any perturbation.
    """

    won: bool
    queries: int
    withheld: int
    signal: Signal | None
    snr_db: float | None


class Won(Exception):
    """A query was heard as the target: the search is over."""


class Probe:
    """Asks the oracle about a carrier with a perturbation.

    Parameters
    ----------
    carrier : 1-D float32 in [-1, 1] at 16 kHz, not silent.
    target : index of the label that the attacker wants to be heard.
    oracle : the device.
    terms : what he may do.

    Attributes
    ----------
    level : rms of a perturbation that uses what it may.

    Raises
    ------
    ValueError
        The carrier is empty, silent or not 1-D.
    """

    def __init__(self, carrier: Signal, target: int, oracle: Oracle, terms: Terms) -> None:
        if carrier.ndim != 1 or not carrier.any():
            raise ValueError("a carrier is a 1-D signal that is not silent")
        self.carrier = carrier
        self.level = terms.level(carrier)
        self._target = target
        self._oracle = oracle
        self._terms = terms
        self._queries = 0
        self._withheld = 0
        self._winner: Signal | None = None
        self._winner_snr_db: float | None = None

    @property
    def reach(self) -> float:
        """Factor >= 1 by which a search should widen the distance between its proposals."""
        return 1.0

    def score(self, delta: Perturbation) -> float | None:
        """Ask about the carrier plus `delta`, which is first brought within the bounds.

        Returns
        -------
        float or None
            By how much the target leads the likeliest other label; None: withheld.

        Raises
        ------
        Won
            It is heard as the target.
        BudgetSpent
            The oracle answers no more.
        """
        bounded = self._terms.bounded(delta, self.carrier)
        signal = np.clip(self.carrier + bounded, -1.0, 1.0).astype(np.float32)
        return self._ask(signal, snr_db(self.carrier, signal))

    def outcome(self) -> Outcome:
        """How it stands."""
        return Outcome(
            won=self._winner is not None,
            queries=self._queries,
            withheld=self._withheld,
            signal=self._winner,
            snr_db=self._winner_snr_db,
        )

    def _ask(self, signal: Signal, ratio_db: float | None) -> float | None:
        answer = self._oracle.ask(signal, snr_db=ratio_db)
        self._queries += 1
        if answer.withheld or answer.scores is None:
            self._withheld += 1
            return None
        lead = self._lead(answer.scores)
        if lead > 0.0 and lead >= self._terms.margin:
            self._winner, self._winner_snr_db = signal, ratio_db
            raise Won
        return lead

    def _lead(self, scores: NDArray[np.float64]) -> float:
        scores = np.maximum(scores, LEAST_SCORE)
        return float(scores[self._target] - np.delete(scores, self._target).max())


Search: TypeAlias = Callable[[Probe, np.random.Generator], None]
"""Puts perturbations to a probe until :class:`Won` or :class:`BudgetSpent` ends it."""


def run(probe: Probe, search: Search, rng: np.random.Generator) -> Outcome:
    """Let `search` go on until it has won or the budget is spent."""
    with contextlib.suppress(Won, BudgetSpent):
        search(probe, rng)
    return probe.outcome()


def snr_db(carrier: Signal, signal: Signal) -> float | None:
    """Level of `carrier` over what `signal` adds to it, dB (Eq. 14); None if it adds nothing."""
    added = rms(signal - carrier)
    return 20.0 * float(np.log10(rms(carrier) / added)) if added > 0.0 else None
