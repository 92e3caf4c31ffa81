"""Random walks through the machine: what must never happen, and that nothing is left out."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import random
from collections import Counter
from enum import Enum

import pytest

import earmark.session
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
from earmark.session.events import SessionEvent, Timeout
from earmark.session.machine import (
    HOLDS,
    IN_SESSION,
    LOCK_LENGTH,
    TIMERS,
    TRANSITIONS,
    Clock,
    Key,
    Tally,
    Transition,
)

SHORT = SessionSettings(
    issue_s=0.5,
    no_speech_s=1.0,
    max_command_s=3.0,
    verify_s=1.0,
    forward_s=1.0,
    feedback_s=0.5,
    max_retries=1,
    lock_after=2,
    lock_first_s=2.0,
    lock_max_s=6.0,
)
"""Short times, so that a walk meets every time-out."""

STEPS = 4_000
SEEDS = range(12)


class Watched(SessionMachine):
    """A machine that notes which rows of the table it took."""

    def __init__(self) -> None:
        super().__init__(SHORT)
        self.rows: Counter[tuple[State, Key]] = Counter()

    def _move(self, event: Event) -> tuple[Action, ...]:
        pair = (self.state, self._key(event))
        actions = super()._move(event)
        self.rows[pair] += 1
        return actions


EVENTS: tuple[type[Event], ...] = (
    *[Heard, Woken, Muted, Unmuted, StreamFailed, StreamRestored, NonceIssued, StorageFailed],
    *[SpeechStarted, CommandEnded, Judged, JudgingFailed, Forwarded, ForwardFailed, FeedbackDone],
)

ABORTS = (Muted, StreamFailed)


def random_event(dice: random.Random, machine: SessionMachine) -> Event:
    """Mostly one that the state has a row for, else any; sometimes of an old session."""
    kind = dice.choice(EVENTS)
    if dice.random() < 0.8:
        key = dice.choice([key for key in TRANSITIONS[machine.state] if key not in ABORTS])
        event = Judged if isinstance(key, Decision) else key
        kind = Heard if issubclass(event, Timeout) else event
    return built(kind, dice, max(1, machine.session - (dice.random() < 0.1)))


def built(kind: type[Event], dice: random.Random, session: int) -> Event:
    if kind is Heard:
        return Heard(dice.choice([0.02, 0.5, 1.0]))
    if kind is Judged:
        return Judged(session, dice.choice(list(Decision)))
    return kind(session) if issubclass(kind, SessionEvent) else kind()


class Promises:
    """What the daemon would see of a machine, with an assertion for each promise."""

    def __init__(self) -> None:
        self.playing = False
        self.recording = False
        self.muted = False
        self.issued: set[int] = set()
        self.forwarded: set[int] = set()

    def check(self, event: Event, before: State, session: int, machine: SessionMachine) -> None:
        """After `event`, which came in state `before` of session number `session`."""
        if isinstance(event, Muted | Unmuted):
            self.muted = isinstance(event, Muted)
        if event == NonceIssued(max(1, session)) and before is State.ISSUING:
            self.issued.add(session)
        assert self.playing == (machine.state is State.LISTENING)
        holding = {State.ISSUING, State.LISTENING, State.VERIFYING, State.ALLOWED}
        assert self.recording == (machine.state in holding)
        assert not self.muted or machine.state in {State.MUTED, State.BROKEN}
        assert not isinstance(event, StreamFailed) or machine.state is State.BROKEN
        assert machine.lock_left_s <= SHORT.lock_max_s
        assert machine.state is not State.IDLE or machine.lock_left_s <= 1e-6

    def carry_out(self, action: Action, event: Event, before: State, session: int) -> None:
        """Do what `action` asks for, as the daemon would."""
        if action is Task.START_RECORDING:
            assert not self.recording
            self.recording = True
        elif action is Task.DISCARD:
            assert self.recording
            self.recording = False
        elif action is Task.START_NONCE:
            assert not self.playing
            assert event == NonceIssued(session)
            self.playing = True
        elif action is Task.STOP_NONCE:
            assert self.playing
            self.playing = False
        elif action is Task.VERIFY:
            assert session in self.issued
        elif action is Task.FORWARD:
            assert event == Judged(session, Decision.ALLOW)
            assert before is State.VERIFYING
            assert session not in self.forwarded
            assert not self.muted
            self.forwarded.add(session)


def walk(seed: int) -> Watched:
    """Walk at random, checking every promise at every step."""
    dice = random.Random(seed)
    machine = Watched()
    promises = Promises()
    for _ in range(STEPS):
        event = random_event(dice, machine)
        before, session = machine.state, machine.session
        try:
            actions = machine.handle(event)
        except IllegalMove:
            assert machine.state is before
            continue
        for action in actions:
            promises.carry_out(action, event, before, session)
        promises.check(event, before, session, machine)
    assert promises.forwarded
    return machine


@pytest.fixture(scope="module")
def walked() -> Counter[tuple[State, Key]]:
    rows: Counter[tuple[State, Key]] = Counter()
    for seed in SEEDS:
        rows += walk(seed).rows
    return rows


def test_walks_take_every_row(walked: Counter[tuple[State, Key]]) -> None:
    rows = {(state, key) for state in TRANSITIONS for key in TRANSITIONS[state]}
    assert set(walked) == rows


@pytest.mark.parametrize("seed", SEEDS)
def test_every_state_comes_home_by_itself(seed: int) -> None:
    dice = random.Random(seed)
    machine = SessionMachine(SHORT)
    for _ in range(300):
        try:
            machine.handle(random_event(dice, machine))
        except IllegalMove:
            continue
        if machine.state in IN_SESSION | {State.LOCKED}:
            probe = machine.state
            for _ in range(20):
                machine.handle(Heard(1.0))
            assert machine.state is State.IDLE, probe


def test_attacker_gets_few_verdicts_between_locks() -> None:
    dice = random.Random(1)
    machine = SessionMachine(SHORT)
    verdicts = 0
    for _ in range(3_000):
        decision = dice.choice([Decision.RETRY, Decision.REJECT, None])
        machine.handle(Woken())
        machine.handle(NonceIssued(machine.session))
        if decision is None:
            machine.handle(dice.choice([Muted, StreamFailed])())
            machine.handle((Unmuted if machine.state is State.MUTED else StreamRestored)())
        else:
            machine.handle(CommandEnded(machine.session))
            machine.handle(Judged(machine.session, decision))
            machine.handle(FeedbackDone(machine.session))
            verdicts += 1
        assert verdicts <= (SHORT.max_retries + 1) * SHORT.lock_after
        if machine.state is State.LOCKED:
            verdicts = 0
            for _ in range(6):
                machine.handle(Heard(1.0))
        assert machine.state is State.IDLE


# Nothing is left out


def classes(base: type) -> set[type]:
    """Every class below `base` that a module of the package defines."""
    found = set()
    for info in pkgutil.iter_modules(earmark.session.__path__, "earmark.session."):
        for _, value in inspect.getmembers(importlib.import_module(info.name), inspect.isclass):
            inside = value.__module__.startswith("earmark.session")
            if inside and issubclass(value, base) and value is not base:
                found.add(value)
    return found


def rows() -> list[tuple[State, Key, Transition]]:
    return [(s, key, row) for s, keys in TRANSITIONS.items() for key, row in keys.items()]


def test_every_event_moves_something() -> None:
    leaves = {event for event in classes(Event) if not event.__subclasses__()}
    moved = {key for state, key, row in rows() if row != Transition(state)}
    moving = {Judged if isinstance(key, Decision) else key for key in moved}
    timed = {timer.until for timers in TIMERS.values() for timer in timers}
    assert leaves - moving - timed == {Heard}
    assert set(Decision) <= moved


def test_every_event_is_frozen() -> None:
    for event in classes(Event):
        assert dataclasses.is_dataclass(event)
        assert event.__dataclass_params__.frozen  # type: ignore[attr-defined]


def test_every_enum_is_exercised() -> None:
    actions = [action for _, _, row in rows() for action in row.actions]
    actions += [action for held in HOLDS.values() for action in held]
    timers = [timer for timers in TIMERS.values() for timer in timers]
    exercised: dict[type[Enum], set[object]] = {
        Task: {action for action in actions if isinstance(action, Task)},
        Cue: {action for action in actions if isinstance(action, Cue)},
        Decision: {key for _, key, _ in rows() if isinstance(key, Decision)},
        State: {row.to for _, _, row in rows()} | set(HOLDS),
        Tally: {row.tally for _, _, row in rows() if row.tally},
        Clock: {timer.clock for timer in timers},
    }
    assert set(exercised) == classes(Enum)
    for enum, members in exercised.items():
        assert members == set(enum), enum
    assert {timer.fires for timer in timers} == classes(Timeout)


def test_every_state_has_a_way_in_and_out() -> None:
    for state in State:
        assert any(row.to is not state for row in TRANSITIONS[state].values())
        assert state in HOLDS or any(row.to is state for s, _, row in rows() if s is not state)


def test_every_time_setting_is_a_timer_or_the_lock() -> None:
    timed = {timer.limit for timers in TIMERS.values() for timer in timers} - {LOCK_LENGTH}
    times = {name for name in SessionSettings.model_fields if name.endswith("_s")}
    assert times - timed == {"lock_first_s", "lock_max_s"}


def test_front_door_opens_to_all_that_a_caller_needs() -> None:
    public = {getattr(earmark.session, name) for name in earmark.session.__all__}
    assert classes(Event) - classes(Timeout) - {Timeout} <= public
    assert {Task, Cue, State, Decision} <= public
