"""An attacker crafts a command on a desk: the real loop, checks and query memory, session by
session."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from earmark.demo.clips import Clips
from earmark.gate import Announcement, Reason
from earmark.memory import MemorySettings, QueryMemory
from earmark.session import State
from earmark.signal import RATE_HZ, Signal, active_level_dbfs, gain

LEVEL_DBFS = -26.0
"""Of the command at the desk's microphone."""

CHANGE_DBFS = -50.0
"""Of the attacker's changes."""


@pytest.fixture
def clip(clips: Clips) -> Signal:
    """A crafted command's carrier, below the desk's nonce of 4 to 5 kHz."""
    low = butter(6, 2500.0, fs=RATE_HZ, output="sos")
    heard = sosfilt(low, clips.command("lobsters").spoken).astype(np.float32)
    return heard * np.float32(gain(LEVEL_DBFS - active_level_dbfs(heard)))


@pytest.fixture
def memory(tmp_path: Path) -> Callable[[], Any]:
    """Opens the device's query memory, as a start does."""

    @contextmanager
    def opened() -> Iterator[QueryMemory]:
        memory = QueryMemory.open(MemorySettings(folder=tmp_path / "memory"), os.urandom)
        yield memory
        memory.close()

    return opened


def varied(clip: Signal, number: int) -> Signal:
    change = np.random.default_rng(number).standard_normal(clip.size) * gain(CHANGE_DBFS)
    return np.asarray(clip + change, np.float32)


def plays(device: Any, clip: Signal, number: int) -> Reason:
    """The attacker's query of this number; the verdict's reason."""
    judged = len(device.judgements)
    device.wake.pressed = True
    device.wire.say(varied(clip, number), 0.2)
    device.step()
    device.until(State.IDLE, State.LOCKED)
    assert len(device.judgements) == judged + 1
    reason: Reason = device.judgements[-1][0].verdict.reason
    return reason


def test_the_sixth_copy_is_withheld_and_a_restart_does_not_help(
    desk: Callable[..., Any],
    real_judge: Callable[..., Any],
    memory: Callable[[], Any],
    clip: Signal,
    every_log: pytest.LogCaptureFixture,
) -> None:
    device = desk()
    with memory() as queries:
        device.parts.judge = real_judge(device, queries)
        device.run(1.0)
        reasons = [plays(device, clip, number) for number in range(4)]
    with memory() as queries:  # the plug is pulled
        device.parts.judge = real_judge(device, queries)
        reasons += [plays(device, clip, number) for number in range(4, 7)]
    assert reasons == [Reason.FRESH] * 5 + [Reason.QUERY_ATTACK] * 2
    assert len(device.outbox.sent) == 5

    rejected = [line for line in every_log.messages if line.startswith("rejected ")]
    assert [re.findall(r"memory_(?:sign|carrier|count)=(\w+)", line) for line in rejected] == [
        ["copies", "speech", "6"],
        ["kept", "speech", "7"],
    ]
    first = [re.findall(r"memory_first_utc=(\S+)", line) for line in every_log.messages]
    assert len({time for [time] in filter(None, first)}) == 1, "all name the first query's time"


def test_the_room_is_told_what_it_is_told_of_a_replay(
    desk: Callable[..., Any],
    real_judge: Callable[..., Any],
    memory: Callable[[], Any],
    clip: Signal,
) -> None:
    device = desk()
    with memory() as queries:
        device.parts.judge = real_judge(device, queries)
        device.run(1.0)
        began = device.wire.now
        plays(device, clip, 0)
        replay = np.concatenate(device.wire.heard)[began:]
        assert plays(device, replay, 1) is Reason.REPLAY
        for number in range(2, 5):  # as if in further sessions
            queries.examine(varied(clip, number), 1_700_000_000.0)
        assert plays(device, clip, 5) is Reason.QUERY_ATTACK
    assert device.told[-2:] == device.told[-4:-2]
    assert device.told[-2:] == [Announcement.WOKEN, Announcement.COULD_NOT_VERIFY]
    assert [state for _, state in device.judgements[-2:]] == [State.REJECTED] * 2


@contextmanager
def full_disk() -> Iterator[None]:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space")

    with pytest.MonkeyPatch.context() as disk:
        disk.setattr("earmark.memory.log.os.pwrite", full)
        yield


def test_on_a_full_disk_nothing_is_forwarded(
    desk: Callable[..., Any],
    real_judge: Callable[..., Any],
    memory: Callable[[], Any],
    clip: Signal,
    every_log: pytest.LogCaptureFixture,
) -> None:
    device = desk()
    with memory() as queries:
        device.parts.judge = real_judge(device, queries)
        device.run(1.0)
        with full_disk():
            assert plays(device, clip, 0) is Reason.FAULT
        assert device.outbox.sent == []
        assert device.told[-1] is Announcement.FAULT
        assert "check memory failed" in every_log.text
        assert "the disk is full: free some space" in every_log.text


def test_with_room_on_the_disk_it_goes_on(
    desk: Callable[..., Any],
    real_judge: Callable[..., Any],
    memory: Callable[[], Any],
    clip: Signal,
) -> None:
    """Who was told of a fault says the same again, and a copy of a lost query is no obstacle."""
    device = desk()
    with memory() as queries:
        device.parts.judge = real_judge(device, queries)
        device.run(1.0)
        with full_disk():
            plays(device, clip, 0)
        assert plays(device, clip, 1) is Reason.FRESH
    assert len(device.outbox.sent) == 1
