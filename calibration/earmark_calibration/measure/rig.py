"""Plays and records through the device's own audio port, whatever kind it is.

What is handed over comes back in the recording after the port's round trip, so a caller that
wants the end of its sound asks for a tail. A stream that breaks is opened again and the sound
repeated from its beginning: half a measurement is none. So is a sound with gaps. A sound card
runs on between two sounds, so each begins only when the card has been caught up with.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

import numpy as np

from earmark.audio import AudioPort
from earmark.errors import EarmarkError, StreamBroken
from earmark.signal import BLOCK, BLOCK_S, FLOOR_DBFS, RATE_HZ, Signal, level_dbfs

MAX_SOUND_S = 180.0
"""Most seconds of sound in a run: somebody lives there."""

WARM_UP_S = 0.5
"""Silence after a stream was opened, s: sound servers connect late, filters settle."""

ATTEMPTS = 3
"""How often a sound is played before a stream that breaks each time is given up."""

TELL_BLOCKS = 5
"""Blocks from one report of progress to the next: 0.1 s, as fast as a level meter is read."""

CLIPPED = 0.999
"""Magnitude from which a sample counts as clipped: 16 bits end at 0.99997, and a resampler
behind the converter moves a flat top by up to 0.1 %."""


AWAITED_BLOCKS = 5
"""Blocks in a row that the card makes us wait for when it has no more ready: 0.1 s."""

FORGOTTEN_S = 6.0
"""A card that was left alone for longer is opened anew, s: it keeps 10 s, then samples are lost."""

MOST_CAUGHT_UP = 110
"""Most times that so many are taken: 11 s, more than a card keeps."""


@runtime_checkable
class SoundCard(Protocol):
    """A port that runs by itself: late playback is lost, and counted."""

    @property
    def late_blocks(self) -> int:
        """Blocks of silence that were played because the caller came late."""
        ...

    def exchange(self, play: Signal) -> Signal:
        """As every port's."""
        ...

    def close(self) -> None:
        """As every port's."""
        ...


class SoundSpent(EarmarkError):
    """The run would be longer than it was promised to be."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a level meter shows, for the last 0.1 s.

    Parameters
    ----------
    what : the sound that plays.
    done_s, of_s : how much of it was recorded.
    level_dbfs, peak_dbfs : of the recording.
    clipped : whether a sample was.
    """

    what: str
    done_s: float
    of_s: float
    level_dbfs: float
    peak_dbfs: float
    clipped: bool


