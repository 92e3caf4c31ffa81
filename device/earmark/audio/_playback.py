"""The way of the playback from the caller to the air: clocks, latency, loudspeaker.

16 kHz -> 48 kHz -> loudspeaker -> 16 kHz of the recording's clock -> FIFO -> frequency shift.
The FIFO is filled beforehand with as many zeros as the latency asks for; the resamplers deliver
late but in step, so their own delay does not add to it.
"""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy import signal as sps

from earmark.audio._loudspeaker import OVERSAMPLING, Loudspeaker
from earmark.signal import BLOCK, RATE_HZ, Signal

HILBERT_TAPS = 255
"""Length of the Hilbert filter: reaches down to about 100 Hz at 16 kHz, below the loudspeaker."""

LEAST_LATENCY_S = 0.08
"""Least latency, s: resamplers 49 ms, Hilbert filter 8 ms, one block for drift."""


class PlaybackLine:
    """Streams the playback with latency, drift and frequency shift.

    Parameters
    ----------
    speaker : the loudspeaker's distortion and band limits.
    latency_s : delay from `next` taking a block to returning it, s; at least LEAST_LATENCY_S.
    drift_ppm : how much faster the playback's clock runs than the recording's.
    shift_hz : shift of all frequencies, Hz.
    """

    def __init__(
        self, speaker: Loudspeaker, latency_s: float, drift_ppm: float, shift_hz: float
    ) -> None:
        self._speaker = speaker
        self._ratio = 1.0 + drift_ppm * 1e-6
        high_hz = OVERSAMPLING * RATE_HZ
        self._up = soxr.ResampleStream(RATE_HZ, high_hz, 1, dtype="float32")
        # Variable-rate mode works in small steps: 4 ms behind instead of up to 90.
        self._down = soxr.ResampleStream(
            high_hz * self._ratio, RATE_HZ, 1, dtype="float32", vr=True
        )
        self._shifter = _Shifter(shift_hz) if shift_hz else None
        held = round(latency_s * RATE_HZ) - (self._shifter.delay if self._shifter else 0)
        self._fifo = np.zeros(held, dtype=np.float32)
        self._last = np.zeros(BLOCK, dtype=np.float32)
        self._blocks = 0
        self._corrected = 0
        self.slips = 0
        """Blocks dropped or repeated so far."""

    def next(self, play: Signal) -> Signal:
        """Take a block to play and return the block that leaves the loudspeaker now."""
        radiated = self._down.resample_chunk(self._speaker.radiate(self._up.resample_chunk(play)))
        self._fifo = np.concatenate([self._fifo, radiated])
        self._blocks += 1
        # Samples that the FIFO has gained over its nominal filling through drift.
        gained = self._blocks * BLOCK * (1.0 / self._ratio - 1.0) - self._corrected
        if gained <= -BLOCK:
            self._corrected -= BLOCK
            self.slips += 1
            block = self._last
        else:
            if gained >= BLOCK:
                self._corrected += BLOCK
                self.slips += 1
                self._fifo = self._fifo[BLOCK:]
            block, self._fifo = self._fifo[:BLOCK], self._fifo[BLOCK:]
        self._last = block
        return self._shifter.shift(block) if self._shifter else block


class _Shifter:
    """Single-sideband frequency shift by a FIR Hilbert filter."""

    def __init__(self, shift_hz: float) -> None:
        self.delay = HILBERT_TAPS // 2
        n = np.arange(HILBERT_TAPS) - self.delay
        with np.errstate(divide="ignore", invalid="ignore"):
            ideal = np.where(n % 2 == 1, 2.0 / (np.pi * n), 0.0)
        window = sps.get_window("hamming", HILBERT_TAPS, fftbins=False)
        self._taps: NDArray[np.float32] = (ideal * window).astype(np.float32)
        self._history = np.zeros(HILBERT_TAPS - 1, dtype=np.float32)
        self._turn = 2.0 * np.pi * shift_hz / RATE_HZ
        self._at = 0

    def shift(self, block: Signal) -> Signal:
        whole = np.concatenate([self._history, block])
        self._history = whole[-(HILBERT_TAPS - 1) :]
        # Direct convolution: rounding must not depend on the transform's choice of length.
        imaginary = np.convolve(whole, self._taps, mode="valid")
        real = whole[self.delay : self.delay + block.size]
        phase = self._turn * (self._at + np.arange(block.size))
        self._at += block.size
        return np.asarray(real * np.cos(phase) - imaginary * np.sin(phase), dtype=np.float32)
