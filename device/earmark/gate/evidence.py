"""What the checks may look at, once the person has stopped speaking."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from earmark.nonce import Report, StaleReport
from earmark.signal import RATE_HZ, Signal


@dataclass(frozen=True, eq=False)
class Evidence:
    """One session as the checks see it.

    Parameters
    ----------
    recording : shape (n,), the microphone as it was, from the pre-roll to the end.
    cleaned : shape (n,), the same with the current nonce taken out.
    speech : start and end of the command as the endpointer heard it, s from the beginning
        of the recording; None when it heard nobody.
    capped : True when the session ended the command at its cap, not the person.
    nonce : the report on the session's own nonce; None when it could not be looked for.
    stale : the report on nonces of earlier sessions; None when they could not be looked for.
    suppression_db : how far the nonce fell in `cleaned`, dB.

    Raises
    ------
    ValueError
        The signals are no signals or differ in length, or the speech lies outside them.
    """

    recording: Signal
    cleaned: Signal
    speech: tuple[float, float] | None
    capped: bool = False
    nonce: Report | None = None
    stale: StaleReport | None = None
    suppression_db: float = 0.0

    def __post_init__(self) -> None:
        for name, signal in (("recording", self.recording), ("cleaned", self.cleaned)):
            if signal.ndim != 1 or signal.dtype != np.float32:
                raise ValueError(f"{name} must be 1-D float32, not {signal.ndim}-D {signal.dtype}")
        if self.recording.size != self.cleaned.size:
            raise ValueError(
                f"recording and cleaned differ: {self.recording.size} and {self.cleaned.size}"
                " samples"
            )
        if self.speech is not None:
            start, end = self.speech
            # One sample of tolerance: the times were samples divided by the rate.
            if not 0.0 <= start <= end <= (self.recording.size + 1) / RATE_HZ:
                raise ValueError(
                    f"speech from {start} to {end} s is not within the recording of"
                    f" {self.recording.size / RATE_HZ:.2f} s"
                )

    def within_speech(self, signal: Signal) -> Signal:
        """Return the part of `recording` or `cleaned` in which the person speaks."""
        if self.speech is None:
            return signal[:0]
        start, end = self.speech
        return signal[round(start * RATE_HZ) : round(end * RATE_HZ)]
