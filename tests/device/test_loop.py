"""The session loop: what leaves, what is played, what is told, and what happens when parts fail."""

from __future__ import annotations

import gc
import json
import logging
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from earmark.errors import ForwardError, KeyringError, LedgerError
from earmark.feedback import Entry, FeedbackHub, Journal
from earmark.gate import Announcement, Decision, Reason, Verdict
from earmark.loop import MAX_QUEUED_SOUND_S, MAX_SPOKEN_PIECES, Identity, Manner, SoundQueue
from earmark.nonce import (
    BfskCarrier,
    Carrier,
    Nonce,
    NonceSettings,
    SpreadCarrier,
    entropy_bytes,
)
from earmark.session import SessionSettings, State
from earmark.signal import BLOCK, BLOCK_S, RATE_HZ, Signal

MakeDesk = Callable[..., Any]

RETRY = Verdict(Decision.RETRY, Reason.TOO_QUIET, ())
REJECT = Verdict(Decision.REJECT, Reason.REPLAY, ())
PATIENCE = SessionSettings(lock_first_s=2.0, lock_max_s=4.0)


def played(desk: Any) -> Signal:
    return np.concatenate(desk.wire.played)


# A command that is allowed


def test_an_allowed_command_leaves_once_and_no_sooner(desk: MakeDesk) -> None:
    device = desk()
    device.session()
    assert device.outbox.states == [State.ALLOWED]
    assert device.told == [Announcement.WOKEN, Announcement.ALLOWED]
    device.run(3.0)
    assert len(device.outbox.sent) == 1
    [(judgement, state)] = device.judgements
    assert judgement.verdict.decision is Decision.ALLOW
    assert state is State.ALLOWED


def test_what_leaves_is_the_recording_from_the_pre_roll_on(desk: MakeDesk) -> None:
    """Sample for sample what the microphone heard (the desk's judge takes nothing out)."""
    device = desk()
    device.run(2.0)
    said = device.command(after_s=0.0)
    woken_at = device.wire.now + BLOCK
    device.step()
    device.until(State.IDLE)
    [command] = device.outbox.sent
    start = woken_at - round(0.5 * RATE_HZ)
    heard = np.concatenate(device.wire.heard)[start : start + command.audio.size]
    assert command.audio.tobytes() == heard.tobytes()
    end_s = (command.audio.size - (woken_at - BLOCK - start) - said.size) / RATE_HZ
    assert end_s > 0.2, "the command is in it to its end, and the silence that ended it"


def test_early_in_the_stream_the_pre_roll_is_what_there_is(desk: MakeDesk) -> None:
    device = desk()
    device.run(0.1)
    device.session()
    [command] = device.outbox.sent
    heard = np.concatenate(device.wire.heard)
    assert command.audio.tobytes() == heard[: command.audio.size].tobytes()


def test_the_judge_is_given_the_session_as_it_was(
    desk: MakeDesk, scripted_judge: Callable[..., Any], nonce: NonceSettings
) -> None:
    judge = scripted_judge()
    device = desk(judge=judge, nonce=nonce)
    device.run(1.0)
    device.command(after_s=0.4)
    device.step()
    device.until(State.IDLE)
    [recorded] = judge.judged
    [issue] = device.ledger.recent(10)
    assert recorded.session == issue.session == device.outbox.sent[0].session
    assert recorded.slots == issue.slots
    carrier = recorded.carrier
    assert (carrier.payload, carrier.hop_key) == (issue.payload, issue.hop_key)
    assert carrier.waveform == issue.waveform
    assert device.entropy == [issue.payload + issue.hop_key]
    assert (issue.device, issue.place) == ("desk", "study")
    # Handed to the player one block after the wake word was recognised.
    assert recorded.played_at_s == pytest.approx(0.5, abs=2 * BLOCK_S)
    assert recorded.speech is not None
    start_s, end_s = recorded.speech
    assert start_s == pytest.approx(0.9, abs=0.03)
    assert end_s == pytest.approx(1.5, abs=0.03)
    # All that was played of it, what was still to come included.
    device.run(0.4)
    sound = played(device)
    start = int(np.flatnonzero(sound)[0]) // BLOCK * BLOCK
    assert recorded.played.size == round(recorded.slots * carrier.slot_s * RATE_HZ) + carrier.tail
    assert sound[start:][: recorded.played.size] == pytest.approx(recorded.played, abs=1e-7)
    assert not sound[start + recorded.played.size :].any()


