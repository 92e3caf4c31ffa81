"""A session's nonce in codes."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field

import numpy as np

from earmark.nonce.report import Report
from earmark.nonce.settings import NonceSettings
from earmark.nonce.spread.bank import Bank
from earmark.nonce.spread.receiver import verify
from earmark.nonce.spread.shape import CHIPS, TAIL
from earmark.signal import RATE_HZ, Signal

KIND = "spread"
"""Name of the waveform in the ledger."""


@dataclass(frozen=True)
class SpreadCarrier:
    """A :class:`~earmark.nonce.carrier.Carrier` of keyed wideband codes.

    Parameters
    ----------
    payload : the random number, whole bytes.
    bank : the codes of the epoch.
    settings : search ranges.
    """

    payload: bytes = field(repr=False)
    bank: Bank
    settings: NonceSettings

    @property
    def hop_key(self) -> bytes:
        return b""  # the codes follow from the epoch's key

    @property
    def waveform(self) -> str:
        return waveform(self.bank)

    @property
    def slot_s(self) -> float:
        return CHIPS / RATE_HZ

    @property
    def cycle_s(self) -> float:
        return 2 * len(self.payload) * self.slot_s

    @property
    def tail(self) -> int:
        return TAIL

    @property
    def band_hz(self) -> tuple[float, float]:
        return self.bank.band_hz

    @property
    def wideband(self) -> bool:
        return True

    def render(self, start: int, samples: int, slots: int | None = None) -> Signal:
        # The slot before still rings.
        first = max(0, (start - TAIL) // CHIPS)
        last = math.ceil((start + samples) / CHIPS)
        if slots is not None:
            last = min(last, slots)
        out = np.zeros(samples, np.float32)
        if last <= first:
            return out
        for slot, code in enumerate(self.bank.codes(self.payload, first, last - first), first):
            at = slot * CHIPS - start
            begin, end = max(0, at), min(samples, at + CHIPS + TAIL)
            if begin < end:
                out[begin:end] += self.bank.sounds[code, begin - at : end - at]
        return out

    def verify(
        self, recording: Signal, played_at_s: float, played_slots: int, *, quick: bool = False
    ) -> Report:
        return verify(
            recording, self.payload, self.bank, played_at_s, played_slots, self.settings, quick
        )


def waveform(bank: Bank) -> str:
    """What the ledger keeps of the waveform: which bank it takes to recognise it."""
    low_hz, high_hz = bank.band_hz
    return json.dumps(
        {
            "kind": KIND,
            "secret": bank.secret_id,
            "epoch": bank.epoch,
            "low_hz": low_hz,
            "high_hz": high_hz,
        }
    )
