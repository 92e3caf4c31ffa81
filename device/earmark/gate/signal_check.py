"""The first check: is there a command in the recording that can be understood at all."""

from __future__ import annotations

import math

import numpy as np

from earmark.gate.evidence import Evidence
from earmark.gate.finding import Finding, Outcome, Reason
from earmark.gate.settings import SignalCheckSettings
from earmark.signal import BLOCK, FLOOR_DBFS, RATE_HZ, Signal, active_level_dbfs

_NOISE_QUANTILE = 0.1
"""Share of the 20 ms frames taken to hold noise only: the pauses between words, the pre-roll
and the hangover are well over a tenth of any command."""

_FULL_SCALE = 0.985
"""Magnitude from which a sample counts as clipped. A converter clips at 1.0; resampling from
48 to 16 kHz afterwards lets the flat tops ripple by a few per cent."""


class SignalCheck:
    """Heard somebody, loud enough, not overdriven, not cut off: faults that a person can mend.

    The score is the speech-to-noise level difference in dB in the cleaned recording: the
    active level within the speech over :func:`noise_floor_dbfs`. It is 0.0 when nobody spoke.
    The detail holds `speech_s`, `speech_dbfs`, `noise_dbfs` and `clipped_share`.
    """

    name = "signal"

    def __init__(self, settings: SignalCheckSettings) -> None:
        self._settings = settings

    def examine(self, evidence: Evidence) -> Finding:
        """Return ``FRESH`` or the first of ``NO_SPEECH, TOO_LONG, CLIPPED, TOO_QUIET``."""
        heard = evidence.within_speech(evidence.cleaned)
        speech_s = heard.size / RATE_HZ
        if heard.size < BLOCK or speech_s < self._settings.min_speech_s:
            return self._found(Outcome.FAILED, Reason.NO_SPEECH, 0.0, speech_s=speech_s)

        if not (np.isfinite(evidence.recording).all() and np.isfinite(evidence.cleaned).all()):
            # A NaN from the converter or the canceller compares as False with every limit.
            return self._found(Outcome.UNDETERMINED, Reason.FAULT, 0.0, speech_s=speech_s)

        clipped = clipped_share(evidence.within_speech(evidence.recording))
        speech_dbfs = active_level_dbfs(heard)
        noise_dbfs = noise_floor_dbfs(evidence.cleaned)
        snr_db = speech_dbfs - noise_dbfs
        if evidence.capped:
            reason = Reason.TOO_LONG
        elif clipped > self._settings.max_clipped_share:
            reason = Reason.CLIPPED
        elif snr_db < self._settings.min_snr_db:
            reason = Reason.TOO_QUIET
        else:
            reason = Reason.FRESH
        return self._found(
            Outcome.PASSED if reason is Reason.FRESH else Outcome.FAILED,
            reason,
            snr_db,
            speech_s=speech_s,
            speech_dbfs=speech_dbfs,
            noise_dbfs=noise_dbfs,
            clipped_share=clipped,
        )

    def _found(self, outcome: Outcome, reason: Reason, score: float, **detail: float) -> Finding:
        return Finding(self.name, outcome, reason, score, detail=dict(detail))


def noise_floor_dbfs(signal: Signal) -> float:
    """Level of the noise under `signal`, dBFS: the lower decile of its 20 ms frame levels.

    Of steady noise this is 0.4 dB (white) to 1.5 dB (pink) below its mean level; the limit in
    the settings allows for it.
    """
    frames = signal[: signal.size // BLOCK * BLOCK].reshape(-1, BLOCK).astype(np.float64)
    if frames.shape[0] == 0:
        return FLOOR_DBFS
    power = float(np.quantile(np.mean(frames**2, axis=1), _NOISE_QUANTILE))
    return max(FLOOR_DBFS, 10.0 * math.log10(power)) if power > 0.0 else FLOOR_DBFS


def clipped_share(signal: Signal) -> float:
    """Share of samples at full scale, 0 to 1."""
    return float(np.mean(np.abs(signal) >= _FULL_SCALE)) if signal.size else 0.0
