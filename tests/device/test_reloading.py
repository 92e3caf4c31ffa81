"""What a reload takes over, what waits for a restart, and that each setting has its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from earmark.config import Config, _all_keys
from earmark.errors import ConfigError
from earmark.reloading import ELSEWHERE, RELOADED, plan


def other(**sections: Any) -> Config:
    return Config.model_validate(sections)


def test_nothing_changed_changes_nothing() -> None:
    found = plan(Config(), Config())
    assert (found.config, found.changed, found.restart) == (Config(), (), ())


def test_limits_sounds_and_names_change() -> None:
    new = other(
        device={"room": "attic"},
        session={"max_retries": 0},
        gate={"signal": {"min_snr_db": 3.0}},
        speaker={"guests": "always"},
        feedback={"silent": [], "earcons": False},
    )
    found = plan(Config(), new)
    assert found.config == new
    assert found.restart == ()
    assert set(found.changed) == {
        *("device.room", "session.max_retries", "gate.signal.min_snr_db", "speaker.guests"),
        *("feedback.silent", "feedback.earcons"),
    }


def test_what_needs_a_restart_keeps_its_value() -> None:
    new = other(
        audio={"device": "USB"},
        gate={"required": ["signal"]},
        feedback={"leds": ["ACT"], "lights": False},
        control={"path": None},
        speaker={"vault": None, "enrolment": {"phrases": 6}},
    )
    found = plan(Config(), new)
    assert found.changed == ("feedback.lights",)
    assert found.config == other(feedback={"lights": False})
    assert set(found.restart) == {
        *("audio.device", "gate.required", "feedback.leds", "control.path", "speaker.vault")
    }


def test_what_changes_must_go_with_what_stays() -> None:
    slow = {"waveform": "bfsk", "bfsk": {"bit_rate_hz": 10.0}}
    running = other(nonce=slow, session={"max_command_s": 40})
    new = other(session={"max_command_s": 3.0, "no_speech_s": 2.0})
    with pytest.raises(ConfigError, match="do not go with those that need a restart"):
        plan(running, new)


def test_settings_are_compared_as_they_are_and_not_as_text() -> None:
    new = Config().model_copy(
        update={"ledger": Config().ledger.model_copy(update={"path": Path("/x")})}
    )
    assert plan(Config(), new).restart == ("ledger.path",)


@pytest.mark.parametrize("key", [*RELOADED, *ELSEWHERE])
def test_each_name_is_a_setting(key: tuple[str, ...]) -> None:
    assert key in set(_all_keys(Config))