def test_speech_that_is_on_at_once_counts_from_the_pre_roll(
    desk: MakeDesk, scripted_judge: Callable[..., Any]
) -> None:
    """It may have begun at any time in it: more is told to be uncovered, never less."""
    judge = scripted_judge()
    device = desk(judge=judge)
    device.run(1.0)
    device.command(after_s=0.05)
    device.step()
    device.until(State.IDLE)
    speech = judge.judged[0].speech
    assert speech is not None
    assert speech[0] == 0.0
    assert speech[1] == pytest.approx(0.5 + 0.65, abs=0.03)


def test_the_products_judge_allows_it_and_takes_the_nonce_out(
    desk: MakeDesk, real_judge: Callable[..., Any], nonce: NonceSettings
) -> None:
    device = desk(nonce=nonce)
    device.parts.judge = real_judge(device)
    device.run(1.0)
    device.session()
    [command] = device.outbox.sent
    [(judgement, _)] = device.judgements
    assert judgement.verdict.reason is Reason.FRESH
    report = judgement.evidence.nonce
    assert report is not None
    assert report.bit_errors == 0
    # The wire's delay, and the block in which the nonce was handed over.
    assert report.offset_s - judgement.recorded.played_at_s == pytest.approx(0.12, abs=0.021)
    assert judgement.evidence.suppression_db > 10.0  # noise as loud as speech fills the band
    silence = command.audio[-round(0.2 * RATE_HZ) :]
    # 20 dB under the nonce; 16 for codes, as the murmur in their band is 3 dB under them.
    most = (0.16 if nonce.waveform == "spread" else 0.1) * device.parts.nonce_rms
    assert np.sqrt(np.mean(silence**2)) < most


def test_a_replay_is_rejected_and_named(
    desk: MakeDesk, real_judge: Callable[..., Any], nonce: NonceSettings
) -> None:
    """What the microphone heard of one session is said into the next."""
    device = desk(nonce=nonce)
    device.parts.judge = real_judge(device)
    device.run(1.0)
    first = device.wire.now
    device.session()
    heard = np.concatenate(device.wire.heard)[first:]
    [recorded_then] = device.ledger.recent(1)
    device.run(1.0)

    device.wake.pressed = True
    device.wire.say(heard, 0.2)
    device.step()
    device.until(State.IDLE)
    [(_, allowed), (judgement, rejected)] = device.judgements
    assert (allowed, rejected) == (State.ALLOWED, State.REJECTED)
    assert judgement.verdict.reason is Reason.REPLAY
    assert device.told[-1] is Announcement.COULD_NOT_VERIFY
    stale = judgement.evidence.stale
    assert stale is not None
    assert (stale.session, stale.device, stale.place) == (recorded_then.session, "desk", "study")
    assert stale.recorded_at == pytest.approx(recorded_then.issued_at, abs=2.0)
    assert len(device.outbox.sent) == 1


def test_every_session_draws_a_fresh_nonce(desk: MakeDesk, nonce: NonceSettings) -> None:
    device = desk(nonce=nonce)
    for _ in range(3):
        device.session()
        device.run(0.2)
    assert len(set(device.entropy)) == 3
    # Codes follow from the epoch's key, hops are drawn.
    size = 4 if nonce.waveform == "spread" else entropy_bytes(32)
    assert {len(drawn) for drawn in device.entropy} == {size}
    assert len(device.ledger.recent(10)) == 3
    assert len({command.session for command in device.outbox.sent}) == 3


# What is played


def test_the_nonce_is_played_as_issued_and_ends_with_a_whole_slot(
    desk: MakeDesk, nonce: NonceSettings
) -> None:
    device = desk(nonce=nonce)
    device.session()
    device.run(0.5)
    [issue] = device.ledger.recent(1)
    carrier: Carrier
    if nonce.waveform == "spread":
        carrier = SpreadCarrier(issue.payload, device.source.banks(issue.issued_at)[0], nonce)
    else:
        carrier = BfskCarrier(Nonce(issue.payload, 32, issue.hop_key), nonce)
    assert carrier.waveform == issue.waveform
    assert issue.slots is not None
    assert issue.slots * carrier.slot_s >= carrier.cycle_s
    size = round(issue.slots * carrier.slot_s * RATE_HZ) + carrier.tail
    render = carrier.render(0, size, issue.slots)
    sound = played(device)
    start = int(np.flatnonzero(np.abs(sound) > 1e-7)[0]) // BLOCK * BLOCK
    part = sound[start : start + size]
    assert part == pytest.approx(device.parts.nonce_rms * render, abs=1e-5)
    assert not sound[:start].any()
    assert not sound[start + size :].any()
    assert np.sqrt(np.mean(part**2)) == pytest.approx(device.parts.nonce_rms, rel=0.02)


