"""The check on the query memory: is the command one of many near-copies?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from earmark.gate.evidence import Evidence
from earmark.gate.finding import Finding, Outcome, Reason
from earmark.memory import QueryMemory, Recollection, Sign
from earmark.signal import RATE_HZ, Signal

MARGIN_S = 0.1
"""What is examined before and after the speech, s: the endpointer puts its edges on blocks of
20 ms, and up to 0.1 s into a soft first or last sound. Copies of one clip then begin alike."""


class MemoryCheck:
    """Does somebody craft a command, sending it again and again with small changes?

    The memory remembers what it is asked about, so :meth:`examine` is called once for each
    recording, also for one that another check rejects: an attacker learns from each answer that
    he provokes, and a copy that was replayed or spoken too softly is a query like any other.

    The score is the likeness with the nearest past query, 0 to 1, smaller is better (in the
    memory's paper mode: the paper's s). The detail holds what an owner needs to look into an
    alarm, never a fingerprint.

    Parameters
    ----------
    memory : of the device; open.
    now : the wall clock, UTC, s.
    """

    name = "memory"

    def __init__(self, memory: QueryMemory, now: Callable[[], float]) -> None:
        self._memory = memory
        self._now = now

    def examine(self, evidence: Evidence) -> Finding:
        """Return ``FRESH``, ``QUERY_ATTACK``, ``MEMORY_UNDETERMINED`` or ``NO_SPEECH``.

        Raises
        ------
        MemoryStoreError
            The query could not be stored.
        """
        if evidence.speech is None:
            # Nobody asked anything: there is nothing to remember, and nothing to let pass.
            return Finding(self.name, Outcome.FAILED, Reason.NO_SPEECH, 0.0)
        found = self._memory.examine(_command(evidence, evidence.speech), self._now())
        outcome, reason = _judged(found)
        detail: dict[str, object] = {
            "sign": found.sign.value,
            "carrier": found.carrier,
            "count": found.count,
            "first_utc": datetime.fromtimestamp(found.first_unix_s, UTC).strftime(
                "%Y-%m-%dT%H:%M:%SZ"
            ),
            "copies": found.copies,
            "speed_percent": found.speed_percent,
        }
        if found.cluster is not None:
            detail["cluster"] = found.cluster
        return Finding(self.name, outcome, reason, found.score, detail)


def _judged(found: Recollection) -> tuple[Outcome, Reason]:
    if found.alarm:
        return Outcome.FAILED, Reason.QUERY_ATTACK
    if found.sign is Sign.SPARSE:
        return Outcome.UNDETERMINED, Reason.MEMORY_UNDETERMINED
    return Outcome.PASSED, Reason.FRESH


def _command(evidence: Evidence, speech: tuple[float, float]) -> Signal:
    """The speech and its margins, without the nonce."""
    start, end = speech
    first = max(0, round((start - MARGIN_S) * RATE_HZ))
    return evidence.cleaned[first : round((end + MARGIN_S) * RATE_HZ)]
