"""Convolution of many sources with long responses, block by block, without added delay.

Uniformly partitioned overlap-save (Wefers, Partitioned convolution algorithms for real-time
auralization, 2015, chapter 5): each source keeps the spectra of its latest blocks; a receiver
multiplies them with the partitions of its responses and needs one inverse transform in all.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from earmark.audio.room_model import RoomModel
from earmark.signal import BLOCK, Signal

Spectra: TypeAlias = NDArray[np.complex64]

FRAME = 2 * BLOCK
"""Transform length, samples: one block of history and one new (640 = 2**7 * 5)."""


class Convolver:
    """All sources of a room, and what each receiver hears of them."""

    def __init__(self, room: RoomModel) -> None:
        self._room = room
        self._sources: dict[str, _Source] = {}
        self._partitions: dict[tuple[str, str], Spectra] = {}

    def push(self, blocks: dict[str, Signal]) -> None:
        """Take the next block of each source; a source without one is silent."""
        for name in blocks.keys() - self._sources.keys():
            longest = max(
                response.size
                for (source, _), response in self._room.responses.items()
                if source == name
            )
            self._sources[name] = _Source(-(-longest // BLOCK))
        for name in list(self._sources):
            self._sources[name].push(blocks.get(name))
            if self._sources[name].silent:
                del self._sources[name]

    def heard(self, receiver: str) -> Signal:
        """Return the block that `receiver` hears of all sources."""
        total: Spectra | None = None
        for name in sorted(self._sources):
            if (name, receiver) in self._room.responses:
                partitions = self._spectra(name, receiver)
                history = self._sources[name].latest(partitions.shape[0])
                heard = np.einsum("kf,kf->f", history, partitions)
                total = heard if total is None else total + heard
        if total is None:
            return np.zeros(BLOCK, dtype=np.float32)
        block: Signal = fft.irfft(total, n=FRAME)[BLOCK:]
        return block

    def _spectra(self, source: str, receiver: str) -> Spectra:
        if (source, receiver) not in self._partitions:
            response = self._room.responses[source, receiver]
            count = -(-response.size // BLOCK)
            padded = np.zeros((count, FRAME), dtype=np.float32)
            padded[:, :BLOCK].flat[: response.size] = response
            self._partitions[source, receiver] = fft.rfft(padded, axis=1)
        return self._partitions[source, receiver]


class _Source:
    """The spectra of a source's latest `count` blocks."""

    def __init__(self, count: int) -> None:
        self._count = count
        # Written twice, `count` apart, so that the latest ones are always one slice.
        self._spectra = np.zeros((2 * count, FRAME // 2 + 1), dtype=np.complex64)
        self._frame = np.zeros(FRAME, dtype=np.float32)
        self._at = 0
        self._quiet = 0

    @property
    def silent(self) -> bool:
        """Nothing of it is to be heard any more."""
        return self._quiet > self._count

    def push(self, block: Signal | None) -> None:
        self._frame[:BLOCK] = self._frame[BLOCK:]
        self._frame[BLOCK:] = 0.0 if block is None else block
        self._quiet = 0 if block is not None and block.any() else self._quiet + 1
        self._at = (self._at - 1) % self._count
        spectrum = fft.rfft(self._frame)
        self._spectra[self._at] = spectrum
        self._spectra[self._at + self._count] = spectrum

    def latest(self, count: int) -> Spectra:
        """Spectra of the latest `count` blocks, newest first."""
        return self._spectra[self._at : self._at + count]
