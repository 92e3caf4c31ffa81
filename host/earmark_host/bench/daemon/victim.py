"""A device that is going to be killed: it tells what is on the disk as soon as it is."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass
from enum import Enum
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from earmark import forward
from earmark.config import Config
from earmark.forward import Command, Forwarder
from earmark.memory import QueryMemory
from earmark.memory.query_memory import Recollection
from earmark.nonce import Issue, Ledger
from earmark.signal import Signal
from earmark.speaker import SpeakerModel, Vault
from earmark_host.bench.daemon import household
from earmark_host.bench.daemon.held import LOCK
from earmark_host.bench.daemon.theatre import Held, Play, Theatre

VISITOR = 100
"""Number of the first visitor; the family's begin at 0."""

KEPT = 10_000
"""Commands that are kept: all."""


class Said(Enum):
    """What has happened. Each is told when the call has returned, so it must outlast a kill."""

    READY = "ready"
    """The device is put together."""
    ISSUED = "issued"
    """A nonce is in the ledger (the session)."""
    REMEMBERED = "remembered"
    """The query memory has taken a command in (queries and clusters that it holds)."""
    SENT = "sent"
    """A command lies in the folder (the session)."""
    CAME = "came"
    """A visitor was enrolled (the id)."""
    LEFT = "left"
    """A visitor was forgotten (the id)."""
    ENDED = "ended"
    """A session is over."""


@dataclass(frozen=True)
class Line:
    """One thing that was said."""

    said: Said
    what: Any = None


class Voice:
    """Tells over a pipe, from any thread."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def tell(self, said: Said, what: Any = None) -> None:
        """Say it; whoever listens has it even if this process is killed at once."""
        with self._lock:
            self._pipe.send(Line(said, what))


def config(folder: Path) -> Config:
    """Its settings."""
    return household.config(folder, session=LOCK, forward={"keep_count": KEPT})


def live(play: Play, number: int, pipe: Connection) -> None:
    """Hold sessions, and let visitors come and go meanwhile, until killed.

    Parameters
    ----------
    number : of the life, so that no visitor comes twice.
    """
    logging.disable(logging.CRITICAL)
    voice = Voice(pipe)
    settings = config(play.folder)
    ledger: _Ledger = _Ledger.open(settings.ledger.path, settings.ledger)  # type: ignore[assignment]
    ledger.voice = voice
    memory: _Memory = _Memory.open(settings.memory, os.urandom)  # type: ignore[assignment]
    memory.voice = voice
    known_as = forward.Device(settings.device.name, settings.device.room, settings.wake.model)
    sending = _Sending(forward.open_forwarder(settings.forward, known_as, _unheard), voice)

    def ended(_: Held) -> None:
        voice.tell(Said.ENDED)

    theatre = Theatre(play, settings, ended, ledger=ledger, memory=memory, forwarder=sending)
    visits = threading.Thread(target=_visits, args=(settings, number, voice), daemon=True)
    visits.start()
    voice.tell(Said.READY)
    theatre.run()


class _Ledger(Ledger):
    voice: Voice

    def record(self, issue: Issue) -> None:
        super().record(issue)
        self.voice.tell(Said.ISSUED, issue.session)


class _Memory(QueryMemory):
    voice: Voice

    def examine(self, command: Signal, at_unix_s: float) -> Recollection:
        found = super().examine(command, at_unix_s)
        self.voice.tell(Said.REMEMBERED, (len(self._store), len(self._store.clusters())))
        return found


class _Sending:
    def __init__(self, inner: Forwarder, voice: Voice) -> None:
        self._inner = inner
        self._voice = voice

    def send(self, command: Command) -> None:
        self._inner.send(command)
        self._voice.tell(Said.SENT, command.session)

    def close(self) -> None:
        self._inner.close()


def _unheard(_: Signal) -> None:
    """No answers are spoken here."""


def _visits(settings: Config, life: int, voice: Voice) -> None:
    """Enrol and forget, as `earmark people` does beside a running daemon."""
    vault = Vault.of(settings.speaker, environ={})
    for left in vault.people[household.FAMILY :]:
        vault.delete(left.id)
    model = SpeakerModel.open(settings.speaker.model)
    number = VISITOR + 100_000 * life
    while True:
        number += 1
        visitor = household.person("Visitor", number, life, model)
        vault.add(visitor)
        voice.tell(Said.CAME, visitor.id)
        vault.delete(visitor.id)
        voice.tell(Said.LEFT, visitor.id)
