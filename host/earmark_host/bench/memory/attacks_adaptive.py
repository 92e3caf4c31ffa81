"""Attackers who know of the detector: who change each query, use its verdicts, or begin anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import get_args

import numpy as np

from earmark.memory import CarrierKind
from earmark.memory.neighbours import Neighbours, NeighboursDetector
from earmark_host.bench.memory.attacks_run import Alarm, Trial, first_alarm
from earmark_host.bench.memory.setup import Setup
from earmark_host.bench.memory.watch import EPOCH_S, Marked, marked
from earmark_host.memory.evasion import EVASIONS, Evasion, Materials, with_own_noise
from earmark_host.memory.evasion.hiding import DAY_S
from earmark_host.memory.random_streams import heard, recordings
from earmark_host.memory.simulated import INTERVAL_S
from earmark_host.memory.staging import ChannelName, Gate, Scene
from earmark_host.memory.stream import Query

EVADED_QUERIES = 60
"""Queries of a changed attack that the detector is shown."""

LOUDER_DB = (-10, -15)
"""Attack over the attacker's own noise, dB, beyond those in EVASIONS."""

AWAY_DAYS = 3.0
"""How long an attacker stays away after his alarm, days."""

BEGIN_QUERIES = 12
"""Queries of an attacker before his alarm, and after it: twice what the alarm takes."""


def _louder(snr_db: int) -> Evasion:
    return Evasion(
        f"noise_minus_{-snr_db}",
        f"own pink noise, fresh in each query, {-snr_db} dB above it",
        lambda stream, _, rng: with_own_noise(stream, snr_db, "pink", rng),
    )


WAYS: tuple[Evasion, ...] = (
    *(each for each in EVASIONS.values() if not each.name.startswith("fakes_")),
    *(_louder(snr_db) for snr_db in LOUDER_DB),
)
"""All changes that are tried; attacks among fakes are counted on all streams, elsewhere."""


@dataclass(frozen=True)
class Evaded:
    """One attack on an undefended device, changed afterwards in each of :data:`WAYS`."""

    trial: Trial
    queries: int


@dataclass(frozen=True)
class EvadedSeen:
    """What became of the alarm, and of the attack.

    Parameters
    ----------
    queries : how many the detector was shown at most.
    alarms : by the name of the evasion, the first alarm; None: none.
    heard : by the same, whether the changed query that had won is still heard as the target;
        empty for an attack that had not won.
    """

    trial: Trial
    queries: int
    alarms: dict[str, Alarm | None]
    heard: dict[str, bool]


@dataclass(frozen=True)
class Defended:
    """One attack on a device with the default detector, whose verdicts the attacker sees."""

    trial: Trial
    queries: int


@dataclass(frozen=True)
class DefendedSeen:
    """How it went.

    Parameters
    ----------
    queries, withheld : how many were sent, and how many of them the detector withheld.
    won : number of the query that was heard as the target and not withheld, from 1; None: none.
    alarm : number of the first query that was withheld, from 1; None: none was.
    snr_db : carrier over perturbation and own noise of the query that won, dB.
    """

    trial: Trial
    queries: int
    withheld: int
    won: int | None
    alarm: int | None
    snr_db: float | None


@dataclass(frozen=True)
class Restart:
    """Attackers on one device: each until his alarm, again at once, and again after days.

    Parameters
    ----------
    attacks : what they use, in turn.
    attackers : how many.
    benign : what the household says in between, queries.
    words : see :class:`Trial`.
    """

    attacks: tuple[str, ...]
    attackers: int
    benign: int
    words: int | None


@dataclass(frozen=True)
class RestartSeen:
    """One attacker of :class:`Restart`; None where he was not noticed.

    Parameters
    ----------
    first : number of his query that raised the alarm, from 1.
    at_once, after_days : number of the first one that was withheld when he began anew from the
        same carrier.
    benign, withheld : queries in between, and how many of them were withheld.
    """

    carrier: CarrierKind
    first: int | None
    at_once: int | None
    after_days: int | None
    benign: int
    withheld: int


