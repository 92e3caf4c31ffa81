"""The second pass of the canceller: what is forwarded goes through it.

Plain least squares learns the echo path under the speech, so its error is as loud as speech
allows: some 20 dB below the nonce. But speech leaves most of the plane of time and frequency
empty, and there the nonce lies open. So every cell of the short-time spectrum is weighted by the
inverse of the power that the canceller leaves there: the maximum-likelihood filter for a residual
that is Gaussian with a power of its own in every cell (Nakatani et al., IEEE TASLP 18(7), 2010,
section III, there for dereverberation). Each band has a few taps of its own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import uniform_filter

from earmark.filters import hann
from earmark.signal import RATE_HZ, Signal

FRAME = 1024
"""Length of a frame, samples: 64 ms; shorter ones need more taps for the same response."""

HOP = 256
"""From frame to frame, samples: a quarter, so that bands hardly alias into each other."""

TAPS = 8
"""Taps of a band: with the frame they span 0.18 s. More are learnt less well: 12 leave 1 dB
more."""

EARLY = 1
"""Of which ahead of the direct sound: frames overlap."""

ROUNDS = 2
"""Times that the weights are taken anew; the first from what the first pass left."""

RIDGE = 1e-4
"""Regularisation relative to the mean diagonal of a band's equations: for bands without nonce."""

GUARD = 16
"""Bands beyond both edges of the nonce that are treated like it, 250 Hz: its filter's skirts."""

SMOOTH = (3, 3)
"""Bands and frames over which the power of a cell is averaged."""

FLOOR = 1e-4
"""Least power of a cell relative to its band's mean."""

_WINDOW = np.sqrt(hann(FRAME)).astype(np.float32)
_SCALE = np.float32(HOP / (FRAME / 2))


def deepen(
    recording: Signal, cleaned: Signal, reference: Signal, band_hz: tuple[float, float]
) -> Signal:
    """Take the nonce out once more.

    Parameters
    ----------
    recording : the microphone, from the first sample of the nonce on.
    cleaned : the same after the first pass.
    reference : the nonce as it was played, in the recorder's time, delayed to its direct sound.
    band_hz : where its energy lies.

    Returns
    -------
    float32, the shape of `recording`: the recording without the nonce.
    """
    low, high = (round(hz / RATE_HZ * FRAME) for hz in band_hz)
    bands = slice(max(1, low - GUARD), high + GUARD + 1)
    whole = _analyse(recording)
    heard = whole[bands].copy()
    source = _taps(_analyse(reference)[bands])
    before = _analyse(cleaned)
    first = left = before[bands]
    for _ in range(ROUNDS):
        left = heard - _echo(heard, source, _weight(left))
    # Bands alias into each other, some 38 dB down. When the first pass went deeper, it stays.
    if not _quieter(left, first):
        return cleaned
    # What little there is beyond is left to the first pass.
    whole -= before
    whole[bands] = heard - left
    return np.asarray(recording - _synthesise(whole, recording.size), np.float32)


def _echo(
    heard: NDArray[np.complex64], source: NDArray[np.complex64], weight: NDArray[np.float32]
) -> NDArray[np.complex64]:
    """What the taps that fit best make of the source, shape (bands, frames)."""
    weighted = source.conj() * weight[..., None]
    across = np.ascontiguousarray(weighted.transpose(0, 2, 1))
    normal = np.matmul(across, source)
    wanted = np.matmul(across, heard[..., None])
    mean = np.real(np.trace(normal, axis1=1, axis2=2)) / TAPS
    damping = RIDGE * mean + np.finfo(np.float32).tiny
    normal += damping[:, None, None] * np.eye(TAPS, dtype=np.float32)
    return np.asarray(np.matmul(source, np.linalg.solve(normal, wanted))[..., 0], np.complex64)


def _weight(left: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Weight of every cell, with a mean of about 1 in each band."""
    power = uniform_filter(left.real**2 + left.imag**2, SMOOTH, mode="nearest")
    mean = power.mean(axis=1, keepdims=True) + np.finfo(np.float32).tiny
    return np.asarray(1.0 / (power / mean + FLOOR), np.float32)


def _quieter(left: NDArray[np.complex64], first: NDArray[np.complex64]) -> bool:
    """Whether `left` has less power than `first`, every cell with the same say."""
    now, before = (
        uniform_filter(each.real**2 + each.imag**2, SMOOTH, mode="nearest")
        for each in (left, first)
    )
    return bool(np.mean(now / (now + before + np.finfo(np.float32).tiny)) < 0.5)


def _taps(spectrum: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """(bands, frames) -> (bands, frames, TAPS): later, same and earlier frames side by side."""
    count = spectrum.shape[1]
    padded = np.pad(spectrum, ((0, 0), (TAPS, EARLY)))
    starts = [TAPS + EARLY - tap for tap in range(TAPS)]
    return np.stack([padded[:, start : start + count] for start in starts], axis=2)


def _analyse(signal: Signal) -> NDArray[np.complex64]:
    """Short-time spectrum, shape (bands, frames)."""
    count = -(-signal.size // HOP) + FRAME // HOP - 1
    padded = np.zeros((count - 1) * HOP + FRAME, np.float32)
    padded[FRAME - HOP : FRAME - HOP + signal.size] = signal
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP]
    return np.ascontiguousarray(fft.rfft(frames * _WINDOW, axis=1).T)


def _synthesise(spectrum: NDArray[np.complex64], size: int) -> Signal:
    frames = fft.irfft(np.ascontiguousarray(spectrum.T), FRAME, axis=1) * (_WINDOW * _SCALE)
    parts = FRAME // HOP
    out = np.zeros((frames.shape[0] + parts - 1, HOP), np.float32)
    for part in range(parts):
        out[part : part + frames.shape[0]] += frames[:, part * HOP : (part + 1) * HOP]
    return np.asarray(out.reshape(-1)[FRAME - HOP : FRAME - HOP + size], np.float32)
