"""The check on the voice: who may, who is named, and what is never said."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from earmark.gate import (
    GUEST,
    Decision,
    Evidence,
    Finding,
    GateSettings,
    Outcome,
    Reason,
    SpeakerCheck,
    Verdict,
    judge,
    run_checks,
    speaker_of,
)
from earmark.signal import RATE_HZ
from earmark.speaker import Person, SpeakerSettings

LEAST_S = SpeakerSettings().least_speech_s
PASSED, FAILED = (Outcome.PASSED, Reason.FRESH), (Outcome.FAILED, Reason.STRANGER)
UNDETERMINED = (Outcome.UNDETERMINED, Reason.SPEAKER_UNDETERMINED)


def evidence(seconds: float | None = 2.0) -> Evidence:
    cleaned = np.random.default_rng(0).standard_normal(5 * RATE_HZ).astype(np.float32)
    speech = None if seconds is None else (1.0, 1.0 + seconds)
    return Evidence(np.zeros_like(cleaned), cleaned, speech)


class Home:
    """A device with some people, and the check on their voices."""

    def __init__(self, voices: Any, *people: Person, **settings: Any) -> None:
        self.voices = voices
        self.people = people
        self.check = SpeakerCheck(voices, lambda: self.people, SpeakerSettings(**settings))

    def hears(self, who: str, seconds: float | None = 2.0) -> Finding:
        self.voices.speaks = who
        return self.check.examine(evidence(seconds))


@pytest.fixture
def home(voices: type[Any]) -> Any:
    """A home with Ada and Bob."""

    def make(**settings: Any) -> Home:
        model = voices()
        people = (model.person("Ada", "aaaaaaaa"), model.person("Bob", "bbbbbbbb"))
        return Home(model, *people, **settings)

    return make


def ended(finding: Finding) -> tuple[Outcome, Reason]:
    return finding.outcome, finding.reason


@pytest.mark.parametrize(("who", "identifier"), [("Ada", "aaaaaaaa"), ("Bob", "bbbbbbbb")])
def test_one_of_the_household_passes_and_is_named_by_the_id(
    home: Any, who: str, identifier: str
) -> None:
    found = home().hears(who)
    assert ended(found) == PASSED
    assert found.detail["person"] == identifier
    assert found.score > float(str(found.detail["threshold"]))


def test_somebody_else_is_a_stranger(home: Any) -> None:
    found = home().hears("Eve")
    assert ended(found) == FAILED
    assert set(found.detail) == {"threshold"}
    assert found.score < float(str(found.detail["threshold"]))


def test_it_hears_the_speech_with_the_nonce_taken_out_and_nothing_else(home: Any) -> None:
    at_home = home()
    at_home.hears("Ada")
    [heard] = at_home.voices.heard
    np.testing.assert_array_equal(heard, evidence().cleaned[RATE_HZ : 3 * RATE_HZ])


@pytest.mark.parametrize("guests", ["until_enrolled", "always", "never"])
def test_nobody_spoke_is_nobody_who_may(home: Any, guests: str) -> None:
    at_home = home(guests=guests)
    assert ended(at_home.hears("Ada", None)) == (Outcome.FAILED, Reason.NO_SPEECH)
    assert at_home.voices.heard == []


NOBODY = {"until_enrolled": PASSED, "always": PASSED, "never": FAILED}
STRANGER = {"until_enrolled": FAILED, "always": PASSED, "never": FAILED}
TOO_SHORT = {"until_enrolled": UNDETERMINED, "always": PASSED, "never": UNDETERMINED}


@pytest.mark.parametrize("guests", list(NOBODY))
def test_guests_while_nobody_is_enrolled(voices: type[Any], guests: str) -> None:
    empty = Home(voices(), guests=guests)
    found = empty.hears("Eve")
    assert ended(found) == NOBODY[guests]
    assert found.detail.get("person") == (GUEST if found.outcome is Outcome.PASSED else None)
    assert empty.voices.heard == [], "there is nothing to compare with"


@pytest.mark.parametrize("guests", list(STRANGER))
def test_guests_besides_people(home: Any, guests: str) -> None:
    at_home = home(guests=guests)
    found = at_home.hears("Eve")
    assert ended(found) == STRANGER[guests]
    assert found.detail.get("person") == (GUEST if found.outcome is Outcome.PASSED else None)
    assert at_home.hears("Ada").detail["person"] == "aaaaaaaa"


@pytest.mark.parametrize("guests", list(TOO_SHORT))
def test_too_little_speech(home: Any, guests: str) -> None:
    at_home = home(guests=guests)
    assert ended(at_home.hears("Ada", LEAST_S - 0.01)) == TOO_SHORT[guests]
    assert at_home.voices.heard == []
    assert ended(at_home.hears("Ada", LEAST_S)) == PASSED


@pytest.mark.parametrize("guests", list(TOO_SHORT))
def test_a_new_model_does_not_open_the_door(voices: type[Any], guests: str) -> None:
    """People of another model cannot be compared, and they are not nobody."""
    model = voices()
    known = Home(model, model.person("Ada", "aaaaaaaa", "another-model"), guests=guests)
    assert ended(known.hears("Ada")) == TOO_SHORT[guests]
    assert model.heard == [], "apples are not compared with pears"


def test_whoever_enrols_or_is_deleted_counts_from_the_next_command_on(home: Any) -> None:
    at_home = home()
    ada, bob = at_home.people
    at_home.people = (bob,)
    assert ended(at_home.hears("Ada")) == FAILED
    assert at_home.check.named("aaaaaaaa") is None
    at_home.people = (bob, ada)
    assert at_home.hears("Ada").detail["person"] == "aaaaaaaa"
    assert at_home.check.named("aaaaaaaa") == "Ada"


def test_a_model_that_hears_nothing_or_what_is_not_finite_is_a_fault(home: Any) -> None:
    for embedding in (np.zeros(32, np.float32), np.full(32, np.nan, np.float32)):
        at_home = home()
        at_home.voices.embed = lambda _, embedding=embedding: embedding
        [found] = run_checks([at_home.check], evidence())
        assert ended(found) == (Outcome.UNDETERMINED, Reason.FAULT)


def test_a_cohort_that_is_none_is_refused_at_the_start(voices: type[Any]) -> None:
    model = voices()
    model.cohort = model.cohort[:3]
    with pytest.raises(ValueError, match="cohort"):
        Home(model)


def test_the_margin_of_the_model_raises_the_limit(voices: type[Any]) -> None:
    limits = []
    for margin in (0.0, 1.5):
        model = voices()
        model.decision["margin"] = margin
        limits.append(Home(model, model.person("Ada", "aaaaaaaa")).hears("Ada").detail["threshold"])
    assert limits[1] - limits[0] == pytest.approx(1.5)


def test_neither_name_nor_voiceprint_is_in_a_finding(home: Any) -> None:
    for who in ("Ada", "Eve"):
        text = json.dumps(home().hears(who).detail, allow_nan=False)
        assert "Ada" not in text
        assert "[" not in text


def test_each_outcome_leads_to_its_decision(home: Any) -> None:
    settings = GateSettings(required=("speaker",))
    decisions = {
        who: judge([home().hears(who, seconds)], settings).decision
        for who, seconds in (("Ada", 2.0), ("Eve", 2.0), ("Bob", 0.3))
    }
    assert decisions == {"Ada": Decision.ALLOW, "Eve": Decision.RETRY, "Bob": Decision.RETRY}


def test_who_spoke_is_read_from_a_finding_that_passed(home: Any) -> None:
    def spoke(finding: Finding) -> str | None:
        return speaker_of(Verdict(Decision.ALLOW, Reason.FRESH, (finding,)))

    found = home().hears("Ada")
    assert spoke(found) == "aaaaaaaa"
    assert spoke(replace(found, outcome=Outcome.FAILED)) is None
    assert spoke(replace(found, check="memory")) is None
    assert spoke(home(guests="always").hears("Eve")) is None
    assert spoke(replace(found, detail={})) is None
