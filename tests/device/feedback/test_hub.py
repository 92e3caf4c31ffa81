"""From a verdict to sound, light and journal, and what the room can make of it."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from earmark.feedback import (
    Earcons,
    FeedbackHub,
    FeedbackSettings,
    Journal,
    LightPattern,
    Lights,
    earcon,
    light,
)
from earmark.gate import (
    ATTACKS,
    Announcement,
    Finding,
    GateSettings,
    Outcome,
    Reason,
    Verdict,
    judge,
)
from earmark.signal import Signal

LEVEL_DBFS = -30.0


class Room:
    """What a person in the room gets to hear and see, and what the journal gets."""

    def __init__(self, **settings: object) -> None:
        chosen = FeedbackSettings(**settings)  # type: ignore[arg-type]
        self.heard: list[Signal] = []
        self.seen: list[LightPattern] = []
        self.lines: list[str] = []
        logger = logging.Logger("test")
        handler = logging.Handler()
        handler.emit = lambda record: self.lines.append(record.getMessage())  # type: ignore[method-assign]
        logger.addHandler(handler)
        self.hub = FeedbackHub(
            [
                Earcons(chosen, LEVEL_DBFS, self.heard.append),
                Lights(chosen, self.seen.append),
            ],
            Journal("kitchen", "shelf", logger),
        )


def verdict(reason: Reason, score: float = 1.0) -> Verdict:
    """Return the verdict for a stale check that gives `reason`."""
    outcome = Outcome.PASSED if reason is Reason.FRESH else Outcome.FAILED
    settings = GateSettings(required=("stale",))
    return judge([Finding("stale", outcome, reason, score)], settings)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_verdict_is_heard_seen_and_logged(reason: Reason) -> None:
    room = Room()

    told = room.hub.verdict("s1", verdict(reason))

    (sound,), (pattern,), (line,) = room.heard, room.seen, room.lines
    np.testing.assert_array_equal(sound, earcon(told, LEVEL_DBFS))
    assert pattern == light(told)
    assert f"reason={reason.value} announcement={told.value}" in line


def test_the_room_cannot_tell_attacks_apart_but_the_journal_can() -> None:
    rooms = {reason: Room() for reason in sorted(ATTACKS, key=str)}
    for score, (reason, room) in enumerate(rooms.items()):
        room.hub.verdict("s1", verdict(reason, float(score)))

    first, *others = rooms.values()
    assert len(others) == len(ATTACKS) - 1 > 0
    for other in others:
        assert first.seen == other.seen
        assert [sound.tobytes() for sound in first.heard] == [s.tobytes() for s in other.heard]
        assert first.lines != other.lines


@pytest.mark.parametrize("told", list(Announcement))
def test_every_announcement_is_seen_and_logged(told: Announcement) -> None:
    room = Room()
    room.hub.announce(told)

    assert room.seen == [light(told)]
    assert len(room.lines) == 1
    assert len(room.heard) == (told is not Announcement.WOKEN)


@pytest.mark.parametrize("told", list(Announcement))
def test_each_sound_can_be_switched_off(told: Announcement) -> None:
    room = Room(silent=(told,))
    for each in Announcement:
        room.hub.announce(each)

    sounds = [sound.tobytes() for sound in room.heard]
    assert len(sounds) == len(Announcement) - 1
    assert earcon(told, LEVEL_DBFS).tobytes() not in sounds
    assert len(room.seen) == len(room.lines) == len(Announcement)


def test_all_sounds_and_all_lights_can_be_switched_off_the_journal_cannot() -> None:
    room = Room(earcons=False, lights=False)
    room.hub.announce(Announcement.FAULT)

    assert room.heard == []
    assert room.seen == []
    assert len(room.lines) == 1


def test_the_session_can_have_something_else_told_than_the_verdict() -> None:
    room = Room()
    quiet = verdict(Reason.TOO_QUIET)

    told = room.hub.verdict("s1", quiet, told=Announcement.COULD_NOT_VERIFY)

    assert told is Announcement.COULD_NOT_VERIFY
    assert room.seen == [light(told)]
    assert "reason=too_quiet announcement=could_not_verify" in room.lines[0]


class Broken:
    """An outlet that fails."""

    def announce(self, told: Announcement) -> None:
        raise OSError("lamp 7 at the bed is unplugged")


class TestFailures:
    """One outlet's failure is nobody else's."""

    def test_the_others_still_tell(self, caplog: pytest.LogCaptureFixture) -> None:
        seen: list[LightPattern] = []
        journal = Journal("kitchen", "shelf")
        hub = FeedbackHub([Broken(), Lights(FeedbackSettings(), seen.append)], journal)

        with caplog.at_level(logging.INFO):
            hub.verdict("s1", verdict(Reason.REPLAY))

        assert seen == [light(Announcement.COULD_NOT_VERIFY)]
        assert "feedback failed: OSError" in caplog.text
        assert "lamp" not in caplog.text
        assert "reason=replay" in caplog.text

    def test_a_session_name_that_the_journal_refuses_does_not_keep_the_room_waiting(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        room = Room()
        room.hub.verdict("two\nlines", verdict(Reason.FRESH))

        assert len(room.heard) == len(room.seen) == 1
        assert room.lines == []
        assert "feedback failed: ValueError" in caplog.text

    @pytest.mark.parametrize(
        "setting",
        [
            {"earcon_level_dbspl_1m": 29.0},
            {"earcon_level_dbspl_1m": 76.0},
            {"silent": ("no such announcement",)},
            {"volume": 1},
        ],
    )
    def test_settings_out_of_range_are_refused(self, setting: dict[str, object]) -> None:
        with pytest.raises(ValueError, match=next(iter(setting))):
            FeedbackSettings(**setting)  # type: ignore[arg-type]