def evaded(setup: Setup, piece: Evaded) -> EvadedSeen:
    """Run, change, show."""
    attempt, rng = piece.trial.begin(setup)
    stream = attempt.run(piece.trial.attack, piece.queries, rng)
    target = attempt.victim.labels.index(attempt.target)
    alarms: dict[str, Alarm | None] = {}
    still: dict[str, bool] = {}
    for way in WAYS:
        changed = way.apply(stream, _materials(setup), rng)
        alarms[way.name] = first_alarm(marked(changed.queries[:EVADED_QUERIES], rng), setup)
        if stream.won_at is not None:
            scores = attempt.victim.scores(changed.queries[stream.won_at].signal)
            still[way.name] = int(np.argmax(scores)) == target
    shown = min(EVADED_QUERIES, len(stream.queries))
    return EvadedSeen(piece.trial, shown, alarms, still)


def defended(setup: Setup, piece: Defended) -> DefendedSeen:
    """Run against the detector."""
    attempt, rng = piece.trial.begin(setup)
    gate = Gate(setup.settings, setup.thresholds)
    stream = attempt.run(piece.trial.attack, piece.queries, rng, gate)
    won = stream.won_at
    withheld = [number for number, found in enumerate(gate.found, 1) if found.alarm]
    return DefendedSeen(
        trial=piece.trial,
        queries=len(stream.queries),
        withheld=len(withheld),
        won=None if won is None else won + 1,
        alarm=withheld[0] if withheld else None,
        snr_db=None if won is None else stream.queries[won].snr_db,
    )


def restart(setup: Setup, piece: Restart) -> list[RestartSeen]:
    """Each attacker starts twice more from his carrier, with another seed."""
    device = _Device(setup)
    attempts = []
    first, at_once = [], []
    for index in range(piece.attackers):
        kinds = get_args(CarrierKind)
        channels: tuple[ChannelName, ...] = ("digital", "ota20")
        scene = Scene("keyword", kinds[index % 2], channels[index // 2 % 2])
        attack = piece.attacks[index // 4 % len(piece.attacks)]
        # Numbers that no other trial has.
        attempt, rng = Trial(scene, attack, 1_000 + index, piece.words).begin(setup)
        attempts.append((attempt, attack, rng))
        first.append(device.attacked(attempt.run(attack, BEGIN_QUERIES, rng).queries, rng))
        at_once.append(device.attacked(attempt.run(attack, BEGIN_QUERIES, rng).queries, rng))
    device.now_s += AWAY_DAYS * DAY_S / 2.0
    rng = setup.rng("household in between", 0)
    carriers = {attempt.clip for attempt, _, _ in attempts}
    clips = [each for each in recordings(setup.material, "speech", rng) if each[0] not in carriers][
        : piece.benign
    ]
    withheld = sum(
        device.hears(mark).alarm
        for clip, start_s in clips
        for mark in marked([Query(heard(setup.material, clip, start_s, rng), 0.0)], rng, ())
    )
    device.now_s += AWAY_DAYS * DAY_S / 2.0
    return [
        RestartSeen(
            attempt.scene.carrier,
            first[index],
            at_once[index],
            device.attacked(attempt.run(attack, BEGIN_QUERIES, rng).queries, rng),
            len(clips),
            withheld,
        )
        for index, (attempt, attack, rng) in enumerate(attempts)
    ]


class _Device:
    """One device that hears everything."""

    def __init__(self, setup: Setup) -> None:
        table = setup.thresholds
        self.now_s = EPOCH_S
        self._detector = NeighboursDetector(setup.settings.neighbours, table.neighbours)
        self._queries = 0

    def hears(self, mark: Marked) -> Neighbours:
        self.now_s += INTERVAL_S
        self._queries += 1
        found, _ = self._detector.examine(self._queries, mark.neighbours, mark.carrier, self.now_s)
        return found

    def attacked(self, queries: Sequence[Query], rng: np.random.Generator) -> int | None:
        """Number of the first query that is withheld, from 1; the attacker stops there."""
        for number, mark in enumerate(marked(queries, rng, ()), 1):
            if self.hears(mark).alarm:
                return number
        return None


@lru_cache(maxsize=1)
def _materials(setup: Setup) -> Materials:
    return Materials(music=[setup.material.load(clip) for clip in setup.material.music])
