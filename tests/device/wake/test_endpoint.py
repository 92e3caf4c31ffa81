"""Start and end of speech on the recordings that ship, at the level of a person at 1 m."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from pydantic import ValidationError

from earmark.demo.clips import Clips, load_clips
from earmark.errors import AudioError, EarmarkError
from earmark.signal import BLOCK, BLOCK_S, RATE_HZ, Signal, active_level_dbfs, gain
from earmark.wake import EndpointSettings, MicroEndpointer

PERSON_DBFS = -46.0
LEAD_S = 0.3


@cache
def clips() -> Clips:
    return load_clips()


def at(signal: Signal, level_dbfs: float) -> Signal:
    return signal * np.float32(gain(level_dbfs - active_level_dbfs(signal)))


def silence(length_s: float) -> Signal:
    return np.zeros(round(length_s * RATE_HZ), dtype=np.float32)


def room(*parts: Signal) -> Signal:
    signal = np.concatenate(parts)
    noise = np.random.default_rng(1).standard_normal(signal.size) * gain(-72.0)
    return signal + noise.astype(np.float32)


def speaking(endpointer: MicroEndpointer, signal: Signal) -> list[tuple[float, float | None]]:
    """Every (start, end) that the endpointer reports after a reset, s; None: still open."""
    endpointer.reset()
    blocks = signal[: signal.size // BLOCK * BLOCK].reshape(-1, BLOCK)
    spans: list[tuple[float, float | None]] = []
    before = False
    for index, block in enumerate(blocks):
        now = endpointer.feed(block)
        time_s = (index + 1) * BLOCK_S
        if now and not before:
            spans.append((time_s, None))
        elif before and not now:
            spans[-1] = (spans[-1][0], time_s)
        before = now
    return spans


@pytest.mark.parametrize("name", ["toast", "bedtime", "quarter_to_eleven", "reading_1", "lobsters"])
@pytest.mark.parametrize("level_dbfs", [-20.0, PERSON_DBFS, -56.0])
def test_start_and_end_of_a_command(name: str, level_dbfs: float) -> None:
    clip = clips().command(name)
    endpointer = MicroEndpointer(EndpointSettings())
    spans = speaking(endpointer, room(silence(LEAD_S), at(clip.spoken, level_dbfs), silence(1.5)))
    end_s = LEAD_S + clip.spoken.size / RATE_HZ
    assert len(spans) == 1
    start, end = spans[0]
    assert start < LEAD_S + 1.0  # the detector's lag; where speech lay is in the span below
    assert end is not None
    assert end_s + 0.3 < end < end_s + 1.1
    span = endpointer.span
    assert span is not None
    assert span.start_s == pytest.approx(LEAD_S, abs=0.25)
    assert span.end_s == pytest.approx(end_s, abs=0.35)


def test_pauses_of_400_ms_between_words_do_not_end_a_command() -> None:
    endpointer = MicroEndpointer(EndpointSettings())
    for voice in ("a", "b"):
        words = clips().phrase(voice, "go", "left", "five", pause_s=0.4)
        spans = speaking(endpointer, room(silence(LEAD_S), at(words, PERSON_DBFS), silence(1.5)))
        assert len(spans) == 1
        end = spans[0][1]
        assert end is not None
        assert end > LEAD_S + words.size / RATE_HZ


def test_one_short_word_right_at_the_start_is_found() -> None:
    endpointer = MicroEndpointer(EndpointSettings())
    found = [
        len(
            speaking(
                endpointer, room(at(clips().word(voice, word).spoken, PERSON_DBFS), silence(2))
            )
        )
        for voice in ("a", "b")
        for word in ("go", "left", "right", "five")
    ]
    assert found == [1] * len(found)


@pytest.mark.parametrize("level_dbfs", [-60.0, PERSON_DBFS, -26.0])
def test_noise_is_not_speech(level_dbfs: float) -> None:
    endpointer = MicroEndpointer(EndpointSettings())
    dishes = at(clips().noise().signal[: 8 * RATE_HZ], level_dbfs)
    assert speaking(endpointer, dishes) == []
    assert endpointer.span is None


def test_a_television_15_db_below_the_person_does_not_keep_the_command_open() -> None:
    clip = clips().command("mop_it_up")
    command = np.concatenate((silence(LEAD_S), at(clip.spoken, PERSON_DBFS), silence(4.0)))
    talk = clips().television()[12 * RATE_HZ :]  # without a long pause
    television = at(talk[: command.size], PERSON_DBFS - 15.0)
    signal = room(command + television)
    end = speaking(MicroEndpointer(EndpointSettings()), signal)[0][1]
    assert end is not None
    assert end < LEAD_S + clip.spoken.size / RATE_HZ + 1.5
    # By the detector's probability alone it would have stayed open.
    assert speaking(MicroEndpointer(EndpointSettings(drop_db=60.0)), signal)[0][1] is None


def test_reset_makes_the_next_command_as_good_as_the_first() -> None:
    endpointer = MicroEndpointer(EndpointSettings())
    signal = room(silence(LEAD_S), at(clips().command("toast").spoken, PERSON_DBFS), silence(1.5))
    first = speaking(endpointer, signal)
    speaking(endpointer, clips().television()[: 4 * RATE_HZ])
    assert speaking(endpointer, signal) == first


def test_release_above_threshold_is_refused() -> None:
    with pytest.raises(ValidationError, match="release"):
        EndpointSettings(threshold=0.4, release=0.5)


def test_a_missing_package_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pymicro_vad", None)
    with pytest.raises(EarmarkError, match="reinstall with 'pip install"):
        MicroEndpointer(EndpointSettings())


def test_a_block_of_another_length_is_refused() -> None:
    with pytest.raises(AudioError, match="320 samples"):
        MicroEndpointer(EndpointSettings()).feed(np.zeros(100, dtype=np.float32))


def test_a_block_that_is_not_a_number_is_silence_to_the_detector() -> None:
    endpointer = MicroEndpointer(EndpointSettings())
    assert not endpointer.feed(np.full(BLOCK, np.nan, dtype=np.float32))
    spans = speaking(endpointer, at(clips().command("toast").signal, PERSON_DBFS))
    assert len(spans) == 1
