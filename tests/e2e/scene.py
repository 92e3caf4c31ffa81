"""One scene in the room, on tape: what was said, and what the microphone heard of it."""

from __future__ import annotations

import subprocess
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.signal import correlate
from tests.e2e.room import LOUDSPEAKER, PERSON, VirtualRoom
from tests.e2e.server import RATE_HZ

from earmark.demo.clips import Clip
from earmark.signal import RATE_HZ as DEVICE_HZ
from earmark.signal import Signal

PAUSE_S = 0.4
"""Between wake word and command, s: as in the demo."""

LEVEL_DBSPL = 62.0
"""How loud a person speaks to a machine, dB SPL at 1 m."""

TRIES = 3
"""How often a scene is played at most: a device that was kept from its card for a while notices
with the next nonce that it misses that its round trip has grown, and opens its stream again."""

WINDOW_S = 0.4
"""What is compared at a time, s: a word."""


@dataclass
class Tally:
    """How many scenes were played, and how many of them once more."""

    played: int = 0
    again: int = 0


TALLY = Tally()
"""Of this run of pytest."""


class Scene:
    """Records the microphone and the loudspeaker for as long as it is open."""

    def __init__(self, room: VirtualRoom) -> None:
        self.room = room
        self._open = ExitStack()
        self._said: list[tuple[str, Signal]] = []
        self.microphone: Signal = np.zeros(0, np.float32)
        self.loudspeaker: Signal = np.zeros(0, np.float32)

    def __enter__(self) -> Self:
        self._heard = self._open.enter_context(self.room.recorder())
        self._played = self._open.enter_context(self.room.recorder(LOUDSPEAKER))
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
        self.microphone, self.loudspeaker = self._heard[0], self._played[0]

    def say(self, source: str, played: Signal) -> subprocess.Popen[bytes]:
        """Play something (48 kHz) from now on; the process that does."""
        self._said.append((source, played))
        return self.room.play(source, played)

    def speak(self, wake: Clip, command: Clip) -> subprocess.Popen[bytes]:
        """A person says the wake word and then a command."""
        pause = np.zeros(round(PAUSE_S * RATE_HZ), np.float32)
        words = [self.room.emitted(clip.signal, LEVEL_DBSPL) for clip in (wake, command)]
        return self.say(PERSON, np.concatenate([words[0], pause, words[1]]))

    def end_s(self, source: str) -> float:
        """When in the recording the last thing that a source said was over, s."""
        played = [signal for name, signal in self._said if name == source][-1]
        lags = [at for at, _ in matches(self.microphone, self.room.heard(source, played), RATE_HZ)]
        return (float(np.median(lags)) + played.size) / RATE_HZ

    @property
    def disturbed(self) -> str | None:
        """What went wrong in the room itself, apart from the device; None for nothing.

        What was said must be in the recording in one piece, and the device's playback may only
        miss whole blocks of its own: anything else is a cycle that the server has missed.
        """
        for source, played in self._said:
            wanted = self.room.heard(source, played)
            lags = [at for at, _ in matches(self.microphone, wanted, RATE_HZ)]
            if len(set(lags)) > 1:
                return f"{source} was interrupted"
        for length in _gaps(self.loudspeaker):
            if length % (RATE_HZ // 50):
                return f"the device's playback was interrupted for {1e3 * length / RATE_HZ:.0f} ms"
        return None


def undisturbed(
    room: VirtualRoom,
    play: Callable[[Scene], None],
    late: Callable[[], str | None] = lambda: None,
) -> Scene:
    """Play a scene; again when it failed and the room was disturbed meanwhile.

    Parameters
    ----------
    late : why the machine, not the device, is to blame all the same; None where it is not.
    """
    TALLY.played += 1
    for left in reversed(range(TRIES)):
        scene = Scene(room)
        try:
            with scene:
                play(scene)
        except AssertionError:
            why = scene.disturbed or late()
            if not left or why is None:
                raise
            TALLY.again += 1
            warnings.warn(f"played again: {why}", stacklevel=2)
            room.await_calm()
        else:
            return scene
    raise AssertionError("not reached")


def matches(recorded: Signal, wanted: Signal, rate_hz: int) -> list[tuple[int, float]]:
    """Where each word of a signal is in a recording.

    For each stretch of `WINDOW_S` in which there is something, up to the very end: the lag of the
    whole signal at which it fits best, samples, and the coefficient of correlation there.
    """
    size = round(WINDOW_S * rate_hz)
    loud = float(np.max(np.abs(wanted))) * 0.1
    found = []
    for at in (*range(0, wanted.size - size, size), wanted.size - size):
        part = wanted[at : at + size].astype(np.float64)
        if np.max(np.abs(part)) < loud:
            continue
        scores = correlate(recorded.astype(np.float64), part, mode="valid", method="fft")
        energy = np.cumsum(np.concatenate([[0.0], recorded.astype(np.float64) ** 2]))
        norms = np.sqrt(np.maximum(energy[size:] - energy[:-size], 1e-12) * np.sum(part**2))
        best = int(np.argmax(scores / norms))
        found.append((best - at, float(scores[best] / norms[best])))
    return found


def at_device(signal: Signal) -> Signal:
    """A signal of the room at the device's rate."""
    return np.asarray(soxr.resample(signal, RATE_HZ, DEVICE_HZ, "VHQ"), dtype=np.float32)


def _gaps(played: Signal) -> list[int]:
    """Lengths of the silences of 1 to 100 ms within a playback, samples."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], played == 0.0, [0]]).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    lengths: NDArray[np.intp] = (ends - starts)[(starts > 0) & (ends < played.size)]
    return [int(n) for n in lengths if RATE_HZ // 1000 <= n <= RATE_HZ // 10]
