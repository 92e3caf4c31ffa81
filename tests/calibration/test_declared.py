"""What follows from a declaration alone."""

from __future__ import annotations

import math

import pytest

from earmark_calibration.declared import Band, Declared, Outcome, worst

NOISE = Declared(
    "noise_level",
    "dBFS",
    "Level of the room.",
    passes=Band(-100.0, -50.0),
    marginal=Band(-110.0, -40.0),
    too_low="plug the microphone in",
    too_high="close the window",
)


@pytest.mark.parametrize(
    ("value", "outcome", "advice"),
    [
        (-100.0, Outcome.PASS, ""),
        (-50.0, Outcome.PASS, ""),
        (-49.9, Outcome.MARGINAL, "close the window"),
        (-40.0, Outcome.MARGINAL, "close the window"),
        (-39.9, Outcome.FAIL, "close the window"),
        (-100.1, Outcome.MARGINAL, "plug the microphone in"),
        (-110.1, Outcome.FAIL, "plug the microphone in"),
    ],
)
def test_the_outcome_and_its_advice(value: float, outcome: Outcome, advice: str) -> None:
    taken = NOISE.take(value)
    assert (taken.value, taken.outcome, taken.advice) == (value, outcome, advice)


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_what_could_not_be_measured_fails(value: float | None) -> None:
    taken = NOISE.take(value)
    assert taken.value is None
    assert taken.outcome is Outcome.FAIL
    assert "could not be measured" in taken.advice


def test_an_open_side_limits_nothing_and_without_a_margin_it_fails() -> None:
    depth = Declared("depth", "dB", "Depth.", passes=Band(low=20.0), too_low="turn it up")
    assert depth.take(1e9).outcome is Outcome.PASS
    assert depth.take(19.0).outcome is Outcome.FAIL


@pytest.mark.parametrize("name", ["", "Delay", "delay-s", "2nd", "a__b", "a_"])
def test_a_name_is_one_word_with_underscores(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        Declared(name, "s", "Something.", passes=Band())


def test_a_declaration_that_cannot_be_meant_is_refused() -> None:
    with pytest.raises(ValueError, match="above"):
        Band(2.0, 1.0)
    with pytest.raises(ValueError, match="finite"):
        Band(math.nan, 1.0)
    with pytest.raises(ValueError, match="within"):
        Declared("a", "", "A.", Band(0.0, 2.0), Band(0.0, 1.0), too_low="x", too_high="y")
    with pytest.raises(ValueError, match="within"):
        Declared("a", "", "A.", Band(high=2.0), Band(0.0, 3.0), too_high="y")
    with pytest.raises(ValueError, match="advice"):
        Declared("a", "", "A.", Band(0.0, 2.0), too_low="x")
    with pytest.raises(ValueError, match="advice"):
        Declared("a", "", "A.", Band(0.0), too_low="x", too_high="never")
    with pytest.raises(ValueError, match="itself"):
        Declared("a", "", "", Band())


def test_the_worst_counts() -> None:
    assert worst([]) is Outcome.PASS
    assert worst([Outcome.PASS, Outcome.MARGINAL]) is Outcome.MARGINAL
    assert worst([Outcome.FAIL, Outcome.MARGINAL, Outcome.PASS]) is Outcome.FAIL
