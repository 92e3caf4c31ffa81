"""The policy: every reason leads somewhere, nothing is allowed by default or by accident."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from earmark.gate import (
    ATTACKS,
    PRECEDENCE,
    Announcement,
    Decision,
    Evidence,
    Finding,
    GateSettings,
    Outcome,
    Reason,
    Verdict,
    announcement,
    judge,
    run_checks,
)
from earmark.memory import MemoryStoreError

SETTINGS = GateSettings()


def passed(check: str) -> Finding:
    return Finding(check, Outcome.PASSED, Reason.FRESH, 1.0)


def failed(check: str, reason: Reason) -> Finding:
    return Finding(check, Outcome.FAILED, reason, 1.0)


def all_passed_but(check: str, finding: Finding) -> list[Finding]:
    return [finding if name == check else passed(name) for name in SETTINGS.required]


def test_allows_when_every_required_check_passed() -> None:
    findings = [passed(name) for name in SETTINGS.required]

    verdict = judge(findings, SETTINGS)

    assert verdict == Verdict(Decision.ALLOW, Reason.FRESH, tuple(findings))


def test_the_table_names_every_reason_once() -> None:
    assert sorted(r.value for r, _ in PRECEDENCE) == sorted(r.value for r in Reason)
    assert {Reason.REPLAY, Reason.INTERFERENCE, Reason.QUERY_ATTACK} == ATTACKS
    assert [r for r, d in PRECEDENCE if d is Decision.ALLOW] == [Reason.FRESH]


@pytest.mark.parametrize("reason", [r for r in Reason if r is not Reason.FRESH])
@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.UNDETERMINED])
@pytest.mark.parametrize("check", SETTINGS.required)
def test_one_check_that_did_not_pass_is_enough(
    reason: Reason, outcome: Outcome, check: str
) -> None:
    verdict = judge(all_passed_but(check, Finding(check, outcome, reason, 0.0)), SETTINGS)

    assert verdict.reason is reason
    assert verdict.decision is (Decision.REJECT if reason in ATTACKS else Decision.RETRY)


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(PRECEDENCE[:-1], 2)))
def test_the_first_reason_in_the_table_prevails(
    first: tuple[Reason, Decision], second: tuple[Reason, Decision]
) -> None:
    findings = [
        failed("signal", second[0]),
        failed("nonce", first[0]),
        passed("stale"),
        passed("memory"),
        passed("speaker"),
    ]

    for order in itertools.permutations(findings):
        verdict = judge(order, SETTINGS)
        assert (verdict.reason, verdict.decision) == first


def test_a_replay_that_is_named_says_more_than_that_it_was_heard_again_and_again() -> None:
    findings = [failed("memory", Reason.QUERY_ATTACK), failed("stale", Reason.REPLAY)]
    assert judge(findings, SETTINGS).reason is Reason.REPLAY


@pytest.mark.parametrize("reason", [Reason.NONCE_DAMAGED, Reason.TOO_QUIET, Reason.NONCE_ABSENT])
def test_a_voice_is_not_judged_by_a_recording_that_is_not_good_enough(reason: Reason) -> None:
    findings = [failed("speaker", Reason.STRANGER), failed("nonce", reason)]
    rest = map(passed, ("signal", "stale", "memory"))
    assert judge([*findings, *rest], SETTINGS).reason is reason


@pytest.mark.parametrize("attack", sorted(ATTACKS, key=str))
def test_an_attack_rejects_though_the_check_is_not_required(attack: Reason) -> None:
    settings = GateSettings(required=("signal",))
    findings = [passed("signal"), failed("stale", attack)]

    assert judge(findings, settings).decision is Decision.REJECT


def test_a_check_that_is_not_required_cannot_hold_a_command_back() -> None:
    settings = GateSettings(required=("signal",))
    findings = [passed("signal"), failed("nonce", Reason.NONCE_ABSENT)]

    assert judge(findings, settings).decision is Decision.ALLOW


class TestFailsClosed:
    """What must never end in ALLOW."""

    def fault(self, *findings: Finding) -> None:
        verdict = judge(findings, SETTINGS)
        assert (verdict.decision, verdict.reason) == (Decision.RETRY, Reason.FAULT)

    def test_no_findings(self) -> None:
        self.fault()

    @pytest.mark.parametrize("missing", SETTINGS.required)
    def test_a_required_check_is_missing(self, missing: str) -> None:
        self.fault(*(passed(name) for name in SETTINGS.required if name != missing))

    def test_only_other_checks_passed(self) -> None:
        self.fault(passed("a"), passed("b"), passed("c"))

    def test_one_of_two_findings_of_a_check_failed(self) -> None:
        findings = [*map(passed, SETTINGS.required), failed("nonce", Reason.NONCE_DAMAGED)]
        assert judge(findings, SETTINGS).decision is Decision.RETRY

    def test_undetermined_without_a_reason(self) -> None:
        finding = Finding("nonce", Outcome.UNDETERMINED, Reason.FRESH, 1.0)
        self.fault(*all_passed_but("nonce", finding))

    def test_failed_without_a_reason(self) -> None:
        self.fault(*all_passed_but("nonce", failed("nonce", Reason.FRESH)))

    @pytest.mark.parametrize("reason", [r for r in Reason if r not in ATTACKS | {Reason.FRESH}])
    def test_passed_with_a_reason_against(self, reason: Reason) -> None:
        finding = Finding("nonce", Outcome.PASSED, reason, 1.0)
        self.fault(*all_passed_but("nonce", finding))

    @pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
    def test_passed_with_a_score_that_is_no_number(self, score: float) -> None:
        finding = Finding("nonce", Outcome.PASSED, Reason.FRESH, score)
        self.fault(*all_passed_but("nonce", finding))

    def test_no_required_checks_are_refused_as_a_setting(self) -> None:
        with pytest.raises(ValueError, match="required"):
            GateSettings(required=())

    def test_an_unknown_or_repeated_check_is_refused_as_a_setting(self) -> None:
        with pytest.raises(ValueError, match="required"):
            GateSettings(required=("signal", "smell"))
        with pytest.raises(ValueError, match="name each check once"):
            GateSettings(required=("signal", "signal"))


class TestAnnouncement:
    """What the room learns."""

    def of(self, reason: Reason) -> Announcement:
        finding = (
            passed("stale")
            if reason is Reason.FRESH
            else Finding("stale", Outcome.FAILED, reason, 1)
        )
        return announcement(judge(all_passed_but("stale", finding), SETTINGS))

    def test_every_reason_is_told_as_something(self) -> None:
        told = {reason: self.of(reason) for reason in Reason}
        assert len(told) == len(Reason)
        assert [r for r, a in told.items() if a is Announcement.ALLOWED] == [Reason.FRESH]

    def test_attacks_are_told_alike(self) -> None:
        assert {self.of(reason) for reason in ATTACKS} == {Announcement.COULD_NOT_VERIFY}

    def test_what_a_nonce_was_spoilt_by_is_not_told(self) -> None:
        assert self.of(Reason.NONCE_DAMAGED) is self.of(Reason.REPLAY)
        assert self.of(Reason.NONCE_INCOMPLETE) is self.of(Reason.REPLAY)
        assert self.of(Reason.STALE_UNDETERMINED) is self.of(Reason.REPLAY)

    def test_what_the_memory_made_of_a_sound_is_not_told(self) -> None:
        assert self.of(Reason.MEMORY_UNDETERMINED) is self.of(Reason.QUERY_ATTACK)

    @pytest.mark.parametrize("reason", [Reason.STRANGER, Reason.SPEAKER_UNDETERMINED])
    def test_that_only_the_voice_was_wrong_is_not_told(self, reason: Reason) -> None:
        assert self.of(reason) is self.of(Reason.REPLAY)

    @pytest.mark.parametrize("attack", sorted(ATTACKS, key=str))
    @pytest.mark.parametrize("other", [r for r in Reason if r not in ATTACKS])
    def test_nothing_that_is_found_besides_changes_what_an_attacker_hears(
        self, attack: Reason, other: Reason
    ) -> None:
        verdict = judge(
            [
                failed("stale", attack),
                passed("nonce"),
                passed("memory"),
                passed("speaker"),
                passed("signal") if other is Reason.FRESH else failed("signal", other),
            ],
            SETTINGS,
        )
        assert announcement(verdict) is Announcement.COULD_NOT_VERIFY
        assert verdict.decision is Decision.REJECT

    def test_what_a_person_can_mend_is_told_apart(self) -> None:
        mendable = [
            Reason.NO_SPEECH,
            Reason.TOO_QUIET,
            Reason.CLIPPED,
            Reason.TOO_LONG,
            Reason.NONCE_ABSENT,
        ]
        told = {self.of(reason) for reason in mendable}
        assert len(told) == len(mendable)
        assert Announcement.COULD_NOT_VERIFY not in told

    def test_every_announcement_can_be_said(self) -> None:
        texts = [each.text for each in Announcement]
        assert len(set(texts)) == len(texts)
        assert all(text.endswith(".") and len(text) < 60 for text in texts)


class Fixed:
    """A check that always answers the same."""

    def __init__(self, name: str, answer: object) -> None:
        self.name = name
        self._answer = answer

    def examine(self, evidence: Evidence) -> Finding:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer  # type: ignore[return-value]


class TestRunChecks:
    """Running the checks."""

    evidence = Evidence(np.zeros(320, np.float32), np.zeros(320, np.float32), None)

    def test_gives_the_findings_in_order(self) -> None:
        findings = [passed("signal"), failed("nonce", Reason.NONCE_ABSENT)]
        assert run_checks([Fixed(f.check, f) for f in findings], self.evidence) == tuple(findings)

    @pytest.mark.parametrize(
        "answer",
        [
            ValueError("turn the lights off"),
            MemoryError(),
            None,
            True,
            passed("signal"),
        ],
    )
    def test_a_check_that_breaks_is_a_fault_and_the_others_still_run(
        self, answer: object, caplog: pytest.LogCaptureFixture
    ) -> None:
        checks = [Fixed("nonce", answer), Fixed("stale", passed("stale"))]

        broken, fine = run_checks(checks, self.evidence)

        assert (broken.check, broken.outcome, broken.reason) == (
            "nonce",
            Outcome.UNDETERMINED,
            Reason.FAULT,
        )
        assert fine == passed("stale")
        assert "check nonce failed" in caplog.text
        assert "lights" not in caplog.text

    def test_what_was_written_for_the_owner_is_logged(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        full = MemoryStoreError("the disk is full", "free some space")
        [broken] = run_checks([Fixed("memory", full)], self.evidence)
        assert broken.reason is Reason.FAULT
        assert broken.detail == {"error": "MemoryStoreError"}
        assert "check memory failed: the disk is full: free some space" in caplog.text
