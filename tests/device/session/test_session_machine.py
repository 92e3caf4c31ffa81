"""The session machine: its flow, its times, its patience, and what it refuses."""

from __future__ import annotations

import dataclasses

import pytest
from pydantic import ValidationError

from earmark.session import (
    Action,
    CommandEnded,
    Cue,
    Decision,
    Event,
    FeedbackDone,
    Forwarded,
    ForwardFailed,
    Heard,
    IllegalMove,
    Judged,
    JudgingFailed,
    Muted,
    NonceIssued,
    SessionEvent,
    SessionMachine,
    SessionSettings,
    SpeechStarted,
    State,
    StorageFailed,
    StreamFailed,
    StreamRestored,
    Task,
    Unmuted,
    Woken,
)
from earmark.session.events import STEP_MAX_S, CommandTooLong, NobodySpoke, TimedOut
from earmark.session.machine import HOLDS, IN_SESSION, TIMERS, TRANSITIONS

BLOCK_S = 0.02
SETTINGS = SessionSettings()
EVENTS: tuple[type[Event], ...] = (
    Heard,
    Woken,
    Muted,
    Unmuted,
    StreamFailed,
    StreamRestored,
    NonceIssued,
    StorageFailed,
    SpeechStarted,
    CommandEnded,
    Judged,
    JudgingFailed,
    Forwarded,
    ForwardFailed,
    FeedbackDone,
)


def machine_in(state: State, settings: SessionSettings = SETTINGS) -> SessionMachine:
    """A machine that was brought into `state` by events alone."""
    machine = SessionMachine(settings)
    if state is State.MUTED:
        machine.handle(Muted())
    elif state is State.BROKEN:
        machine.handle(StreamFailed())
    elif state is State.LOCKED:
        lock(machine)
    elif state is not State.IDLE:
        machine.handle(Woken())
        if state is not State.ISSUING:
            machine.handle(NonceIssued(machine.session))
        if state not in {State.ISSUING, State.LISTENING}:
            machine.handle(CommandEnded(machine.session))
        decisions = {
            State.ALLOWED: Decision.ALLOW,
            State.RETRY: Decision.RETRY,
            State.REJECTED: Decision.REJECT,
        }
        if state in decisions:
            machine.handle(Judged(machine.session, decisions[state]))
    assert machine.state is state
    return machine


def judge(machine: SessionMachine, decision: Decision) -> tuple[Action, ...]:
    """One whole session with that verdict, from IDLE back to rest; the verdict's actions."""
    machine.handle(Woken())
    machine.handle(NonceIssued(machine.session))
    machine.handle(CommandEnded(machine.session))
    actions = machine.handle(Judged(machine.session, decision))
    done = Forwarded if machine.state is State.ALLOWED else FeedbackDone
    machine.handle(done(machine.session))
    return actions


def lock(machine: SessionMachine) -> None:
    while machine.state is not State.LOCKED:
        judge(machine, Decision.REJECT)


def hear(machine: SessionMachine, seconds: float) -> tuple[Action, ...]:
    """Let whole blocks of audio pass; all the actions that came of it."""
    actions: tuple[Action, ...] = ()
    for _ in range(round(seconds / BLOCK_S)):
        actions += machine.handle(Heard(BLOCK_S))
    return actions


def built(event: type[Event], session: int) -> Event:
    if event is Heard:
        return Heard(BLOCK_S)
    if event is Judged:
        return Judged(session, Decision.ALLOW)
    return event(session) if issubclass(event, SessionEvent) else event()


# The flow


