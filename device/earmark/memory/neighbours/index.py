"""Many fingerprints, and which of them are like a new one: an inverted index over the peaks.

For each bin it knows which queries have a peak there, and when. A new fingerprint then meets only
the peaks of its own bins; the shifts in time at which they would fall together are counted in
steps of 8 frames, and only the few queries with the highest counts are compared in full. The
index consists of shards of 512 queries: a full one never changes, the oldest is dropped as a
whole, so that nothing is ever moved.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.memory.neighbours.fingerprint import BINS, MAX_FRAMES, Fingerprint, Peaks, peaks_of
from earmark.memory.neighbours.likeness import likeness

SHARD = 512
"""Queries of a shard: its counts (512 x 256 numbers) stay in a processor's cache."""

_SPAN_BITS = 11
_SPAN = 1 << _SPAN_BITS
"""Shifts between two fingerprints, frames: either may begin up to 1,023 frames later."""

_COARSE_BITS = 3
"""Shifts are first counted in steps of 8 frames, 128 ms."""

CANDIDATES = 24
"""Queries that are compared in full at most: more than an alarm needs."""

MISSES = 6
"""Candidates that turn out unlike, one after the other, before the rest is left out."""


@dataclass(frozen=True)
class Match:
    """A remembered query that is like the new one.

    Parameters
    ----------
    number : of the remembered query.
    likeness : aligned cosine, 0 to about 1.
    peaks : number of peaks of the smaller of the two fingerprints.
    """

    number: int
    likeness: float
    peaks: int


class PeakIndex:
    """The last so many fingerprints, by ascending number.

    Parameters
    ----------
    capacity : how many are looked at, at least 1.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity {capacity} is below 1")
        self._capacity = capacity
        self._shards: deque[_Shard] = deque()
        self._newest = -1

    def add(self, number: int, packed: bytes) -> None:
        """Take in what :meth:`Fingerprint.to_bytes` made; its number must be above all others.

        The bytes themselves are kept, which their owner keeps as well: at 10,000 queries arrays
        of their own would be 14 MB more.
        """
        if number <= self._newest:
            raise ValueError(f"number {number} is not above {self._newest}")
        if not self._shards or self._shards[-1].full:
            self._shards.append(_Shard())
        self._shards[-1].add(number, packed)
        self._newest = number
        while len(self._shards) > 1 and self._size_without_oldest() >= self._capacity:
            self._shards.popleft()

    def __len__(self) -> int:
        """How many are looked at."""
        return min(self._capacity, sum(len(shard) for shard in self._shards))

    def like(
        self, fingerprint: Fingerprint, least: float, thin: int = 1, misses: int = MISSES
    ) -> list[Match]:
        """Return those among the last `capacity` whose likeness is over `least`, best guess first.

        Not all of them where there are many: at most :data:`CANDIDATES` are compared.

        Parameters
        ----------
        fingerprint : of the new query.
        least : likeness of interest, 0 to 1.
        thin : only every so-many-th peak looks for candidates. 3 is quicker by as much, and
            misses copies whose likeness is near `least`.
        misses : candidates under `least`, one after the other, after which nobody looks further.
        """
        if not len(fingerprint):
            return []
        frames, bins = fingerprint.frames[::thin], fingerprint.bins[::thin]
        candidates = [
            candidate
            for shard, first in self._looked_at()
            for candidate in shard.candidates(frames, bins, first)
        ]
        candidates.sort(key=lambda each: -each[0])
        found: list[Match] = []
        left = misses
        for _, number, packed in candidates[:CANDIDATES]:
            other = Fingerprint.from_bytes(packed)
            alike = likeness(fingerprint, other)
            if alike > least:
                found.append(Match(number, alike, min(len(fingerprint), len(other))))
                left = misses
            else:
                left -= 1
                if left == 0:
                    break
        return found

    def _looked_at(self) -> Iterator[tuple[_Shard, int]]:
        """Each shard with the first of its slots that belongs to the last `capacity`."""
        left = self._capacity
        for shard in reversed(self._shards):
            if left > 0:
                yield shard, max(0, len(shard) - left)
            left -= len(shard)

    def _size_without_oldest(self) -> int:
        return sum(len(shard) for shard in self._shards) - len(self._shards[0])


class _Shard:
    """Up to :data:`SHARD` fingerprints."""

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._sizes = np.zeros(SHARD, np.int32)
        self._packed: list[bytes] = []
        self._stale = False
        self._longest = 0
        self._starts: NDArray[np.int64] = np.zeros(BINS + 1, np.int64)
        self._keys: NDArray[np.int32] = np.zeros(0, np.int32)  # slot * _SPAN + frame, by bin

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def full(self) -> bool:
        return len(self) == SHARD

    def add(self, number: int, packed: bytes) -> None:
        self._sizes[len(self)] = peaks_of(packed)[0].size
        self._numbers.append(number)
        self._packed.append(packed)
        self._stale = True

    def candidates(self, frames: Peaks, bins: Peaks, first: int) -> list[tuple[float, int, bytes]]:
        """Votes, number and fingerprint of the best among slots `first` and later."""
        votes = self._votes(frames, bins, first)
        return [
            (float(votes[slot]), self._numbers[slot], self._packed[slot])
            for slot in np.argsort(votes)[-CANDIDATES:]
            if votes[slot] > 0.0
        ]

    def _votes(self, frames: Peaks, bins: Peaks, first: int) -> NDArray[np.float64]:
        """For each slot the most peaks within one bin at any shift of two coarse steps, over the
        root of the slot's number of peaks."""
        self._rebuild()
        begin = self._starts[np.maximum(bins - 1, 0)]
        end = self._starts[np.minimum(bins + 2, BINS)]
        ends = np.cumsum(end - begin)
        keys = np.empty(int(ends[-1]), np.int32)
        # Slices instead of one gather: the ranges are long, and copying them is what costs.
        for a, b, at, frame in zip(
            begin.tolist(), end.tolist(), ends.tolist(), frames.tolist(), strict=True
        ):
            np.add(self._keys[a:b], MAX_FRAMES - frame, out=keys[at - (b - a) : at])
        keys >>= _COARSE_BITS
        width = _SPAN >> _COARSE_BITS
        count = np.bincount(keys, minlength=len(self) * width).reshape(len(self), width)
        # Most fingerprints are short, and most shifts cannot come up.
        lowest = (MAX_FRAMES - int(frames.max())) >> _COARSE_BITS
        highest = (MAX_FRAMES + self._longest) >> _COARSE_BITS
        count = count[:, max(0, lowest - 1) : highest + 2]
        # A shift at the border of two steps divides its votes between them.
        votes: NDArray[np.float64] = (count[:, 1:] + count[:, :-1]).max(axis=1).astype(np.float64)
        votes /= np.sqrt(np.maximum(self._sizes[: len(self)], 1))
        votes[:first] = 0.0
        return votes

    def _rebuild(self) -> None:
        """Sort the peaks by bin, after something was added."""
        if not self._stale:
            return
        slots = np.repeat(np.arange(len(self), dtype=np.int32), self._sizes[: len(self)])
        frames, wide = peaks_of(b"".join(self._packed))
        bins = wide.astype(np.uint8)
        self._longest = int(frames.max(initial=0))
        order = np.argsort(bins, kind="stable")  # of bytes: a radix sort
        self._keys = ((slots << _SPAN_BITS) + frames)[order]
        self._starts = np.searchsorted(bins[order], np.arange(BINS + 1)).astype(np.int64)
        self._stale = False
