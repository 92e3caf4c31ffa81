"""The way from an attacker to a recogniser: what he plays, what is heard, what he gets back.

A query goes through a channel (loudspeaker, room, noise), is recorded as the device hears it,
passes the device's detector where there is one, and only then reaches the recogniser.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from earmark.memory import CarrierKind
from earmark.signal import Signal
from earmark_host.memory.channel import Channel
from earmark_host.memory.stream import Query, Stream
from earmark_host.memory.victims import OTHER, Victim


class BudgetSpent(Exception):
    """The attacker has asked as often as he may."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What the attacker gets back for one query.

    Parameters
    ----------
    withheld : the detector stopped the query: the device did nothing.
    scores : the recogniser's, shape (labels,), see :meth:`Victim.scores`; None when withheld.
    """

    withheld: bool
    scores: NDArray[np.float64] | None


class Oracle(Protocol):
    """A device that can be asked."""

    def ask(self, signal: Signal, fake: bool = False, snr_db: float | None = None) -> Answer:
        """Play `signal` to it.

        Parameters
        ----------
        signal : 1-D float32 in [-1, 1] at 16 kHz: what the attacker sends, before any room.
        fake : it only hides the others; nothing that it does counts.
        snr_db : carrier over perturbation, dB, as :class:`Query` notes it.

        Raises
        ------
        BudgetSpent
            No query is left.
        """
        ...


class DeviceOracle:
    """A device with a recogniser and perhaps a detector; remembers all that it heard.

    Parameters
    ----------
    victim : the recogniser.
    channel : between the attacker and the microphone.
    gate : told what was heard and when (s from the beginning); True withholds the query. None:
        a device without a detector.
    target : the label that the attacker wants to be heard.
    budget : most queries, fakes included.
    seconds_per_query : from one query to the next, s.
    rng : draws the channel's noise and delays.
    margin : by how much the target's score must exceed all others for the attack to have won,
        in the units of the scores; 0 is a bare win.

    Attributes
    ----------
    won_at : number, from 0, of the first query that was no fake, not withheld, and heard as
        the target; None while there is none.

    Raises
    ------
    ValueError
        The recogniser has no such target, or the budget, time or margin is negative.
    """

    def __init__(
        self,
        victim: Victim,
        channel: Channel,
        gate: Callable[[Signal, float], bool] | None,
        *,
        target: str,
        budget: int,
        seconds_per_query: float,
        rng: np.random.Generator,
        margin: float = 0.0,
    ) -> None:
        if target not in victim.labels or target == OTHER:
            raise ValueError(f"{victim.name} does not hear {target!r}, only {victim.labels}")
        if budget < 0 or seconds_per_query < 0.0 or margin < 0.0:
            raise ValueError("budget, seconds_per_query and margin must not be negative")
        self.victim = victim
        self.target = target
        self.won_at: int | None = None
        self._channel = channel
        self._gate = gate
        self._budget = budget
        self._seconds_per_query = seconds_per_query
        self._rng = rng
        self._margin = margin
        self._now_s = 0.0
        self._queries: list[Query] = []

    @property
    def asked(self) -> int:
        """Queries so far."""
        return len(self._queries)

    def ask(self, signal: Signal, fake: bool = False, snr_db: float | None = None) -> Answer:
        """Play `signal` to the device; see :meth:`Oracle.ask`."""
        if self.asked >= self._budget:
            raise BudgetSpent(f"all {self._budget} queries are spent")
        at_s = self._now_s
        self._now_s += self._seconds_per_query
        heard = self._channel(signal, self._rng)
        self._queries.append(Query(heard, at_s, fake, snr_db))
        if self._gate is not None and self._gate(heard, at_s):
            return Answer(withheld=True, scores=None)
        scores = self.victim.scores(heard)
        if self.won_at is None and not fake and self._wins(scores):
            self.won_at = self.asked - 1
        return Answer(withheld=False, scores=scores)

    def wait(self, seconds: float) -> None:
        """Let time pass before the next query, s."""
        if seconds < 0.0:
            raise ValueError(f"{seconds} s: time does not run backwards")
        self._now_s += seconds

    def stream(
        self, name: str, carrier: CarrierKind, facts: Mapping[str, object] | None = None
    ) -> Stream:
        """All queries so far, as the device heard them, with victim, target and channel."""
        known: dict[str, object] = {
            "victim": self.victim.name,
            "target": self.target,
            "channel": self._channel.name,
            "gated": self._gate is not None,
            "margin": self._margin,
        }
        return Stream(name, carrier, tuple(self._queries), self.won_at, {**known, **(facts or {})})

    def _wins(self, scores: NDArray[np.float64]) -> bool:
        target = self.victim.labels.index(self.target)
        others = np.delete(scores, target)
        # A tie is no win: argmax would hear the label that happens to stand first.
        ahead = scores[target] - others.max()
        return bool(ahead > 0.0 and ahead >= self._margin)