def test_live_command_is_forwarded() -> None:
    machine = SessionMachine(SETTINGS)
    assert machine.handle(Woken()) == (Task.START_RECORDING, Cue.WOKEN, Task.ISSUE_NONCE)
    assert machine.session == 1
    assert machine.handle(NonceIssued(1)) == (Task.START_NONCE,)
    assert machine.handle(SpeechStarted(1)) == ()
    assert machine.handle(CommandEnded(1)) == (Task.STOP_NONCE, Task.VERIFY)
    assert machine.handle(Judged(1, Decision.ALLOW)) == (Task.FORWARD, Cue.ALLOWED)
    assert machine.handle(FeedbackDone(1)) == ()
    assert machine.handle(Forwarded(1)) == (Task.DISCARD,)
    assert machine.state is State.IDLE


@pytest.mark.parametrize(
    ("decision", "state", "cue"),
    [
        (Decision.RETRY, State.RETRY, Cue.RETRY),
        (Decision.REJECT, State.REJECTED, Cue.REJECTED),
    ],
)
def test_refused_command_is_discarded(decision: Decision, state: State, cue: Cue) -> None:
    machine = machine_in(State.VERIFYING)
    assert machine.handle(Judged(1, decision)) == (Task.DISCARD, cue)
    assert machine.state is state
    assert machine.handle(FeedbackDone(1)) == ()
    assert machine.state is State.IDLE


def test_failed_forwarding_ends_in_a_fault() -> None:
    machine = machine_in(State.ALLOWED)
    assert machine.handle(ForwardFailed(1)) == (Task.DISCARD, Cue.FAULT)
    assert machine.state is State.IDLE


def test_a_fault_of_our_own_counts_towards_no_lock() -> None:
    machine = machine_in(State.VERIFYING)
    assert machine.handle(JudgingFailed(1)) == (Task.DISCARD, Cue.FAULT)
    assert machine.state is State.RETRY
    assert (machine.retries, machine.rejections) == (0, 0)


def test_unrecorded_nonce_is_never_played() -> None:
    machine = machine_in(State.ISSUING)
    assert machine.handle(StorageFailed(1)) == (Task.DISCARD, Cue.FAULT)
    assert machine.handle(NonceIssued(1)) == ()
    assert machine.state is State.RETRY


def test_command_that_ended_before_its_nonce_is_not_verified() -> None:
    machine = machine_in(State.ISSUING)
    assert machine.handle(CommandEnded(1)) == (Task.DISCARD, Cue.FAULT)


# Every cell of the table


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", EVENTS)
def test_every_pair_moves_as_the_table_says_or_is_illegal(state: State, event: type[Event]) -> None:
    machine = machine_in(state)
    value = built(event, max(machine.session, 1))
    row = TRANSITIONS[state].get(Decision.ALLOW if event is Judged else event)
    stale = issubclass(event, SessionEvent) and state not in IN_SESSION
    if stale and machine.session:
        assert machine.handle(value) == ()
        assert machine.state is state
    elif row is None:
        with pytest.raises(IllegalMove, match=rf"{state.name}.*{event.__name__}") as caught:
            machine.handle(value)
        assert (caught.value.state, caught.value.event) == (state, value)
        assert machine.state is state
    elif state is State.LOCKED and event is Unmuted:
        assert machine.handle(value) == ()
    else:
        assert machine.handle(value) == row.actions
        assert machine.state is row.to


# Time


@pytest.mark.parametrize(
    ("state", "seconds", "actions", "to"),
    [
        (State.ISSUING, SETTINGS.issue_s, (Task.DISCARD, Cue.FAULT), State.RETRY),
        (
            State.LISTENING,
            SETTINGS.no_speech_s,
            (Task.STOP_NONCE, Task.DISCARD, Cue.NO_SPEECH),
            State.RETRY,
        ),
        (State.VERIFYING, SETTINGS.verify_s, (Task.DISCARD, Cue.FAULT), State.RETRY),
        (State.ALLOWED, SETTINGS.forward_s, (Task.DISCARD, Cue.FAULT), State.IDLE),
        (State.RETRY, SETTINGS.feedback_s, (), State.IDLE),
        (State.REJECTED, SETTINGS.feedback_s, (), State.IDLE),
        (State.LOCKED, SETTINGS.lock_first_s, (Cue.UNLOCKED,), State.IDLE),
    ],
)
def test_state_times_out_at_its_setting_and_not_a_block_before(
    state: State, seconds: float, actions: tuple[Action, ...], to: State
) -> None:
    machine = machine_in(state)
    assert hear(machine, seconds - BLOCK_S) == ()
    assert machine.state is state
    assert hear(machine, BLOCK_S) == actions
    assert machine.state is to


