"""Is there a nonce of an earlier session, in whatever waveform; and whose, from when?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from earmark.errors import LedgerError
from earmark.nonce.bfsk import Candidate, search
from earmark.nonce.carrier import Carrier
from earmark.nonce.ledger import Issue
from earmark.nonce.report import Report
from earmark.nonce.settings import NonceSettings
from earmark.nonce.spread import CHIPS, Bank, Find, SpreadCarrier, Trace
from earmark.nonce.spread import search as search_codes
from earmark.nonce.spread.naming import is_moved, name
from earmark.signal import RATE_HZ, Signal

MAX_SLOTS = 2400
"""Slots of tones that are looked for: 60 s, the longest command, at 40 bit/s. The search's
memory grows with the longest nonce, and an imported ledger may claim any length."""

MARGIN_S = 0.2
"""Added on both sides of the command, s: the endpointer's error, and the echo of its end."""

MAX_CODED = 240
"""Slots of codes in which a find is placed: 61 s, the longest command."""

UNFINISHED_SLOTS = 100
"""Slots of tones assumed for a session whose end was never recorded: 5 s at 20 bit/s, twice the
usual command. Longer ones are still found by their first 5 s."""


@dataclass(frozen=True)
class Memory:
    """What the device remembers of earlier sessions.

    Parameters
    ----------
    banks : the banks of codes whose nonces are to be recognised.
    tones : the remembered nonces in tones, newest first.
    coded : the remembered nonces in the codes of a bank; asked for only after one was found.
    """

    banks: Sequence[Bank]
    tones: Iterable[Issue]
    coded: Callable[[Bank], Iterable[Issue]]


@dataclass(frozen=True)
class StaleReport:
    """What the search for earlier nonces found.

    Parameters
    ----------
    searched : how many banks and remembered tones were compared.
    chance : bound on the probability of the best fit by chance, over all that was tried.
    found : `chance` is at or below the accepted false-alarm rate.
    score : strength of the best fit: decimal logarithm of one over `chance`, 0 when none.
    session, device, place, recorded_at : of the found nonce: which session's, where it was
        played, and when the found recording was made (UTC, s); None when nothing was found, or
        the ledger no longer knows the session.
    undetermined : nothing was found, but so much of the current nonce is left, or it is where
        it should not be, that an old one could lie under it.
    self_noise_db : by how much that raises the noise in which an old one is looked for.
    """

    searched: int
    chance: float
    found: bool
    score: float
    session: str | None = None
    device: str | None = None
    place: str | None = None
    recorded_at: float | None = None
    undetermined: bool = False
    self_noise_db: float = 0.0


@dataclass(frozen=True)
class Playing:
    """The current nonce, as far as the search must know it.

    Parameters
    ----------
    session : its session, which is not an earlier one.
    carrier : what was played.
    slots : how many slots of it.
    report : where it was found in the recording.
    suppression_db : how far the canceller lowered it, at least.
    """

    session: str
    carrier: Carrier
    slots: int
    report: Report
    suppression_db: float = 0.0


def recall(
    cleaned: Signal,
    playing: Playing,
    memory: Memory,
    settings: NonceSettings,
    speech: tuple[float, float] | None = None,
) -> StaleReport:
    """Look for every remembered nonce in a recording.

    Parameters
    ----------
    cleaned : the recording at ``RATE_HZ`` after the current nonce was taken out.
    speech : start and end of the command in it, s.

    Raises
    ------
    LedgerError
        A remembered nonce cannot be looked for. It is not skipped: a recording that carries it
        would pass for fresh.
    """
    tones = {issue.session: issue for issue in memory.tones if issue.session != playing.session}
    # Both searches together may raise the accepted share of false alarms.
    searches = bool(tones) + bool(memory.banks)
    limit = settings.stale_false_alarm / max(1, searches)
    by_codes = _codes(cleaned, playing, memory, settings, limit)
    by_tones = _tones(cleaned, tones, settings, limit, speech)
    best = min(by_codes, by_tones, key=lambda report: (not report.found, report.chance))
    # Whichever fits best is the better of so many, so its chance is so many times as high.
    chance = min(1.0, max(1, searches) * best.chance)
    return replace(
        best,
        searched=by_codes.searched + by_tones.searched,
        chance=chance,
        score=_score(chance),
        undetermined=by_codes.undetermined and not best.found,
        self_noise_db=by_codes.self_noise_db,
    )


def _score(chance: float) -> float:
    """Decimal logarithm of one over the chance, 300 at most."""
    return -math.log10(max(chance, 1e-300)) + 0.0  # no minus zero


# -- codes ----------------------------------------------------------------------------------


