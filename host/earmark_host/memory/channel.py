"""From the attacker's file to the device's microphone: a cable, or a loudspeaker in a room.

The device hears no query as it was sent: a small loudspeaker colours and bends it, the room adds
its echoes, there is a noise, the recording begins a little earlier or later each time, and the
attacker's sound card has a clock of its own. The same query is heard anew each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeAlias

import numpy as np
import soxr
from scipy import signal as sps

from earmark.audio._loudspeaker import Loudspeaker, play_clip
from earmark.audio._noise import Colour, ColouredNoise, LoopedNoise
from earmark.audio.room_model import LEAD, MIC, RoomModel
from earmark.signal import BLOCK, RATE_HZ, Signal, active_level_dbfs, gain, rms

Noise: TypeAlias = Colour | Signal
"""A colour, or a clip (1-D float32 at 16 kHz, longer than 40 ms) that is looped."""

TAIL_DB = -30.0
"""What the room still holds when the recording ends, dB of a response's energy: an endpointer
no longer hears speech by then."""

MAX_DELAY_S = 0.020
"""The recording begins up to this long before the query arrives, s: one audio block."""

MIC_DBFS = -26.0
"""Active level of a heard query, dBFS: the nominal one of speech in ITU-T P.56 and G.191. A
device with automatic gain brings every speaker there."""

DRIVE_DBFS = -20.0
"""Active level at which the attacker's loudspeaker is driven, dBFS: peaks are 15 to 18 dB up."""

THD_PERCENT = 1.0
"""Distortion of that loudspeaker at that level, %: a decent small one."""

MAX_CLOCK_PPM = 500.0
"""Largest clock offset, ppm: crystals have 100 at most."""


class Channel(Protocol):
    """What a query goes through before the device hears it.

    Attributes
    ----------
    name : which it is, in reports.
    """

    @property
    def name(self) -> str: ...

    def __call__(self, signal: Signal, rng: np.random.Generator) -> Signal:
        """What the microphone gives for `signal`, both 1-D float32 in [-1, 1] at 16 kHz."""
        ...


def digital() -> Channel:
    """A cable: the device hears what is sent, clipped to [-1, 1]."""
    return _Digital()


def over_the_air(
    room: RoomModel, source: str, noise: Noise, snr_db: float, clock_ppm: float = 0.0
) -> Channel:
    """A loudspeaker at a position of a room, and a noise.

    Parameters
    ----------
    room : its response from the source to the microphone is used.
    source : position of the attacker's loudspeaker, one of `room.sources`.
    noise : what else is heard, from a random place on in each query.
    snr_db : active level of the query at the microphone over the noise, dB. The noise's level is
        that of its whole clip: where the clip is quiet, so is the noise.
    clock_ppm : how much faster the attacker's clock runs, ppm (+-500).

    Raises
    ------
    ValueError
        No such source, a silent or too short noise, or a clock out of range.
    """
    if (source, MIC) not in room.responses:
        raise ValueError(f"no position {source!r} in room {room.name}: {', '.join(room.sources)}")
    if not isinstance(noise, str) and (noise.size <= 2 * BLOCK or rms(noise) == 0.0):
        raise ValueError("a noise clip must be longer than 40 ms and not silent")
    if not abs(clock_ppm) <= MAX_CLOCK_PPM:
        raise ValueError(f"clock_ppm is {clock_ppm}, must be within +-{MAX_CLOCK_PPM:g}")
    return _OverTheAir(room, source, noise, snr_db, clock_ppm)


@dataclass(frozen=True)
class _Digital:
    name: str = "digital"

    def __call__(self, signal: Signal, rng: np.random.Generator) -> Signal:
        del rng
        return np.clip(signal, -1.0, 1.0).astype(np.float32)


@dataclass(frozen=True, eq=False)
class _OverTheAir:
    room: RoomModel
    source: str
    noise: Noise
    snr_db: float
    clock_ppm: float

    @property
    def name(self) -> str:
        noise = self.noise if isinstance(self.noise, str) else "recorded"
        return f"{self.room.name}/{self.source}, {noise} noise at {self.snr_db:g} dB"

    def __call__(self, signal: Signal, rng: np.random.Generator) -> Signal:
        played = self._play(signal)
        echoed = sps.oaconvolve(played, self._response)[: played.size + self._tail]
        delay = int(rng.integers(round(MAX_DELAY_S * RATE_HZ) + 1))
        heard = np.concatenate([np.zeros(delay), echoed])
        heard *= gain(MIC_DBFS - active_level_dbfs(heard.astype(np.float32)))
        heard += _noise(self.noise, heard.size, gain(MIC_DBFS - self.snr_db), rng)
        clipped: Signal = np.clip(heard, -1.0, 1.0).astype(np.float32)
        return clipped

    def _play(self, signal: Signal) -> Signal:
        """What the loudspeaker radiates, at any scale."""
        if self.clock_ppm:
            faster = 1.0 + self.clock_ppm * 1e-6
            signal = soxr.resample(signal, RATE_HZ * faster, RATE_HZ).astype(np.float32)
        driven = np.clip(signal * gain(DRIVE_DBFS - active_level_dbfs(signal)), -1.0, 1.0)
        return play_clip(Loudspeaker(THD_PERCENT, DRIVE_DBFS, "speaker"), driven.astype(np.float32))

    @cached_property
    def _response(self) -> Signal:
        """From the source to the microphone, beginning with the time of flight."""
        return self.room.responses[self.source, MIC][LEAD:]

    @cached_property
    def _tail(self) -> int:
        """Where the energy still to come falls below TAIL_DB, samples."""
        to_come = np.cumsum(np.square(self._response[::-1], dtype=np.float64))[::-1]
        return int(np.count_nonzero(to_come > to_come[0] * 10.0 ** (TAIL_DB / 10.0)))


def _noise(noise: Noise, size: int, wanted_rms: float, rng: np.random.Generator) -> Signal:
    """`size` samples of a noise from a random place on."""
    if isinstance(noise, str):
        stream: ColouredNoise | LoopedNoise = ColouredNoise(noise, wanted_rms, rng)
    else:
        stream = LoopedNoise(noise, wanted_rms, rng)
    blocks = [stream.next() for _ in range(-(-size // BLOCK))]
    return np.concatenate(blocks)[:size]
