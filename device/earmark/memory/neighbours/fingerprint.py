"""The fingerprint of a query: where its spectral peaks stand, and nothing else.

A constellation (Wang, ISMIR 2003) without the pairing: the strongest local maxima of the
spectrogram, 40 a second. Which recording it was can be told again from them; what was said, or by
whom, cannot be heard in them, since levels and phases are gone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from earmark.memory.spectrum import spectrogram
from earmark.signal import RATE_HZ, Signal

SIZE = 1024
"""Window of the transform, samples: 64 ms, bins of 15.6 Hz. Twice as long tells different takes of
a word apart a little better (their 99.5th percentile .30 instead of .39 in likeness, 642 pairs of
19 people), but a speed change of .5 % then moves a peak at 2 kHz by more than a bin."""

HOP = 256
"""Distance of two windows, samples: 16 ms."""

LOWEST = math.ceil(200.0 * SIZE / RATE_HZ)
"""First bin used: 200 Hz, below which small loudspeakers and the hum of a room are."""

HIGHEST = math.floor(4000.0 * SIZE / RATE_HZ)
"""Last bin used: 4 kHz. Speech has little above, and up to 6 kHz nothing was won."""

BINS = HIGHEST - LOWEST + 1
"""Number of bins used: 244, so that one byte holds a bin."""

REACH_FRAMES, REACH_BINS = 1, 3
"""A peak is the maximum of its neighbourhood of +-16 ms and +-47 Hz. Wider neighbourhoods spread
the peaks more evenly and lose them to noise: at 0 dB two noisy copies of a word (n = 40) are told
from other takes of it in 38 % with +-3 and +-4, in 75 % with these."""

PER_S = 40.0
"""Peaks a second: 60 reach into the noise (at 10 dB in a room 75 % instead of 88 %)."""

MOST = 200
"""Most peaks kept, the strongest: 600 bytes, for commands over 5 s."""

MAX_FRAMES = 1024
"""Longest fingerprint, frames: 16.4 s, above the longest command that a session records."""

_FLOOR = 1e-9
"""Least power of a peak: a tone with an amplitude of 3e-5, one step of a 16-bit converter.
Digital silence has no peaks."""

Peaks: TypeAlias = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """Peaks of one query, in the order of time.

    Parameters
    ----------
    frames : shape (n,), int32, time in hops of 16 ms, 0 to 1023.
    bins : shape (n,), int32, frequency in bins of 15.6 Hz above 203 Hz, 0 to 243.

    Raises
    ------
    ValueError
        The arrays do not belong together or lie outside these ranges.
    """

    frames: Peaks
    bins: Peaks

    def __post_init__(self) -> None:
        if self.frames.ndim != 1 or self.frames.shape != self.bins.shape:
            raise ValueError("frames and bins must be 1-D and equally long")
        if self.frames.size > MOST:
            raise ValueError(f"{self.frames.size} peaks, at most {MOST}")
        if self.frames.size and not (
            0 <= self.frames.min() <= self.frames.max() < MAX_FRAMES
            and 0 <= self.bins.min() <= self.bins.max() < BINS
        ):
            raise ValueError("a peak lies outside time or band")

    def __len__(self) -> int:
        """Number of peaks."""
        return int(self.frames.size)

    def to_bytes(self) -> bytes:
        """Three bytes a peak: frame (16 bits, little-endian), bin."""
        packed = np.empty((len(self), 3), np.uint8)
        packed[:, 0] = self.frames & 0xFF
        packed[:, 1] = self.frames >> 8
        packed[:, 2] = self.bins
        return packed.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Fingerprint:
        """Read what :meth:`to_bytes` wrote.

        Raises
        ------
        ValueError
            It is no fingerprint.
        """
        if len(data) % 3:
            raise ValueError(f"{len(data)} bytes are no fingerprint: it has three a peak")
        return cls(*peaks_of(data))

    def at_speed(self, factor: float) -> Fingerprint:
        """The peaks that the same sound has when it is played `factor` times as fast.

        Peaks that leave the band or the longest time are gone.
        """
        frames = np.rint(self.frames / factor).astype(np.int32)
        # The bins count from LOWEST, but frequencies scale from zero.
        bins = np.rint((self.bins + LOWEST) * factor).astype(np.int32) - LOWEST
        inside = (bins >= 0) & (bins < BINS) & (frames < MAX_FRAMES)
        return Fingerprint(frames[inside], bins[inside])


def peaks_of(packed: bytes) -> tuple[Peaks, Peaks]:
    """Frames and bins of what :meth:`Fingerprint.to_bytes` wrote, of one or of many in a row."""
    table = np.frombuffer(packed, np.uint8).reshape(-1, 3).astype(np.int32)
    return table[:, 0] | table[:, 1] << 8, table[:, 2]


def fingerprint(signal: Signal) -> Fingerprint:
    """Find the strongest peaks of `signal`.

    Parameters
    ----------
    signal : shape (n,), float32 at 16 kHz: the command; what is beyond 16 s is not looked at.
    """
    signal = signal[: (MAX_FRAMES - 1) * HOP + SIZE]
    power = np.ascontiguousarray(spectrogram(signal, SIZE, HOP)[:, LOWEST : HIGHEST + 1])
    highest = maximum_filter1d(power, 2 * REACH_BINS + 1, axis=1)
    highest = maximum_filter1d(highest, 2 * REACH_FRAMES + 1, axis=0)
    # A tone of amplitude a has the power (a * SIZE / 4)**2 under a Hann window.
    frames, bins = np.nonzero((power == highest) & (power > _FLOOR * (SIZE / 4) ** 2))
    most = min(MOST, math.ceil(PER_S * signal.size / RATE_HZ))
    if frames.size > most:
        strongest = np.argpartition(power[frames, bins], -most)[-most:]
        strongest.sort()
        frames, bins = frames[strongest], bins[strongest]
    return Fingerprint(frames.astype(np.int32), bins.astype(np.int32))
