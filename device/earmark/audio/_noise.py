"""Streams of noise: coloured, from a seed, or a clip that loops."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

import numpy as np
from scipy import signal as sps

from earmark.signal import BLOCK, RATE_HZ, Signal

Colour: TypeAlias = Literal["white", "pink", "brown"]

CROSSFADE = BLOCK
"""Samples over which a looping clip fades from its end into its beginning: no click."""


class NoiseStream(Protocol):
    """An endless stream of blocks."""

    def next(self) -> Signal:
        """Return the next block."""
        ...


class ColouredNoise:
    """Gaussian noise of a colour: white, pink (-3 dB/octave) or brown (-6 dB/octave).

    Parameters
    ----------
    colour : the colour; both slopes run from about 60 Hz to 4 kHz.
    rms : root mean square of the stream.
    rng : where the randomness comes from.
    """

    def __init__(self, colour: Colour, rms: float, rng: np.random.Generator) -> None:
        self._rng = rng
        self._sections = _SECTIONS[colour]
        if self._sections is None:
            self._rms = rms
            return
        # The power gain of the filter is the energy of its impulse response.
        impulse = np.zeros(RATE_HZ)
        impulse[0] = 1.0
        response = sps.sosfilt(self._sections, impulse)
        self._rms = rms / float(np.sqrt(np.sum(response**2)))
        self._state = np.zeros((self._sections.shape[0], 2))
        # Start in the steady state: run in for one time constant of the lowest pole and more.
        for _ in range(25):
            self.next()

    def next(self) -> Signal:
        """Return the next block."""
        white = self._rng.standard_normal(BLOCK, dtype=np.float32) * np.float32(self._rms)
        if self._sections is None:
            return white
        coloured, self._state = sps.sosfilt(self._sections, white, zi=self._state)
        return np.asarray(coloured, dtype=np.float32)


class LoopedNoise:
    """A recording of noise over and over, its ends crossfaded, from a random place on.

    Parameters
    ----------
    clip : the recording, longer than two crossfades (40 ms).
    rms : root mean square of the stream.
    rng : chooses where to begin.
    """

    def __init__(self, clip: Signal, rms: float, rng: np.random.Generator) -> None:
        if clip.size <= 2 * CROSSFADE:
            raise ValueError(f"noise of {clip.size} samples: more than {2 * CROSSFADE} needed")
        ramp = np.linspace(0.0, np.pi / 2, CROSSFADE, dtype=np.float32)
        loop = clip[:-CROSSFADE].copy()
        loop[:CROSSFADE] = clip[:CROSSFADE] * np.sin(ramp) + clip[-CROSSFADE:] * np.cos(ramp)
        level = float(np.sqrt(np.mean(np.square(loop, dtype=np.float64))))
        if level == 0.0:
            raise ValueError("noise is silent")
        self._loop = np.asarray(loop * (rms / level), dtype=np.float32)
        self._at = int(rng.integers(loop.size))

    def next(self) -> Signal:
        """Return the next block."""
        index = (self._at + np.arange(BLOCK)) % self._loop.size
        self._at = (self._at + BLOCK) % self._loop.size
        return np.asarray(self._loop[index], dtype=np.float32)


def _at_hz(frequency: float) -> float:
    """Place on the real axis of a pole or zero at `frequency` Hz."""
    return float(np.exp(-2.0 * np.pi * frequency / RATE_HZ))


# Pink: three pairs of pole and zero an octave apart, two octaves from pair to pair: -3 dB/octave
# within 1 dB from 60 Hz to 4 kHz, flatter above.
_PINK = sps.zpk2sos(
    [_at_hz(f) for f in (158.0, 632.0, 2530.0)],
    [_at_hz(f) for f in (79.0, 316.0, 1265.0)],
    1.0,
)
_BROWN = sps.zpk2sos([], [_at_hz(50.0)], 1.0)
_SECTIONS = {"white": None, "pink": _PINK, "brown": _BROWN}
