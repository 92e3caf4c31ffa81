"""What is measured beside our near-duplicate detector: a fingerprint, a similarity, the same count.

Whatever has the four members of :class:`Peer` is put to the same test, our own fingerprint
included: its threshold is set on recordings that are no duplicates (:func:`calibrate_tau`), and
an alarm is the m-th earlier query above it (:class:`Counting`), as in the `neighbours` mode.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from earmark.signal import Signal

F = TypeVar("F")
"""What a peer takes a signal for: its fingerprint."""

BENIGN_RATE = 1e-4
"""Share of pairs of different recordings that may look alike. A household of a thousand
remembered queries then has one chance neighbour in ten queries, far from five for one query."""


class Peer(Protocol[F]):
    """A way to say how alike two recordings are."""

    @property
    def name(self) -> str:
        """Key in tables, such as ``audfprint``."""
        ...

    def fingerprint(self, signal: Signal) -> F:
        """What is remembered of `signal` (1-D float32 at 16 kHz, any length)."""
        ...

    def similarity(self, a: F, b: F) -> float:
        """How alike, 0 to 1, larger is more alike; the same both ways round."""
        ...

    def similarities(self, a: F, many: Sequence[F]) -> NDArray[np.float64]:
        """:meth:`similarity` of `a` and each of `many` (or none), shape (len(many),)."""
        ...


def all_pairs(peer: Peer[F], prints: Sequence[F]) -> NDArray[np.float64]:
    """Similarity of each two of n fingerprints, shape (n * (n - 1) / 2,), in no useful order."""
    rows = [peer.similarities(prints[i], prints[:i]) for i in range(1, len(prints))]
    return np.concatenate(rows) if rows else np.empty(0)


def calibrate_tau(benign: NDArray[np.float64], rate: float = BENIGN_RATE) -> float:
    """The lowest threshold that at most `rate` of the benign similarities exceed.

    Parameters
    ----------
    benign : similarities of pairs of different recordings, shape (n,), n >= 1, as of
        :func:`all_pairs`. Another take of the same words by the same person is a different
        recording and belongs in: people repeat themselves. With n below 1 / rate the threshold
        is simply the most alike pair.
    rate : share of pairs, in [0, 1).

    Raises
    ------
    ValueError
        No similarities, or a rate out of range.
    """
    if not 0.0 <= rate < 1.0:
        raise ValueError(f"rate is {rate}, must be in [0, 1)")
    if benign.size == 0:
        raise ValueError("a threshold needs at least one benign pair")
    return float(np.sort(benign)[benign.size - 1 - math.floor(rate * benign.size)])


@dataclass(frozen=True)
class Counting(Generic[F]):
    """The rule of the `neighbours` mode on any fingerprint.

    Parameters
    ----------
    peer : says how alike two queries are.
    tau : two queries with a similarity above it are near-duplicates.
    m : an alarm is a query with at least so many near-duplicates before it, >= 1.
    last : only among so many queries before it, >= m.
    """

    peer: Peer[F]
    tau: float
    m: int
    last: int

    def __post_init__(self) -> None:
        if not 1 <= self.m <= self.last:
            raise ValueError(f"m is {self.m}, must be in 1..last ({self.last})")

    def counts(self, prints: Sequence[F]) -> Iterator[int]:
        """For each query in turn: how many of the `last` before it are its near-duplicates."""
        for i in range(len(prints)):
            earlier = self.peer.similarities(prints[i], prints[max(0, i - self.last) : i])
            yield int(np.count_nonzero(earlier > self.tau))

    def first_alarm(self, prints: Sequence[F]) -> int | None:
        """Index of the first query that raises the alarm; None when none does."""
        return next((i for i, n in enumerate(self.counts(prints)) if n >= self.m), None)
