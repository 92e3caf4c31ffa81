"""From the findings to one verdict: a pure function over one table.

The rules, in order:

1. A sign of an attack in any finding rejects, whatever the others found, required or not.
2. Otherwise only the required checks count. All of them passed: the command is allowed.
3. Anything else is a retry, for the first reason in the table that a required check gave. A
   required check that is missing, undetermined without a reason, or at odds with itself counts
   as a fault. Nothing is ever allowed because something could not be found out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from earmark.gate.finding import Decision, Finding, Outcome, Reason, Verdict
from earmark.gate.settings import GateSettings

PRECEDENCE: tuple[tuple[Reason, Decision], ...] = (
    # An attack. A replay that could be named says more than one that could not.
    (Reason.REPLAY, Decision.REJECT),
    (Reason.INTERFERENCE, Decision.REJECT),
    (Reason.QUERY_ATTACK, Decision.REJECT),
    # No advice helps against a fault, so none is given while there is one.
    (Reason.FAULT, Decision.RETRY),
    # Without a command, or with half of one, every other figure is beside the point.
    (Reason.NO_SPEECH, Decision.RETRY),
    (Reason.TOO_LONG, Decision.RETRY),
    # Overdriving spoils levels and nonce alike, so it is mended before them.
    (Reason.CLIPPED, Decision.RETRY),
    # A covered device hears itself and the person badly: uncovering it may mend both.
    (Reason.NONCE_ABSENT, Decision.RETRY),
    (Reason.TOO_QUIET, Decision.RETRY),
    # Found but not good enough: nothing that the person could do about it beyond a new try.
    (Reason.NONCE_DAMAGED, Decision.RETRY),
    (Reason.NONCE_INCOMPLETE, Decision.RETRY),
    (Reason.STALE_UNDETERMINED, Decision.RETRY),
    (Reason.MEMORY_UNDETERMINED, Decision.RETRY),
    # A voice is judged by what the others have let through: with a nonce half taken out, or from
    # under a cushion, anybody is a stranger.
    (Reason.SPEAKER_UNDETERMINED, Decision.RETRY),
    (Reason.STRANGER, Decision.RETRY),
    (Reason.FRESH, Decision.ALLOW),
)
"""Every reason, the one that prevails first, with what it leads to."""

_RANK = {reason: rank for rank, (reason, _) in enumerate(PRECEDENCE)}
_DECISION = dict(PRECEDENCE)

ATTACKS = frozenset(reason for reason, decision in PRECEDENCE if decision is Decision.REJECT)
"""The reasons that suggest an attack. Towards the room they are all one."""


def judge(findings: Sequence[Finding], settings: GateSettings) -> Verdict:
    """Decide on a command.

    Parameters
    ----------
    findings : what the checks found, in any order; several of one check must all pass.
    settings : which checks are required.

    Returns
    -------
    Verdict
        With the prevailing reason and all findings.
    """
    reasons = {
        reason
        for finding in findings
        if (reason := _reason(finding)) in ATTACKS or finding.check in settings.required
    }
    if not set(settings.required) <= {finding.check for finding in findings}:
        reasons.add(Reason.FAULT)
    # `required` is never empty, so that there is a reason here: at the least a missing check.
    reason = min(reasons, key=_RANK.__getitem__, default=Reason.FAULT)
    return Verdict(_DECISION[reason], reason, tuple(findings))


def withheld(verdict: Verdict, reason: Reason) -> Verdict:
    """Return `verdict` with another reason, which must not be one to allow: then it is a fault."""
    reason = Reason.FAULT if reason is Reason.FRESH else reason
    return Verdict(_DECISION[reason], reason, verdict.findings)


def _reason(finding: Finding) -> Reason:
    """Return the finding's reason, or ``FAULT`` when the finding contradicts itself."""
    if finding.reason in ATTACKS:
        return finding.reason
    passed = finding.outcome is Outcome.PASSED
    if passed != (finding.reason is Reason.FRESH) or (passed and not math.isfinite(finding.score)):
        return Reason.FAULT
    return finding.reason