def test_command_is_cut_off_at_the_cap_counted_from_the_wake_word() -> None:
    machine = machine_in(State.ISSUING)
    hear(machine, 0.4)
    machine.handle(NonceIssued(1))
    machine.handle(SpeechStarted(1))
    assert hear(machine, SETTINGS.max_command_s - 0.4 - BLOCK_S) == ()
    assert hear(machine, BLOCK_S) == (Task.STOP_NONCE, Task.DISCARD, Cue.TOO_LONG)
    assert machine.handle(CommandEnded(1)) == ()
    assert machine.state is State.RETRY


def test_speech_during_issuing_counts_as_speech() -> None:
    machine = machine_in(State.ISSUING)
    machine.handle(SpeechStarted(1))
    machine.handle(NonceIssued(1))
    assert hear(machine, SETTINGS.no_speech_s) == ()
    assert machine.state is State.LISTENING


def test_speech_of_one_session_does_not_count_for_the_next() -> None:
    machine = machine_in(State.LISTENING)
    machine.handle(SpeechStarted(1))
    machine.handle(Muted())
    machine.handle(Unmuted())
    machine.handle(Woken())
    machine.handle(NonceIssued(2))
    assert Cue.NO_SPEECH in hear(machine, SETTINGS.no_speech_s)


def test_late_verdict_is_not_obeyed_after_the_time_out() -> None:
    machine = machine_in(State.VERIFYING)
    hear(machine, SETTINGS.verify_s)
    assert machine.handle(Judged(1, Decision.ALLOW)) == ()
    assert machine.state is State.RETRY


@pytest.mark.parametrize("state", [state for state in State if state in IN_SESSION])
@pytest.mark.parametrize(("stop", "go"), [(Muted, Unmuted), (StreamFailed, StreamRestored)])
def test_late_verdict_of_an_aborted_session_is_not_obeyed_in_the_next(
    state: State, stop: type[Event], go: type[Event]
) -> None:
    machine = machine_in(state)
    machine.handle(stop())
    assert machine.handle(Judged(1, Decision.ALLOW)) == ()
    machine.handle(go())
    machine.handle(Woken())
    machine.handle(NonceIssued(2))
    machine.handle(CommandEnded(2))
    assert machine.handle(Judged(1, Decision.ALLOW)) == ()
    assert machine.state is State.VERIFYING
    assert machine.handle(Judged(2, Decision.ALLOW)) == (Task.FORWARD, Cue.ALLOWED)


# Patience


def test_retries_in_a_row_end_in_a_rejection() -> None:
    machine = SessionMachine(SETTINGS)
    cues = [judge(machine, Decision.RETRY)[-1] for _ in range(SETTINGS.max_retries + 1)]
    assert cues == [Cue.RETRY] * SETTINGS.max_retries + [Cue.REJECTED]
    assert (machine.retries, machine.rejections) == (0, 1)


def test_retries_alone_lock_in_the_end() -> None:
    machine = SessionMachine(SETTINGS)
    verdicts = 0
    while machine.state is not State.LOCKED:
        judge(machine, Decision.RETRY)
        verdicts += 1
    assert verdicts == (SETTINGS.max_retries + 1) * SETTINGS.lock_after


def test_allowed_command_clears_the_tally() -> None:
    machine = SessionMachine(SETTINGS)
    for _ in range(SETTINGS.lock_after - 1):
        judge(machine, Decision.REJECT)
    judge(machine, Decision.RETRY)
    judge(machine, Decision.ALLOW)
    assert (machine.retries, machine.rejections) == (0, 0)


