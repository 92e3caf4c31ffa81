"""CPU time and memory of the query memory, and CPU time of the paper's and of the peers.

Measured in one process after everything else is over, one thread. What is remembered are people's
sentences and scattered copies of them (:mod:`earmark_host.bench.memory.filled`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import numpy as np

from earmark.memory import NeighboursDetector, carrier
from earmark.memory.neighbours import fingerprint
from earmark.memory.neighbours.index import PeakIndex
from earmark.memory.neighbours.search import near_copies
from earmark.memory.paper import PaperDetector, PaperSettings
from earmark.memory.paper import fingerprint as paper_fingerprint
from earmark.memory.query_memory import NEIGHBOURS_FILE
from earmark.memory.store import QueryStore
from earmark.signal import Signal
from earmark_host.bench.memory.filled import (
    attacks_kept,
    fingerprints,
    of_length,
    remembered,
    sentences,
)
from earmark_host.bench.memory.resident import Started, start
from earmark_host.bench.memory.setup import Setup
from earmark_host.bench.memory.simulated import carrier_of
from earmark_host.bench.memory.watch import EPOCH_S
from earmark_host.memory.households import household
from earmark_host.memory.peers import usable_peers
from earmark_host.memory.scripts import Kind, longest
from earmark_host.memory.simulated import ATTACK_PROFILES, simulate

COMMAND_S = 4.0
"""Length of a query, s."""

USUAL = 1_000
"""Queries that are remembered by default."""

REMEMBERED = (75, USUAL, 10_000)
"""Queries in the memory: the paper's, the default, the largest."""

WARM_UP = 3
"""Queries before the first one that is timed."""

ATTACK_QUERIES = 30
"""Queries of an attack that are timed; all but the first five are withheld."""

HOUSEHOLD: Kind = "mixed"
"""Whose fingerprints are stored: people in a room, from one word to a sentence."""

RIVALS_REMEMBERED = (75, USUAL)
"""What the rivals are compared with; ten thousand would be 640 MB for one of them."""

PAPER = "paper"
"""The paper's detector, among the rivals."""


@dataclass(frozen=True)
class Plan:
    """How much.

    Parameters
    ----------
    queries : timed at each size.
    sounds : different sentences, at most.
    rivals : queries timed with each rival.
    appends : queries that are put on the disk.
    """

    queries: int
    sounds: int
    rivals: int
    appends: int


FULL = Plan(queries=200, sounds=1_200, rivals=50, appends=400)
QUICK = Plan(queries=60, sounds=240, rivals=10, appends=60)


@dataclass(frozen=True)
class Size:
    """Queries to a memory with so many.

    Parameters
    ----------
    remembered : how many.
    attack : the queries are those of an attack; else nothing like them was ever heard.
    full_of_clusters : as many attacks are kept as can be.
    """

    plan: Plan
    remembered: int
    attack: bool = False
    full_of_clusters: bool = False


@dataclass(frozen=True)
class Rival:
    """Queries to the paper's detector, or to a peer that counts."""

    plan: Plan
    name: str
    remembered: int


@dataclass(frozen=True)
class Disk:
    """What a household leaves on the disk."""

    plan: Plan


@dataclass(frozen=True)
class Start:
    """A device that starts with a full memory."""

    plan: Plan
    remembered: int


Piece: TypeAlias = Size | Rival | Disk | Start


@dataclass(frozen=True)
class Spent:
    """CPU time of one query, s.

    Parameters
    ----------
    fingerprint, carrier, detector : the steps; their sum is the query.
    search, speeds : within the detector, once more on its own: the search at the query's own
        speed, and what the other speeds add.
    """

    fingerprint: float
    carrier: float
    detector: float
    search: float
    speeds: float

    @property
    def query(self) -> float:
        """The whole."""
        return self.fingerprint + self.carrier + self.detector


@dataclass(frozen=True)
class SizeSpent:
    """All queries of a :class:`Size`."""

    size: Size
    queries: tuple[Spent, ...]


@dataclass(frozen=True)
class RivalSpent:
    """CPU times of the fingerprint and of the comparison with all, each query, s."""

    name: str
    remembered: int
    fingerprint: tuple[float, ...]
    compare: tuple[float, ...]


@dataclass(frozen=True)
class Stored:
    """What each query took on the disk, bytes, and to get there, s of CPU and by the clock."""

    sizes: tuple[int, ...]
    cpu: tuple[float, ...]
    clock: tuple[float, ...]


Result: TypeAlias = SizeSpent | RivalSpent | Stored | Started


def pieces(plan: Plan) -> list[Piece]:
    """Sizes, states at the default size, rivals, disk, start."""
    peers = [peer.name for peer in usable_peers()]
    return [
        *(Size(plan, n) for n in REMEMBERED),
        Size(plan, USUAL, full_of_clusters=True),
        Size(plan, USUAL, attack=True),
        Size(plan, USUAL, attack=True, full_of_clusters=True),
        Rival(plan, PAPER, PaperSettings().depth),
        *(Rival(plan, name, n) for name in peers for n in RIVALS_REMEMBERED),
        Disk(plan),
        *(Start(plan, n) for n in REMEMBERED[1:]),
    ]


def hold(setup: Setup, piece: Piece) -> Result:
    """Measure."""
    match piece:
        case Size():
            return _size(setup, piece)
        case Rival():
            return _rival(setup, piece)
        case Disk():
            return _disk(setup, piece)
        case Start():
            known, others = _sounds(setup, piece.plan.sounds)
            marks = fingerprints(known, piece.remembered, setup.rng("start", piece.remembered))
            return start(remembered(marks), of_length(cycle(others), COMMAND_S))


