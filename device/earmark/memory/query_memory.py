"""The query memory of a device: fingerprint, detector and store in one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from earmark.errors import ConfigError
from earmark.memory import paper
from earmark.memory.carrier import CarrierKind, carrier
from earmark.memory.entries import Cluster, Remembered
from earmark.memory.log import Damage
from earmark.memory.log import erase as erase_log
from earmark.memory.neighbours import (
    Learnt,
    Neighbours,
    NeighboursDetector,
    NeighboursLimits,
    Sign,
    fingerprint,
)
from earmark.memory.settings import MemorySettings
from earmark.memory.store import QueryStore
from earmark.memory.thresholds import Thresholds, shipped
from earmark.signal import Signal

NEIGHBOURS_FILE = "neighbours-1.log"
PAPER_FILE = "paper-1.log"
"""Files of the two detectors in the store's folder; the number is that of the fingerprint's kind,
and rises when old fingerprints can no longer be compared with new ones."""


@dataclass(frozen=True)
class Recollection:
    """What the memory makes of one query; nothing in it tells what was said.

    Parameters
    ----------
    sign : what the query is; an alarm of the paper's detector is ``MEAN``.
    alarm : whether it must be withheld.
    carrier : what the attack started from: the class of its first query, or of this one.
    score : likeness with the nearest past query; the paper's score s in its mode. 0 for none.
    copies : near-copies among the remembered queries; 0 in paper mode.
    count : queries of the attack so far, with this one; 1 where there is none.
    first_unix_s : when its first query was heard, s; this query's time where there is none.
    speed_percent : how much faster than its nearest past query this one is, %.
    cluster : the attack or repeat that it belongs to, by the number of its first query; None for
        a query on its own.
    """

    sign: Sign
    alarm: bool
    carrier: CarrierKind
    score: float
    copies: int
    count: int
    first_unix_s: float
    speed_percent: float
    cluster: int | None


class _Mode(Protocol):
    """A detector with its own kind of fingerprint."""

    def examine(self, number: int, command: Signal, at_unix_s: float) -> _Found: ...


@dataclass(frozen=True)
class _Found:
    recollection: Recollection
    learnt: Learnt
    cleared: bool = False


class QueryMemory:
    """Judges each command by those before it, and remembers it; :meth:`open` it.

    One thread at a time.
    """

    def __init__(self, mode: _Mode, store: QueryStore) -> None:
        self._mode = mode
        self._store = store
        self._next_number = store.next_number

    @classmethod
    def open(
        cls,
        settings: MemorySettings,
        entropy: Callable[[int], bytes],
        thresholds: Thresholds | None = None,
    ) -> QueryMemory:
        """Open the store and take in what it kept.

        Parameters
        ----------
        settings : the mode, its own settings, the folder.
        entropy : gives so many random bytes; for the noise of the paper's robust mode.
        thresholds : the table of limits; the shipped one when None.

        Raises
        ------
        ConfigError
            Nothing was calibrated for these settings.
        MemoryStoreError
            The store cannot be opened.
        """
        table = shipped() if thresholds is None else thresholds
        if settings.mode == "paper":
            limits = table.paper_for(settings.paper)
            limits["speech"] *= settings.speech_factor
            limits["music"] *= settings.music_factor
            store = QueryStore.open(_file(settings, PAPER_FILE), settings.paper.depth, 1)
            rng = np.random.default_rng(int.from_bytes(entropy(16), "little"))
            detector = paper.PaperDetector(settings.paper, limits)
            mode: _Mode = _PaperMode(settings.paper, detector, rng, store.queries())
        else:
            neighbours = settings.neighbours
            path = _file(settings, NEIGHBOURS_FILE)
            store = QueryStore.open(path, neighbours.last, neighbours.max_clusters)
            counting = NeighboursDetector(neighbours, _here(table.neighbours, settings))
            counting.restore(store.queries(), store.clusters())
            mode = _NeighboursMode(counting)
        return cls(mode, store)

    def examine(self, command: Signal, at_unix_s: float) -> Recollection:
        """Judge a command and remember its fingerprint, on the disk before this returns.

        Parameters
        ----------
        command : shape (n,), float32 at 16 kHz: what the person said, without the nonce.
        at_unix_s : wall clock, s.

        Raises
        ------
        MemoryStoreError
            It could not be stored. It is remembered all the same until the device stops.
        """
        # Not the store's next number: the detector knows queries that the disk refused.
        number = self._next_number
        self._next_number += 1
        found = self._mode.examine(number, command, at_unix_s)
        if found.cleared:
            self._store.wipe()
        if found.learnt.query is not None:
            self._store.remember(found.learnt.query)
        if found.learnt.cluster is not None:
            self._store.put(found.learnt.cluster)
        return found.recollection

    @property
    def damage(self) -> Damage:
        """What of the store could not be read when it was opened."""
        return self._store.damage

    @property
    def clusters(self) -> list[Cluster]:
        """What is kept after alarms, and what the owner approved; the latest last."""
        return self._store.clusters()

    def approve(self, cluster_id: int) -> None:
        """Let a repeat pass from now on; its queries are forgotten. KeyError for none."""
        detector = self._counting()
        kept = {each.id: each for each in detector.clusters}[cluster_id]
        # The disk first: what it refuses stays as it was.
        self._store.drop(cluster_id)
        self._store.put(replace(kept, approved=True))
        detector.approve(cluster_id)

    def forget(self, cluster_id: int) -> None:
        """Forget what was kept after an alarm, and its queries. KeyError where there is none."""
        detector = self._counting()
        self._store.drop(cluster_id)
        detector.drop(cluster_id)

    def close(self) -> None:
        """Close the store. Closing twice is harmless."""
        self._store.close()

    def _counting(self) -> NeighboursDetector:
        if not isinstance(self._mode, _NeighboursMode):
            raise ConfigError("the paper's detector keeps no clusters", "set memory.mode")
        return self._mode.detector


class _NeighboursMode:
    def __init__(self, detector: NeighboursDetector) -> None:
        self.detector = detector

    def examine(self, number: int, command: Signal, at_unix_s: float) -> _Found:
        found, learnt = self.detector.examine(
            number, fingerprint(command), carrier(command), at_unix_s
        )
        return _Found(_recollected(found), learnt)


def _recollected(found: Neighbours) -> Recollection:
    return Recollection(
        sign=found.sign,
        alarm=found.alarm,
        carrier=found.carrier,
        score=found.likeness,
        copies=found.copies,
        count=found.count,
        first_unix_s=found.first_unix_s,
        speed_percent=found.speed_percent,
        cluster=found.cluster,
    )


class _PaperMode:
    def __init__(
        self,
        settings: paper.PaperSettings,
        detector: paper.PaperDetector,
        rng: np.random.Generator,
        remembered: list[Remembered],
    ) -> None:
        self._settings = settings
        self._detector = detector
        self._rng = rng
        self._detector.restore(
            [paper.PaperFingerprint.from_bytes(query.fingerprint) for query in remembered]
        )
        self._since_unix_s = remembered[0].at_unix_s if remembered else None

    def examine(self, number: int, command: Signal, at_unix_s: float) -> _Found:
        if self._settings.input_noise_snr_db is not None:
            command = paper.with_input_noise(command, self._settings.input_noise_snr_db, self._rng)
        kind = carrier(command)
        mark = paper.fingerprint(command)
        report = self._detector.examine(mark, kind)
        since_unix_s = at_unix_s if self._since_unix_s is None else self._since_unix_s
        cleared = report.alarm and self._settings.clear_on_alarm
        score = 0.0 if report.score is None else report.score
        query = Remembered(number, at_unix_s, mark.to_bytes(), kind, None, 0.0, None)
        self._since_unix_s = None if cleared else since_unix_s
        return _Found(
            Recollection(
                sign=Sign.MEAN if report.alarm else Sign.NEW,
                alarm=report.alarm,
                carrier=kind,
                score=score,
                copies=0,
                # The paper does not say which of the remembered queries are the attack's.
                count=report.remembered + 1 if report.alarm else 1,
                first_unix_s=since_unix_s if report.alarm else at_unix_s,
                speed_percent=0.0,
                cluster=None,
            ),
            Learnt(None if cleared else query, None),
            cleared,
        )


def erase(settings: MemorySettings) -> None:
    """Remove all that is remembered, of both modes, also what cannot be read (factory reset).

    Raises
    ------
    MemoryStoreError
        Another process has the store, or the disk refuses.
    """
    if settings.folder is not None:
        for name in (NEIGHBOURS_FILE, PAPER_FILE):
            erase_log(settings.folder / name)


def _here(limits: NeighboursLimits, settings: MemorySettings) -> NeighboursLimits:
    """The maker's limits as they are in this room."""
    return limits.model_copy(update={"mean": min(1.0, limits.mean * settings.speech_factor)})


def _file(settings: MemorySettings, name: str) -> Path | None:
    return None if settings.folder is None else settings.folder / name
