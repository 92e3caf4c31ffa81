"""The satellite's state machine, event by event."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong
from wyoming.satellite import PauseSatellite, RunSatellite
from wyoming.tts import Synthesize

from earmark.forward.wyoming.framing import Fault, ProtocolError
from earmark.forward.wyoming.machine import (
    AnswerEnds,
    AnswerSounds,
    AnswerStarts,
    Arrived,
    Failed,
    Output,
    Phase,
    SatelliteMachine,
    Send,
    Serves,
)
from earmark.forward.wyoming.sound import Form

INFO = Info()
FORM = {"rate": 22050, "width": 2, "channels": 1}
START, STOP = AudioStart(**FORM).event(), AudioStop().event()
CHUNK = AudioChunk(**FORM, audio=b"\0\0").event()


def machine(phase: Phase = Phase.IDLE) -> SatelliteMachine:
    made = SatelliteMachine(INFO)
    if phase is not Phase.IDLE:
        assert made.received(RunSatellite().event()) == (Serves(True),)
    if phase is Phase.RUNNING:
        made.command()
    assert made.phase is phase
    return made


@pytest.mark.parametrize("phase", list(Phase))
def test_a_question_is_answered_in_every_phase(phase: Phase) -> None:
    made = machine(phase)
    assert made.received(Describe().event()) == (Send(INFO),)
    assert made.received(Ping("x").event()) == (Send(Pong("x")),)
    assert made.phase is phase


def test_the_text_of_a_ping_is_returned_cut_and_only_if_it_is_text() -> None:
    assert machine().received(Ping("a" * 999).event()) == (Send(Pong("a" * 200)),)
    assert machine().received(Event("ping", {"text": {"a": [1]}})) == (Send(Pong(None)),)
    assert machine().received(Event("ping")) == (Send(Pong(None)),)


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize(
    "event",
    [Transcribe().event(), Synthesize("x").event(), Event("voice-started"), Event("from-2030")],
)
def test_the_rest_is_passed_over(phase: Phase, event: Event) -> None:
    made = machine(phase)
    assert made.received(event) == ()
    assert made.phase is phase


def test_a_command_runs_until_its_transcript() -> None:
    made = machine(Phase.RUNNING)
    assert made.received(Transcript("x").event()) == (Arrived(),)
    assert made.phase is Phase.READY
    assert made.received(Transcript("x").event()) == ()  # of no command
    made.command()
    assert made.phase is Phase.RUNNING


def test_a_command_runs_until_an_error() -> None:
    made = machine(Phase.RUNNING)
    (output,) = made.received(Error("what was said", "stt-no-text").event())
    assert output == Failed("it refused the command (stt-no-text)")
    assert made.phase is Phase.READY
    assert made.received(Error("later").event()) == ()


def second() -> SatelliteMachine:
    """A second command runs; the first was understood, and its answer is due."""
    made = machine(Phase.RUNNING)
    made.received(Transcript("x").event())
    made.command()
    return made


def test_an_error_of_the_command_before_is_not_this_ones() -> None:
    """Home Assistant goes on with intent and answer after the transcript; both may fail."""
    made = second()
    assert made.received(Error("x", "intent-failed").event()) == ()
    assert made.phase is Phase.RUNNING
    assert made.received(Error("x", "stt-no-text").event()) != ()  # one command fails once
    assert made.phase is Phase.READY


@pytest.mark.parametrize("before", [[Transcribe().event()], [START, CHUNK, STOP]])
def test_an_error_after_that_is_this_ones(before: list[Event]) -> None:
    """It transcribes this one already, or the answer was heard to its end."""
    made = second()
    for event in before:
        made.received(event)
    (output,) = made.received(Error("x", "stt-no-text").event())
    assert isinstance(output, Failed)


def test_an_error_between_two_commands_is_the_first_ones() -> None:
    made = machine(Phase.RUNNING)
    made.received(Transcript("x").event())
    assert made.received(Error("x", "tts-failed").event()) == ()
    made.command()
    (output,) = made.received(Error("x", "stt-no-text").event())
    assert isinstance(output, Failed)


@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.RUNNING])
def test_a_command_out_of_place_is_a_mistake_of_ours(phase: Phase) -> None:
    with pytest.raises(RuntimeError, match=phase.value):
        machine(phase).command()


def test_a_pause_ends_a_command() -> None:
    made = machine(Phase.RUNNING)
    pause = PauseSatellite().event()
    assert made.received(pause) == (Failed("it paused this satellite"), Serves(False))
    assert made.received(pause) == ()
    assert made.received(RunSatellite().event()) == (Serves(True),)
    assert made.received(RunSatellite().event()) == ()
    assert made.received(pause) == (Serves(False),)


def test_an_answer() -> None:
    made = machine(Phase.READY)
    assert made.received(START) == (AnswerStarts(Form(22050, 1)),)
    assert made.received(CHUNK) == (AnswerSounds(CHUNK),)
    assert made.received(STOP) == (AnswerEnds(),)
    assert made.received(STOP) == ()


def test_an_answer_that_starts_over() -> None:
    made = machine(Phase.READY)
    made.received(START)
    assert made.received(START) == (AnswerEnds(), AnswerStarts(Form(22050, 1)))


def test_who_is_not_the_server_does_not_speak() -> None:
    with pytest.raises(ProtocolError) as caught:
        machine().received(START)
    assert caught.value.fault is Fault.OUT_OF_PLACE


def test_an_announcement_while_paused_is_spoken() -> None:
    made = machine(Phase.READY)
    made.received(PauseSatellite().event())
    assert made.received(START) == (AnswerStarts(Form(22050, 1)),)


def test_sound_without_a_start() -> None:
    with pytest.raises(ProtocolError) as caught:
        machine(Phase.READY).received(CHUNK)
    assert caught.value.fault is Fault.OUT_OF_PLACE


@pytest.mark.parametrize(
    "form",
    [
        *({"width": 4}, {"width": 2.0}, {"channels": 3}, {"channels": 0}),
        *({"rate": 0}, {"rate": 10**9}, {"rate": "1"}, {"rate": None}),
    ],
)
def test_a_form_that_is_not_taken(form: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError) as caught:
        machine(Phase.READY).received(Event("audio-start", {**FORM, **form}))
    assert caught.value.fault is Fault.BAD_FIELD


KINDS = [*SatelliteMachine._REACTIONS, "transcribe", "synthesize", "x"]
VALUES = st.none() | st.integers(-2, 50_000) | st.text(max_size=3) | st.lists(st.none())


@given(
    st.lists(
        st.tuples(
            st.sampled_from(KINDS),
            st.dictionaries(st.sampled_from(["text", "code", "rate", "width", "channels"]), VALUES),
            st.booleans(),
        ),
        max_size=20,
    )
)
def test_whatever_comes_nothing_but_answers_to_questions_goes_out(
    events: list[tuple[str, dict[str, Any], bool]],
) -> None:
    made = machine()
    with contextlib.suppress(ProtocolError):
        for kind, data, commands in events:
            outputs: tuple[Output, ...] = made.received(Event(kind, data))
            sent = [output.event for output in outputs if isinstance(output, Send)]
            assert all(isinstance(event, Info | Pong) for event in sent)
            if commands and made.phase is Phase.READY:
                made.command()
            settled = [o for o in outputs if isinstance(o, Arrived | Failed)]
            assert len(settled) <= 1
