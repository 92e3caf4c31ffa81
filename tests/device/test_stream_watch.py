"""What the first nonce of a stream tells of it, whatever the receiver made of that nonce."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from earmark.daemon import InlineExecutor
from earmark.demo.clips import Clips
from earmark.judging import Judgement
from earmark.nonce import FixedKeys, NoncePlayer, NonceSettings, Report, Source
from earmark.session import State
from earmark.signal import BLOCK, RATE_HZ, Signal, rms
from earmark.stream_watch import COMPARED_S, LONGEST_S, StreamClocks, StreamWatch, round_trip_s

PLAYED_AT_S = 0.5


@pytest.fixture(params=["spread", "bfsk"])
def played(request: pytest.FixtureRequest) -> Signal:
    """Four seconds of a nonce as the loop hands it out."""
    settings = NonceSettings(waveform=request.param)
    carrier = Source(settings, FixedKeys(bytes(32))).draw(np.random.default_rng(3).bytes, 1.8e9)
    player = NoncePlayer(carrier, 0.01)
    return np.concatenate([player.block() for _ in range(200)])


def room(played: Signal, delay_s: float, speech: Signal, ratio_db: float) -> Signal:
    """A recording from when the playback began: the nonce late, the speech so much louder."""
    out = np.zeros(played.size + round(LONGEST_S * RATE_HZ), np.float32)
    at = round(delay_s * RATE_HZ)
    out[at : at + played.size] += played
    talk = np.resize(speech, out.size)
    return out + talk * np.float32(rms(played) / rms(talk) * 10 ** (ratio_db / 20))


def judgement(played: Signal, heard: Signal, present: bool, drift_ppm: float = 0.0) -> Judgement:
    before = np.zeros(round(PLAYED_AT_S * RATE_HZ), np.float32)
    report = SimpleNamespace(present=present, drift_ppm=drift_ppm)
    recorded = SimpleNamespace(
        played=played, played_at_s=PLAYED_AT_S, recording=np.concatenate([before, heard])
    )
    return cast(
        Judgement,
        SimpleNamespace(recorded=recorded, evidence=SimpleNamespace(nonce=report)),
    )


@pytest.mark.parametrize("delay_s", [0.0, 0.05, 0.2843, 0.9, 1.9])
def test_the_round_trip_is_found_under_louder_speech(
    played: Signal, clips: Clips, delay_s: float
) -> None:
    heard = room(played, delay_s, clips.television(), ratio_db=15.0)
    assert round_trip_s(played, heard) == pytest.approx(delay_s, abs=2.0 / RATE_HZ)


def test_speech_alone_is_no_round_trip(played: Signal, clips: Clips) -> None:
    speech = clips.television()
    step = round(3.0 * RATE_HZ)
    for at in range(0, speech.size - step, step):
        assert round_trip_s(played, speech[at : at + played.size]) is None


def test_neither_noise_nor_silence_nor_nothing_is_a_round_trip(played: Signal) -> None:
    dice = np.random.default_rng(4)
    for _ in range(20):
        noise = dice.standard_normal(played.size).astype(np.float32)
        assert round_trip_s(played, noise) is None
    assert round_trip_s(played, np.zeros_like(played)) is None
    assert round_trip_s(np.zeros_like(played), played) is None
    assert round_trip_s(played, played[:100]) is None


def test_a_short_command_is_enough(played: Signal) -> None:
    played = played[: round(1.0 * RATE_HZ)]
    heard = np.concatenate([np.zeros(4000, np.float32), played])
    assert round_trip_s(played, heard) == pytest.approx(0.25, abs=2.0 / RATE_HZ)


def test_a_long_one_costs_no_more(played: Signal) -> None:
    assert played.size == round(COMPARED_S * RATE_HZ)
    heard = np.concatenate([np.zeros(BLOCK, np.float32), np.tile(played, 4)])
    assert round_trip_s(np.tile(played, 4), heard) == pytest.approx(0.02, abs=2.0 / RATE_HZ)


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], list[tuple[int, str]]]:
    caplog.set_level(logging.INFO)
    return lambda: [(record.levelno, record.getMessage()) for record in caplog.records]


def test_only_the_first_of_each_stream_is_told(played: Signal, told: Any) -> None:
    watch = StreamWatch(NonceSettings(), InlineExecutor())
    assert watch.latest is None
    quiet = np.full(100, 1e-6, np.float32)
    for delay_s, restart in ((0.1, False), (0.2, False), (0.3, True), (0.4, False)):
        if restart:
            watch.restarted()
        heard = room(played, delay_s, quiet, -60.0)
        watch.observe(judgement(played, heard, True, -12.4), State.ALLOWED)
    line = "audio stream: the round trip takes %d ms, the clocks differ by -12 ppm"
    assert told() == [(logging.INFO, line % 100), (logging.INFO, line % 300)]
    assert watch.latest == StreamClocks(pytest.approx(0.3, abs=1e-4), -12.4)


def test_a_round_trip_longer_than_the_receiver_looks_is_a_warning_that_says_what_to_set(
    played: Signal, told: Any
) -> None:
    watch = StreamWatch(NonceSettings(max_delay_s=0.5), InlineExecutor())
    heard = room(played, 0.7, np.ones(100, np.float32), -60.0)
    watch.observe(judgement(played, heard, False), State.RETRY)
    [(level, text)] = told()
    assert level == logging.WARNING
    assert "takes 700 ms, more than nonce.max_delay_s allows (500 ms): set that higher" in text
    assert watch.latest == StreamClocks(pytest.approx(0.7, abs=1e-4), None)


def test_a_nonce_that_was_not_heard_is_a_warning(played: Signal, told: Any) -> None:
    watch = StreamWatch(NonceSettings(), InlineExecutor())
    watch.observe(judgement(played, np.zeros_like(played), False), State.RETRY)
    [(level, text)] = told()
    assert level == logging.WARNING
    assert "was not heard within 2000 ms: check that the loudspeaker is on" in text
    assert watch.latest == StreamClocks(None, None)


def test_a_damaged_nonce_gives_the_round_trip_alone(played: Signal, told: Any) -> None:
    watch = StreamWatch(NonceSettings(), InlineExecutor())
    heard = room(played, 0.25, np.ones(100, np.float32), -60.0)
    watch.observe(judgement(played, heard, False, 77.0), State.RETRY)
    assert told() == [(logging.INFO, "audio stream: the round trip takes 250 ms")]


def test_a_session_without_a_report_is_measured_all_the_same(played: Signal) -> None:
    watch = StreamWatch(NonceSettings(), InlineExecutor())
    one = judgement(played, played, True)
    one.evidence.nonce = cast(Report, None)  # type: ignore[misc]
    watch.observe(one, State.RETRY)
    assert watch.latest == StreamClocks(0.0, None)


def test_a_round_trip_that_has_grown_is_noticed_when_a_nonce_is_missed(
    played: Signal, told: Any
) -> None:
    """The first nonce was found; the machine was busy for a while; then none is found any more."""
    watch = StreamWatch(NonceSettings(max_delay_s=0.5), InlineExecutor())

    def heard(delay_s: float, present: bool) -> None:
        recording = room(played, delay_s, np.ones(100, np.float32), -60.0)
        watch.observe(judgement(played, recording, present), State.RETRY)

    heard(0.2, True)
    heard(1.2, True)  # found all the same: nothing to mend
    assert watch.given_up is None
    heard(1.2, False)
    assert "round trip takes 1200 ms" in str(watch.given_up)
    assert len(told()) == 1  # of the stream's start; what follows is told by who opens it again

    watch.restarted()
    assert watch.given_up is None
    heard(0.9, False)
    assert watch.given_up is None  # it is so each time: not over and over
    watch.restarted()
    heard(0.2, True)
    heard(0.9, False)
    assert "round trip takes 900 ms" in str(watch.given_up)


def test_a_missed_nonce_that_is_not_there_at_all_changes_nothing(
    played: Signal, clips: Clips
) -> None:
    watch = StreamWatch(NonceSettings(max_delay_s=0.5), InlineExecutor())
    watch.observe(judgement(played, clips.television()[: played.size], False), State.RETRY)
    assert watch.latest == StreamClocks(None, None)
    assert watch.given_up is None


def test_a_stream_that_was_opened_again_and_plays_nothing_is_opened_once_more(
    played: Signal, clips: Clips
) -> None:
    """A sound server that came back may have left the loudspeaker out."""
    watch = StreamWatch(NonceSettings(max_delay_s=0.5), InlineExecutor())
    silent = judgement(played, clips.television()[: played.size], False)
    right = judgement(played, room(played, 0.2, np.ones(100, np.float32), -60.0), True)
    watch.observe(right, State.ALLOWED)
    watch.restarted()
    watch.observe(silent, State.RETRY)
    assert "first nonce was not heard" in str(watch.given_up)
    watch.restarted()
    watch.observe(silent, State.RETRY)
    assert watch.given_up is None  # not over and over
    watch.restarted()
    watch.observe(right, State.ALLOWED)
    watch.observe(silent, State.RETRY)  # it has worked: somebody makes noise
    assert watch.given_up is None
    watch.restarted()
    watch.observe(silent, State.RETRY)
    assert watch.given_up is not None
