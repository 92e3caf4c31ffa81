"""What leaves Earmark, and what cannot be made to leave."""

from __future__ import annotations

import io
import json
import math
from typing import Any

import numpy as np
import pytest
import soundfile

from earmark.gate import Decision, Finding, Outcome, Reason, Verdict
from earmark.signal import RATE_HZ


@pytest.mark.parametrize("decision", [d for d in Decision if d is not Decision.ALLOW])
@pytest.mark.parametrize("reason", list(Reason))
def test_what_was_not_allowed_cannot_become_a_command(
    make: Any, decision: Decision, reason: Reason
) -> None:
    with pytest.raises(ValueError, match="forwards nothing"):
        make(verdict=Verdict(decision, reason, ()))


@pytest.mark.parametrize("reason", [r for r in Reason if r is not Reason.FRESH])
def test_an_allowing_verdict_with_a_reason_against_is_refused(make: Any, reason: Reason) -> None:
    with pytest.raises(ValueError, match="forwards nothing"):
        make(verdict=Verdict(Decision.ALLOW, reason, ()))


def test_metadata_is_json_and_holds_scores_but_no_details(make: Any) -> None:
    line = make(7).json_line(file="x.wav")

    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "file": "x.wav",
        "version": 1,
        "session": "s0007",
        "device": "kitchen",
        "place": "on the shelf",
        "woken": "2026-09-21T14:13:27.250Z",
        "duration_s": 0.5,
        "rate_hz": RATE_HZ,
        "person": None,
        "uncovered_s": [[0.0, 0.21]],
        "verdict": "allow",
        "reason": "fresh",
        "checks": {"nonce": {"outcome": "passed", "reason": "fresh", "score": 0.03}},
    }


def test_who_spoke_is_named(make: Any) -> None:
    assert json.loads(make(person="Ada Löf").json_line())["person"] == "Ada Löf"


def test_what_was_understood_is_told_where_a_recogniser_was_asked_and_not_in_a_repr(
    make: Any,
) -> None:
    command = make(text="turn on the läight")
    assert json.loads(command.json_line())["text"] == "turn on the läight"
    assert "light" not in repr(command).replace("läight", "light")


def test_more_cannot_overwrite_the_metadata(make: Any) -> None:
    assert json.loads(make(7).json_line(session="other"))["session"] == "s0007"


def test_a_score_that_is_no_number_becomes_null(make: Any) -> None:
    odd = Finding("other", Outcome.UNDETERMINED, Reason.FAULT, math.nan)
    entry = json.loads(make(verdict=Verdict(Decision.ALLOW, Reason.FRESH, (odd,))).json_line())
    assert entry["checks"]["other"]["score"] is None


def test_the_wav_holds_the_audio_in_16_bits(make: Any) -> None:
    command = make(3)

    read, rate = soundfile.read(io.BytesIO(command.wav()), dtype="float32")

    assert rate == RATE_HZ
    assert soundfile.info(io.BytesIO(command.wav())).subtype == "PCM_16"
    np.testing.assert_allclose(read, command.audio, atol=1.01 / 32768)


def test_what_exceeds_full_scale_is_clipped_and_does_not_wrap(make: Any) -> None:
    audio = np.array([1.5, -1.5, 0.0], np.float32)
    read, _ = soundfile.read(io.BytesIO(make(audio=audio).wav()), dtype="float32")
    np.testing.assert_allclose(read, [1.0, -1.0, 0.0], atol=1e-4)


def test_the_audio_is_a_copy_that_nobody_can_change(make: Any) -> None:
    audio = np.zeros(100, np.float32)
    command = make(audio=audio)
    audio[:] = 1.0

    assert not command.audio.any()
    with pytest.raises(ValueError, match="read-only"):
        command.audio[0] = 1.0


@pytest.mark.parametrize(
    ("other", "match"),
    [
        ({"audio": np.zeros(0, np.float32)}, "audio"),
        ({"audio": np.zeros(100, np.float64)}, "audio"),
        ({"audio": np.zeros((100, 1), np.float32)}, "audio"),
        ({"audio": np.full(100, np.nan, np.float32)}, "not finite"),
        ({"session": "../../etc/passwd"}, "session"),
        ({"session": ""}, "session"),
        ({"session": "a\n"}, "session"),
        ({"session": "a" * 65}, "session"),
        ({"woken_unix_s": math.nan}, "wake time"),
        ({"person": ""}, "person"),
        ({"person": "Ada\n"}, "person"),
        ({"woken_unix_s": -1.0}, "wake time"),
    ],
)
def test_refuses_what_is_malformed(make: Any, other: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make(**other)
