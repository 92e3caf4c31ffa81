"""The two checks on the nonce: each reason, and its figures for the journal."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest

from earmark.gate import (
    Decision,
    Evidence,
    Finding,
    GateSettings,
    NonceCheck,
    Outcome,
    Reason,
    SignalCheck,
    SignalCheckSettings,
    StaleCheck,
    judge,
    run_checks,
)
from earmark.nonce import NonceSettings, Report, StaleReport
from earmark.signal import RATE_HZ

SETTINGS = NonceSettings()
SPEECH = (0.5, 2.5)
CURRENT = Report(
    bits=32,
    bits_received=32,
    bit_errors=0,
    slots=52,
    slot_errors=0,
    present=True,
    contrast=7.9,
    offset_s=0.6,
    drift_ppm=12.0,
    shift_hz=0.5,
    snr_db=25.0,
    gaps=(),
    covered=(0.6, 3.2),
)
NOTHING_STALE = StaleReport(searched=20, chance=0.4, found=False, score=0.4, self_noise_db=0.26)
UNDETERMINED = dataclasses.replace(NOTHING_STALE, undetermined=True, self_noise_db=7.34)
STALE = StaleReport(
    searched=20,
    chance=1e-18,
    found=True,
    score=14.0,
    session="0f" * 16,
    device="hall",
    place="by the door",
    recorded_at=1_700_000_000.5,
)


def evidence(
    nonce: Report | None = CURRENT,
    stale: StaleReport | None = NOTHING_STALE,
    speech: tuple[float, float] | None = SPEECH,
    **other: Any,
) -> Evidence:
    audio = np.zeros(4 * RATE_HZ, np.float32)
    return Evidence(audio, audio, speech, nonce=nonce, stale=stale, **other)


def nonce_finding(found: Evidence) -> Finding:
    return NonceCheck(SETTINGS).examine(found)


def stale_finding(found: Evidence) -> Finding:
    return StaleCheck(SETTINGS).examine(found)


def changed(**how: Any) -> Report:
    return dataclasses.replace(CURRENT, **how)


# The current nonce

NONCE_CASES: dict[str, tuple[Report, Reason]] = {
    "all right": (CURRENT, Reason.FRESH),
    "as many errors as allowed": (changed(bit_errors=4), Reason.FRESH),
    "one more": (changed(bit_errors=5), Reason.NONCE_DAMAGED),
    "absent": (changed(present=False), Reason.NONCE_ABSENT),
    "absent and wrong": (changed(present=False, bit_errors=16), Reason.NONCE_ABSENT),
    "a bit is missing": (changed(bits_received=31, bit_errors=1), Reason.NONCE_INCOMPLETE),
    "half is missing": (changed(bits_received=16, bit_errors=16), Reason.NONCE_INCOMPLETE),
    "missing and wrong": (changed(bits_received=16, bit_errors=21), Reason.NONCE_DAMAGED),
    "begins late": (changed(covered=(1.69, 3.2)), Reason.FRESH),
    "begins too late": (changed(covered=(1.71, 3.2)), Reason.NONCE_INCOMPLETE),
    "ends too early": (changed(covered=(0.4, 1.2)), Reason.NONCE_INCOMPLETE),
    "a gap": (changed(gaps=((1.0, 1.9),)), Reason.FRESH),
    "a long gap": (changed(gaps=((1.0, 2.3),)), Reason.NONCE_INCOMPLETE),
    "a gap where nobody speaks": (changed(gaps=((2.6, 3.2),), covered=(0.4, 3.9)), Reason.FRESH),
    "a gap to the end and on": (
        changed(gaps=((1.25, 2.0),), covered=(0.5, 2.0)),
        Reason.NONCE_INCOMPLETE,
    ),
}


@pytest.mark.parametrize(("report", "reason"), NONCE_CASES.values(), ids=NONCE_CASES)
def test_reason_of_the_current_nonce(report: Report, reason: Reason) -> None:
    found = nonce_finding(evidence(report))
    assert found.reason is reason
    assert found.outcome is (Outcome.PASSED if reason is Reason.FRESH else Outcome.FAILED)
    assert found.check == "nonce"
    assert found.score == report.bit_errors / 32


def test_the_limits_are_the_settings() -> None:
    strict = NonceCheck(NonceSettings(max_bit_error_rate=0.0, max_uncovered_s=0.05))
    assert strict.examine(evidence()).reason is Reason.NONCE_INCOMPLETE  # 0.1 s at the start
    assert strict.examine(evidence(changed(bit_errors=1))).reason is Reason.NONCE_DAMAGED


def test_without_a_report_it_is_a_fault() -> None:
    found = nonce_finding(evidence(None))
    assert (found.outcome, found.reason) == (Outcome.UNDETERMINED, Reason.FAULT)
    assert math.isnan(found.score)


def test_without_speech_nothing_needs_cover() -> None:
    """Another check says that nobody spoke."""
    assert nonce_finding(evidence(changed(covered=(3.0, 3.2)), speech=None)).reason is Reason.FRESH


def test_its_detail_tells_what_was_not_covered() -> None:
    found = nonce_finding(evidence(changed(gaps=((1.0, 1.2),)), suppression_db=41.26))
    assert found.detail["uncovered_s"] == pytest.approx(0.1 + 0.2)
    assert found.detail["suppression_db"] == 41.3
    assert found.detail["bits"] == 32
    json.dumps(found.detail, allow_nan=False)


def test_a_report_without_any_slot_is_still_json() -> None:
    nothing = changed(present=False, slots=0, bits_received=0, bit_errors=32, snr_db=-math.inf)
    found = nonce_finding(evidence(nothing))
    assert found.reason is Reason.NONCE_ABSENT
    assert found.detail["snr_db"] is None
    json.dumps(found.detail, allow_nan=False)


# An earlier nonce


def test_nothing_of_before_is_fresh() -> None:
    found = stale_finding(evidence())
    assert (found.outcome, found.reason) == (Outcome.PASSED, Reason.FRESH)
    assert found.score == pytest.approx(-math.log10(0.4))
    assert found.detail == {"searched": 20, "self_noise_db": 0.3}


def test_an_empty_ledger_is_fresh() -> None:
    found = stale_finding(evidence(stale=StaleReport(0, 1.0, False, 0.0)))
    assert found.reason is Reason.FRESH
    assert str(found.score) == "0.0"


def test_a_replay_says_when_and_where_it_was_recorded() -> None:
    found = stale_finding(evidence(stale=STALE))
    assert (found.outcome, found.reason) == (Outcome.FAILED, Reason.REPLAY)
    assert found.score == pytest.approx(18.0)
    assert found.detail == {
        "searched": 20,
        "self_noise_db": 0.0,
        "recorded_utc": "2023-11-14T22:13:20Z",
        "recorded_session": "0f" * 16,
        "recorded_device": "hall",
        "recorded_place": "by the door",
    }


@pytest.mark.parametrize(
    ("current", "reason"),
    [
        (CURRENT, Reason.REPLAY),
        (changed(bit_errors=5), Reason.INTERFERENCE),
        (changed(present=False, bit_errors=16), Reason.REPLAY),
        (changed(bits_received=16, bit_errors=16), Reason.REPLAY),
        (None, Reason.REPLAY),
    ],
)
def test_it_is_interference_when_the_current_nonce_is_damaged(
    current: Report | None, reason: Reason
) -> None:
    found = stale_finding(evidence(current, STALE))
    assert (found.outcome, found.reason) == (Outcome.FAILED, reason)


def test_where_too_much_of_the_current_nonce_is_left_it_is_undetermined() -> None:
    found = stale_finding(evidence(stale=UNDETERMINED))
    assert (found.outcome, found.reason) == (Outcome.UNDETERMINED, Reason.STALE_UNDETERMINED)
    assert found.score == pytest.approx(-math.log10(0.4))
    assert found.detail == {"searched": 20, "self_noise_db": 7.3}


def test_what_was_found_all_the_same_is_a_replay() -> None:
    stale = dataclasses.replace(STALE, undetermined=True, self_noise_db=7.34)
    found = stale_finding(evidence(stale=stale))
    assert (found.outcome, found.reason) == (Outcome.FAILED, Reason.REPLAY)
    assert found.detail["self_noise_db"] == 7.3


def test_a_replay_that_the_ledger_cannot_name_is_one_all_the_same() -> None:
    found = stale_finding(evidence(stale=StaleReport(2, 1e-12, True, 12.0)))
    assert (found.outcome, found.reason) == (Outcome.FAILED, Reason.REPLAY)
    assert "recorded_utc" not in found.detail
    assert found.detail["recorded_session"] is None
    json.dumps(found.detail, allow_nan=False)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({}, Reason.STALE_UNDETERMINED),
        ({"nonce": changed(bit_errors=9)}, Reason.NONCE_DAMAGED),
        ({"nonce": changed(present=False)}, Reason.NONCE_ABSENT),
    ],
)
def test_what_is_undetermined_is_asked_for_again(other: dict[str, Any], reason: Reason) -> None:
    """Never allowed; and where the nonce itself is at fault, that is the reason told."""
    verdict = judge(
        run_checks(CHECKS, Evidence(**(LIVE | {"stale": UNDETERMINED} | other))), REQUIRED
    )
    assert (verdict.decision, verdict.reason) == (Decision.RETRY, reason)


def test_without_a_search_it_is_a_fault() -> None:
    found = stale_finding(evidence(stale=None))
    assert (found.outcome, found.reason) == (Outcome.UNDETERMINED, Reason.FAULT)
    assert math.isnan(found.score)


@pytest.mark.parametrize("chance", [0.0, 5e-324, 1e-300])
def test_the_least_chance_has_a_finite_score(chance: float) -> None:
    found = stale_finding(evidence(stale=dataclasses.replace(STALE, chance=chance)))
    assert 299.0 < found.score <= 300.0


@pytest.mark.parametrize("recorded_at", [None, 1e12, 1e300])
def test_a_time_that_is_unknown_or_beyond_the_calendar_is_left_out(
    recorded_at: float | None,
) -> None:
    found = stale_finding(evidence(stale=dataclasses.replace(STALE, recorded_at=recorded_at)))
    assert found.reason is Reason.REPLAY
    assert "recorded_utc" not in found.detail


# Every reason has a cause: the walk that house rule 7 asks for

CHECKS = (SignalCheck(SignalCheckSettings()), NonceCheck(SETTINGS), StaleCheck(SETTINGS))
REQUIRED = GateSettings(required=("signal", "nonce", "stale"))
"""All but the memory, whose own reasons have their causes in test_memory_check.py."""


def speech_of(amplitude: float, speech: tuple[float, float] | None = SPEECH) -> dict[str, Any]:
    """A tone that is on half of the time, in faint noise."""
    audio = 1e-4 * np.random.default_rng(0).standard_normal(4 * RATE_HZ)
    on = slice(round(0.6 * RATE_HZ), round(2.0 * RATE_HZ))
    audio[on] += amplitude * np.sin(2 * np.pi * 300.0 * np.arange(on.stop - on.start) / RATE_HZ)
    clipped = np.clip(audio, -1.0, 1.0).astype(np.float32)
    return {"recording": clipped, "cleaned": clipped, "speech": speech}


LIVE: dict[str, Any] = speech_of(0.1) | {"nonce": CURRENT, "stale": NOTHING_STALE}
CAUSES: dict[Reason, dict[str, Any]] = {
    Reason.FRESH: LIVE,
    Reason.NO_SPEECH: LIVE | {"speech": None},
    Reason.TOO_QUIET: LIVE | speech_of(0.0),
    Reason.CLIPPED: LIVE | speech_of(3.0),
    Reason.TOO_LONG: LIVE | {"capped": True},
    Reason.NONCE_ABSENT: LIVE | {"nonce": changed(present=False)},
    Reason.NONCE_DAMAGED: LIVE | {"nonce": changed(bit_errors=9)},
    Reason.NONCE_INCOMPLETE: LIVE | {"nonce": changed(bits_received=20, bit_errors=12)},
    Reason.REPLAY: LIVE | {"stale": STALE},
    Reason.STALE_UNDETERMINED: LIVE | {"stale": UNDETERMINED},
    Reason.INTERFERENCE: LIVE | {"stale": STALE, "nonce": changed(bit_errors=9)},
    Reason.FAULT: LIVE | {"nonce": None},
}


@pytest.mark.parametrize("reason", sorted(CAUSES, key=str))
def test_every_reason_is_the_verdict_of_some_evidence(reason: Reason) -> None:
    verdict = judge(run_checks(CHECKS, Evidence(**CAUSES[reason])), REQUIRED)
    assert verdict.reason is reason


def test_every_reason_has_a_cause() -> None:
    assert set(Reason) - set(CAUSES) == {
        *(Reason.QUERY_ATTACK, Reason.MEMORY_UNDETERMINED),
        *(Reason.STRANGER, Reason.SPEAKER_UNDETERMINED),
    }
