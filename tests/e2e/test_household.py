"""Who may command: a stranger may not, and nobody may while the microphone is off."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.e2e.device import Device
from tests.e2e.play import CARDS, EARCON_S, RESIDENT, enrolled, played, says, silent
from tests.e2e.room import VirtualRoom
from tests.e2e.scene import Scene, undisturbed

from earmark.control import Request
from earmark.demo.clips import Clips
from earmark.gate import Announcement

VOICE = ["signal", "nonce", "stale", "memory", "speaker"]
"""The checks of a household that tells people apart."""


def test_the_resident_is_allowed_by_name_and_a_stranger_is_refused(
    room: VirtualRoom, clips: Clips, device: Callable[..., Device], tmp_path: Path
) -> None:
    one = device(speaker=enrolled(tmp_path, room, clips), gate={"required": VOICE})

    def told() -> None:
        one.wait_for(lambda: "announcement=could_not_verify" in one.log, "the refusal")
        time.sleep(EARCON_S)

    tape = says(room, one, clips, "bread", "retry/stranger", told)
    assert played(tape, Announcement.COULD_NOT_VERIFY)
    assert not played(tape, Announcement.ALLOWED)
    assert one.commands() == []

    def forwarded() -> None:
        one.wait_for(lambda: len(one.commands()) == 1, "the command to be forwarded")

    says(room, one, clips, "resident_2", then=forwarded)
    [(entry, _)] = one.commands()
    assert entry["person"] == RESIDENT
    # The journal tells them apart by a number: no name, nowhere.
    assert "speaker_person=" in one.log
    assert RESIDENT not in one.log


@pytest.mark.parametrize("kind", CARDS)
def test_muted_by_the_control_socket_nothing_is_heard_until_it_is_unmuted(
    kind: str, room: VirtualRoom, clips: Clips, device: Callable[..., Device]
) -> None:
    one = device(audio={"kind": kind, "device": "room"})
    assert one.command("mute") == "The microphone is off.\n"
    assert one.status()["state"] == "muted"
    time.sleep(EARCON_S)

    def unheard(scene: Scene) -> None:
        scene.speak(clips.wake("1"), clips.command("toast")).wait(20.0)
        time.sleep(1.0)  # a wake word is told within 0.3 s
        status = one.status()
        assert (status["state"], status["muted"]) == ("muted", True)
        assert status["sessions"]["begun"] == 0, one.log

    for _ in range(2):
        tape = undisturbed(room, unheard)
        assert silent(tape)
        if tape.disturbed is None:
            break
    assert tape.disturbed is None  # it was said, whole: with the microphone on it is heard

    assert one.ask(Request.UNMUTE)["muted"] is False
    says(room, one, clips, "toast", then=lambda: arrived(one))
    assert one.terminate()[0] == 0


def arrived(one: Device) -> None:
    one.wait_for(lambda: len(one.commands()) == 1, "the command to be forwarded")
