"""A session's nonce in tones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from earmark.nonce.bfsk.receiver import verify
from earmark.nonce.bfsk.waveform import Bfsk, Nonce
from earmark.nonce.report import Report
from earmark.nonce.settings import NonceSettings
from earmark.signal import RATE_HZ, Signal


@dataclass(frozen=True)
class BfskCarrier:
    """A :class:`~earmark.nonce.carrier.Carrier` of hopping tones.

    Parameters
    ----------
    nonce : what is played.
    settings : hop set and search ranges.
    """

    nonce: Nonce
    settings: NonceSettings

    @cached_property
    def wave(self) -> Bfsk:
        """The waveform."""
        return Bfsk.from_settings(self.settings)

    @property
    def payload(self) -> bytes:
        return self.nonce.payload

    @property
    def hop_key(self) -> bytes:
        return self.nonce.hop_key

    @property
    def waveform(self) -> str:
        return self.wave.to_json()

    @property
    def slot_s(self) -> float:
        return self.wave.slot_s

    @property
    def cycle_s(self) -> float:
        return self.nonce.bits * self.wave.slot_s

    @property
    def tail(self) -> int:
        return 0

    @property
    def band_hz(self) -> tuple[float, float]:
        return self.wave.low_hz, self.wave.high_hz

    @property
    def wideband(self) -> bool:
        return False  # a tone at a time

    def render(self, start: int, samples: int, slots: int | None = None) -> Signal:
        wave = self.wave
        # A tone of peak 1 has rms sqrt(1/2); the fades take a little more.
        fade = 1.0 - 2.0 * wave.ramp_s * wave.bit_rate_hz * (1.0 - 3.0 / 8.0)
        out = wave.render(self.nonce, samples, start_s=start / RATE_HZ)
        if slots is not None:
            out[max(0, round(slots * wave.slot_s * RATE_HZ) - start) :] = 0.0
        return np.asarray(out / math.sqrt(0.5 * fade), np.float32)

    def verify(
        self, recording: Signal, played_at_s: float, played_slots: int, *, quick: bool = False
    ) -> Report:
        return verify(recording, self.nonce, played_at_s, played_slots, self.settings)
