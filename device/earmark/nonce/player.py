"""The nonce as a stream of blocks."""

from __future__ import annotations

import math

import numpy as np

from earmark.nonce.waveform import Bfsk, Nonce
from earmark.signal import BLOCK, RATE_HZ, Signal


class NoncePlayer:
    """Hands out the nonce block by block until it is told to stop.

    It ends with a whole slot, so that it never clicks: up to one slot after :meth:`stop`.

    Parameters
    ----------
    nonce, wave : what to play.
    rms : its root mean square, in the scale of the loudspeaker's samples.
    """

    def __init__(self, nonce: Nonce, wave: Bfsk, rms: float) -> None:
        self._nonce = nonce
        self._wave = wave
        # A tone of peak 1 has rms sqrt(1/2); the fades take a little more.
        fade = 1.0 - 2.0 * wave.ramp_s * wave.bit_rate_hz * (1.0 - 3.0 / 8.0)
        self._peak = rms / math.sqrt(0.5 * fade)
        self._samples = 0
        self._end: int | None = None

    @property
    def done(self) -> bool:
        """Nothing more to play."""
        return self._end is not None and self._samples >= self._end

    @property
    def slots(self) -> int:
        """Slots begun so far; after :meth:`stop`, all that will have been played."""
        samples = self._samples if self._end is None else self._end
        # A slot may end between two samples; half a sample begins no new slot.
        return math.ceil((samples - 0.5) / RATE_HZ * self._wave.bit_rate_hz)

    def stop(self) -> None:
        """Play the slot that has begun to its end, then silence."""
        if self._end is None:
            slot = RATE_HZ / self._wave.bit_rate_hz
            self._end = round(math.ceil(self._samples / slot) * slot)

    def block(self) -> Signal:
        """The next ``BLOCK`` samples; silence after the end."""
        out = self._wave.render(self._nonce, BLOCK, start_s=self._samples / RATE_HZ)
        if self._end is not None and self._samples + BLOCK > self._end:
            out[max(0, self._end - self._samples) :] = 0.0
        self._samples += BLOCK
        return np.asarray(self._peak * out, np.float32)
