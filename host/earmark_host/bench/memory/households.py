"""Households that mean no harm: what they hear, one piece a household."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, get_args

import numpy as np

from earmark.memory import CarrierKind
from earmark.memory.neighbours import NeighboursDetector
from earmark.memory.paper import CARRIERS, PaperFingerprint, PaperSettings
from earmark_host.bench.memory.setup import Setup
from earmark_host.bench.memory.watch import (
    EPOCH_S,
    Marked,
    count_neighbours,
    marked,
    score_paper,
)
from earmark_host.memory.fold import owner
from earmark_host.memory.households import household, plan, repeats
from earmark_host.memory.random_streams import heard, recordings
from earmark_host.memory.scripts import Kind, RepeatKind
from earmark_host.memory.stream import Query

FLAGS: tuple[PaperSettings, ...] = tuple(
    PaperSettings(weights=weights, input_noise_snr_db=noise_db)
    for weights in ("clip", "raw", "mean", "official")
    for noise_db in (None, 50.0)
)
"""The paper's detector in all readings, plain and in its robust mode at its best (Table 5)."""

NOISES_DB: tuple[float | None, ...] = (None, 50.0)

HEARINGS = 12
"""Times that a machine plays its recording: twice what the alarm takes."""


@dataclass(frozen=True)
class Plan:
    """How much.

    Parameters
    ----------
    human : queries by people in households, at least.
    repeats : machines of each kind.
    pool : recordings of each class in the random streams, at most.
    windows : random queries of each class, each with a memory of its own.
    """

    human: int
    repeats: int
    pool: int
    windows: int


FULL = Plan(human=6_000, repeats=20, pool=2_000, windows=40_000)
QUICK = Plan(human=500, repeats=2, pool=200, windows=4_000)

CHUNKS = 16
"""Pieces of work that the households are divided into."""

PIECE = 100
"""Recordings of a pool that are one piece of work."""


@dataclass(frozen=True)
class Homes:
    """Every :data:`CHUNKS`-th household of the plan, from number `first` on.

    How many there are depends on the corpus, which only the workers open.
    """

    first: int
    human: int


@dataclass(frozen=True)
class Machine:
    """Repeats number `index` of a kind."""

    kind: RepeatKind
    index: int


@dataclass(frozen=True)
class Pool:
    """Recordings number `first` and on of a class, as they are randomly streamed."""

    carrier: CarrierKind
    first: int
    count: int


Piece: TypeAlias = Homes | Machine | Pool


@dataclass(frozen=True)
class HomeSeen:
    """What the detectors said in a household.

    Parameters
    ----------
    recordings : distinct ones among the queries.
    withheld : queries that the default detector withheld.
    near : queries that had a near-copy at all.
    highest_mean : of the second ear; None where it had no verdict.
    music : queries that were taken for music.
    paper : for each of :data:`FLAGS`, alarms and queries with a verdict.
    """

    kind: Kind
    queries: int
    recordings: int
    withheld: int
    near: int
    highest_mean: float | None
    music: int
    paper: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class MachineSeen:
    """When a repeat was withheld first, counting from 1 (None: never), and how many of its later
    hearings passed once the owner had approved it."""

    kind: RepeatKind
    alarm: int | None
    passed: int
    hearings: int


@dataclass(frozen=True)
class PoolSeen:
    """Fingerprints of a class, by the level of the input noise.

    Parameters
    ----------
    owners : whose recording each is: a person, a tune, else the file itself.
    right : how many were taken for what they are.
    """

    carrier: CarrierKind
    paper: dict[float | None, list[PaperFingerprint]]
    owners: list[str]
    right: int


Seen: TypeAlias = list[HomeSeen] | MachineSeen | PoolSeen


def pieces(plan: Plan) -> list[Piece]:
    """All pieces, the longest first."""
    homes = [Homes(first, plan.human) for first in range(CHUNKS)]
    pools = [
        Pool(carrier, first, min(PIECE, plan.pool - first))
        for carrier in CARRIERS
        for first in range(0, plan.pool, PIECE)
    ]
    machines = [
        Machine(kind, index) for kind in get_args(RepeatKind) for index in range(plan.repeats)
    ]
    return [*homes, *pools, *machines]


def hold(setup: Setup, piece: Piece) -> Seen:
    """Let a piece be heard."""
    match piece:
        case Homes():
            planned = plan(setup.distinct, setup.rng("plan", 0), piece.human)
            mine = range(piece.first, len(planned), CHUNKS)
            return [_home(setup, *planned[index], setup.rng("home", index)) for index in mine]
        case Machine():
            return _machine(setup, piece)
        case Pool():
            return _pool(setup, piece)


def _home(setup: Setup, kind: Kind, queries: int, rng: np.random.Generator) -> HomeSeen:
    stream = household(kind, setup.distinct, rng, queries)
    marks = list(marked(stream.queries, rng, NOISES_DB))
    said = list(count_neighbours(marks, setup.settings, setup.thresholds))
    means = [each.mean for each in said if each.mean is not None]
    distinct_clips = stream.facts["clips"]
    assert isinstance(distinct_clips, int)
    return HomeSeen(
        kind,
        len(marks),
        distinct_clips,
        sum(each.alarm for each in said),
        sum(each.copies > 0 for each in said),
        max(means, default=None),
        sum(each.carrier == "music" for each in marks),
        tuple(_paper(setup, marks, flags) for flags in FLAGS),
    )


def _paper(setup: Setup, marks: Sequence[Marked], flags: PaperSettings) -> tuple[int, int]:
    reports = list(score_paper(marks, flags, setup.thresholds))
    return sum(each.alarm for each in reports), sum(each.score is not None for each in reports)


def _machine(setup: Setup, piece: Machine) -> MachineSeen:
    rng = setup.rng(f"machine {piece.kind}", piece.index)
    stream = repeats(piece.kind, setup.distinct, rng, 2 * HEARINGS)
    detector = NeighboursDetector(setup.settings.neighbours, setup.thresholds.neighbours)
    alarm: int | None = None
    passed = hearings = 0
    for number, query in enumerate(marked(stream.queries, rng)):
        if number == HEARINGS:
            for cluster in detector.clusters:
                detector.approve(cluster.id)
        found, _ = detector.examine(number, query.neighbours, query.carrier, EPOCH_S + query.at_s)
        if number >= HEARINGS:
            hearings += 1
            passed += not found.alarm
        elif found.alarm and alarm is None:
            alarm = number + 1
    return MachineSeen(piece.kind, alarm, passed, hearings)


def _pool(setup: Setup, piece: Pool) -> PoolSeen:
    material = setup.distinct
    rng = setup.rng(f"pool {piece.carrier}", piece.first)
    # The same order for all pieces, so that no two of them take the same recording.
    every = recordings(material, piece.carrier, setup.rng(f"order of {piece.carrier}", 0))
    paper: dict[float | None, list[PaperFingerprint]] = {noise_db: [] for noise_db in NOISES_DB}
    mine = every[piece.first : piece.first + piece.count]
    right = 0
    for clip, start_s in mine:
        query = Query(heard(material, clip, start_s, rng), 0.0)
        for mark in marked([query], rng, NOISES_DB):
            right += mark.carrier == piece.carrier
            for noise_db in NOISES_DB:
                paper[noise_db].append(mark.paper[noise_db])
    return PoolSeen(piece.carrier, paper, [owner(clip) for clip, _ in mine], right)
