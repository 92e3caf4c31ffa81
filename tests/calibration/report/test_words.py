"""Numbers, limits and verdicts in words."""

from __future__ import annotations

import pytest
from tests.calibration.report import samples

from earmark_calibration.record import Estimate, Fault, FaultKind, Played
from earmark_calibration.report import words


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (-14.2, "dBFS", "\u221214.2\u00a0dBFS"),
        (0.1302083, "s", "0.1302\u00a0s"),
        (0.00004, "s", "0.04\u00a0ms"),
        (0.0, "s", "0\u00a0s"),
        (-0.0, "dB", "0\u00a0dB"),
        (0.0123, "share", "1.23\u00a0%"),
        (12000.4, "Hz", "12\u202f000\u00a0Hz"),
        (2.3e-10, "", "2.3e\u221210"),
        (3.0, "", "3"),
        (0.001, "probability", "0.001 probability"),
        (None, "dB", "not measured"),
    ],
)
def test_quantities(value: float | None, unit: str, said: str) -> None:
    assert words.quantity(value, unit) == said


@pytest.mark.parametrize(
    ("low", "high", "unit", "said"),
    [
        (0.0, 0.4, "s", "0 to 0.4 s"),
        (0.0, 0.01, "s", "0 to 10 ms"),
        (-300.0, 300.0, "ppm", "\u2212300 to 300 ppm"),
        (None, 0.03, "share", "at most 3 %"),
        (30.0, None, "dB", "at least 30 dB"),
        (None, None, "dB", "no limit"),
    ],
)
def test_limits(low: float | None, high: float | None, unit: str, said: str) -> None:
    assert words.limits(low, high, unit).replace("\u00a0", " ") == said


def test_names() -> None:
    assert words.title("rt60") == "RT60"
    assert words.title("noise_dbspl") == "Noise dB SPL"
    assert words.title("nonce.max_bit_error_rate") == "Nonce: max bit error rate"


def test_an_estimate_says_what_it_rests_on() -> None:
    counted = Estimate(value=0.02, low=0.0, high=0.07, n=100)
    assert words.estimate(counted).replace("\u00a0", " ") == "2 % (0 to 7 %, of 100)"
    assert "by the model" in words.estimate(counted.model_copy(update={"n": 0}))
    assert words.estimate(None) == "not known"
    assert words.played(Played(n=24, failures=1), "missed") == "1 of 24 missed"
    assert words.played(Played(n=0, failures=0), "missed") == "not played"


def test_settings_are_shown_as_they_are_written() -> None:
    assert [words.setting(v) for v in (True, None, 0.43, 7, "spread", "")] == [
        "true",
        "not set",
        "0.43",
        "7",
        "spread",
        '""',
    ]


def test_each_outcome_has_its_verdict() -> None:
    said = {name: words.verdict(make()) for name, make in samples.ALL.items()}
    assert said == {
        "good": "This device is ready.",
        "marginal": "This device works, but it could work better.",
        "broken": "This device is not ready.",
    }
    nothing = samples.good().model_copy(update={"measurements": ()})
    assert words.verdict(nothing) == "Nothing was measured."
    tally = words.tally(samples.broken())
    assert tally == "Of 8 measurements, 3 pass, 0 marginal, 5 fail. 2 faults found."


def test_advice_is_given_once_faults_first() -> None:
    """The clipping microphone is a fault and a measurement; two values have the same advice."""
    todo = words.todo(samples.broken())
    assert todo[0] == "The microphone clips: turn the gain down by 6 dB."
    assert "echo canceller" in todo[1]
    assert sum("turn the gain down" in line for line in todo) == 1
    assert sum("could not be measured" in line for line in todo) == 1
    assert any(line.startswith("Round trip delay, RT60: ") for line in todo)
    assert words.todo(samples.good()) == []


def test_the_same_fault_twice_is_said_once() -> None:
    fault = Fault(kind=FaultKind.CLOCK_DRIFT, advice="use one sound card")
    record = samples.good().model_copy(update={"faults": (fault, fault)})
    assert words.todo(record) == ["Use one sound card."]


def test_a_terminal_gets_no_control_characters() -> None:
    assert words.plain("a\x1b[31mb\nc\u00a0d") == "a [31mb c d"
