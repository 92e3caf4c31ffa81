"""What the device of a bench remembers of earlier sessions, and the judge that uses it.

The ledger is kept in memory: what it costs to read a file is not what is measured here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from earmark.config import Config
from earmark.gate import GateSettings, NonceCheck, StaleCheck
from earmark.judging import Judge, Judgement
from earmark.nonce import Bank, Carrier, FixedKeys, Issue, Memory, Playing, Source, recall
from earmark_host.bench.nonce.setup import NOW_S, Setup

EARLIER = 1000
"""Nonces of earlier sessions in the ledger of every session, its victim's apart."""

EARLIER_S = (2.0, 8.0)
"""How long each was played, s."""

SPREAD_OVER_S = 50 * 86_400.0
"""They were issued evenly over so long before now, s. All lie in the present epoch, so that
they share one bank: naming one of them cannot be harder."""

REQUIRED = GateSettings(required=("nonce", "stale"))
"""The checks that are measured here. The third, on the signal, has its own bench."""


def issued(carrier: Carrier, session: str, issued_at: float, slots: int | None = None) -> Issue:
    """The ledger's entry on a nonce.

    Parameters
    ----------
    issued_at : wall clock when its first sample was played (UTC, s).
    slots : how many were played; None while it plays.
    """
    return Issue.of(
        carrier,
        session=session,
        device="bench",
        place="household",
        issued_at=issued_at,
        slots=slots,
    )


def earlier(setup: Setup, count: int = EARLIER, household: str = "own") -> tuple[Issue, ...]:
    """`count` nonces that a household's device issued before now, newest first."""
    return _earlier(setup.source(household), setup.seed, count)


@lru_cache(maxsize=8)
def _earlier(source: Source, seed: int, count: int) -> tuple[Issue, ...]:
    rng = np.random.default_rng([seed, *b"earlier sessions", count])
    issues = []
    for age in range(1, count + 1):
        issued_at = NOW_S - SPREAD_OVER_S * age / count
        carrier = source.draw(rng.bytes, issued_at)
        slots = round(float(rng.uniform(*EARLIER_S)) / carrier.slot_s)
        issues.append(issued(carrier, rng.bytes(16).hex(), issued_at, slots))
    return tuple(issues)


def memory(setup: Setup, issues: Sequence[Issue], now: float) -> Memory:
    """The device's memory at wall-clock time `now` with these `issues`, newest first.

    A household is held that has played the same waveform always: with codes no tones are
    searched for, with tones no banks.
    """
    nonce = setup.config.nonce
    if nonce.waveform == "bfsk":
        return Memory([], issues[: nonce.bfsk.search_count], lambda _: [])
    return Memory(setup.source().banks(now), [], lambda bank: _of_bank(issues, bank))


def _of_bank(issues: Sequence[Issue], bank: Bank) -> list[Issue]:
    banks: dict[str, str | None] = {}
    for issue in issues:
        if issue.waveform not in banks:
            banks[issue.waveform] = issue.bank
    wanted = f"{bank.secret_id}:{bank.epoch}"
    return [issue for issue in issues if banks[issue.waveform] == wanted]


def foreign_memory(setup: Setup, rng: np.random.Generator) -> Memory:
    """Another household's memory: whatever is found with it in our recordings is an accident.

    One bank of a key of its own, or the tones of :data:`EARLIER` sessions.
    """
    nonce = setup.config.nonce
    if nonce.waveform == "bfsk":
        household = f"foreign {int(rng.integers(4))}"  # drawing 1,000 takes as long as a search
        return Memory([], earlier(setup, household=household)[: nonce.bfsk.search_count], _nobody)
    return Memory(Source(nonce, FixedKeys(rng.bytes(32))).banks(NOW_S)[:1], [], _nobody)


def _nobody(_: Bank) -> list[Issue]:
    return []


def judge(config: Config, remembered: Memory) -> Judge:
    """The device's judge with this memory."""
    nonce = config.nonce
    return Judge(nonce, REQUIRED, (NonceCheck(nonce), StaleCheck(nonce)), lambda _: remembered)


def found_with(remembered: Memory, judgement: Judgement, config: Config) -> bool:
    """Search a judged recording once more, with another memory."""
    recorded, report = judgement.recorded, judgement.evidence.nonce
    assert report is not None  # the judge always looks for the nonce
    playing = Playing(recorded.session, recorded.carrier, recorded.slots, report)
    cleaned = judgement.evidence.cleaned
    return recall(cleaned, playing, remembered, config.nonce, recorded.speech).found
