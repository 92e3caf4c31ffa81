"""Other fingerprints beside ours on the same audio: what each still recognises, and the rule that
counts near-copies on top of each of them, under attack and at home.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeAlias

from earmark.errors import EarmarkError
from earmark_host.bench.memory.contenders import SHIPPED_TAU, AlignedCosine, PlainCosine, Shipped
from earmark_host.bench.memory.setup import Setup
from earmark_host.bench.memory.simulated import by_turns, carrier_of
from earmark_host.memory.evasion import EVASIONS, Materials
from earmark_host.memory.households import LENGTHS, household
from earmark_host.memory.peers import (
    Counting,
    Peer,
    all_pairs,
    calibrate_tau,
    usable_peers,
)
from earmark_host.memory.random_streams import heard
from earmark_host.memory.robustness import RETAKE, Pair, Share, pairs, shares, takes
from earmark_host.memory.scripts import Kind, longest, shuffled
from earmark_host.memory.simulated import ATTACK_PROFILES, simulate

EVADED = (
    "none",
    "noise_10",
    "noise_0",
    "trim_250ms",
    "speed_2",
    "speed_4",
    "eq_12db",
    "reverb_0db",
)
"""Evasions that the streams are tried with: each kind that changes a sound, up to where the
robustness of a fingerprint ends."""

STREAM_QUERIES = 20
"""Queries of an attack that are heard: an alarm after that would be late."""

HOUSEHOLDS: tuple[Kind, ...] = (
    "same_phrase",
    "same_person_daily",
    "routine",
    "children",
    "mixed",
    "television",
)

SAME_PHRASE_QUERIES = 40
"""Queries of a household of one phrase: about as many takes as people with a name have of one."""

CLIPS = 5
"""Sentences of one piece of work."""


@dataclass(frozen=True)
class Plan:
    """How much.

    Parameters
    ----------
    calibrating : recordings that set the thresholds of the peers; all their pairs are compared.
    clips : sentences that are changed in every way.
    carriers : of each simulated attack, under each evasion.
    evasions : their names.
    homes : households of each kind.
    kinds : of households.
    """

    calibrating: int
    clips: int
    carriers: int
    evasions: tuple[str, ...]
    homes: int
    kinds: tuple[Kind, ...]


FULL = Plan(calibrating=400, clips=100, carriers=5, evasions=EVADED, homes=3, kinds=HOUSEHOLDS)
QUICK = Plan(
    calibrating=40,
    clips=10,
    carriers=1,
    evasions=("none", "noise_0", "speed_2"),
    homes=1,
    kinds=("same_phrase", "mixed"),
)


@dataclass(frozen=True)
class Changed:
    """Sentences number `first` and on, changed."""

    plan: Plan
    first: int


@dataclass(frozen=True)
class Retakes:
    """Different takes of a word by the same person."""

    plan: Plan


@dataclass(frozen=True)
class Streamed:
    """Carrier number `index` of an attack under an evasion."""

    plan: Plan
    attack: str
    index: int
    evasion: str


@dataclass(frozen=True)
class Home:
    """Household number `index` of a kind."""

    plan: Plan
    kind: Kind
    index: int


Piece: TypeAlias = Changed | Retakes | Streamed | Home


@dataclass(frozen=True)
class Limit:
    """The threshold of a fingerprint: `tau`, from so many pairs; 0 pairs: as it ships."""

    tau: float
    pairs: int


@dataclass(frozen=True)
class PairsSeen:
    """By fingerprint and condition, how many pairs it took for near-copies; and all thresholds."""

    shares: dict[str, dict[str, Share]]
    limits: dict[str, Limit]


@dataclass(frozen=True)
class StreamSeen:
    """By fingerprint, number of the query that alarmed, from 1; None: none did."""

    attack: str
    evasion: str
    alarms: dict[str, int | None]


@dataclass(frozen=True)
class HomeSeen:
    """A household.

    Parameters
    ----------
    alarms : by fingerprint, how many queries had so many near-copies as make an alarm.
    copies : by fingerprint, how many pairs of two queries were near-copies.
    """

    kind: Kind
    queries: int
    alarms: dict[str, int]
    copies: dict[str, int]

    @property
    def pairs(self) -> int:
        """How many pairs there are."""
        return self.queries * (self.queries - 1) // 2


Seen: TypeAlias = PairsSeen | StreamSeen | HomeSeen


def pieces(plan: Plan) -> list[Piece]:
    """All pieces, the longest first."""
    homes = [
        Home(plan, kind, index) for kind in reversed(plan.kinds) for index in range(plan.homes)
    ]
    changed = [Changed(plan, first) for first in range(0, plan.clips, CLIPS)]
    streams = [
        Streamed(plan, attack, index, evasion)
        for attack in ATTACK_PROFILES
        for index in range(plan.carriers)
        for evasion in plan.evasions
    ]
    return [*homes, *changed, Retakes(plan), *streams]


def hold(setup: Setup, piece: Piece) -> Seen:
    """Compare with every fingerprint."""
    tested = replace(setup, side="held_back")
    material = tested.material
    match piece:
        case Changed():
            rng = setup.rng("changed", piece.first)
            order = setup.rng("sentences", 0)
            clips = by_turns([shuffled(each, order) for each in material.sentences.values()])
            chosen = clips[piece.first : min(piece.first + CLIPS, piece.plan.clips)]
            sounds = [material.load(clip) for clip in chosen]
            made = pairs(sounds, material.rooms, rng) if len(sounds) > 1 else ()
            return _compared(setup, piece.plan, list(made))
        case Retakes():
            words = [clip for takes in material.commanders.values() for clip in takes]
            return _compared(
                setup,
                piece.plan,
                [Pair(RETAKE, material.load(a), material.load(b)) for a, b in takes(words)],
            )
        case Streamed():
            return _streamed(tested, piece)
        case Home():
            return _home(tested, piece)


def _compared(setup: Setup, plan: Plan, made: Sequence[Pair]) -> PairsSeen:
    limits = _limits(setup, plan.calibrating)
    return PairsSeen(
        {peer.name: dict(shares(peer, limits[peer.name].tau, made)) for peer in _peers(setup)},
        limits,
    )


def _streamed(setup: Setup, piece: Streamed) -> StreamSeen:
    profile = ATTACK_PROFILES[piece.attack]
    rng = setup.rng(f"peers {piece.attack} {piece.evasion}", piece.index)
    carrier = carrier_of(setup, profile, piece.index)
    plain = simulate(profile, carrier, rng, STREAM_QUERIES)
    stream = EVASIONS[piece.evasion].apply(plain, Materials(), rng)
    sounds = [query.signal for query in stream.queries]
    alarms: dict[str, int | None] = {}
    for peer, counting in _counting(setup, piece.plan):
        first = counting.first_alarm([peer.fingerprint(sound) for sound in sounds])
        alarms[peer.name] = None if first is None else first + 1
    return StreamSeen(piece.attack, piece.evasion, alarms)


def _home(setup: Setup, piece: Home) -> HomeSeen:
    rng = setup.rng(f"peers at home, {piece.kind}", piece.index)
    most = LENGTHS[piece.kind][0] if piece.kind in LENGTHS else SAME_PHRASE_QUERIES
    queries = min(most, longest(piece.kind, setup.material))
    alarms: dict[str, int] = {}
    copies: dict[str, int] = {}
    # The corpus may have nothing for it.
    heard_there = household(piece.kind, setup.material, rng, queries).queries if queries else ()
    sounds = [each.signal for each in heard_there]
    for peer, counting in _counting(setup, piece.plan):
        counts = list(counting.counts([peer.fingerprint(sound) for sound in sounds]))
        alarms[peer.name] = sum(count >= counting.m for count in counts)
        copies[peer.name] = sum(counts)
    return HomeSeen(piece.kind, queries, alarms, copies)


def _counting(setup: Setup, plan: Plan) -> Iterator[tuple[Peer[Any], Counting[Any]]]:
    """Each fingerprint under the rule of the default detector."""
    rule = setup.settings.neighbours
    limits = _limits(setup, plan.calibrating)
    for peer in _peers(setup):
        yield peer, Counting(peer, limits[peer.name].tau, rule.copies, rule.last)


def _peers(setup: Setup) -> tuple[Peer[Any], ...]:
    ours = Shipped(setup.settings.neighbours, setup.thresholds.neighbours)
    return (ours, AlignedCosine(), PlainCosine(), *usable_peers())


def _limits(setup: Setup, count: int) -> dict[str, Limit]:
    return _calibrated(replace(setup, side="calibrate"), count)


@lru_cache(maxsize=1)
def _calibrated(setup: Setup, count: int) -> dict[str, Limit]:
    """The thresholds of all, those of the peers by people that nothing else here is tried on.

    Half of the recordings are sentences, half takes of the same word by the same person; all as a
    device hears them.
    """
    material = setup.material
    rng = setup.rng("calibrating peers", 0)
    sentences = by_turns([shuffled(each, rng) for each in material.sentences.values()])
    words = shuffled(
        [said for people in material.commands.values() for said in people.values()], rng
    )
    repeated = [clip for said in words if len(said) > 1 for clip in said][: count // 2]
    sounds = [
        heard(material, clip, 0.0, rng) for clip in (*repeated, *sentences[: count - len(repeated)])
    ]
    limits: dict[str, Limit] = {}
    for peer in _peers(setup):
        if isinstance(peer, Shipped):
            limits[peer.name] = Limit(SHIPPED_TAU, 0)
            continue
        benign = all_pairs(peer, [peer.fingerprint(sound) for sound in sounds])
        if not benign.size:
            raise EarmarkError(
                "the corpus has too few recordings to set the thresholds of the peers",
                "add clips of the role 'speech' or 'command' that name their speaker",
            )
        limits[peer.name] = Limit(calibrate_tau(benign), benign.size)
    return limits
