"""What the evasions share: a stream with each query changed, and what an attacker has for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from earmark.signal import Signal
from earmark_host.memory.lazy import Lazy
from earmark_host.memory.stream import Query, Stream

Draw: TypeAlias = Callable[[np.random.Generator], Signal]
"""Draws one clip: shape (n,), float32 at 16 kHz."""

Change: TypeAlias = Callable[[int, Signal, np.random.Generator], Signal]
"""Index and signal of a query, randomness -> the signal that is played instead."""


@dataclass(frozen=True, eq=False)
class Materials:
    """What an attacker has besides his attack.

    Parameters
    ----------
    fakes : clips that have nothing to do with the attack, or what draws one.
    music : pieces to mix under a query, each not silent.
    """

    fakes: Sequence[Signal] | Draw = ()
    music: Sequence[Signal] = ()


def each(
    stream: Stream,
    what: str,
    change: Change,
    rng: np.random.Generator,
    keeps_snr: bool = False,
) -> Stream:
    """`stream` with each signal changed on its own, fakes too; the same each time it is read.

    Nothing leaves [-1, 1]: what would is scaled down. ``won_at`` stays, although nobody has
    tried whether the changed query still does what the attacker wants: that favours him.

    Parameters
    ----------
    what : what was done, in words, for ``facts["evasions"]``.
    keeps_snr : whether carrier and perturbation change alike; else the SNR is no longer known.
    """
    queries = stream.queries
    seeds = rng.integers(2**63, size=len(queries))

    def query(index: int) -> Query:
        before = queries[index]
        after = change(index, before.signal, np.random.default_rng(seeds[index]))
        after = after / max(1.0, float(np.abs(after).max(initial=0.0)))
        snr_db = before.snr_db if keeps_snr else None
        return replace(before, signal=np.asarray(after, np.float32), snr_db=snr_db)

    return noted(replace(stream, queries=Lazy(range(len(queries)), query)), what)


def noted(stream: Stream, what: str) -> Stream:
    """`stream` with what was done added to ``facts["evasions"]``."""
    before = stream.facts.get("evasions", [])
    assert isinstance(before, list)
    return replace(stream, facts={**stream.facts, "evasions": [*before, what]})
