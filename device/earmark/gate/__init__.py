"""The checks side by side, the policy that makes one verdict of them, and what is told."""

from earmark.gate.announce import UNJUDGED, Announcement, announcement
from earmark.gate.check import Check, run_checks
from earmark.gate.evidence import Evidence
from earmark.gate.finding import Decision, Finding, Outcome, Reason, Verdict
from earmark.gate.memory_check import MemoryCheck
from earmark.gate.nonce_checks import NonceCheck, StaleCheck
from earmark.gate.policy import ATTACKS, PRECEDENCE, judge, withheld
from earmark.gate.settings import CheckName, GateSettings, SignalCheckSettings
from earmark.gate.signal_check import SignalCheck
from earmark.gate.speaker_check import GUEST, Embedder, SpeakerCheck, speaker_of

__all__ = [
    "ATTACKS",
    "GUEST",
    "PRECEDENCE",
    "UNJUDGED",
    "Announcement",
    "Check",
    "CheckName",
    "Decision",
    "Embedder",
    "Evidence",
    "Finding",
    "GateSettings",
    "MemoryCheck",
    "NonceCheck",
    "Outcome",
    "Reason",
    "SignalCheck",
    "SignalCheckSettings",
    "SpeakerCheck",
    "StaleCheck",
    "Verdict",
    "announcement",
    "judge",
    "run_checks",
    "speaker_of",
    "withheld",
]
