"""The two checks on the nonce: this session's is there, and no other one is."""

from __future__ import annotations

import contextlib
import math
from datetime import UTC, datetime

from earmark.gate.evidence import Evidence
from earmark.gate.finding import Finding, Outcome, Reason
from earmark.nonce import NonceSettings, Report


class NonceCheck:
    """Is this session's nonce in the recording: complete, current, over the whole command?

    The score is the bit error rate, 0 to 1, smaller is better. AEOLUS, section 3.2: complete,
    then current; a high bit error rate leads to a retry.
    """

    name = "nonce"

    def __init__(self, settings: NonceSettings) -> None:
        self._settings = settings

    def examine(self, evidence: Evidence) -> Finding:
        """Return ``FRESH`` or the first of ``NONCE_ABSENT, NONCE_DAMAGED, NONCE_INCOMPLETE``."""
        report = evidence.nonce
        if report is None:
            return Finding(self.name, Outcome.UNDETERMINED, Reason.FAULT, math.nan)
        spans = () if evidence.speech is None else report.uncovered(*evidence.speech)
        uncovered_s = sum(end - start for start, end in spans)
        start_s, end_s = evidence.speech or (0.0, 0.0)
        covered_s = end_s - start_s - uncovered_s
        reason = self._reason(report, uncovered_s, covered_s)
        return Finding(
            self.name,
            Outcome.PASSED if reason is Reason.FRESH else Outcome.FAILED,
            reason,
            report.bit_error_rate,
            detail={
                "bits": report.bits,
                "bits_received": report.bits_received,
                "bit_errors": report.bit_errors,
                "slots": report.slots,
                "slot_errors": report.slot_errors,
                "contrast": round(report.contrast, 2),
                "snr_db": round(report.snr_db, 1) if math.isfinite(report.snr_db) else None,
                "offset_s": round(report.offset_s, 4),
                "drift_ppm": round(report.drift_ppm, 1),
                "shift_hz": round(report.shift_hz, 2),
                "covered_s": round(covered_s, 3),
                "uncovered_s": round(uncovered_s, 3),
                "suppression_db": round(evidence.suppression_db, 1),
            },
        )

    def _reason(self, report: Report, uncovered_s: float, covered_s: float) -> Reason:
        if not report.present:
            return Reason.NONCE_ABSENT
        received_errors = report.bit_errors - (report.bits - report.bits_received)
        if received_errors > self._settings.max_bit_error_rate * report.bits:
            return Reason.NONCE_DAMAGED
        too_bare = uncovered_s > self._settings.max_uncovered_s
        if not report.complete or too_bare or covered_s < self._settings.min_covered_s:
            return Reason.NONCE_INCOMPLETE
        return Reason.FRESH


class StaleCheck:
    """Is a nonce of an earlier session in the recording? Then it was made in that session.

    The score is the evidence for it, ``-log10`` of the bound on its chance: 3 at the default
    limit of 1e-3, some 20 to 40 for a replay, 0 for none. When the current nonce is damaged
    at the same time, it is the paper's case of interference. Where the canceller left so much of
    the current nonce that an old one could lie under it, the finding is undetermined.
    """

    name = "stale"

    def __init__(self, settings: NonceSettings) -> None:
        self._current = NonceCheck(settings)

    def examine(self, evidence: Evidence) -> Finding:
        """Return ``FRESH``, ``STALE_UNDETERMINED``, ``REPLAY`` or ``INTERFERENCE``."""
        stale = evidence.stale
        if stale is None:
            return Finding(self.name, Outcome.UNDETERMINED, Reason.FAULT, math.nan)
        score = math.log10(1.0 / max(stale.chance, 1e-300))
        detail: dict[str, object] = {
            "searched": stale.searched,
            "self_noise_db": round(stale.self_noise_db, 1),
        }
        if stale.undetermined and not stale.found:
            reason = Reason.STALE_UNDETERMINED
            return Finding(self.name, Outcome.UNDETERMINED, reason, score, detail)
        if not stale.found:
            return Finding(self.name, Outcome.PASSED, Reason.FRESH, score, detail)
        if stale.recorded_at is not None:
            # A time beyond the calendar, out of an import, must not hide the find.
            with contextlib.suppress(ValueError, OverflowError, OSError):
                at = datetime.fromtimestamp(stale.recorded_at, UTC)
                detail["recorded_utc"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
        detail |= {
            "recorded_session": stale.session,
            "recorded_device": stale.device,
            "recorded_place": stale.place,
        }
        spoilt = self._current.examine(evidence).reason is Reason.NONCE_DAMAGED
        reason = Reason.INTERFERENCE if spoilt else Reason.REPLAY
        return Finding(self.name, Outcome.FAILED, reason, score, detail)
