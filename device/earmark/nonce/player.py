"""The nonce as a stream of blocks."""

from __future__ import annotations

import math

import numpy as np

from earmark.nonce.carrier import Carrier
from earmark.signal import BLOCK, RATE_HZ, Signal


class NoncePlayer:
    """Hands out the nonce block by block until it is told to stop, and keeps what it handed out.

    It ends with a whole slot, so that it never clicks: up to one slot after :meth:`stop`.

    Parameters
    ----------
    carrier : what to play.
    rms : its root mean square, in the scale of the loudspeaker's samples.
    """

    def __init__(self, carrier: Carrier, rms: float) -> None:
        self._carrier = carrier
        self._rms = np.float32(rms)
        self._samples = 0
        self._slots: int | None = None
        self._blocks: list[Signal] = []

    @property
    def done(self) -> bool:
        """Nothing more to play."""
        return self._slots is not None and self._samples >= self._end(self._slots)

    @property
    def slots(self) -> int:
        """Slots begun so far; after :meth:`stop`, all that will have been played."""
        if self._slots is not None:
            return self._slots
        # A slot may end between two samples; half a sample begins no new slot.
        return max(0, math.ceil((self._samples - 0.5) / RATE_HZ / self._carrier.slot_s))

    @property
    def played(self) -> Signal:
        """All that was handed out so far, from the first sample on: the canceller's reference."""
        # One array from now on: it is asked for again and again while it grows.
        self._blocks = [np.concatenate(self._blocks)] if self._blocks else []
        return self._blocks[0] if self._blocks else np.zeros(0, np.float32)

    def stop(self) -> None:
        """Play the slot that has begun to its end, then silence."""
        if self._slots is None:
            self._slots = self.slots

    def block(self) -> Signal:
        """The next ``BLOCK`` samples; silence after the end."""
        out = self._rms * self._carrier.render(self._samples, BLOCK, self._slots)
        self._samples += BLOCK
        self._blocks.append(out)
        return out

    def whole(self) -> Signal:
        """All of a stopped nonce: what was handed out and what is still to come.

        ValueError when it was not stopped.
        """
        if self._slots is None:
            raise ValueError("the nonce still plays")
        rest = max(0, self._end(self._slots) - self._samples)
        coming = self._rms * self._carrier.render(self._samples, rest, self._slots)
        return np.concatenate([self.played, coming])

    def _end(self, slots: int) -> int:
        return round(slots * self._carrier.slot_s * RATE_HZ) + self._carrier.tail
