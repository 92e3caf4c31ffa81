"""The paper's fingerprint: the peaks of a fixed window, and their cosine (Guo et al. 2023).

A power spectrogram (Eq. 7), a 2-D maximum filter over it (Eq. 9), and the cells that equal
their neighbourhood's maximum: the peaks. The high-pass filter of Eq. 10 is not used: "we
choose the former". The vector that Eq. 1 compares is the mask of the peaks, 1 where there is
one, 0 elsewhere, so that the cosine becomes ``|A and B| / sqrt(|A| |B|)``.

Of the paper's four demands it is non-negative (Eq. 3), 1 only for equal fingerprints (Eq. 4)
and symmetric (Eq. 5). Eq. 6, s(x,y) + s(x,z) >= s(y,z), is the inequality of a distance and
holds for no similarity: with y = z and x unrelated to both it says 0 + 0 >= 1.

Time is absolute: the same words half a frame later share few peaks, much later none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from earmark.memory.spectrum import spectrogram
from earmark.signal import RATE_HZ, Signal

WINDOW_S = 4.0
"""What of a query is looked at, s: its beginning. The paper's carriers last 3 to 4 s."""

SIZE = 1024
"""Window of the transform, samples: 64 ms, which parts the harmonics of any voice (16 Hz a
bin) and is near the 93 ms usual in landmark fingerprints of music."""

HOP = 512
"""Distance of two frames, samples: half a window. 124 frames of 513 bins are fewer than 65,536
cells, so that a peak's position fits 16 bits."""

FRAMES = 1 + (round(WINDOW_S * RATE_HZ) - SIZE) // HOP
"""Frames of a fingerprint."""

BINS = SIZE // 2 + 1
"""Frequency bins of a fingerprint, from 0 to 8 kHz."""

NEIGHBOURHOOD = (9, 25)
"""Frames and bins over which a peak must be the largest: 0.29 s and 390 Hz. White noise then has
some 300 peaks, 4 s of speech 80 and of music 130 (medians), one word 12. Half the size gives
twice the peaks but no more of them survive noise, and twice as many agree by chance."""

FLOOR_DB = -40.0
"""A peak this far below the strongest cell does not count, dB. Relative, so that loudness does
not matter. At -40 speech keeps a cosine of .74 under white noise at 20 dB (median of 300), at
-60, which takes in the peaks of the room, .49; at 10 and 0 dB .34 and .17 instead of .29 and .14.
The price: input noise at the paper's 50 dB lies below the floor and changes next to nothing."""

MOST_PEAKS = 480
"""Most peaks that are kept, the strongest: 960 bytes, what the store takes of a fingerprint."""


@dataclass(frozen=True, eq=False)
class PaperFingerprint:
    """The peaks of one query.

    Parameters
    ----------
    positions : frame * BINS + bin of each peak, shape (p,), uint16, rising, p at most
        :data:`MOST_PEAKS`.
    """

    positions: NDArray[np.uint16]

    def to_bytes(self) -> bytes:
        """Two bytes a peak, the low one first; at most 960."""
        return self.positions.astype("<u2").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> PaperFingerprint:
        """Read what :meth:`to_bytes` wrote.

        Raises
        ------
        ValueError
            It is no fingerprint.
        """
        if len(data) % 2 or len(data) > 2 * MOST_PEAKS:
            raise ValueError(f"a fingerprint of {len(data)} bytes")
        positions = np.frombuffer(data, "<u2").astype(np.uint16)
        if np.any(positions[1:] <= positions[:-1]) or np.any(positions[-1:] >= FRAMES * BINS):
            raise ValueError("a fingerprint with positions that do not rise or do not exist")
        return cls(positions)


def fingerprint(signal: Signal) -> PaperFingerprint:
    """Take the fingerprint of a query.

    Parameters
    ----------
    signal : shape (n,), at 16 kHz. Of a longer one the first :data:`WINDOW_S` count, a shorter
        one is filled up with zeros. Silence has no peaks.
    """
    window = np.zeros(round(WINDOW_S * RATE_HZ), np.float32)
    heard = signal[: window.size]
    window[: heard.size] = heard
    power = spectrogram(window, SIZE, HOP)
    floor = power.max() * np.float32(10.0 ** (FLOOR_DB / 10.0))
    largest = maximum_filter(power, NEIGHBOURHOOD, mode="nearest")
    cells = np.flatnonzero((power == largest) & (power > floor))
    if cells.size > MOST_PEAKS:
        strongest = np.argsort(-power.ravel()[cells], kind="stable")[:MOST_PEAKS]
        cells = np.sort(cells[strongest])
    return PaperFingerprint(cells.astype(np.uint16))


def cosine(one: PaperFingerprint, other: PaperFingerprint) -> float:
    """Similarity of two fingerprints, 0..1 (Eq. 1); 0 when either has no peaks."""
    return float(cosines(one, [other])[0])


def cosines(one: PaperFingerprint, many: Sequence[PaperFingerprint]) -> NDArray[np.float64]:
    """Similarity of `one` with each of `many`, shape (len(many),)."""
    if not many:
        return np.zeros(0)
    mask = np.zeros(FRAMES * BINS, np.bool_)
    mask[one.positions] = True
    sizes = np.array([each.positions.size for each in many])
    shared = mask[np.concatenate([each.positions for each in many])]
    owner = np.repeat(np.arange(sizes.size), sizes)
    common = np.bincount(owner[shared], minlength=sizes.size)
    return np.asarray(common / np.sqrt(np.maximum(1, one.positions.size * sizes)))
