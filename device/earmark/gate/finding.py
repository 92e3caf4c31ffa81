"""What one check found, and what all of them together decide."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Outcome(Enum):
    """How one check ended."""

    PASSED = "passed"
    FAILED = "failed"
    UNDETERMINED = "undetermined"


class Reason(Enum):
    """Why a command was allowed or not, one word for the journal and the table."""

    FRESH = "fresh"
    """Every check passed."""
    NO_SPEECH = "no_speech"
    """Nobody said anything after the wake word."""
    TOO_QUIET = "too_quiet"
    """The command is hardly above the noise."""
    CLIPPED = "clipped"
    """The microphone was overdriven."""
    TOO_LONG = "too_long"
    """The command reached the cap on its length."""
    NONCE_ABSENT = "nonce_absent"
    """No nonce in the recording: the loudspeaker is covered, cut off or jammed."""
    NONCE_DAMAGED = "nonce_damaged"
    """A nonce was found, but with too many bit errors."""
    NONCE_INCOMPLETE = "nonce_incomplete"
    """The nonce does not cover enough of the command."""
    REPLAY = "replay"
    """A nonce of an earlier session was found: this speech was recorded before."""
    STALE_UNDETERMINED = "stale_undetermined"
    """Too much of the current nonce is left to say that no earlier one lies under it."""
    INTERFERENCE = "interference"
    """An earlier nonce was found and it spoils the current one (AEOLUS, section 3.2)."""
    QUERY_ATTACK = "query_attack"
    """Near-copies of this command were heard again and again: somebody crafts a command."""
    MEMORY_UNDETERMINED = "memory_undetermined"
    """Too little sound to say whether near-copies of it were heard."""
    STRANGER = "stranger"
    """The voice is none of those that are enrolled."""
    SPEAKER_UNDETERMINED = "speaker_undetermined"
    """Too little speech to say whose it is."""
    FAULT = "fault"
    """A part of Earmark failed (ledger, stream, check): closed, whatever was said."""


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Parameters
    ----------
    check : the name of the check, a key in reports.
    outcome : passed, failed or undetermined (which never allows).
    reason : why; ``FRESH`` when passed.
    score : the check's own figure; its meaning and unit are given by the check's doc.
    detail : further figures for the journal and the report, JSON values only. Never audio,
        transcript, nonce bits or voiceprint.
    """

    check: str
    outcome: Outcome
    reason: Reason
    score: float
    detail: dict[str, object] = field(default_factory=dict)


class Decision(Enum):
    """What happens to the command."""

    ALLOW = "allow"
    RETRY = "retry"
    REJECT = "reject"


@dataclass(frozen=True)
class Verdict:
    """One decision with its reason and the findings that it rests on."""

    decision: Decision
    reason: Reason
    findings: tuple[Finding, ...]