def test_lock_doubles_up_to_its_cap() -> None:
    settings = SessionSettings(lock_after=2, lock_first_s=5.0, lock_max_s=18.0)
    machine = SessionMachine(settings)
    judge(machine, Decision.REJECT)
    states = [machine.state]
    lengths = []
    for _ in range(5):
        judge(machine, Decision.REJECT)
        lengths.append(machine.lock_left_s)
        states.append(machine.state)
        hear(machine, machine.lock_left_s)
        states.append(machine.state)
    judge(machine, Decision.ALLOW)
    judge(machine, Decision.REJECT)
    states.append(machine.state)
    assert lengths == [5.0, 10.0, 18.0, 18.0, 18.0]
    assert states == [State.IDLE] + [State.LOCKED, State.IDLE] * 5 + [State.IDLE]


def test_lock_cannot_overflow() -> None:
    settings = SessionSettings(lock_after=1, lock_first_s=1.0, lock_max_s=1.0)
    machine = SessionMachine(settings)
    for _ in range(2_000):
        judge(machine, Decision.REJECT)
        machine.handle(Heard(1.0))
    assert machine.rejections == 2_000
    assert machine.state is State.IDLE


def test_locked_device_answers_the_wake_word_and_starts_nothing() -> None:
    machine = machine_in(State.LOCKED)
    session = machine.session
    assert machine.handle(Woken()) == (Cue.LOCKED,)
    assert machine.session == session


def test_lock_is_announced_when_the_feedback_is_over() -> None:
    machine = machine_in(State.VERIFYING, SessionSettings(lock_after=1))
    assert machine.handle(Judged(1, Decision.REJECT)) == (Task.DISCARD, Cue.REJECTED)
    assert machine.handle(FeedbackDone(1)) == (Cue.LOCKED,)


@pytest.mark.parametrize(("stop", "go"), [(Muted, Unmuted), (StreamFailed, StreamRestored)])
@pytest.mark.parametrize("state", [State.REJECTED, State.LOCKED])
def test_lock_is_not_shortened(state: State, stop: type[Event], go: type[Event]) -> None:
    machine = machine_in(state, SessionSettings(lock_after=1))
    left_s = machine.lock_left_s
    machine.handle(stop())
    assert machine.handle(go())[-1] is Cue.LOCKED
    assert machine.state is State.LOCKED
    assert machine.lock_left_s == left_s


def test_lock_runs_on_while_muted_audio_is_heard() -> None:
    machine = machine_in(State.LOCKED)
    machine.handle(Muted())
    hear(machine, SETTINGS.lock_first_s)
    assert machine.handle(Unmuted()) == (Cue.UNMUTED,)
    assert machine.state is State.IDLE


def test_faults_and_silence_neither_count_nor_clear() -> None:
    machine = SessionMachine(SETTINGS)
    judge(machine, Decision.REJECT)
    judge(machine, Decision.RETRY)
    for _ in range(20):
        machine.handle(Woken())
        machine.handle(NonceIssued(machine.session))
        hear(machine, SETTINGS.no_speech_s)
        machine.handle(FeedbackDone(machine.session))
    assert machine.state is State.IDLE
    assert (machine.retries, machine.rejections) == (1, 1)


# Mute and a broken stream


def test_mute_while_listening_stops_and_discards() -> None:
    machine = machine_in(State.LISTENING)
    assert machine.handle(Muted()) == (Task.STOP_NONCE, Task.DISCARD, Cue.MUTED)


def test_broken_stream_while_forwarding_cancels_it() -> None:
    machine = machine_in(State.ALLOWED)
    assert machine.handle(StreamFailed()) == (Task.DISCARD, Cue.FAULT)


