"""A session's nonce as the rest of Earmark sees it, whatever its waveform."""

from __future__ import annotations

from typing import Protocol

from earmark.nonce.report import Report
from earmark.signal import Signal


class Carrier(Protocol):
    """One session's nonce: to be recorded in the ledger, played, and found again."""

    @property
    def payload(self) -> bytes:
        """The random number. Never logged."""
        ...

    @property
    def hop_key(self) -> bytes:
        """What else it takes to rebuild the sound; may be empty. Never logged."""
        ...

    @property
    def waveform(self) -> str:
        """The waveform as the ledger keeps it, JSON with its ``kind``."""
        ...

    @property
    def slot_s(self) -> float:
        """Duration of a slot, s."""
        ...

    @property
    def cycle_s(self) -> float:
        """Duration of the whole random number, s."""
        ...

    @property
    def tail(self) -> int:
        """Samples that the last slot rings on after its end."""
        ...

    @property
    def band_hz(self) -> tuple[float, float]:
        """Where its energy lies, Hz."""
        ...

    @property
    def wideband(self) -> bool:
        """Whether it excites all of its band at once: then the echo path can be learnt there."""
        ...

    def render(self, start: int, samples: int, slots: int | None = None) -> Signal:
        """Samples `start` .. `start + samples` of the sound, of root mean square 1.

        Parameters
        ----------
        start : first sample, counted from the beginning of the nonce (not negative).
        slots : after so many it is silent, but for the tail; None for no end.

        Returns
        -------
        float32 array of shape (samples,).
        """
        ...

    def verify(
        self, recording: Signal, played_at_s: float, played_slots: int, *, quick: bool = False
    ) -> Report:
        """Look for this nonce in a recording.

        Parameters
        ----------
        recording : the microphone at ``RATE_HZ``, before anything was cancelled.
        played_at_s : time in the recording at which the player was handed the first sample.
        played_slots : how many slots were handed over.
        quick : leave out what costs much and is seldom needed: for estimates while it plays.
        """
        ...
