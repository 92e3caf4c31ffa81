"""The spectrogram that every fingerprint starts from."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft

from earmark.signal import Signal

Spectrogram: TypeAlias = NDArray[np.float32]
"""Power, shape (frames, bins); row i starts at sample i * hop."""


def spectrogram(signal: Signal, size: int, hop: int) -> Spectrogram:
    """Power of `signal` over time and frequency (Guo et al. 2023, Eq. 7), with a Hann window.

    Parameters
    ----------
    signal : shape (n,), float32 in [-1, 1] at 16 kHz; shorter than `size` is filled up with zeros.
    size : length of the window and the transform, samples.
    hop : distance of two windows, samples.

    Returns
    -------
    Spectrogram
        Shape (1 + (n - size) // hop, size // 2 + 1), power (not dB), >= 0.
    """
    if signal.size < size:
        signal = np.pad(signal, (0, size - signal.size))
    # Symmetric about the window's centre to within a sample: enough for a picture of the peaks.
    window = np.hanning(size).astype(np.float32)
    frames = sliding_window_view(signal, size)[::hop] * window
    spectrum = fft.rfft(frames, axis=1)
    power: Spectrogram = np.square(spectrum.real) + np.square(spectrum.imag)
    return power