@pytest.mark.parametrize("muted_first", [True, False])
def test_muted_device_is_still_muted_when_its_stream_is_back(muted_first: bool) -> None:
    machine = SessionMachine(SETTINGS)
    for event in [Muted(), StreamFailed()] if muted_first else [StreamFailed(), Muted()]:
        machine.handle(event)
    assert machine.handle(StreamRestored()) == (Cue.RESTORED, Cue.MUTED)
    assert machine.state is State.MUTED


def test_device_unmuted_while_broken_is_not_muted_when_its_stream_is_back() -> None:
    machine = machine_in(State.MUTED)
    machine.handle(StreamFailed())
    assert machine.handle(Unmuted()) == (Cue.UNMUTED,)
    assert machine.handle(StreamRestored()) == (Cue.RESTORED,)
    assert machine.state is State.IDLE


# Bad input


@pytest.mark.parametrize("seconds", [0.0, -0.02, float("nan"), float("inf"), STEP_MAX_S + 0.01])
def test_impossible_time_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="outside"):
        Heard(seconds)


@pytest.mark.parametrize("session", [0, -1, True, 1.0, "1"])
def test_impossible_session_number_is_refused(session: object) -> None:
    with pytest.raises(ValueError, match="no session number"):
        Forwarded(session)  # type: ignore[arg-type]


def test_decision_of_the_wrong_type_is_refused() -> None:
    with pytest.raises(ValueError, match="no Decision"):
        Judged(1, "allow")  # type: ignore[arg-type]


def test_session_that_was_never_begun_is_illegal() -> None:
    machine = machine_in(State.VERIFYING)
    with pytest.raises(IllegalMove, match="last session is 1"):
        machine.handle(Judged(2, Decision.ALLOW))


@pytest.mark.parametrize("event", [TimedOut(), NobodySpoke(), CommandTooLong()])
def test_time_out_from_outside_is_illegal(event: Event) -> None:
    machine = machine_in(State.LISTENING)
    with pytest.raises(IllegalMove, match=r"LISTENING.*machine's own"):
        machine.handle(event)


def test_second_verdict_is_illegal() -> None:
    machine = machine_in(State.ALLOWED)
    with pytest.raises(IllegalMove, match=r"ALLOWED.*Judged"):
        machine.handle(Judged(1, Decision.ALLOW))


@pytest.mark.parametrize(
    "values",
    [
        {"no_speech_s": 15.0, "max_command_s": 15.0},
        {"lock_first_s": 60.0, "lock_max_s": 30.0},
        {"max_command_s": 600.0},
        {"lock_after": 0},
        {"no_such_key": 1},
    ],
)
def test_bad_settings_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        SessionSettings.model_validate(values)


def test_events_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Heard(0.02).seconds = 1.0  # type: ignore[misc]


def test_every_timer_has_a_row_and_every_hold_a_cue() -> None:
    for state, timers in TIMERS.items():
        for timer in timers:
            assert timer.fires in TRANSITIONS[state]
    assert all(HOLDS.values())


def test_other_settings_hold_from_the_next_session_on() -> None:
    machine = SessionMachine(SessionSettings())
    machine.adopt(SessionSettings(issue_s=0.1))
    machine.handle(Woken())
    with pytest.raises(RuntimeError, match="a session is open"):
        machine.adopt(SessionSettings())
    assert machine.state is State.ISSUING
    machine.handle(Heard(0.1))
    assert machine.state is State.RETRY


def test_other_settings_lift_neither_a_lock_nor_a_mute() -> None:
    machine = SessionMachine(SessionSettings(lock_after=1, lock_first_s=30.0))
    for event in (Woken(), NonceIssued(1), SpeechStarted(1), CommandEnded(1)):
        machine.handle(event)
    machine.handle(Judged(1, Decision.REJECT))
    machine.handle(FeedbackDone(1))
    machine.handle(Muted())
    machine.adopt(SessionSettings(lock_after=10, lock_first_s=1.0))
    assert machine.muted
    machine.handle(Unmuted())
    assert machine.state is State.LOCKED
    assert not machine.muted
    assert machine.lock_left_s == 30.0
