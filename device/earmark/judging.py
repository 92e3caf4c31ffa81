"""From a session's recording to its verdict: the heavy work, in one call, beside the loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from earmark.gate import (
    Check,
    Decision,
    Evidence,
    Finding,
    GateSettings,
    Reason,
    Verdict,
    judge,
    run_checks,
    withheld,
)
from earmark.nonce import Carrier, Memory, NonceSettings, Playing, clean, recall
from earmark.signal import Signal

Review: TypeAlias = Callable[[Evidence, tuple[Finding, ...]], Reason | None]
"""Has the last word on a command that the gate would allow: why not, or None."""


@dataclass(frozen=True, eq=False)
class Recorded:
    """A finished session, before anybody has looked at it.

    Parameters
    ----------
    session : its identifier.
    recording : the microphone from the pre-roll on.
    carrier : the nonce.
    played : what the player handed out of it, the end that is still to come included.
    played_at_s : time in the recording at which its first block was handed to the player.
    slots : how many slots were handed over.
    speech : start and end of the command as the endpointer heard it, s; None for nobody.
    woken_unix_s : when the wake word was recognised, UTC.
    """

    session: str
    recording: Signal
    carrier: Carrier
    played: Signal
    played_at_s: float
    slots: int
    speech: tuple[float, float] | None
    woken_unix_s: float


@dataclass(frozen=True, eq=False)
class Judgement:
    """A verdict with all that it rests on. It holds audio: for memory only, never for a log."""

    recorded: Recorded
    evidence: Evidence
    verdict: Verdict
    cpu_s: float
    """CPU time of the whole decision, s, in the thread that made it."""

    @property
    def uncovered(self) -> tuple[tuple[float, float], ...]:
        """Stretches of the command (in recording time, s) that the nonce did not cover."""
        if self.evidence.nonce is None or self.evidence.speech is None:
            return ()
        return self.evidence.nonce.uncovered(*self.evidence.speech)


class Judge:
    """Looks for nonces, takes out the current one, runs the checks, applies the policy.

    Parameters
    ----------
    nonce, gate : settings.
    checks : run on every recording.
    remembered : gives what the device remembers of earlier sessions at a wall-clock time (UTC,
        s); may raise LedgerError or KeyringError.
    review : asked about each command that would be allowed, with what the checks found; returns
        why not, or None. It can only withhold.
    """

    def __init__(
        self,
        nonce: NonceSettings,
        gate: GateSettings,
        checks: Sequence[Check],
        remembered: Callable[[float], Memory],
        review: Review | None = None,
    ) -> None:
        self._nonce = nonce
        self._gate = gate
        self._checks = tuple(checks)
        self._remembered = remembered
        self._review = review

    def judge(self, recorded: Recorded) -> Judgement:
        """Judge one recording.

        Raises
        ------
        EarmarkError
            The ledger or the key ring could not be read.
        """
        began = time.thread_time()
        report = recorded.carrier.verify(recorded.recording, recorded.played_at_s, recorded.slots)
        cleaned = clean(
            recorded.recording,
            recorded.played,
            recorded.played_at_s,
            report,
            recorded.carrier,
            self._nonce,
        )
        stale = recall(
            cleaned.signal,
            Playing(
                recorded.session,
                recorded.carrier,
                recorded.slots,
                report,
                cleaned.suppression_db,
            ),
            self._remembered(recorded.woken_unix_s),
            self._nonce,
            recorded.speech,
        )
        evidence = Evidence(
            recording=recorded.recording,
            cleaned=cleaned.signal,
            speech=recorded.speech,
            nonce=report,
            stale=stale,
            suppression_db=cleaned.suppression_db,
        )
        verdict = judge(run_checks(self._checks, evidence), self._gate)
        if self._review is not None and verdict.decision is Decision.ALLOW:
            against = self._review(evidence, verdict.findings)
            verdict = verdict if against is None else withheld(verdict, against)
        return Judgement(recorded, evidence, verdict, time.thread_time() - began)
