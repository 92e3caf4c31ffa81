"""The recording as a matched filter wants it: loud moments and bands count less.

The best detector of a known sound in noise whose power varies over time and frequency
correlates it with the recording divided by that power. Speech is sparse: most of the evidence
for a sound 30 dB below it lies between its harmonics and in its pauses.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import uniform_filter, uniform_filter1d

from earmark.filters import hann
from earmark.signal import Signal

FRAME = 512
"""Length of a frame, samples: 32 ms resolve the harmonics of a voice and follow its syllables."""

HOP = 256
"""Frames overlap by half; the square-root Hann window makes analysis and synthesis exact."""

SMOOTH = (3, 5)
"""Frames and bins over which the power is averaged: 48 ms by 156 Hz. A power taken from a single
cell would be divided by itself and leave nothing but phase."""

FLOOR = 1e-2
"""Added to the power, relative to its median: digital silence is no perfect channel."""

FAIRNESS = 1.5
"""How far bands that are always quiet are held back: 0 lets the quietest rule, 1 gives all the
same say, more favours those that are not. A filter that takes the nonce out of a band makes it
quiet: with 0, taking out 4-6 kHz hid 9 of 14 old nonces (40 dB SPL, R1 and R2), with 1.5 it hid 2
of 12, and the evidence of untouched ones falls by 4 %."""

BANDS = 9
"""Bins over which the usual power of a band is averaged: 280 Hz."""

RARE = 1e-6
"""Added to the usual power relative to its median: a band that the recorder cannot hear."""

_WINDOW = np.sqrt(hann(FRAME)).astype(np.float32)


def whitened(recording: Signal) -> Signal:
    """`recording` divided by its local power spectrum, same length, in no particular unit."""
    count = -(-recording.size // HOP) + 1
    padded = np.zeros((count + 1) * HOP, np.float32)
    padded[HOP : HOP + recording.size] = recording
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP]
    spectrum = fft.rfft(frames * _WINDOW, axis=1)
    power = uniform_filter(_power(spectrum), SMOOTH, mode="nearest")
    scale = float(np.median(power))
    if scale <= 0.0:  # mostly digital silence
        scale = float(power.mean()) or 1.0
    # In units of the typical power, so that float32 holds it at any level.
    spectrum /= power / scale + FLOOR
    usual = uniform_filter1d(_power(spectrum).mean(axis=0), BANDS, mode="nearest")
    spectrum /= (usual / max(float(np.median(usual)), 1e-30) + RARE) ** (0.5 * FAIRNESS)
    back = fft.irfft(spectrum, FRAME, axis=1) * _WINDOW
    out = np.zeros((count + 1, HOP), np.float32)
    out[:-1] += back[:, :HOP]
    out[1:] += back[:, HOP:]
    return np.asarray(out.reshape(-1)[HOP : HOP + recording.size], np.float32)


def _power(spectrum: NDArray[np.complex64]) -> NDArray[np.float32]:
    return np.asarray(spectrum.real**2 + spectrum.imag**2)