class Rig:
    """One port, the sound that was spent on it, and whom to tell.

    Use it in a ``with`` block: it opens the port at the first sound and closes it at the end.

    Parameters
    ----------
    open_port : opens the port; called again after a stream broke.
    limit_s : most sound altogether, s.
    tell : called with the progress, every 0.1 s of sound.
    clock : seconds, monotonic; asked only where the port is a sound card.
    """

    def __init__(
        self,
        open_port: Callable[[], AudioPort],
        limit_s: float = MAX_SOUND_S,
        tell: Callable[[Progress], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open_port = open_port
        self._limit_s = limit_s
        self._tell = tell
        self._clock = clock
        self._port: AudioPort | None = None
        self._blocks = 0
        self._left_at_s = 0.0
        self.streams = 0
        """Streams opened so far. The round trip is the same within one, not between two."""
        self.broken = 0
        """Streams that broke."""
        self.gaps = 0
        """Sounds that were taken though blocks of them were late: each try had some."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def sound_s(self) -> float:
        """Seconds of sound so far, repetitions and silence included."""
        return self._blocks * BLOCK_S

    @property
    def left_s(self) -> float:
        """Seconds of sound that may still be spent."""
        return self._limit_s - self.sound_s

    def play(self, signal: Signal, what: str = "", tail_s: float = 0.0) -> Signal:
        """Play a signal and return what the microphone recorded from its first sample on.

        Parameters
        ----------
        signal : 1-D at ``RATE_HZ``, within [-1, 1].
        what : name of it, for the progress.
        tail_s : how long to record after its end, s.

        Returns
        -------
        Signal of the length of `signal` and tail, rounded up to whole blocks.

        Raises
        ------
        SoundSpent
            It does not fit into what is left. Nothing was played.
        StreamBroken
            The stream broke each time.
        AudioError
            The port does not open.
        """
        count = -(-(signal.size + round(tail_s * RATE_HZ)) // BLOCK)
        padded = np.zeros(count * BLOCK, np.float32)
        padded[: signal.size] = signal
        for attempt in range(1, ATTEMPTS + 1):
            self._afford(count)
            try:
                port = self._opened()
                late = _late_blocks(port)
                recorded = self._exchange(port, padded.reshape(-1, BLOCK), what)
            except StreamBroken:
                self.broken += 1
                self.close()
                if attempt == ATTEMPTS:
                    raise
                continue
            if _late_blocks(port) == late:
                return recorded
            if attempt == ATTEMPTS:
                self.gaps += 1
                return recorded
        raise AssertionError("every attempt returns or raises")

    def listen(self, seconds: float, what: str = "") -> Signal:
        """Record `seconds` while nothing is played; as :meth:`play`."""
        return self.play(np.zeros(0, np.float32), what, seconds)

    def close(self) -> None:
        """Stop the stream. The next sound opens another."""
        port, self._port = self._port, None
        if port is not None:
            port.close()

    def _opened(self) -> AudioPort:
        if isinstance(self._port, SoundCard) and self._clock() - self._left_at_s > FORGOTTEN_S:
            self.close()
        if self._port is None:
            self._port = self._open_port()
            self.streams += 1
            warm_up = np.zeros((round(WARM_UP_S / BLOCK_S), BLOCK), np.float32)
            self._exchange(self._port, warm_up, "")
        elif isinstance(self._port, SoundCard):
            self._catch_up(self._port)
        return self._port

    def _catch_up(self, card: AudioPort) -> None:
        """Exchange silence until the card makes us wait: what is played then is in time.

        A card runs on while the last sound is looked at. What it recorded meanwhile lies ready,
        and what would be played now would come too late to be heard.
        """
        silence = np.zeros(BLOCK, np.float32)
        for _ in range(MOST_CAUGHT_UP):
            began = self._clock()
            for _ in range(AWAITED_BLOCKS):
                card.exchange(silence)
            if self._clock() - began >= 0.5 * AWAITED_BLOCKS * BLOCK_S:
                return

    def _afford(self, count: int) -> None:
        needed_s = count * BLOCK_S + (WARM_UP_S if self._port is None else 0.0)
        if needed_s > self.left_s + BLOCK_S / 2:
            raise SoundSpent(
                f"{needed_s:.0f} s more sound would exceed the {self._limit_s:g} s of a run",
                "mend what made it repeat sounds, and run it again",
            )

    def _exchange(self, port: AudioPort, play: Signal, what: str) -> Signal:
        """Play blocks of shape (count, BLOCK)."""
        recorded = np.empty_like(play)
        for number, block in enumerate(play):
            recorded[number] = port.exchange(block)
            self._blocks += 1
            done = number + 1
            if what and self._tell is not None and (done % TELL_BLOCKS == 0 or done == len(play)):
                last = recorded[number // TELL_BLOCKS * TELL_BLOCKS : done]
                self._tell(_progress(what, done, len(play), last))
        if isinstance(port, SoundCard):
            self._left_at_s = self._clock()
        return recorded.reshape(-1)


def _late_blocks(port: AudioPort) -> int:
    return port.late_blocks if isinstance(port, SoundCard) else 0


def _progress(what: str, done: int, of: int, last: Signal) -> Progress:
    peak = float(np.max(np.abs(last)))
    peak_dbfs = max(FLOOR_DBFS, 20.0 * float(np.log10(peak))) if peak > 0.0 else FLOOR_DBFS
    level = level_dbfs(last.reshape(-1))
    return Progress(what, done * BLOCK_S, of * BLOCK_S, level, peak_dbfs, peak >= CLIPPED)
