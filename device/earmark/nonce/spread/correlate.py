"""Correlation of a whitened recording with pieces of codes, in standard deviations of chance.

Were the recording independent of the codes, a correlation would be a sum over random signs:
sub-Gaussian with exactly the norm that is divided by here (Hoeffding's lemma), so no value
says anything that depends on a model of the recording.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from earmark.filters import convolved
from earmark.signal import Signal

SILENT = 1e-3
"""A stretch whose norm is this far below the median holds nothing: digital silence."""

ROUNDING = 1e-4
"""So does one this far below the loudest: what is left there is float32's rounding."""


def inverse_norms(white: Signal, taps: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """One over the norm of a correlation with `length` random signs at each lag, shape of `white`.

    0 where the recording is silent or ends too soon.
    """
    # What each sign is multiplied with: the recording seen through the band filter.
    seen = convolved(white, taps[::-1])[taps.size - 1 :][: white.size]
    energy = np.concatenate([[0.0], np.cumsum(np.square(seen, dtype=np.float64))])
    out = np.zeros(white.size, np.float32)
    whole = white.size - length + 1
    if whole <= 0:
        return out
    norm = np.sqrt(np.maximum(energy[length:] - energy[:-length], 0.0))
    heard = norm > least_norm(norm)
    out[:whole][heard] = 1.0 / norm[heard]
    return out


def least_norm(norm: NDArray[np.float64]) -> float:
    """Norms up to this are those of silence."""
    return max(SILENT * float(np.median(norm)), ROUNDING * float(norm.max()), 1e-30)


def spectra(white: Signal, block: int, step: int) -> NDArray[np.complex64]:
    """Spectra of overlapping blocks of the recording, shape (blocks, block // 2 + 1)."""
    count = -(-white.size // step)
    padded = np.zeros((count - 1) * step + block, np.float32)
    padded[: white.size] = white[: padded.size]
    blocks = np.lib.stride_tricks.sliding_window_view(padded, block)[::step]
    return np.asarray(fft.rfft(blocks, axis=1))