@lru_cache(maxsize=1)
def _sounds(setup: Setup, count: int) -> tuple[list[Signal], list[Signal]]:
    """Sentences that are remembered, and others that are said."""
    every = sentences(setup.material, count, setup.rng("sentences", 0))
    return every[::2], every[1::2]


def _size(setup: Setup, piece: Size) -> SizeSpent:
    rng = setup.rng("memory", piece.remembered)
    settings = setup.settings.neighbours
    settings = settings.model_copy(update={"last": max(settings.last, piece.remembered)})
    limits = setup.thresholds.neighbours
    known, _ = _sounds(setup, piece.plan.sounds)
    marks = fingerprints(known, piece.remembered, rng)
    detector = NeighboursDetector(settings, limits)
    kept = attacks_kept(marks, settings.max_clusters, rng) if piece.full_of_clusters else []
    detector.restore(remembered(marks), kept)
    index = PeakIndex(piece.remembered)
    for number, mark in enumerate(marks):
        index.add(number, mark.to_bytes())
    spent: list[Spent] = []
    for number, sound in enumerate(_commands(setup, piece), start=len(marks)):
        times = [time.thread_time()]
        mark = fingerprint(sound)
        times.append(time.thread_time())
        kind = carrier(sound)
        times.append(time.thread_time())
        detector.examine(number, mark, kind, EPOCH_S + number)
        times.append(time.thread_time())
        near_copies(index, mark, limits, ())
        times.append(time.thread_time())
        near_copies(index, mark, limits, settings.speeds_percent)
        times.append(time.thread_time())
        mark_s, kind_s, detector_s, search_s, all_s = map(float, np.diff(times))
        spent.append(Spent(mark_s, kind_s, detector_s, search_s, max(0.0, all_s - search_s)))
    return SizeSpent(piece, tuple(spent[WARM_UP:]))


def _commands(setup: Setup, piece: Size) -> Iterator[Signal]:
    """What is asked, so long as :data:`COMMAND_S`."""
    if piece.attack:
        profile = ATTACK_PROFILES["cs"]
        rng = setup.rng("attack", 0)
        stream = simulate(profile, carrier_of(setup, profile, 0), rng, WARM_UP + ATTACK_QUERIES)
        yield from (query.signal for query in stream.queries)
        return
    _, others = _sounds(setup, piece.plan.sounds)
    said = cycle(others)
    for _ in range(WARM_UP + piece.plan.queries):
        yield of_length(said, COMMAND_S)


def _rival(setup: Setup, piece: Rival) -> RivalSpent:
    known, others = _sounds(setup, piece.plan.sounds)
    said = cycle(others)
    commands = [of_length(said, COMMAND_S) for _ in range(WARM_UP + piece.plan.rivals)]
    if piece.name == PAPER:
        return _paper(setup, piece, known, commands)
    peer = next(each for each in usable_peers() if each.name == piece.name)
    # Who compares with each in turn does not mind if some are the same.
    prints = list(islice(cycle([peer.fingerprint(sound) for sound in known]), piece.remembered))
    marks: list[float] = []
    compare: list[float] = []
    for command in commands:
        began = time.thread_time()
        mark = peer.fingerprint(command)
        marked = time.thread_time()
        peer.similarities(mark, prints)
        compare.append(time.thread_time() - marked)
        marks.append(marked - began)
    return RivalSpent(
        piece.name, piece.remembered, tuple(marks[WARM_UP:]), tuple(compare[WARM_UP:])
    )


def _paper(
    setup: Setup, piece: Rival, known: Sequence[Signal], commands: Sequence[Signal]
) -> RivalSpent:
    flags = PaperSettings(depth=piece.remembered)
    detector = PaperDetector(flags, setup.thresholds.paper_for(flags))
    prints = cycle([paper_fingerprint(sound) for sound in known])
    detector.restore(islice(prints, piece.remembered))
    marks: list[float] = []
    compare: list[float] = []
    for command in commands:
        began = time.thread_time()
        mark = paper_fingerprint(command)
        marked = time.thread_time()
        detector.examine(mark, carrier(command))
        compare.append(time.thread_time() - marked)
        marks.append(marked - began)
    return RivalSpent(
        piece.name, piece.remembered, tuple(marks[WARM_UP:]), tuple(compare[WARM_UP:])
    )


def _disk(setup: Setup, piece: Disk) -> Stored:
    material = setup.material
    rng = setup.rng("disk", 0)
    queries = min(piece.plan.appends, longest(HOUSEHOLD, material))
    heard = household(HOUSEHOLD, material, rng, queries).queries
    marks = [fingerprint(query.signal) for query in heard]
    settings = setup.settings.neighbours
    sizes: list[int] = []
    cpu: list[float] = []
    clock: list[float] = []
    with TemporaryDirectory(prefix="earmark-bench-") as folder:
        path = Path(folder) / NEIGHBOURS_FILE
        with QueryStore.open(path, settings.last, settings.max_clusters) as store:
            for query in remembered(marks):
                before = store.size_bytes
                began, began_cpu = time.perf_counter(), time.thread_time()
                store.remember(query)
                cpu.append(time.thread_time() - began_cpu)
                clock.append(time.perf_counter() - began)
                sizes.append(store.size_bytes - before)
    return Stored(tuple(sizes), tuple(cpu), tuple(clock))
