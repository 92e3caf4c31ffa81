"""The codes of one epoch: sixteen sounds like noise, known to whoever holds the key.

A code is 256 ms of random signs at 16 kHz, filtered to the speech band. Signs, because then
everything that is said about false alarms is proved and not modelled: a sum over random signs
is sub-Gaussian whatever it is weighted with (Hoeffding), so whatever the recording holds.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from earmark.filters import convolved, filter_of
from earmark.nonce.keys import EpochKey
from earmark.nonce.spread.shape import CHIPS, CODES, PIECE, PIECES, TAIL, TAPS
from earmark.nonce.spread.stretched import Stretched
from earmark.signal import RATE_HZ

BLOCK = 16_384
"""Length of the transforms of the search, samples: they fit a cache, which long ones do not."""

STEP = BLOCK - PIECE - TAIL
"""New correlation values per transform."""

MAX_CACHED = 8
"""Banks kept in memory, 3 MB each."""


def band_filter(low_hz: float, high_hz: float) -> NDArray[np.float32]:
    """Linear-phase filter from `low_hz` to `high_hz`, falling by 3 dB an octave, shape (TAPS,).

    Speech falls faster above 500 Hz, but the room's and the microphone's noise do not; pink
    lies between, and is easier on ears than white.
    """
    hz = np.linspace(0.0, RATE_HZ / 2, 513)
    inside = (hz >= low_hz) & (hz <= high_hz)
    gain = np.where(inside, np.sqrt(low_hz / np.maximum(hz, low_hz)), 0.0)
    taps = filter_of(TAPS, hz, gain, RATE_HZ)
    return np.asarray(taps / np.sqrt(np.sum(taps**2)), np.float32)


@dataclass(frozen=True, eq=False)
class Bank:
    """Sixteen codes. Made of secrets: never logged.

    Parameters
    ----------
    secret_id, epoch : whose they are.
    band_hz : lower and upper edge.
    chips : float32, shape (CODES, CHIPS), each -1 or 1.
    permutations : uint8, shape (256, CODES): how each slot assigns symbols to codes.
    """

    secret_id: str
    epoch: int
    band_hz: tuple[float, float]
    chips: NDArray[np.float32] = field(repr=False)
    permutations: NDArray[np.uint8] = field(repr=False)
    _stretched: dict[tuple[float, float], Stretched] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, key: EpochKey, low_hz: float, high_hz: float) -> Self:
        """The codes of an epoch."""
        streams = b"".join(key.stream("code", code, CHIPS // 8) for code in range(CODES))
        bits = np.unpackbits(np.frombuffer(streams, np.uint8)).reshape(CODES, CHIPS)
        draws = b"".join(key.stream("slot", slot, 4 * CODES) for slot in range(PERMUTATIONS))
        # The order of random words; two equal ones, 3e-8 a slot, still make a permutation.
        words = np.frombuffer(draws, "<u4").reshape(PERMUTATIONS, CODES)
        return cls(
            key.secret_id,
            key.epoch,
            (low_hz, high_hz),
            (1.0 - 2.0 * bits).astype(np.float32),
            np.argsort(words, axis=1, kind="stable").astype(np.uint8),
        )

    @property
    def name(self) -> tuple[str, int, tuple[float, float]]:
        """What tells it from other banks; made again, it has the same name."""
        return self.secret_id, self.epoch, self.band_hz

    @cached_property
    def taps(self) -> NDArray[np.float32]:
        """The band filter."""
        return band_filter(*self.band_hz)

    @cached_property
    def sounds(self) -> NDArray[np.float32]:
        """The codes as they are played, of root mean square 1, shape (CODES, CHIPS + TAIL)."""
        return np.asarray(convolved(self.chips, self.taps), np.float32)

    @cached_property
    def pieces_f(self) -> NDArray[np.complex64]:
        """Conjugate spectra of all pieces of all codes, shape (CODES, PIECES, BLOCK // 2 + 1)."""
        cut = self.chips.reshape(CODES, PIECES, PIECE)
        shaped = convolved(cut, self.taps)
        return np.asarray(np.conj(fft.rfft(shaped, BLOCK, axis=2)), np.complex64)

    def stretched(self, max_percent: float, max_shift_hz: float) -> Stretched:
        """What it takes to find the codes at another speed or pitch; made once."""
        limits = max_percent, max_shift_hz
        if limits not in self._stretched:
            self._stretched[limits] = Stretched.of(self.chips, self.taps, *limits)
        return self._stretched[limits]

    def codes(self, payload: bytes, first: int, slots: int) -> NDArray[np.int64]:
        """Code of the slots `first` .. `first + slots` of a nonce, shape (slots,).

        The payload repeats, its codes do not: every slot has a permutation of its own.
        """
        slot = first + np.arange(slots)
        symbols = symbols_of(payload)
        codes = self.permutations[slot % PERMUTATIONS, symbols[slot % symbols.size]]
        return np.asarray(codes, np.int64)


PERMUTATIONS = 256
"""Slots until the permutations repeat: 65 s, longer than any command."""


def symbols_of(payload: bytes) -> NDArray[np.int64]:
    """The payload in symbols of 4 bits, high half first, shape (2 * len(payload),)."""
    octets = np.frombuffer(payload, np.uint8)
    return np.asarray(np.stack([octets >> 4, octets & 15], axis=1).reshape(-1), np.int64)


class Banks:
    """Banks made once, the latest few. Safe to use from several threads."""

    def __init__(self, low_hz: float, high_hz: float) -> None:
        self._band_hz = (low_hz, high_hz)
        self._known: OrderedDict[tuple[str, int], Bank] = OrderedDict()
        self._lock = Lock()

    def of(self, key: EpochKey) -> Bank:
        """The bank of an epoch."""
        name = (key.secret_id, key.epoch)
        with self._lock:
            if name not in self._known:
                self._known[name] = Bank.of(key, *self._band_hz)
                while len(self._known) > MAX_CACHED:
                    self._known.popitem(last=False)
            self._known.move_to_end(name)
            return self._known[name]
