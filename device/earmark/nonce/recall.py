"""The stale search against the ledger: whose recording is this, and when was it made?"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from earmark.errors import LedgerError
from earmark.nonce.ledger import Issue
from earmark.nonce.settings import NonceSettings
from earmark.nonce.stale import Candidate, search
from earmark.signal import Signal


@dataclass(frozen=True)
class StaleReport:
    """What the search for earlier nonces found.

    Parameters
    ----------
    searched : how many remembered nonces were compared.
    chance : bound on the probability of the best fit by chance, over all that was tried.
    found : `chance` is at or below the accepted false-alarm rate.
    score : the best fit in standard deviations of a random nonce (0 when none compared).
    session, device, place, recorded_at : of the found nonce: which session's, where it was
        played, and when the found recording was made (UTC, s); None when nothing was found.
    """

    searched: int
    chance: float
    found: bool
    score: float
    session: str | None = None
    device: str | None = None
    place: str | None = None
    recorded_at: float | None = None


def recall(
    cleaned: Signal,
    issues: Iterable[Issue],
    settings: NonceSettings,
    speech: tuple[float, float] | None = None,
) -> StaleReport:
    """Look for every remembered nonce in a recording.

    Parameters
    ----------
    cleaned : the recording at ``RATE_HZ`` after the current nonce was taken out.
    issues : the remembered nonces, without the current one.
    speech : start and end of the command in it, s; searched on its own as well.

    Raises
    ------
    LedgerError
        A remembered nonce cannot be looked for. It is not skipped: a recording that carries it
        would pass for fresh.
    """
    by_session = {issue.session: issue for issue in issues}
    candidates = [_candidate(issue) for issue in by_session.values()]
    spans = () if speech is None else ((speech[0] - MARGIN_S, speech[1] + MARGIN_S),)
    hit = search(cleaned, candidates, settings.max_shift_hz, spans)
    if hit is None:
        return StaleReport(len(candidates), 1.0, False, 0.0)
    if hit.chance > settings.stale_false_alarm or not math.isfinite(hit.score):
        return StaleReport(len(candidates), hit.chance, False, hit.score)
    issue = by_session[hit.session]
    return StaleReport(
        searched=len(candidates),
        chance=hit.chance,
        found=True,
        score=hit.score,
        session=issue.session,
        device=issue.device,
        place=issue.place,
        recorded_at=issue.issued_at,
    )


def _candidate(issue: Issue) -> Candidate:
    """The remembered nonce as it was played."""
    try:
        nonce, wave = issue.rebuilt()
    except ValueError as error:
        raise LedgerError(
            f"the ledger holds a nonce that this version cannot look for ({error})",
            "update Earmark, or move the ledger away and start again",
        ) from error
    return Candidate(
        issue.session,
        nonce,
        wave,
        # A session that was cut off by a power loss left no count: assume a long one.
        min(issue.slots, MAX_SLOTS) if issue.slots is not None else UNFINISHED_SLOTS,
    )


MAX_SLOTS = 2400
"""Slots of a session that are looked for: 60 s, the longest command, at 40 bit/s. The search's
memory grows with the longest nonce, and an imported ledger may claim any length."""

MARGIN_S = 0.2
"""Added on both sides of the command, s: the endpointer's error, and the echo of its end."""

UNFINISHED_SLOTS = 100
"""Slots assumed for a session whose end was never recorded: 5 s at 20 bit/s, twice the usual
command. Longer ones are still found by their first 5 s."""
