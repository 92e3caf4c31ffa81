"""What the endpointer makes of the room: what it overheard before the wake word."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from earmark.signal import BLOCK, BLOCK_S, Signal, gain, rms
from earmark.wake import EndpointSettings, MicroEndpointer

PERSON_DBFS = -45.0
ROOM_DBFS = -70.0


def noise(seconds: float, level_dbfs: float, seed: int = 0) -> Signal:
    """Steady noise of one level: the detector's opinion of it is scripted."""
    samples = np.random.default_rng(seed).standard_normal(round(seconds / BLOCK_S) * BLOCK)
    return (samples * gain(level_dbfs) / rms(samples.astype(np.float32))).astype(np.float32)


def blocks(signal: Signal) -> Iterator[Signal]:
    return iter(signal.reshape(-1, BLOCK))


@pytest.fixture
def endpointer(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], MicroEndpointer]:
    """One whose detector always gives the same probability."""

    def make(probability: float) -> MicroEndpointer:
        made = MicroEndpointer(EndpointSettings())
        monkeypatch.setattr(made, "_probability", lambda _: probability)
        return made

    return make


def hear(endpointer: MicroEndpointer, signal: Signal) -> list[bool]:
    return [endpointer.feed(block) for block in blocks(signal)]


def overhear(endpointer: MicroEndpointer, level_dbfs: float, seconds: float = 4.0) -> None:
    for block in blocks(noise(seconds, level_dbfs)):
        endpointer.overhear(block)
    endpointer.reset()


WORD = np.concatenate([noise(0.4, ROOM_DBFS), noise(0.3, PERSON_DBFS, 1), noise(2.0, ROOM_DBFS, 2)])


def test_a_doubtful_word_that_stands_out_of_the_room_is_speech(
    endpointer: Callable[[float], MicroEndpointer],
) -> None:
    ears = endpointer(0.03)
    overhear(ears, ROOM_DBFS)
    assert any(hear(ears, WORD))
    assert ears.span is not None
    assert ears.span.start_s == pytest.approx(0.4, abs=0.1)
    assert not ears.feed(noise(BLOCK_S, ROOM_DBFS))


@pytest.mark.parametrize("heard_s", [0.0, 2.0])
def test_without_knowing_the_room_doubt_stays_doubt(
    endpointer: Callable[[float], MicroEndpointer], heard_s: float
) -> None:
    ears = endpointer(0.03)
    # The last 1.2 s are left out, so of 2 s too little remains.
    overhear(ears, ROOM_DBFS, heard_s or BLOCK_S)
    assert not any(hear(ears, WORD))


def test_a_bang_that_is_no_speech_at_all_is_none(
    endpointer: Callable[[float], MicroEndpointer],
) -> None:
    ears = endpointer(0.0)
    overhear(ears, ROOM_DBFS)
    assert not any(hear(ears, WORD))


def test_a_soft_click_is_too_short_for_a_word(
    endpointer: Callable[[float], MicroEndpointer],
) -> None:
    ears = endpointer(0.03)
    overhear(ears, ROOM_DBFS)
    click = noise(0.4, ROOM_DBFS)
    click[4000:4040] += gain(-50.0)  # 11 dB over the room in its block
    assert not any(hear(ears, click))


def test_the_wake_word_is_left_out_of_the_room(
    endpointer: Callable[[float], MicroEndpointer],
) -> None:
    ears = endpointer(0.03)
    for block in blocks(np.concatenate([noise(4.0, ROOM_DBFS), noise(1.0, PERSON_DBFS, 1)])):
        ears.overhear(block)
    ears.reset()
    assert any(hear(ears, WORD))


def test_the_room_is_learnt_anew_for_each_command(
    endpointer: Callable[[float], MicroEndpointer],
) -> None:
    ears = endpointer(0.03)
    overhear(ears, ROOM_DBFS)
    ears.reset()
    assert not any(hear(ears, WORD))


COMMAND_S = 2.0


def open_for_s(ears: MicroEndpointer, television_dbfs: float) -> float:
    """How long a command stays open with a television that goes on after it, at most 15 s."""
    sound = np.concatenate(
        [noise(COMMAND_S, PERSON_DBFS, 1), noise(15.0 - COMMAND_S, television_dbfs, 2)]
    )
    return sum(hear(ears, sound)) * BLOCK_S


def test_a_television_as_loud_as_before_does_not_keep_the_command_open(
    endpointer: Callable[[float], MicroEndpointer],
) -> None:
    unknowing, knowing = endpointer(1.0), endpointer(1.0)
    overhear(knowing, PERSON_DBFS - 8.0)
    assert open_for_s(unknowing, PERSON_DBFS - 8.0) > 14.0
    assert open_for_s(knowing, PERSON_DBFS - 8.0) == pytest.approx(COMMAND_S + 0.7, abs=0.3)


def test_patience_ends_before_the_cap_when_the_television_got_louder(
    endpointer: Callable[[float], MicroEndpointer],
) -> None:
    ears = endpointer(1.0)
    overhear(ears, PERSON_DBFS - 15.0)
    assert COMMAND_S + 1.0 < open_for_s(ears, PERSON_DBFS - 7.0) < 12.0


def test_in_a_quiet_room_patience_does_not_end(
    endpointer: Callable[[float], MicroEndpointer],
) -> None:
    ears = endpointer(1.0)
    overhear(ears, PERSON_DBFS - 30.0)
    # A long command, whose end is softer than its beginning.
    assert open_for_s(ears, PERSON_DBFS - 7.0) > 14.0


def test_the_person_alone_is_never_taken_for_the_room(
    endpointer: Callable[[float], MicroEndpointer],
) -> None:
    ears = endpointer(1.0)
    overhear(ears, PERSON_DBFS)  # a room as loud as the person
    assert sum(hear(ears, noise(4.0, PERSON_DBFS, 1))) * BLOCK_S > 3.5


def test_doubt_beyond_release_is_refused() -> None:
    with pytest.raises(ValueError, match="must not exceed release"):
        EndpointSettings(doubt=0.4, release=0.3)
