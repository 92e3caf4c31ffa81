"""Landmark hashing: pairs of spectral peaks as hashes, counted at their most frequent time offset.

Source: A. Wang, "An Industrial-Strength Audio Search Algorithm", ISMIR 2003, sections 2.1 to
2.3. The hashes come from audiolocate (https://github.com/JoeYang1412/audiolocate, MIT licence)
with its own settings; the comparison is here, since the library compares one pair at a time.

Why this library: PyDejavu is Python 2, and audfprint2, the packaged audfprint, needs numpy 2.3.
audfprint2 0.1.2, tried apart, finds less in clips this short, at its densest usual setting of
70 a second and compared in the same way: through a room at 10 dB noise it recognises 0.78 of 60
spoken sentences and this one all, at 2 % speed 0.68 and this one 0.20.

Setup installs it without its dependency PyAV (104 MB), which only decodes files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import soxr
from numpy.typing import NDArray

from earmark.errors import EarmarkError
from earmark.signal import RATE_HZ, Signal

LIBRARY = "audiolocate"
"""Name of the package."""

WINDOW = 1
"""Hashes one frame early or late still count: a frame is 32 ms, and a shift need not be a whole
number of them. audfprint does the same."""

MIN_COUNT = 3
"""Fewer hashes in common are chance. The library asks for 5 or more in a long recording; in
clips of 1 to 5 s a count of 3 finds more at the same share of benign pairs."""


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Fingerprint: the hashes, sorted, and the frame in which the first peak of each lies.

    Parameters
    ----------
    hashes, frames : shape (n,) each; some 10 in a word, 1,000 in 4 s of music.
    """

    hashes: NDArray[np.int64]
    frames: NDArray[np.int64]


def landmarks_installed() -> bool:
    """Whether the library is there."""
    return find_spec(LIBRARY) is not None


class Audiolocate:
    """A :class:`~earmark_host.memory.peers.peer.Peer`: common hashes at one time offset.

    Raises
    ------
    EarmarkError
        The library is not installed.
    """

    name = "landmarks"

    def __init__(self) -> None:
        if not landmarks_installed():
            raise EarmarkError(
                f"{LIBRARY} is not installed", f"run: pip install --no-deps {LIBRARY}==0.1.1"
            )
        from audiolocate import AudioFingerprint  # noqa: PLC0415  # it may be missing

        self._library = AudioFingerprint()

    def fingerprint(self, signal: Signal) -> Landmarks:
        """The hashes of `signal`; none when it is silent or shorter than 128 ms."""
        low = soxr.resample(signal, RATE_HZ, self._library.sr)
        places, _ = self._library.fingerprint_audio(low)
        order = sorted(places)
        hashes = np.repeat(np.array(order, np.int64), [len(places[key]) for key in order])
        frames = [frame for key in order for frame in places[key]]
        return Landmarks(hashes, np.array(frames, np.int64))

    def similarity(self, a: Landmarks, b: Landmarks) -> float:
        """Common hashes at the best offset over the geometric mean of both numbers of hashes."""
        return float(self.similarities(a, [b])[0])

    def similarities(self, a: Landmarks, many: Sequence[Landmarks]) -> NDArray[np.float64]:
        """All at once, as a search in the sorted hashes of `a`; shape (len(many),)."""
        sizes = np.array([b.hashes.size for b in many], dtype=np.int64)
        if a.hashes.size == 0 or not sizes.any():
            return np.zeros(len(many))
        hashes = np.concatenate([b.hashes for b in many])
        first = np.searchsorted(a.hashes, hashes, "left")
        times = np.searchsorted(a.hashes, hashes, "right") - first
        # Each hit as often as its hash is in `a`: `nth` runs from 0 for every hit.
        nth = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
        frames = np.concatenate([b.frames for b in many])
        offsets = np.repeat(frames, times) - a.frames[np.repeat(first, times) + nth]
        owners = np.repeat(np.repeat(np.arange(len(many)), sizes), times)
        best = _largest_bin(owners, offsets, len(many))
        best[best < MIN_COUNT] = 0
        means = np.sqrt(np.maximum(1, sizes) * float(a.hashes.size))
        result: NDArray[np.float64] = np.minimum(1.0, best / means)
        return result


def _largest_bin(
    owners: NDArray[np.int64], offsets: NDArray[np.int64], number: int
) -> NDArray[np.int64]:
    """The most offsets of each owner within WINDOW of one value, shape (number,)."""
    if offsets.size == 0:
        return np.zeros(number, dtype=np.int64)
    # Room on both sides, so that what rolls over the end is zero.
    offsets = offsets - offsets.min() + WINDOW
    span = int(offsets.max()) + WINDOW + 1
    counts = np.bincount(owners * span + offsets, minlength=number * span).reshape(number, span)
    wide = [np.roll(counts, step, axis=1) for step in range(-WINDOW, WINDOW + 1)]
    largest: NDArray[np.int64] = np.sum(wide, axis=0).max(axis=1)
    return largest