def test_nothing_is_played_before_the_ledger_has_it(
    desk: MakeDesk, held_executor: Callable[[], Any]
) -> None:
    executor = held_executor()
    device = desk(executor=executor)
    device.command()
    device.run(0.4)
    assert device.state is State.ISSUING
    assert not played(device).any()
    assert device.ledger.count() == 0
    executor.go()
    device.run(0.1)
    assert device.state is State.LISTENING
    assert device.ledger.count() == 1
    assert played(device).any()


def test_sounds_and_the_end_of_the_nonce_are_played_together(desk: MakeDesk) -> None:
    device = desk()
    device.board.sound = lambda: device.sounds.add(np.full(3 * BLOCK, 0.25, np.float32))
    device.session()
    assert np.abs(played(device)).max() > 0.25


def test_an_answer_is_heard_but_not_while_somebody_speaks(desk: MakeDesk) -> None:
    device = desk()
    piece = np.full(2 * BLOCK, 0.5, np.float32)
    with ThreadPoolExecutor(1) as another:
        another.submit(device.sounds.speak, piece).result()
    device.run(0.1)
    assert np.abs(played(device)).max() == 0.5

    device.command()
    device.step()
    device.until(State.LISTENING)
    before = len(device.wire.played)
    device.sounds.speak(piece)
    device.run(0.1)
    assert device.state is State.LISTENING
    assert max(np.abs(block).max() for block in device.wire.played[before:]) < 0.1
    device.until(State.IDLE)
    device.sounds.speak(piece)
    device.run(0.1)
    assert max(np.abs(block).max() for block in device.wire.played[-5:]) == 0.5


