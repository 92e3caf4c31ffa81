"""Haitsma and Kalker's robust hash: 32 bits every 11.6 ms, compared by their bit error rate.

Source: J. Haitsma, T. Kalker, "A Highly Robust Audio Fingerprinting System", ISMIR 2002,
sections 4.2 and 4.3. Bit m of frame n is 1 when

    E(n, m) - E(n, m + 1) - (E(n - 1, m) - E(n - 1, m + 1)) > 0

where E is the energy in one of 33 bands from 300 to 2000 Hz (Eq. 1).

Written here, because no package on PyPI does this. Its descendant Chromaprint (1.5.1 and
pyacoustid, tried apart) is made for whole songs: it gives not one number for 2.6 s of sound, one
for 2.8 s and eleven for 4 s, where this gives some 300.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from earmark.memory.spectrum import spectrogram
from earmark.signal import RATE_HZ, Signal

Signs: TypeAlias = NDArray[np.int8]
"""Fingerprint: shape (frames, 32), +1 for a set bit and -1 for a clear one."""

DOWN = 3
"""The analysis runs at this part of 16 kHz, 5333 Hz; the paper's runs at 5 kHz."""

BANDS_HZ = (300.0, 2000.0)
"""Band that is looked at, Hz (section 4.2)."""

BITS = 32
"""Bits a frame, from one band more (section 4.2)."""

WINDOW_S = 0.37
"""Length of a frame, s (section 4.2)."""

OVERLAP = 32
"""A frame begins every 1/32 of its length, 11.6 ms (section 4.2)."""

BLOCK_FRAMES = 256
"""Frames, 3 s, that the paper always compares (section 4.2). With fewer, chance makes more of
them equal: see :class:`HaitsmaKalker`."""

MAX_SHIFT_S = 0.5
"""Furthest that one recording may lie behind the other, s: twice what an endpointer varies."""

_HOP = round(WINDOW_S / OVERLAP * RATE_HZ / DOWN)
_SIZE = _HOP * OVERLAP
_SHIFT = round(MAX_SHIFT_S * RATE_HZ / DOWN / _HOP)


class HaitsmaKalker:
    """A :class:`~earmark_host.memory.peers.peer.Peer`: 1 - the bit error rate at the best shift.

    The paper compares 256 frames, always. The spread of a chance error rate grows with
    1 / sqrt(frames) (section 4.3), so for fewer frames its distance from 0.5 is made smaller by
    sqrt(frames / 256): one threshold then means the same for a word and a sentence. A word of
    1 s beside itself gives 0.73, 3.4 s or more give 1. With the plain rate, the threshold on
    single words and sentences together is so high (0.76) that of 60 sentences through a room at
    10 dB noise only 0.43 are recognised, in place of all.
    """

    name = "haitsma_kalker"

    def fingerprint(self, signal: Signal) -> Signs:
        """The bits of `signal`, shape (frames, 32); none for less than two frames (0.38 s)."""
        low: Signal = resample_poly(signal, 1, DOWN).astype(np.float32)
        power = spectrogram(low, _SIZE, _HOP)
        edges_hz = np.geomspace(*BANDS_HZ, BITS + 2)
        edges = np.round(edges_hz * _SIZE * DOWN / RATE_HZ).astype(np.intp)
        energy = np.add.reduceat(power[:, : edges[-1]], edges[:-1], axis=1)
        # Band m less band m + 1 is the step upwards with its sign turned.
        steps = np.diff(np.diff(energy, axis=1), axis=0)
        return np.where(steps < 0.0, 1, -1).astype(np.int8)

    def similarity(self, a: Signs, b: Signs) -> float:
        """0.5 for unrelated recordings (and a little more, for the best of 87 shifts), up to 1."""
        return float(self.similarities(a, [b])[0])

    def similarities(self, a: Signs, many: Sequence[Signs]) -> NDArray[np.float64]:
        """All at once: one matrix product counts equal less unequal bits; shape (len(many),)."""
        shifts = np.arange(-_SHIFT, _SHIFT + 1)
        sizes = np.array([len(b) for b in many], dtype=np.int64)
        longest = int(sizes.max(initial=0))
        padded = np.zeros((len(many), longest, BITS), dtype=np.float32)
        for row, b in zip(padded, many, strict=True):
            row[: len(b)] = b
        shifted = np.zeros((shifts.size, longest, BITS), dtype=np.float32)
        for row, shift in zip(shifted, shifts, strict=True):
            part = a[max(0, -shift) :][: max(0, longest - max(0, shift))]
            row[max(0, shift) :][: len(part)] = part
        agreement = (
            padded.reshape(len(many), longest * BITS)
            @ shifted.reshape(shifts.size, longest * BITS).T
        )
        # Frames of each that lie beside a frame of `a`, shape (len(many), shifts).
        beside = np.minimum(sizes[:, None], len(a) + shifts) - np.maximum(0, shifts)
        frames = np.maximum(1, beside)
        trust = np.minimum(1.0, np.sqrt(frames / BLOCK_FRAMES))
        value = 0.5 + 0.5 * trust * agreement / (BITS * frames)
        best: NDArray[np.float64] = np.where(beside > 0, value, 0.0).max(axis=1)
        return best
