"""Counting what was late, lost or stalled, and telling it seldom."""

from __future__ import annotations

import logging

import pytest

from earmark.audio import Overload, StreamHealth
from earmark.audio.health import TELL_EVERY_S


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_nothing_late_is_nothing_told(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    health = StreamHealth(clock)
    health.started()
    for _ in range(100):
        health.late(0)
    assert caplog.text == ""
    assert health.overload == Overload(streams=1)
    assert str(health.overload) == "nothing late or lost"


def test_overload_is_told_at_once_and_then_once_a_minute(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    health = StreamHealth(clock)
    health.started()
    for late in range(1, 181):  # one a second for 3 minutes
        health.late(late)
        clock.now_s += 1.0
    told = [record.getMessage() for record in caplog.records]
    assert [text.partition(": ")[2] for text in told] == [
        f"{count} late blocks" for count in (1, 61, 121)
    ]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_what_grew_within_the_minute_is_told_after_it(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    health = StreamHealth(clock)
    health.started()
    health.late(1)
    health.late(5)
    assert "5 late blocks" not in caplog.text
    clock.now_s += TELL_EVERY_S
    health.late(5)
    health.late(5)
    assert caplog.text.count("5 late blocks") == 1


def test_counts_go_on_over_streams(clock: Clock) -> None:
    health = StreamHealth(clock)
    for late in (3, 4):
        health.started()
        health.late(late)
    health.lost()
    health.stalled()
    assert health.overload == Overload(streams=2, late_blocks=7, lost_samples=1, stalls=1)
    assert str(health.overload) == "7 late blocks, 1 times samples lost, 1 stalls"


def test_a_stall_alone_is_no_overload(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """A card that was pulled is told by whoever opens it again."""
    health = StreamHealth(clock)
    health.started()
    health.stalled()
    assert caplog.text == ""
