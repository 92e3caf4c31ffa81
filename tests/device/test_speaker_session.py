"""Who speaks, on a desk: the real loop and checks, and a model that hears who it is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from earmark.gate import Announcement, Decision, Finding, GateSettings, Reason, SpeakerCheck
from earmark.judging import Judge
from earmark.session import State
from earmark.speaker import PeopleError, Person, SpeakerSettings, Vault


class Home:
    """A desk with Ada at home."""

    def __init__(self, device: Any, model: Any, real_judge: Callable[..., Judge]) -> None:
        self.device, self.model = device, model
        self.vault = Vault(None, lambda: b"")
        self.ada: Person = model.person("Ada", "aaaaaaaa")
        self.vault.add(self.ada)
        # The desk says a murmur of 0.6 s.
        settings = SpeakerSettings(least_speech_s=0.4)
        check = SpeakerCheck(model, lambda: self.vault.people, settings)
        device.parts.judge = real_judge(device, voices=check)
        device.parts.named = check.named
        device.run(1.0)

    def hears(self, who: str) -> Reason:
        self.model.speaks = who
        self.device.session()
        reason: Reason = self.device.judgements[-1][0].verdict.reason
        return reason


@pytest.fixture
def home(desk: Callable[..., Any], voices: type[Any], real_judge: Callable[..., Judge]) -> Home:
    return Home(desk(), voices(), real_judge)


def test_who_spoke_goes_with_the_command_by_name(home: Home) -> None:
    assert home.hears("Ada") is Reason.FRESH
    [command] = home.device.outbox.sent
    assert command.person == "Ada"
    assert command.metadata()["person"] == "Ada"


def test_a_stranger_is_not_forwarded_and_not_told_why(home: Home) -> None:
    assert home.hears("Eve") is Reason.STRANGER
    assert home.device.outbox.sent == []
    assert home.device.told == [Announcement.WOKEN, Announcement.COULD_NOT_VERIFY]


def test_a_stranger_who_tries_on_is_locked_out(home: Home) -> None:
    tries = 0
    while home.device.state is not State.LOCKED:
        assert home.hears("Eve") is Reason.STRANGER
        tries += 1
    assert tries == 9  # three times two retries and a rejection
    assert home.device.outbox.sent == []


def test_a_deleted_person_is_a_stranger_at_the_next_command(home: Home) -> None:
    home.vault.add(home.model.person("Bob", "bbbbbbbb"))
    assert home.hears("Ada") is Reason.FRESH
    home.vault.delete("aaaaaaaa")
    assert home.hears("Ada") is Reason.STRANGER
    assert home.hears("Bob") is Reason.FRESH
    assert [command.person for command in home.device.outbox.sent] == ["Ada", "Bob"]
    with pytest.raises(PeopleError):
        home.vault.delete("aaaaaaaa")


def test_a_guest_has_no_name(desk: Callable[..., Any], real_judge: Callable[..., Judge]) -> None:
    device = desk()
    device.parts.judge = real_judge(device)
    device.run(1.0)
    device.session()
    [command] = device.outbox.sent
    assert command.person is None


def test_the_journal_has_the_id_and_never_the_name(
    home: Home, every_log: pytest.LogCaptureFixture
) -> None:
    home.hears("Ada")
    home.hears("Eve")
    assert "speaker_person=aaaaaaaa" in every_log.text
    assert "reason=stranger" in every_log.text
    assert "Ada" not in every_log.text


# The last word on a command


@pytest.mark.parametrize(
    ("against", "decision", "reason"),
    [
        (None, Decision.ALLOW, Reason.FRESH),
        (Reason.TOO_QUIET, Decision.RETRY, Reason.TOO_QUIET),
        (Reason.FRESH, Decision.RETRY, Reason.FAULT),
    ],
)
def test_a_review_can_withhold_and_do_nothing_else(
    desk: Callable[..., Any],
    real_judge: Callable[..., Judge],
    against: Reason | None,
    decision: Decision,
    reason: Reason,
) -> None:
    asked: list[tuple[Finding, ...]] = []

    def review(_: Any, findings: tuple[Finding, ...]) -> Reason | None:
        asked.append(findings)
        return against

    device = desk()
    inner = real_judge(device)
    device.parts.judge = Judge(
        device.parts.nonce, GateSettings(), inner._checks, inner._remembered, review
    )
    device.run(1.0)
    device.session()
    verdict = device.judgements[-1][0].verdict
    assert (verdict.decision, verdict.reason) == (decision, reason)
    assert asked == [verdict.findings]
    assert len(device.outbox.sent) == (against is None)


def test_a_review_is_not_asked_about_what_the_gate_refuses(
    desk: Callable[..., Any], real_judge: Callable[..., Judge]
) -> None:
    def review(*_: Any) -> Reason | None:
        raise AssertionError("nobody asked")

    device = desk()
    inner = real_judge(device)
    device.parts.judge = Judge(device.parts.nonce, GateSettings(), (), inner._remembered, review)
    device.run(1.0)
    device.session()
    assert device.told[-1] is Announcement.FAULT  # no finding at all
