"""How the audio stream does: what was late, lost or stalled, told at most once a minute."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

_log = logging.getLogger(__name__)

TELL_EVERY_S = 60.0
"""Least time between two warnings about overload, s: a machine that is too slow would otherwise
fill the journal and be slower for it."""


@dataclass(frozen=True)
class Overload:
    """Counts since the start of the process.

    Parameters
    ----------
    streams : streams that were started.
    late_blocks : blocks of 20 ms that were played as silence, because the playback came late.
    lost_samples : times that the card reported samples as lost; each ended a stream.
    stalls : times that the card gave nothing any more; each ended a stream.
    """

    streams: int = 0
    late_blocks: int = 0
    lost_samples: int = 0
    stalls: int = 0

    def __str__(self) -> str:
        """The counts in words; of those that are 0 none."""
        parts = [
            f"{count} {what}"
            for count, what in (
                (self.late_blocks, "late blocks"),
                (self.lost_samples, "times samples lost"),
                (self.stalls, "stalls"),
            )
            if count
        ]
        return ", ".join(parts) or "nothing late or lost"


class StreamHealth:
    """Keeps the counts over all streams of a process, and warns when they grow.

    It is told by the thread that drives the port, never by a card's callback.

    Parameters
    ----------
    clock : seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._streams = 0
        self._late_before = 0
        self._late_now = 0
        self._lost = 0
        self._stalls = 0
        self._told = Overload()
        self._told_at_s: float | None = None

    @property
    def overload(self) -> Overload:
        """The counts so far."""
        late = self._late_before + self._late_now
        return Overload(self._streams, late, self._lost, self._stalls)

    def started(self) -> None:
        """A stream has started; its late blocks are counted from 0."""
        self._streams += 1
        self._late_before += self._late_now
        self._late_now = 0
        _log.info("audio stream %d has started", self._streams)

    def late(self, blocks: int) -> None:
        """The stream has had so many late blocks since it started."""
        if blocks != self._late_now:
            self._late_now = blocks
        self._tell()

    def lost(self) -> None:
        """The card reported that samples were lost."""
        self._lost += 1
        self._tell()

    def stalled(self) -> None:
        """The card gave nothing any more."""
        self._stalls += 1
        self._tell()

    def _tell(self) -> None:
        now = self.overload
        if (now.late_blocks, now.lost_samples) == (self._told.late_blocks, self._told.lost_samples):
            return  # stalls are told by whoever opens the stream again
        at_s = self._clock()
        if self._told_at_s is not None and at_s - self._told_at_s < TELL_EVERY_S:
            return
        self._told, self._told_at_s = now, at_s
        _log.warning("audio overload since the start: %s", now)
