"""The checks side by side, the policy that makes one verdict of them, and what is told."""

from earmark.gate.announce import UNJUDGED, Announcement, announcement
from earmark.gate.check import Check, run_checks
from earmark.gate.evidence import Evidence
from earmark.gate.finding import Decision, Finding, Outcome, Reason, Verdict
from earmark.gate.memory_check import MemoryCheck
from earmark.gate.nonce_checks import NonceCheck, StaleCheck
from earmark.gate.policy import ATTACKS, PRECEDENCE, judge
from earmark.gate.settings import CheckName, GateSettings, SignalCheckSettings
from earmark.gate.signal_check import SignalCheck

__all__ = [
    "ATTACKS",
    "PRECEDENCE",
    "UNJUDGED",
    "Announcement",
    "Check",
    "CheckName",
    "Decision",
    "Evidence",
    "Finding",
    "GateSettings",
    "MemoryCheck",
    "NonceCheck",
    "Outcome",
    "Reason",
    "SignalCheck",
    "SignalCheckSettings",
    "StaleCheck",
    "Verdict",
    "announcement",
    "judge",
    "run_checks",
]
