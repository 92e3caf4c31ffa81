"""What a receiver found of the current nonce, whatever its waveform."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Report:
    """What the receiver found of the current nonce.

    Parameters
    ----------
    bits : length of the nonce, bits.
    bits_received : how many of them lie within the recording.
    bit_errors : wrong ones after all repetitions were combined; a missing bit counts as wrong.
    slots, slot_errors : all slots in the recording and the wrong ones among them, uncombined.
    present : the waveform is there, whatever it says.
    contrast : how far it stands out: of the evidence in a slot, the share of the codes or
        channels that were played, over that by chance.
    offset_s : where in the recording the nonce begins, s.
    drift_ppm : how much faster the player's clock runs than the recorder's.
    shift_hz : frequency shift.
    snr_db : power of the nonce over everything else in its band, dB.
    gaps : stretches (from, to) in s of the recording that the nonce was played for and does
        not cover.
    covered : (from, to) in s of the recording: the nonce's first and last slot.
    wrong_slots : indices of the wrong ones among the slots.
    chance : bound on the probability that a random nonce would fit the recording as well, over
        all delays and shifts tried.
    """

    bits: int
    bits_received: int
    bit_errors: int
    slots: int
    slot_errors: int
    present: bool
    contrast: float
    offset_s: float
    drift_ppm: float
    shift_hz: float
    snr_db: float
    gaps: tuple[tuple[float, float], ...]
    covered: tuple[float, float]
    wrong_slots: tuple[int, ...] = ()
    chance: float = 1.0

    @property
    def complete(self) -> bool:
        """Every bit was received at least once."""
        return self.bits_received == self.bits

    @property
    def bit_error_rate(self) -> float:
        """Wrong share of the bits after combining, 0 to 1."""
        return self.bit_errors / self.bits

    def uncovered(self, start_s: float, end_s: float) -> tuple[tuple[float, float], ...]:
        """The parts of ``start_s .. end_s`` of the recording without the current nonce."""
        first, last = self.covered
        spans = [(start_s, min(first, end_s)), *self.gaps, (max(last, start_s), end_s)]
        merged: list[tuple[float, float]] = []
        for a, b in spans:  # in the order of time
            start, end = max(a, start_s), min(b, end_s)
            if end <= start:
                continue
            # A gap up to the nonce's very end and what follows are one stretch.
            if merged and start <= merged[-1][1] + 1e-9:
                start = merged.pop()[0]
            merged.append((start, end))
        return tuple(merged)

    @classmethod
    def nothing(cls, bits: int, at_s: float) -> Report:
        """The report on a recording in which not one slot lies."""
        return cls(bits, 0, bits, 0, 0, False, 0.0, at_s, 0.0, 0.0, -math.inf, (), (at_s, at_s))
