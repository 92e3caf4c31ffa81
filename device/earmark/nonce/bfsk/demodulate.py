"""From a recording to tone powers: band selection and short-time spectra on the tone grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from earmark.nonce.bfsk.waveform import Bfsk
from earmark.signal import RATE_HZ, Signal

STEPS_PER_SLOT = 8
"""Time resolution of the search for the start, steps per slot: at 20 bit/s 6.25 ms, so a
slot is met to within 3 ms and loses at most 0.6 dB."""

SHIFT_STEP_HZ = 5.0
"""Grid of the search over frequency shift, Hz: a tone of 50 ms loses 0.1 dB at half a step."""

GUARD_HZ = 100.0
"""Band kept beyond the hop set on both sides, Hz: room for +-30 Hz of shift and for the main
lobe of a slot (20-40 Hz)."""


@dataclass(frozen=True)
class Baseband:
    """The part of a recording around the hop set, shifted to 0 Hz and decimated.

    Parameters
    ----------
    samples : complex64, shape (n,).
    rate_hz : their rate, about the width of the band.
    centre_hz : the frequency that became 0 Hz.
    """

    samples: NDArray[np.complex64]
    rate_hz: float
    centre_hz: float


def to_baseband(recording: Signal, wave: Bfsk) -> Baseband:
    """Select the hop set's band from a recording at ``RATE_HZ``, exactly, by FFT."""
    size = fft.next_fast_len(max(recording.size, 64), real=True)
    spectrum = fft.rfft(recording, size)
    low = max(0, int(np.floor((wave.low_hz - GUARD_HZ) * size / RATE_HZ)))
    high = min(spectrum.size, int(np.ceil((wave.high_hz + GUARD_HZ) * size / RATE_HZ)))
    bins = fft.next_fast_len(high - low)
    half = (high - low) // 2
    # Bin `low + half` goes to 0 Hz, the ones below it to negative frequencies.
    shifted = np.zeros(bins, np.complex64)
    shifted[: high - low - half] = spectrum[low + half : high]
    shifted[bins - half :] = spectrum[low : low + half]
    samples = fft.ifft(shifted) * (2.0 * bins / size)
    rate_hz = bins * RATE_HZ / size
    kept = min(bins, int(np.ceil(recording.size * bins / size)))
    return Baseband(samples[:kept].astype(np.complex64), rate_hz, (low + half) * RATE_HZ / size)


@dataclass(frozen=True)
class ToneGrid:
    """Power of every tone at every time step and frequency shift.

    Parameters
    ----------
    power : float32, shape (shifts, steps, tones): power in a slot-long window that starts at
        ``step * step_s``.
    total : float32, shape (steps,): power of the whole band in the same window, on the same
        scale (a lone tone at any grid point gives power == total).
    shifts_hz : shape (shifts,), ascending.
    step_s : time between steps.
    """

    power: NDArray[np.float32]
    total: NDArray[np.float32]
    shifts_hz: NDArray[np.float64]
    step_s: float


def tone_grid(baseband: Baseband, wave: Bfsk, max_shift_hz: float) -> ToneGrid:
    """Measure all tones over time.

    Windows that reach beyond the recording are padded with silence: slots at the end can be
    read as far as they were recorded.
    """
    step_s = wave.slot_s / STEPS_PER_SLOT
    window = max(8, round(wave.slot_s * baseband.rate_hz))
    steps = int(np.ceil(baseband.samples.size / baseband.rate_hz / step_s))
    starts = np.round(np.arange(steps) * step_s * baseband.rate_hz).astype(np.int64)
    padded = np.concatenate([baseband.samples, np.zeros(window, np.complex64)])
    frames = padded[starts[:, None] + np.arange(window)]
    # Zero padding to a bin of at most half the shift step: the nearest bin is near enough.
    size = fft.next_fast_len(max(window, int(np.ceil(2.0 * baseband.rate_hz / SHIFT_STEP_HZ))))
    spectra = np.abs(fft.fft(frames, size, axis=1)) ** 2
    side = int(np.ceil(max_shift_hz / SHIFT_STEP_HZ))
    shifts_hz = np.asarray(np.arange(-side, side + 1) * SHIFT_STEP_HZ, np.float64)
    offsets = wave.tone_hz[None, :] + shifts_hz[:, None] - baseband.centre_hz
    bins = np.round(offsets * size / baseband.rate_hz).astype(np.int64) % size
    power = np.moveaxis(spectra[:, bins], 0, 1) / window**2
    total = np.mean(np.abs(frames) ** 2, axis=1)
    return ToneGrid(power.astype(np.float32), total.astype(np.float32), shifts_hz, step_s)


def whitened(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Power of each tone relative to its usual one, its median over time.

    A tone that always sounds (a whistle, a mains harmonic) counts for little then.

    Parameters
    ----------
    power : shape (..., steps, tones).
    """
    usual = np.median(power, axis=-2, keepdims=True)
    return np.asarray(power / np.maximum(usual, 1e-6 * float(usual.max()) + 1e-30))
