"""How alike two queries are, over the limit from which the default detector counts them as copies.

What a household says is on one side, what an attacker sends on the other. Both are compared at
the speeds that the detector looks at, and what is told is likeness / limit: over 1 counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from earmark.memory import CarrierKind
from earmark.memory.neighbours import Fingerprint, NeighboursLimits, fingerprint
from earmark_host.bench.memory.attacks_run import Trial
from earmark_host.bench.memory.setup import Setup
from earmark_host.memory.benign import Pairs, others, takes, word_sets
from earmark_host.memory.evasion import with_own_noise, with_speed, with_trims
from earmark_host.memory.staging import ChannelName, Scene, channel_for
from earmark_host.memory.stream import Stream

AIRS: tuple[ChannelName, ...] = ("ota20", "ota10")
"""Ways through a room, beside the cable."""

OWN_NOISES_DB = {"noise_0": 0.0, "noise_minus_5": -5.0}
"""Attack over the attacker's own noise, dB: as loud as it, and louder."""

SPEED_PERCENT = 2.0
"""How much faster or slower an attacker plays a query than an earlier one, %. It lies between two
of the speeds that the detector looks at, farther from both than any other up to 3 %."""

TRIM_S = 0.25
"""Most that is cut off either end of a query, s."""


@dataclass(frozen=True)
class Plan:
    """How much.

    Parameters
    ----------
    others : pieces of pairs of what is no repetition by one person.
    pairs : of each kind in such a piece.
    shards : pieces that the takes by one person are divided into.
    sets : sets of takes of a piece at most; None: all.
    attacks : on the keyword model.
    runs : of each attack with each carrier.
    queries : of each run, at most.
    words : most commands that the keyword model learns from. Whether an attack succeeds does not
        matter here, only how it goes on.
    """

    others: int
    pairs: int
    shards: int
    sets: int | None
    attacks: tuple[str, ...]
    runs: int
    queries: int
    words: int


ATTACKS = ("nes", "simba", "square", "genetic")

FULL = Plan(
    others=3, pairs=1_500, shards=4, sets=None, attacks=ATTACKS, runs=6, queries=20, words=300
)
QUICK = Plan(others=1, pairs=40, shards=1, sets=8, attacks=ATTACKS, runs=1, queries=6, words=60)


@dataclass(frozen=True)
class Others:
    """Piece number `index` of pairs of different sentences, and of one phrase by two people."""

    index: int
    pairs: int


@dataclass(frozen=True)
class Takes:
    """Every `step`-th set of takes of a command by one person, from number `first` on."""

    first: int
    step: int
    most: int | None


@dataclass(frozen=True)
class Attacked:
    """An attack's queries, each against an earlier one, as they are and changed."""

    trial: Trial
    queries: int


Piece: TypeAlias = Others | Takes | Attacked

Ratios: TypeAlias = NDArray[np.float64]
"""Likeness / limit, shape (n,)."""


@dataclass(frozen=True, eq=False)
class Seen:
    """Pairs that belong together.

    Parameters
    ----------
    pairs : which kind they are, a key in reports.
    groups : the ratios, of pairs with something in common (a stream, the takes of a word) each
        in one group.
    """

    pairs: str
    groups: Sequence[Ratios]


def pieces(plan: Plan) -> list[Piece]:
    """The longest first."""
    trials = [
        Trial(Scene("keyword", carrier, "digital"), attack, index, plan.words)
        for index in range(plan.runs)
        for carrier in get_args(CarrierKind)
        for attack in plan.attacks
    ]
    return [
        *(Others(index, plan.pairs) for index in range(plan.others)),
        *(Takes(first, plan.shards, plan.sets) for first in range(plan.shards)),
        *(Attacked(trial, plan.queries) for trial in trials),
    ]


def hold(setup: Setup, piece: Piece) -> list[Seen]:
    """Compare the pairs of a piece."""
    match piece:
        case Others():
            return _others(setup, piece)
        case Takes():
            return [_takes(setup, piece)]
        case Attacked():
            return _attacked(setup, piece)


def ratios(pairs: Pairs, limits: NeighboursLimits) -> Ratios:
    """Likeness / limit of each pair."""
    return np.array(
        [
            alike / limits.likeness(int(peaks))
            for alike, peaks in zip(pairs.likeness, pairs.peaks, strict=True)
        ],
        np.float64,
    )


def _others(setup: Setup, piece: Others) -> list[Seen]:
    rng = setup.rng("likeness of others", piece.index)
    limits = setup.thresholds.neighbours
    return [
        Seen(name, [np.array([ratio]) for ratio in ratios(pairs, limits)])
        for name, pairs in others(setup.distinct, piece.pairs, rng)
    ]


def _takes(setup: Setup, piece: Takes) -> Seen:
    limits = setup.thresholds.neighbours
    sets = list(enumerate(word_sets(setup.material)))[piece.first :: piece.step][: piece.most]
    heard = (takes(setup.material, each, setup.rng("takes", index))[1] for index, each in sets)
    return Seen("same_person", [ratios(pairs, limits) for pairs in heard])


def _attacked(setup: Setup, piece: Attacked) -> list[Seen]:
    attempt, rng = piece.trial.begin(setup)
    stream = attempt.run(piece.trial.attack, piece.queries, rng)
    plain = _prints(stream)
    earlier = [int(rng.integers(later)) for later in range(1, len(plain))]
    limits = setup.thresholds.neighbours

    def seen(name: str, new: Sequence[Fingerprint], old: Sequence[Fingerprint]) -> Seen:
        pairs = [(new[later], old[before]) for later, before in enumerate(earlier, 1)]
        return Seen(name, [ratios(Pairs.of(pairs), limits)])

    through_air = {name: _over_the_air(setup, stream, name, rng) for name in AIRS}
    noisy = {
        name: _prints(with_own_noise(stream, snr_db, "pink", rng))
        for name, snr_db in OWN_NOISES_DB.items()
    }
    # Slower and faster in turn, against an earlier query as it was.
    speeds = _prints(with_speed(stream, SPEED_PERCENT, rng, step=2.0 * SPEED_PERCENT))
    trimmed = _prints(with_trims(stream, TRIM_S, rng))
    return [
        seen("digital", plain, plain),
        *(seen(name, prints, prints) for name, prints in (through_air | noisy).items()),
        seen("speed_2", speeds, plain),
        seen("trim_250ms", trimmed, trimmed),
    ]


def _prints(stream: Stream) -> list[Fingerprint]:
    return [fingerprint(query.signal) for query in stream.queries]


def _over_the_air(
    setup: Setup, stream: Stream, name: ChannelName, rng: np.random.Generator
) -> list[Fingerprint]:
    way = channel_for(name, setup.material, rng)
    return [fingerprint(way(query.signal, rng)) for query in stream.queries]
