"""An attacker who uses the verdicts: what is withheld tells him how near is too near.

Feng, Hooda, Mangaokar, Fawaz, Jha, Prakash: Stateful defenses for machine learning models are
not yet secure against black-box attacks (OARS), CCS 2023. A defence that withholds what is too
near to the past answers the question where "near" ends. So the attacker finds by bisection the
least distance of his queries that is not withheld, searches on with proposals that far apart, and
draws a new one for each that is withheld (adapt and resample). Any search will do. The paper's
distance is the spread of a search's proposals; on sound there is more to move: own noise,
trims, speed, an equaliser and gain, new in each query.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from earmark.signal import Signal
from earmark_host.memory.attacks import nes
from earmark_host.memory.attacks.probe import DEFAULT_TERMS, Outcome, Probe, Search, Terms, run
from earmark_host.memory.evasion import (
    with_equaliser,
    with_gain,
    with_own_noise,
    with_speed,
    with_trims,
)
from earmark_host.memory.oracle import Oracle
from earmark_host.memory.stream import Query, Stream

FIRST = 0.1
"""First distance that is tried once an undisguised query was withheld."""

CLOSE = 0.05
"""The bisection ends where the bracket is narrower: 0.5 % of speed, 2 dB of noise."""

NES: Search = partial(nes.search, settings=nes.DEFAULT)
"""The search of an attacker who is given none."""


@dataclass(frozen=True)
class OarsSettings:
    """How an attacker evades.

    Parameters
    ----------
    search : the search that he wraps, with its settings.
    terms : what the attacker may do, in place of the search's own; own noise comes on top.
    reach : factor on the distance between the search's proposals at distance 1, >= 1.
    loudest_noise_db, softest_noise_db : query over own noise at distance 1 and near 0, dB.
    trim_s, speed_percent, equaliser_db, gain_db : largest change at distance 1; in proportion
        below. The first three: see :mod:`earmark_host.memory.evasion`.
    """

    search: Search = NES
    terms: Terms = DEFAULT_TERMS
    reach: float = 2.0
    loudest_noise_db: float = 5.0
    softest_noise_db: float = 40.0
    trim_s: float = 0.25
    speed_percent: float = 10.0
    equaliser_db: float = 6.0
    gain_db: float = 12.0


DEFAULT = OarsSettings()
"""Settings of :func:`oars` that is given none."""


def oars(
    carrier: Signal,
    target: int,
    oracle: Oracle,
    rng: np.random.Generator,
    settings: OarsSettings = DEFAULT,
) -> Outcome:
    """Look for a perturbation of `carrier` that is heard as `target` and not withheld.

    Stops at the first query that is, or when the budget is spent; withheld queries cost as
    much as others. Nothing is disguised as long as nothing is withheld. ``snr_db`` counts
    perturbation and own noise, not the other changes: they have no SNR.
    """
    probe = _Evasive(carrier, target, oracle, settings, rng)
    return run(probe, settings.search, rng)


class Distance:
    """The least distance in [0, 1] that is not withheld, by bisection.

    Attributes
    ----------
    value : the distance to try next; 0 at first.
    """

    def __init__(self) -> None:
        self.value = 0.0
        self._too_near = 0.0
        self._far_enough: float | None = None

    def answered(self) -> None:
        """A query at :attr:`value` was answered: try nearer where that is not known to fail."""
        self._far_enough = self.value
        if self.value - self._too_near > CLOSE:
            self.value = (self._too_near + self.value) / 2.0

    def withheld(self) -> None:
        """A query at :attr:`value` was withheld: try further.

        Further than ever where this distance was far enough once: the defence remembers more.
        """
        self._too_near = self.value
        known = self._far_enough
        if known is None or known <= self.value:
            self._far_enough = None
            self.value = min(1.0, max(FIRST, 2.0 * self.value))
        else:
            self.value = known if known - self.value <= CLOSE else (known + self.value) / 2.0


class _Evasive(Probe):
    """A probe that disguises its queries, and as much as the verdicts make it."""

    def __init__(
        self,
        carrier: Signal,
        target: int,
        oracle: Oracle,
        settings: OarsSettings,
        rng: np.random.Generator,
    ) -> None:
        super().__init__(carrier, target, oracle, settings.terms)
        self._settings = settings
        self._rng = rng
        self._distance = Distance()

    @property
    def reach(self) -> float:
        """See :attr:`Probe.reach`."""
        return 1.0 + self._distance.value * (self._settings.reach - 1.0)

    def _ask(self, signal: Signal, ratio_db: float | None) -> float | None:
        if self._distance.value > 0.0:
            signal, noise_db = disguised(signal, self._distance.value, self._settings, self._rng)
            ratio_db = noise_db if ratio_db is None else _both(ratio_db, noise_db)
        lead = super()._ask(signal, ratio_db)
        if lead is None:
            self._distance.withheld()
        else:
            self._distance.answered()
        return lead


def disguised(
    signal: Signal, distance: float, settings: OarsSettings, rng: np.random.Generator
) -> tuple[Signal, float]:
    """`signal` changed as far as `distance` says, and its level over the own noise, dB."""
    softest_db, loudest_db = settings.softest_noise_db, settings.loudest_noise_db
    noise_db = softest_db + distance * (loudest_db - softest_db)
    stream = Stream("", "speech", (Query(signal, 0.0),))
    stream = with_speed(stream, distance * settings.speed_percent, rng)
    stream = with_trims(stream, distance * settings.trim_s, rng, distance * settings.trim_s)
    stream = with_equaliser(stream, distance * settings.equaliser_db, rng)
    stream = with_own_noise(stream, noise_db, "pink", rng)
    stream = with_gain(stream, distance * settings.gain_db, rng)
    return stream.queries[0].signal, noise_db


def _both(one_db: float, other_db: float) -> float:
    """Level over two noises, dB, from the levels over each."""
    return -10.0 * float(np.log10(10.0 ** (-one_db / 10.0) + 10.0 ** (-other_db / 10.0)))
