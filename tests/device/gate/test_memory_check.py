"""The check on the query memory: what it asks about, and what it makes of the answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import pytest

from earmark.demo.clips import Clips
from earmark.gate import Evidence, GateSettings, MemoryCheck, Outcome, Reason, judge, run_checks
from earmark.gate.memory_check import MARGIN_S
from earmark.memory import MemorySettings, MemoryStoreError, QueryMemory, Recollection, Sign
from earmark.memory.neighbours.detector import ALARMS
from earmark.signal import RATE_HZ, Signal

NOW_S = 1_767_323_045.0  # 2026-01-02T03:04:05Z
NEW = Recollection(
    sign=Sign.NEW,
    alarm=False,
    carrier="speech",
    score=0.0,
    copies=0,
    count=1,
    first_unix_s=NOW_S,
    speed_percent=0.0,
    cluster=None,
)
ATTACK = replace(
    NEW,
    sign=Sign.COPIES,
    alarm=True,
    carrier="music",
    score=0.75,
    copies=5,
    count=6,
    speed_percent=-1.5,
    cluster=17,
)


@dataclass
class Scripted:
    """A memory that answers what it is told to, and keeps what it was asked."""

    answer: Recollection | Exception = NEW
    asked: list[tuple[Signal, float]] = field(default_factory=list)

    def examine(self, command: Signal, at_unix_s: float) -> Recollection:
        self.asked.append((command, at_unix_s))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    @property
    def check(self) -> MemoryCheck:
        return MemoryCheck(cast(QueryMemory, self), lambda: NOW_S)


def evidence(speech: tuple[float, float] | None = (0.5, 1.5)) -> Evidence:
    cleaned = np.arange(2 * RATE_HZ, dtype=np.float32)
    return Evidence(np.zeros_like(cleaned), cleaned, speech)


@pytest.mark.parametrize(
    ("speech", "asked_s"),
    [
        ((0.5, 1.5), (0.5 - MARGIN_S, 1.5 + MARGIN_S)),
        ((0.0, 1.0), (0.0, 1.0 + MARGIN_S)),
        ((0.04, 1.98), (0.0, 2.0)),
    ],
)
def test_asks_once_about_the_cleaned_speech_and_its_margins(
    speech: tuple[float, float], asked_s: tuple[float, float]
) -> None:
    memory = Scripted()
    memory.check.examine(evidence(speech))
    [(command, at)] = memory.asked
    start, end = (round(each * RATE_HZ) for each in asked_s)
    np.testing.assert_array_equal(command, np.arange(start, end))
    assert at == NOW_S


def test_without_speech_it_asks_nothing_and_lets_nothing_pass() -> None:
    memory = Scripted()
    found = memory.check.examine(evidence(None))
    assert (found.outcome, found.reason) == (Outcome.FAILED, Reason.NO_SPEECH)
    assert memory.asked == []


@pytest.mark.parametrize("sign", list(Sign))
def test_what_each_sign_comes_to(sign: Sign) -> None:
    found = Scripted(replace(NEW, sign=sign, alarm=sign in ALARMS)).check.examine(evidence())
    expected = {
        Sign.NEW: (Outcome.PASSED, Reason.FRESH),
        Sign.APPROVED: (Outcome.PASSED, Reason.FRESH),
        Sign.SPARSE: (Outcome.UNDETERMINED, Reason.MEMORY_UNDETERMINED),
    }
    attack = (Outcome.FAILED, Reason.QUERY_ATTACK)
    assert (found.outcome, found.reason) == expected.get(sign, attack)


def test_an_alarm_carries_what_an_owner_needs() -> None:
    found = Scripted(ATTACK).check.examine(evidence())
    assert found.score == 0.75
    assert found.detail == {
        "sign": "copies",
        "carrier": "music",
        "count": 6,
        "first_utc": "2026-01-02T03:04:05Z",
        "copies": 5,
        "speed_percent": -1.5,
        "cluster": 17,
    }
    json.dumps(found.detail, allow_nan=False)


def test_what_is_new_belongs_to_nothing() -> None:
    assert "cluster" not in Scripted(NEW).check.examine(evidence()).detail


@pytest.mark.parametrize(
    "error", [MemoryStoreError("the disk is full", "free some space"), ValueError("a clock")]
)
def test_a_memory_that_fails_is_a_fault(error: Exception) -> None:
    [found] = run_checks([Scripted(error).check], evidence())
    assert (found.outcome, found.reason) == (Outcome.UNDETERMINED, Reason.FAULT)
    verdict = judge([found], GateSettings(required=("memory",)))
    assert verdict.reason is Reason.FAULT


# With the real memory


@pytest.fixture
def examined(clips: Clips) -> Callable[..., list[Reason]]:
    """What the check of a device makes of recordings, one after the other."""

    def reasons(*signals: Signal) -> list[Reason]:
        memory = QueryMemory.open(MemorySettings(folder=None), np.random.default_rng(0).bytes)
        check = MemoryCheck(memory, lambda: NOW_S)
        whole = [Evidence(each, each, (0.0, each.size / RATE_HZ)) for each in signals]
        return [check.examine(each).reason for each in whole]

    return reasons


def test_the_sixth_near_copy_is_an_attack(
    examined: Callable[..., list[Reason]], clips: Clips
) -> None:
    random = np.random.default_rng(1)
    clip = clips.command("lobsters").spoken
    varied = [
        (clip + 1e-3 * random.standard_normal(clip.size)).astype(np.float32) for _ in range(7)
    ]
    assert examined(*varied) == [Reason.FRESH] * 5 + [Reason.QUERY_ATTACK] * 2


def test_different_commands_are_none(examined: Callable[..., list[Reason]], clips: Clips) -> None:
    names = ("toast", "bread", "bedtime", "table", "quarter_to_eleven", "mop_it_up", "lobsters")
    signals = [clips.command(name).spoken for name in names]
    assert examined(*signals) == [Reason.FRESH] * len(names)


def test_digital_silence_cannot_be_told(examined: Callable[..., list[Reason]]) -> None:
    silence = np.zeros(RATE_HZ, np.float32)
    assert examined(*[silence] * 7) == [Reason.MEMORY_UNDETERMINED] * 7


def test_every_reason_of_the_memory_has_a_decision_of_its_own() -> None:
    settings = GateSettings(required=("memory",))
    decisions = {
        sign: judge(
            [Scripted(replace(NEW, sign=sign, alarm=sign in ALARMS)).check.examine(evidence())],
            settings,
        ).decision.value
        for sign in Sign
    }
    assert decisions == {
        Sign.NEW: "allow",
        Sign.APPROVED: "allow",
        Sign.SPARSE: "retry",
        Sign.COPIES: "reject",
        Sign.KEPT: "reject",
        Sign.MEAN: "reject",
        Sign.OVERHEARD: "reject",
    }