def _codes(
    cleaned: Signal, playing: Playing, memory: Memory, settings: NonceSettings, limit: float
) -> StaleReport:
    find = search_codes(
        cleaned,
        memory.banks,
        _trace(playing),
        settings.max_drift_ppm,
        settings.spread.self_echo_s,
        settings.spread.max_speed_percent,
        settings.max_shift_hz,
    )
    chance = float(10.0 ** -max(0.0, min(find.log10_evidence, 300.0)))
    nothing = StaleReport(
        len(memory.banks),
        chance,
        False,
        _score(chance),
        undetermined=bool(memory.banks) and _hides(find, playing, settings),
        self_noise_db=find.self_noise_db,
    )
    if chance > limit or find.bank is None:
        return nothing
    issues = [issue for issue in memory.coded(find.bank) if issue.session != playing.session]
    issue, into_s = _named(find, find.bank, issues)
    if issue is None and _is_own(find, find.bank, playing):
        return replace(nothing, chance=1.0, score=0.0, undetermined=True)
    return StaleReport(
        searched=len(memory.banks),
        chance=chance,
        found=True,
        score=_score(chance),
        session=None if issue is None else issue.session,
        device=None if issue is None else issue.device,
        place=None if issue is None else issue.place,
        recorded_at=None if issue is None else issue.issued_at + into_s,
        self_noise_db=find.self_noise_db,
    )


def _trace(playing: Playing) -> Trace | None:
    """Where the current nonce's slots are in the recording."""
    carrier, report = playing.carrier, playing.report
    if not isinstance(carrier, SpreadCarrier) or report.slots == 0:
        return None
    slot = CHIPS / (1.0 + report.drift_ppm * 1e-6)
    return Trace(
        carrier.bank,
        carrier.bank.codes(carrier.payload, 0, playing.slots),
        report.offset_s * RATE_HZ + slot * np.arange(playing.slots),
    )


def _hides(find: Find, playing: Playing, settings: NonceSettings) -> bool:
    """Whether an old nonce could lie under the current one and not be found."""
    if not playing.report.present:
        return True  # nothing could be taken out
    # In a silent room what is left is above the noise and yet far below any old nonce.
    deep = playing.suppression_db >= settings.spread.enough_suppression_db
    return find.self_noise_db > settings.spread.max_self_noise_db and not deep


def _is_own(find: Find, bank: Bank, playing: Playing) -> bool:
    """Whether what stands out is the current nonce itself, where nobody expected it.

    After a loudspeaker that is later than `max_delay_s`, or a stream that lost some blocks, the
    trace says where it is not. An old one may lie under it, so nothing is determined then.
    """
    carrier, report = playing.carrier, playing.report
    if not isinstance(carrier, SpreadCarrier) or carrier.bank.name != bank.name:
        return False
    codes = bank.codes(carrier.payload, 0, playing.slots)
    into = round((find.starts_at_s - report.offset_s) * RATE_HZ / CHIPS)
    return is_moved(find.evidence, codes, into if report.present else None)


def _slots(issue: Issue) -> int:
    """How many slots of codes were played; a session that was cut off may have been long."""
    return MAX_CODED if issue.slots is None else min(issue.slots, MAX_CODED)


def _named(find: Find, bank: Bank, issues: Sequence[Issue]) -> tuple[Issue | None, float]:
    """The session that was found, and how far into it the find begins, s."""
    by_length: dict[int, list[Issue]] = {}
    for issue in issues:
        by_length.setdefault(len(issue.payload), []).append(issue)
    for group in by_length.values():
        found = name(
            find.evidence,
            bank,
            [issue.payload for issue in group],
            [_slots(issue) for issue in group],
        )
        if found is not None:
            return group[found.index], found.first_slot * CHIPS / RATE_HZ
    return None, 0.0


# -- tones ----------------------------------------------------------------------------------


def _tones(
    cleaned: Signal,
    by_session: dict[str, Issue],
    settings: NonceSettings,
    limit: float,
    speech: tuple[float, float] | None,
) -> StaleReport:
    candidates = [_candidate(issue) for issue in by_session.values()]
    spans = () if speech is None else ((speech[0] - MARGIN_S, speech[1] + MARGIN_S),)
    hit = search(cleaned, candidates, settings.max_shift_hz, spans) if candidates else None
    if hit is None:
        return StaleReport(len(candidates), 1.0, False, 0.0)
    score = _score(hit.chance)
    if hit.chance > limit or not math.isfinite(hit.score):
        return StaleReport(len(candidates), hit.chance, False, score)
    issue = by_session[hit.session]
    return StaleReport(
        searched=len(candidates),
        chance=hit.chance,
        found=True,
        score=score,
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