class TestSoundQueue:
    def test_sounds_come_one_after_the_other_and_then_silence(self) -> None:
        queue = SoundQueue()
        first = np.arange(1, BLOCK + 11, dtype=np.float32)
        second = -np.arange(1, BLOCK + 1, dtype=np.float32)
        queue.add(first)
        queue.add(second)
        assert len(queue) == 2 * BLOCK + 10
        out = np.concatenate([queue.block() for _ in range(4)])
        assert out[: first.size + second.size].tolist() == [*first, *second]
        assert not out[first.size + second.size :].any()
        assert len(queue) == 0

    def test_it_takes_no_more_than_its_bound(self) -> None:
        queue = SoundQueue()
        for _ in range(100):
            queue.add(np.ones(RATE_HZ // 2, np.float32))
        assert len(queue) == MAX_QUEUED_SOUND_S * RATE_HZ
        queue.block()
        queue.add(np.ones(BLOCK + 1, np.float32))
        assert len(queue) == MAX_QUEUED_SOUND_S * RATE_HZ - BLOCK
        queue.add(np.ones(BLOCK, np.float32))
        assert len(queue) == MAX_QUEUED_SOUND_S * RATE_HZ

    def test_an_answer_that_comes_too_fast_is_cut(self) -> None:
        queue = SoundQueue()
        for _ in range(MAX_SPOKEN_PIECES + 10):
            queue.speak(np.ones(BLOCK, np.float32))
        assert len(queue) == 0
        queue.fetch(wanted=True)
        assert len(queue) == MAX_SPOKEN_PIECES * BLOCK
        queue.speak(np.ones(BLOCK, np.float32))
        queue.fetch(wanted=False)
        queue.fetch(wanted=True)
        assert len(queue) == MAX_SPOKEN_PIECES * BLOCK

    def test_an_empty_sound_is_harmless(self) -> None:
        queue = SoundQueue()
        queue.add(np.zeros(0, np.float32))
        assert not queue.block().any()
        assert len(queue) == 0


# Sessions that end otherwise


def test_when_nobody_speaks_nothing_leaves(desk: MakeDesk) -> None:
    device = desk(session=SessionSettings(no_speech_s=1.5))
    device.wake.pressed = True
    device.step()
    device.until(State.IDLE)
    device.run(0.2)
    assert device.told == [Announcement.WOKEN, Announcement.TRY_AGAIN_NOTHING_HEARD]
    assert device.outbox.states == []
    assert not np.concatenate(device.wire.played[-5:]).any()
    assert device.ledger.recent(1)[0].slots == pytest.approx(60, abs=2)


def test_a_command_without_end_is_cut_off_and_does_not_leave(desk: MakeDesk) -> None:
    device = desk(session=SessionSettings(no_speech_s=1.5, max_command_s=3.0))
    device.command(seconds=10.0)
    device.step()
    device.until(State.IDLE)
    assert device.told[-1] is Announcement.TRY_AGAIN_TOO_LONG
    assert device.outbox.states == []


def test_speech_that_goes_on_while_the_nonce_is_incomplete_is_one_command(desk: MakeDesk) -> None:
    """A short word, a pause shorter than the nonce, another word: both are in what leaves."""
    device = desk()
    device.command(seconds=0.2, after_s=0.1)
    device.wire.say(np.full(round(0.3 * RATE_HZ), 0.05, np.float32), 0.9)
    device.step()
    device.until(State.IDLE)
    [command] = device.outbox.sent
    # The nonce (peak 0.014) is still on it: the desk's judge takes nothing out.
    assert np.count_nonzero(np.abs(command.audio - 0.05) < 0.02) > 0.28 * RATE_HZ


def test_the_second_wake_word_within_a_session_is_part_of_it(desk: MakeDesk) -> None:
    device = desk()
    device.command()
    device.run(0.6)
    device.wake.pressed = True
    device.until(State.VERIFYING, State.ALLOWED, State.IDLE)
    device.run(1.0)
    assert device.told.count(Announcement.WOKEN) == 1
    assert len(device.outbox.sent) == 1


def test_retries_become_a_rejection_told_like_any_other(
    desk: MakeDesk, scripted_judge: Callable[..., Any]
) -> None:
    device = desk(judge=scripted_judge([RETRY] * 3), session=SessionSettings(max_retries=2))
    for _ in range(3):
        device.session()
    told = [each for each in device.told if each is not Announcement.WOKEN]
    quiet = Announcement.TRY_AGAIN_QUIET
    assert told == [quiet, quiet, Announcement.COULD_NOT_VERIFY]
    assert device.outbox.states == []
    assert [state for _, state in device.judgements] == [State.RETRY, State.RETRY, State.REJECTED]


def test_rejections_lock_the_device_for_a_while(
    desk: MakeDesk, scripted_judge: Callable[..., Any]
) -> None:
    device = desk(judge=scripted_judge([REJECT] * 3), session=PATIENCE)
    for _ in range(3):
        assert device.state is State.IDLE
        device.session()
    assert device.state is State.LOCKED
    sessions = device.ledger.count()
    device.wake.pressed = True
    device.run(0.5)
    assert device.state is State.LOCKED
    assert device.ledger.count() == sessions
    assert device.told[-1] is Announcement.LOCKED
    device.until(State.IDLE)
    assert device.told[-1] is Announcement.READY
    device.session()
    assert len(device.outbox.sent) == 1


def test_what_could_not_be_determined_is_asked_for_again_and_does_not_leave(
    desk: MakeDesk, scripted_judge: Callable[..., Any]
) -> None:
    undetermined = Verdict(Decision.RETRY, Reason.STALE_UNDETERMINED, ())
    device = desk(judge=scripted_judge([undetermined]))
    device.session()
    assert device.told == [Announcement.WOKEN, Announcement.COULD_NOT_VERIFY]
    assert device.outbox.states == []
    [(_, state)] = device.judgements
    assert state is State.RETRY
    device.session()
    assert len(device.outbox.sent) == 1


def test_every_attack_is_told_alike(desk: MakeDesk, scripted_judge: Callable[..., Any]) -> None:
    interference = Verdict(Decision.REJECT, Reason.INTERFERENCE, ())
    device = desk(judge=scripted_judge([REJECT, interference]))
    device.session()
    device.session()
    told = [each for each in device.told if each is not Announcement.WOKEN]
    assert told == [Announcement.COULD_NOT_VERIFY] * 2


# Mute


def reach(device: Any, state: State) -> None:
    """Bring a desk with a held executor into a state."""
    executor = device.executor
    if state is State.IDLE:
        return
    if state is State.BROKEN:
        device.loop.stream_failed()
    elif state is State.LOCKED:
        for _ in range(3):
            device.command()
            for _ in range(400):
                device.step()
                executor.go()
                if device.state in (State.IDLE, State.LOCKED) and not device.wake.pressed:
                    break
    else:
        device.command()
        device.step()
        stops = [State.ISSUING, State.LISTENING, State.VERIFYING]
        for stop in stops:
            device.until(stop)
            if stop is state:
                return
            if stop is not State.LISTENING:
                executor.go()
        device.step()
    assert device.state is state


IN_TURN = [state for state in State if state is not State.MUTED]


@pytest.mark.parametrize("state", IN_TURN, ids=lambda state: state.name)
def test_muted_in_any_state_it_hears_plays_and_sends_nothing(
    desk: MakeDesk,
    scripted_judge: Callable[..., Any],
    held_executor: Callable[[], Any],
    state: State,
) -> None:
    verdicts = {State.RETRY: [RETRY], State.REJECTED: [REJECT], State.LOCKED: [REJECT] * 3}
    judge = scripted_judge(verdicts.get(state, []))
    device = desk(executor=held_executor(), judge=judge, session=PATIENCE)
    if state in (State.RETRY, State.REJECTED):  # they last while a sound is played
        device.board.sound = lambda: device.sounds.add(np.full(RATE_HZ // 4, 1e-3, np.float32))
    reach(device, state)
    sent, told = len(device.outbox.states), len(device.told)

    device.loop.mute()
    assert device.told[told:] == [Announcement.MUTED]
    heard, asked = device.wake.blocks, device.judgements.copy()
    if state is State.BROKEN:
        assert device.state is State.BROKEN
        device.restart_stream()
    assert device.state is State.MUTED
    device.command()
    device.run(0.6)  # the slot that has begun and the sounds end
    quiet_from = len(device.wire.played)
    for _ in range(60):
        device.step()
        device.executor.go()
    assert device.state is State.MUTED
    assert device.wake.blocks == heard
    assert not np.concatenate(device.wire.played[quiet_from:]).any()
    assert len(device.outbox.states) == sent
    assert device.judgements == asked

    device.wake.pressed = False
    device.loop.unmute()
    assert device.told[-1] is (
        Announcement.LOCKED if state is State.LOCKED else Announcement.UNMUTED
    )
    device.board.sound = lambda: None
    for _ in range(300):  # a lock that was left is served
        device.step()
    device.command()
    for _ in range(300):
        device.step()
        device.executor.go()
    assert len(device.outbox.sent) == 1


def test_after_mute_nothing_of_before_is_in_the_next_command(desk: MakeDesk) -> None:
    """Said in private while muted, and just before: neither gets into the pre-roll."""
    device = desk()
    device.wire.say(np.full(RATE_HZ, 0.07, np.float32))
    device.run(1.0)
    device.loop.mute()
    device.wire.say(np.full(RATE_HZ, 0.09, np.float32))
    device.run(1.02)
    device.loop.unmute()
    device.session()
    [command] = device.outbox.sent
    assert np.count_nonzero(np.abs(command.audio[: RATE_HZ // 10]) > 0.02) == 0


# A stream that breaks


@pytest.mark.parametrize(
    "state", [s for s in State if s not in (State.BROKEN, State.MUTED)], ids=lambda s: s.name
)
def test_a_stream_that_breaks_ends_the_session_closed(
    desk: MakeDesk,
    scripted_judge: Callable[..., Any],
    held_executor: Callable[[], Any],
    state: State,
) -> None:
    verdicts = {State.RETRY: [RETRY], State.REJECTED: [REJECT], State.LOCKED: [REJECT] * 3}
    judge = scripted_judge(verdicts.get(state, []))
    device = desk(executor=held_executor(), judge=judge, session=PATIENCE)
    if state in (State.RETRY, State.REJECTED):
        device.board.sound = lambda: device.sounds.add(np.full(RATE_HZ // 4, 1e-3, np.float32))
    reach(device, state)
    sent = len(device.outbox.states)
    device.loop.stream_failed()
    assert device.state is State.BROKEN
    assert device.told[-1] is Announcement.FAULT
    device.board.sound = lambda: None
    device.executor.go()
    assert len(device.outbox.states) == sent, "nothing leaves any more"

    device.restart_stream()
    device.run(0.6)
    quiet_from = len(device.wire.played)
    device.run(0.5)
    assert not np.concatenate(device.wire.played[quiet_from:]).any(), "the nonce is over"
    device.run(4.0)
    device.command()
    for _ in range(300):
        device.step()
        device.executor.go()
    assert len(device.outbox.sent) == 1


def test_after_a_break_no_rest_of_the_nonce_is_played(desk: MakeDesk) -> None:
    device = desk()
    device.command()
    device.run(0.9)
    device.loop.stream_failed()
    device.restart_stream()
    before = len(device.wire.played)
    device.run(0.2)
    assert not np.concatenate(device.wire.played[before:]).any()


def test_the_slots_played_before_the_break_are_in_the_ledger(desk: MakeDesk) -> None:
    device = desk()
    device.command()
    device.run(0.9)
    assert device.state is State.LISTENING
    device.loop.stream_failed()
    [issue] = device.ledger.recent(1)
    sounding = np.count_nonzero([np.any(block) for block in device.wire.played])
    assert issue.slots == pytest.approx(sounding * BLOCK_S * 40.0, abs=2)


# Parts that fail


class Failing:
    """Another object, with one method that raises."""

    def __init__(self, inner: object, method: str, error: Exception) -> None:
        self._inner = inner
        self._method = method
        self._error = error

    def __getattr__(self, name: str) -> Any:
        if name != self._method:
            return getattr(self._inner, name)

        def fail(*_: object) -> None:
            raise self._error

        return fail


SECRET = "quoted payload 5ca1ab1e"


@pytest.mark.parametrize(
    ("part", "method", "error"),
    [
        ("ledger", "record", LedgerError("the disk is full", "free some")),
        ("ledger", "record", OSError(SECRET)),
        ("source", "draw", KeyringError("the keys cannot be read", "restore them")),
        ("source", "draw", ValueError(SECRET)),
    ],
)
def test_a_nonce_that_is_not_drawn_or_recorded_is_not_played(
    desk: MakeDesk,
    every_log: pytest.LogCaptureFixture,
    part: str,
    method: str,
    error: Exception,
) -> None:
    device = desk()
    good = getattr(device.parts, part)
    setattr(device.parts, part, Failing(good, method, error))
    device.command()
    device.step()
    device.until(State.IDLE)
    device.run(1.0)
    assert not played(device).any()
    assert device.told == [Announcement.WOKEN, Announcement.FAULT]
    assert device.outbox.states == []
    assert SECRET not in every_log.text
    assert device.ledger.count() == 0
    setattr(device.parts, part, good)
    device.session()
    assert len(device.outbox.sent) == 1


def test_an_end_that_is_not_recorded_does_not_lose_the_command(desk: MakeDesk) -> None:
    """The search then takes the session for a long one."""
    device = desk()
    device.parts.ledger = Failing(device.ledger, "finish", LedgerError("full", "free some"))
    device.session()
    assert len(device.outbox.sent) == 1
    assert device.ledger.recent(1)[0].slots is None


@pytest.mark.parametrize(
    "error",
    [
        LedgerError("unreadable", "mend it"),
        KeyringError("unreadable", "mend it"),
        ValueError(SECRET),
    ],
)
def test_without_a_verdict_nothing_leaves(
    desk: MakeDesk,
    scripted_judge: Callable[..., Any],
    every_log: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    device = desk(judge=scripted_judge([error]))
    device.session()
    assert device.told == [Announcement.WOKEN, Announcement.FAULT]
    assert device.outbox.states == []
    assert device.judgements == []
    assert SECRET not in every_log.text
    # Our own errors are written for a journal; of any other only its type is known to be safe.
    assert ("ValueError" if isinstance(error, ValueError) else str(error)) in every_log.text
    device.session()
    assert len(device.outbox.sent) == 1


@pytest.mark.parametrize("error", [ForwardError("nobody answers", "start it"), OSError(SECRET)])
def test_a_command_that_cannot_be_handed_over_is_told_as_offline(
    desk: MakeDesk, every_log: pytest.LogCaptureFixture, error: Exception
) -> None:
    device = desk()
    device.outbox.error = error
    device.session()
    assert device.told[-1] is Announcement.OFFLINE
    assert device.outbox.states == [State.ALLOWED], "tried once"
    assert SECRET not in every_log.text
    ids = [record.__dict__.get("MESSAGE_ID") for record in every_log.records]
    assert ids.count(Entry.FORWARD_FAILED.message_id) == 1
    # The next fault is one of our own, not of the assistant.
    device.loop.stream_failed()
    assert device.told[-1] is Announcement.FAULT
    device.restart_stream()
    device.outbox.error = None
    device.session()
    assert len(device.outbox.sent) == 1


def test_feedback_that_fails_stops_nothing(desk: MakeDesk) -> None:
    device = desk()

    def fail() -> None:
        raise RuntimeError("no sound card")

    device.board.sound = fail
    device.session()
    assert len(device.outbox.sent) == 1


# Work beside the loop


def test_a_verdict_that_comes_too_late_is_not_obeyed(
    desk: MakeDesk, held_executor: Callable[[], Any]
) -> None:
    device = desk(executor=held_executor(), session=SessionSettings(verify_s=0.5))
    reach(device, State.VERIFYING)
    device.until(State.IDLE)
    assert device.told[-1] is Announcement.FAULT
    device.executor.go()
    device.run(1.0)
    assert device.outbox.states == []
    assert Announcement.ALLOWED not in device.told


def test_a_verdict_of_an_old_session_is_not_obeyed_in_the_next(
    desk: MakeDesk, scripted_judge: Callable[..., Any], held_executor: Callable[[], Any]
) -> None:
    """The verdict of the first is under way when the second is being verified."""
    judge = scripted_judge([Verdict(Decision.ALLOW, Reason.FRESH, ()), REJECT])
    device = desk(
        executor=held_executor(), judge=judge, session=SessionSettings(verify_s=0.5, issue_s=5.0)
    )
    reach(device, State.VERIFYING)
    # The verdict comes before the ledger's note of how long the nonce was.
    future, work = device.executor.waiting.popleft()
    future.set_running_or_notify_cancel()
    device.until(State.IDLE)
    reach(device, State.VERIFYING)
    future.set_result(work())
    device.step()
    assert device.state is State.VERIFYING
    device.executor.go()
    device.step()
    assert device.state in (State.REJECTED, State.IDLE)
    device.run(1.0)
    assert device.outbox.states == []


def test_what_has_not_left_when_its_session_ends_never_does(
    desk: MakeDesk, held_executor: Callable[[], Any]
) -> None:
    device = desk(executor=held_executor())
    reach(device, State.ALLOWED)
    device.loop.mute()
    device.executor.go()
    device.run(1.0)
    assert device.outbox.states == []


def test_a_slow_ledger_gives_the_session_up(
    desk: MakeDesk, held_executor: Callable[[], Any]
) -> None:
    device = desk(executor=held_executor(), session=SessionSettings(issue_s=0.5))
    device.command()
    device.step()
    device.until(State.IDLE)
    assert device.told == [Announcement.WOKEN, Announcement.FAULT]
    device.executor.go()
    device.run(1.0)
    assert not played(device).any()
    assert device.ledger.count() == 0, "work that had not begun was called off"


def test_a_worker_thread_gives_what_inline_gives(
    desk: MakeDesk, real_judge: Callable[..., Any]
) -> None:
    audio = []
    for threads in (False, True):
        with ThreadPoolExecutor(max_workers=1) as pool:
            device = desk(executor=pool if threads else None)
            device.parts.judge = real_judge(device)
            device.run(0.6)
            device.command()
            device.waits()
            while device.state is not State.IDLE:
                device.waits()
        assert device.told == [Announcement.WOKEN, Announcement.ALLOWED]
        assert device.ledger.recent(1)[0].slots is not None
        audio.append(device.outbox.sent[0].audio)
    # A worker answers a block later at most.
    assert audio[0].size == pytest.approx(audio[1].size, abs=2 * BLOCK)


# Bounds


def holdings(device: Any) -> dict[str, int]:
    """How many things the loop and its queue hold."""
    held = {
        name: len(value) for name, value in vars(device.loop).items() if hasattr(value, "__len__")
    }
    return held | {"sounds": len(device.sounds), "waiting": len(vars(device.sounds)["_waiting"])}


def test_the_loop_holds_no_more_after_twenty_sessions_than_after_one(
    desk: MakeDesk, scripted_judge: Callable[..., Any]
) -> None:
    device = desk(judge=scripted_judge([RETRY, RETRY, REJECT, RETRY]))
    device.board.sound = lambda: device.sounds.add(np.zeros(BLOCK, np.float32))
    device.session()
    device.run(0.3)
    before = holdings(device)
    for _ in range(20):
        device.session()
    device.run(0.3)
    assert holdings(device) == before
    assert set(before) >= {"_players", "_work", "sounds"}


def test_the_audio_of_a_session_is_gone_when_it_is_over(
    desk: MakeDesk, scripted_judge: Callable[..., Any]
) -> None:
    judge = scripted_judge()
    device = desk(judge=judge)
    device.parts.observer = None
    device.session()
    [recorded] = judge.judged
    audio = weakref.ref(recorded)
    judge.judged.clear()
    device.outbox.sent.clear()
    del recorded
    gc.collect()
    assert audio() is None


# What is logged


def test_no_log_line_holds_the_nonce_or_audio(
    desk: MakeDesk,
    real_judge: Callable[..., Any],
    every_log: pytest.LogCaptureFixture,
    nonce: NonceSettings,
) -> None:
    device = desk(nonce=nonce)
    device.parts.judge = real_judge(device)
    device.run(0.6)
    device.session()
    device.outbox.error = ForwardError("nobody answers", "start it")
    device.session()
    device.parts.ledger = Failing(device.ledger, "record", LedgerError("full", "free some"))
    device.session()
    assert Announcement.ALLOWED in device.told
    issues = device.ledger.recent(10)
    assert len(issues) == 2
    secrets = []
    for issue in issues:
        bits = "".join(f"{byte:08b}" for byte in issue.payload)
        secrets += [issue.payload.hex(), bits, repr(issue.payload)[2:-1]]
        secrets += [issue.hop_key.hex()] if issue.hop_key else []
        secrets += [str(list(issue.payload))[1:-1], str(int.from_bytes(issue.payload, "big"))]
    assert len(every_log.records) >= 6
    for record in every_log.records:
        text = logging.Formatter().format(record) + json.dumps(vars(record), default=str)
        assert not [secret for secret in secrets if secret in text]
        assert len(record.getMessage()) < 1500
        values = [*(record.args or ()), *vars(record).values()]
        assert not [v for v in values if isinstance(v, np.ndarray | bytes | bytearray)]


def test_closing_closes_forwarder_and_ledger(desk: MakeDesk) -> None:
    device = desk()
    device.loop.close()
    device.loop.close()
    assert device.outbox.closed
    with pytest.raises(LedgerError):
        device.ledger.count()


def test_it_goes_on_in_another_manner_when_no_session_is_open(
    desk: MakeDesk, scripted_judge: type[Any], every_log: pytest.LogCaptureFixture
) -> None:
    device = desk()
    parts, judge = device.parts, scripted_judge()
    manner = Manner(
        session=SessionSettings(max_retries=0),
        judge=judge,
        feedback=FeedbackHub((device.board,), Journal("hall", "door")),
        identity=Identity("hall", "door"),
        named=None,
    )
    device.command()
    device.step()
    assert not device.loop.quiet
    with pytest.raises(RuntimeError, match="a session is open"):
        device.loop.renew(manner)
    device.until(State.IDLE)
    assert device.loop.quiet
    device.loop.renew(manner)
    device.session()
    assert len(judge.judged) == 1
    assert [command.device for command in device.outbox.sent] == ["desk", "hall"]
    assert "device=hall" in every_log.text
    assert device.loop.sessions == 2
    assert parts.identity.name == "desk", "what was passed in is left as it was"


def test_stopped_while_a_command_is_handed_over_it_says_so(
    desk: MakeDesk, held_executor: type[Any], every_log: pytest.LogCaptureFixture
) -> None:
    executor = held_executor()
    device = desk(executor=executor)
    device.command()
    for _ in range(400):
        device.step()
        if device.state is State.ALLOWED:
            break
        executor.go()
    assert device.state is State.ALLOWED
    device.loop.close()
    assert "stopped while a command was handed over: it may not have arrived" in every_log.text


def test_stopped_at_any_other_time_there_is_nothing_to_say(
    desk: MakeDesk, every_log: pytest.LogCaptureFixture
) -> None:
    device = desk()
    device.session()
    device.loop.close()
    assert "handed over" not in every_log.text


def test_a_verdict_does_not_wait_for_the_ledger_to_note_the_end_of_the_nonce(
    desk: MakeDesk, scripted_judge: Callable[..., Any], held_executor: Callable[[], Any]
) -> None:
    """A flush takes a slow card some 100 ms; the note comes after the verdict, and is not lost."""
    judge = scripted_judge([Verdict(Decision.ALLOW, Reason.FRESH, ())])
    device = desk(executor=held_executor(), judge=judge)
    reach(device, State.VERIFYING)
    [(verdict, work), _] = device.executor.waiting
    verdict.set_result(work())
    del device.executor.waiting[0]
    device.step()
    assert device.state is State.ALLOWED
    [issue] = device.parts.ledger.recent(1)
    assert issue.slots is None
    device.executor.go()
    [issue] = device.parts.ledger.recent(1)
    assert issue.slots


def test_the_end_of_a_nonce_is_noted_without_a_verdict_too(
    desk: MakeDesk, held_executor: Callable[[], Any]
) -> None:
    device = desk(executor=held_executor())
    reach(device, State.LISTENING)
    device.run(1.0)
    device.loop.mute()
    device.executor.go()
    [issue] = device.parts.ledger.recent(1)
    assert issue.slots
