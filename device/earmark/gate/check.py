"""What a check is, and how all of them are run."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Protocol

from earmark.errors import EarmarkError
from earmark.gate.evidence import Evidence
from earmark.gate.finding import Finding, Outcome, Reason

_log = logging.getLogger(__name__)


class Check(Protocol):
    """Looks at the evidence and at nothing else; knows nothing of the other checks."""

    @property
    def name(self) -> str:
        """The name that its findings carry, a key in reports."""
        ...

    def examine(self, evidence: Evidence) -> Finding:
        """Return what was found. An exception counts as a fault and never allows."""
        ...


def run_checks(checks: Iterable[Check], evidence: Evidence) -> tuple[Finding, ...]:
    """Run every check, whatever the others found, and return one finding for each.

    A check that raises, returns something else than a finding, or signs with another check's
    name yields ``UNDETERMINED`` with ``FAULT``. The check's name and the type of the exception
    are logged: its message might quote audio, bits or text. Only that of an EarmarkError, which
    was written for the owner ("the disk is full"), is logged in full.
    """
    findings = []
    for check in checks:
        try:
            finding = check.examine(evidence)
            if not isinstance(finding, Finding):
                raise TypeError("not a Finding")
            if finding.check != check.name:
                raise ValueError("a check signs with its own name")
        except Exception as error:
            said = error if isinstance(error, EarmarkError) else type(error).__name__
            _log.error("check %s failed: %s", check.name, said)
            finding = Finding(
                check.name,
                Outcome.UNDETERMINED,
                Reason.FAULT,
                score=0.0,
                detail={"error": type(error).__name__},
            )
        findings.append(finding)
    return tuple(findings)
