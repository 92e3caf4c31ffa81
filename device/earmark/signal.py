"""What every part agrees on about a signal: its type, its rate, its levels.

A signal is a 1-D float32 array in [-1, 1] at :data:`RATE_HZ`; a long one is a stream of
blocks of :data:`BLOCK` samples. A level in dBFS is that of the root mean square:
0 dBFS is an rms of 1.0 (a full-scale sine has -3.01 dBFS).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Signal: TypeAlias = NDArray[np.float32]

RATE_HZ = 16_000
"""Sampling rate inside Earmark, Hz: what wake-word, speaker and recognition models expect."""

BLOCK_S = 0.02
"""Length of one block, s: PortAudio runs without over- or underruns at 20 ms on a Pi."""

BLOCK = round(RATE_HZ * BLOCK_S)
"""Length of one block, samples."""

FLOOR_DBFS = -120.0
"""Level reported for silence, dBFS: below the noise of a 16-bit converter (-98)."""


def rms(signal: Signal) -> float:
    """Root mean square of `signal` (any length; 0.0 when empty)."""
    if signal.size == 0:
        return 0.0
    return float(np.sqrt(np.mean(np.square(signal, dtype=np.float64))))


def level_dbfs(signal: Signal) -> float:
    """Level of `signal` in dBFS, at least :data:`FLOOR_DBFS`."""
    value = rms(signal)
    return max(FLOOR_DBFS, 20.0 * float(np.log10(value))) if value > 0.0 else FLOOR_DBFS


def gain(db: float) -> float:
    """Amplitude factor of `db` decibels."""
    return float(10.0 ** (db / 20.0))


def active_level_dbfs(signal: Signal) -> float:
    """Level of the active part of speech, dBFS.

    The level over the 20 ms frames within 25 dB of the loudest one, so that pauses do not
    count: a plain stand-in for the active speech level of ITU-T P.56.
    """
    frames = signal[: signal.size // BLOCK * BLOCK].reshape(-1, BLOCK).astype(np.float64)
    if frames.size == 0:
        return level_dbfs(signal)
    power = np.mean(frames**2, axis=1)
    peak = float(power.max())
    if peak <= 0.0:
        return FLOOR_DBFS
    active = power[power >= peak * 10.0 ** (-25.0 / 10.0)]
    return max(FLOOR_DBFS, 10.0 * float(np.log10(active.mean())))
