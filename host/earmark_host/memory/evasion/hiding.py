"""Evasions in the order and the times of the queries: fakes between them, pauses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from earmark.errors import EarmarkError
from earmark.signal import Signal
from earmark_host.memory.evasion.base import Draw, noted
from earmark_host.memory.lazy import Lazy
from earmark_host.memory.stream import Query, Stream

MAX_SHARE = 0.98
"""Largest share of fakes: 49 for each query of the attack, a whole day for an attack of 40."""

USUAL_INTERVAL_S = 10.0
"""Time between two queries of a stream that has only one, s."""

DAY_S = 86_400.0
"""One day, s."""


def with_fakes(
    stream: Stream, fakes: Sequence[Signal] | Draw, share: float, rng: np.random.Generator
) -> Stream:
    """Unrelated queries between those of the attack (Guo et al. 2023, A2), `share` of all.

    The attack's queries keep their order. Each has a stretch of 1 / (1 - share) queries for
    itself and lies at a random place in it, the rest are fakes: so any window has the share
    too, to within two queries. The pace stays: one query each mean interval of `stream`.

    Parameters
    ----------
    stream : the attack.
    fakes : the clips, taken in random order, each once before any comes again (a repeated fake
        is itself a near-duplicate: give as many as are needed); or a callable that draws one.
    share : of fakes among all queries, 0 to :data:`MAX_SHARE`.
    rng : the places, and which fake comes where.

    Returns
    -------
    Stream
        Lazy; fakes are marked, have no SNR and refer to the clips that were given. ``won_at``
        points to the same query as before.

    Raises
    ------
    EarmarkError
        There are no clips to take.
    ValueError
        The share is out of range.
    """
    if not 0.0 <= share <= MAX_SHARE:
        raise ValueError(f"a share of {share} fakes: 0 to {MAX_SHARE}")
    real = stream.queries
    edges = np.floor(np.arange(len(real) + 1) / (1.0 - share) + 1e-9).astype(np.int64)
    places = rng.integers(edges[:-1], edges[1:])
    total = int(edges[-1])
    if not callable(fakes) and not fakes and total > len(real):
        raise EarmarkError("there are no clips to send as fake queries", "give some")
    number = {int(place): index for index, place in enumerate(places)}
    others = (place for place in range(total) if place not in number)
    deck = _deck(0 if callable(fakes) else len(fakes), total - len(real), rng)
    which = dict(zip(others, deck, strict=False))
    seeds = rng.integers(2**63, size=total)
    start_s, interval_s = _pace_s(real)

    def query(place: int) -> Query:
        at_s = start_s + place * interval_s
        if place in number:
            return replace(real[number[place]], at_s=at_s)
        if callable(fakes):
            return Query(fakes(np.random.default_rng(seeds[place])), at_s, fake=True)
        return Query(fakes[which[place]], at_s, fake=True)

    won_at = None if stream.won_at is None else int(places[stream.won_at])
    hidden = replace(stream, queries=Lazy(range(total), query), won_at=won_at)
    return noted(hidden, f"{share:.0%} fake queries")


def with_pauses(stream: Stream, days: float, rng: np.random.Generator) -> Stream:
    """The queries moved apart: a pause of half to one and a half times `days` after each."""
    if days < 0.0:
        raise ValueError(f"pauses of {days} days")
    real = stream.queries
    pauses_s = rng.uniform(0.5, 1.5, len(real)) * days * DAY_S
    later_s = np.cumsum(pauses_s) - pauses_s

    def query(index: int) -> Query:
        before = real[index]
        return replace(before, at_s=before.at_s + float(later_s[index]))

    apart = replace(stream, queries=Lazy(range(len(real)), query))
    return noted(apart, f"pauses of about {days:g} days")


def _deck(clips: int, count: int, rng: np.random.Generator) -> list[int]:
    """`count` clip numbers, each clip once before any comes again; empty without clips."""
    if clips == 0:
        return []
    return [int(n) for _ in range(0, count, clips) for n in rng.permutation(clips)][:count]


def _pace_s(queries: Sequence[Query]) -> tuple[float, float]:
    """Time of the first query and mean interval, s."""
    if len(queries) < 2:
        return (queries[0].at_s if queries else 0.0), USUAL_INTERVAL_S
    start_s = queries[0].at_s
    return start_s, (queries[-1].at_s - start_s) / (len(queries) - 1)
