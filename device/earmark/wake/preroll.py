"""The last moments of the stream, kept so that nothing of a command is lost."""

from __future__ import annotations

import numpy as np

from earmark.signal import RATE_HZ, Signal


class PreRoll:
    """A ring of the last samples of a stream, allocated once.

    Parameters
    ----------
    length_s : how much to keep, s (rounded to a sample; 0 keeps nothing).

    Raises
    ------
    ValueError
        `length_s` is negative or not a number.
    """

    def __init__(self, length_s: float) -> None:
        if not length_s >= 0.0:
            raise ValueError(f"length_s must be at least 0 s, got {length_s}")
        self._ring = np.zeros(round(length_s * RATE_HZ), dtype=np.float32)
        self._next = 0
        self._held = 0

    def __len__(self) -> int:
        """Samples held now: at most ``length_s`` times the rate."""
        return self._held

    def push(self, block: Signal) -> None:
        """Append `block` (any length); the oldest samples make room."""
        size = self._ring.size
        tail = block[max(0, block.size - size) :]
        first = min(tail.size, size - self._next)
        self._ring[self._next : self._next + first] = tail[:first]
        self._ring[: tail.size - first] = tail[first:]
        if size:
            self._next = (self._next + tail.size) % size
        self._held = min(size, self._held + tail.size)

    def take(self) -> Signal:
        """A copy of the samples held, oldest first, bit for bit as they were pushed."""
        if self._held < self._ring.size:
            return self._ring[: self._held].copy()
        return np.concatenate((self._ring[self._next :], self._ring[: self._next]))

    def clear(self) -> None:
        """Forget everything, and overwrite it."""
        self._ring[:] = 0.0
        self._next = 0
        self._held = 0
