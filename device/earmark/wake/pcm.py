"""The detectors' input: 16-bit samples, saturated."""

from __future__ import annotations

import numpy as np

from earmark.errors import AudioError
from earmark.signal import BLOCK, Signal

_FULL_SCALE = 32768.0
"""The 16-bit value of 1.0; the largest positive sample saturates one step below."""


def pcm16(block: Signal, factor: float) -> bytes:
    """`block` times `factor` as little-endian 16-bit samples; what does not fit saturates.

    Parameters
    ----------
    block : shape (BLOCK,), float32, at RATE_HZ. NaN counts as silence.
    factor : amplitude factor.

    Raises
    ------
    AudioError
        The block has another shape.
    """
    if block.shape != (BLOCK,):
        raise AudioError(
            f"a block of shape {block.shape} reached the wake word",
            f"feed blocks of {BLOCK} samples (20 ms at 16 kHz)",
        )
    scaled = np.nan_to_num(np.rint(block * np.float32(factor * _FULL_SCALE)))
    samples: bytes = np.clip(scaled, -_FULL_SCALE, _FULL_SCALE - 1.0).astype("<i2").tobytes()
    return samples
