"""What goes wrong around the daemon: server gone and back, stalled, a card pulled, no such card."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable

import pytest
from tests.e2e.device import Device
from tests.e2e.play import CARDS, says
from tests.e2e.room import LOUDSPEAKER, VirtualRoom

from earmark.demo.clips import Clips

BROKEN = "announcement=fault"
READY = "announcement=ready"


def live(room: VirtualRoom, one: Device, clips: Clips) -> None:
    """A person speaks, and it is allowed."""
    says(
        room,
        one,
        clips,
        "mop_it_up",
        then=lambda: one.wait_for(lambda: bool(one.commands()), "the command to be forwarded"),
    )


@pytest.mark.parametrize("kind", CARDS)
def test_a_server_that_crashes_and_comes_back_is_found_again(
    kind: str, room: VirtualRoom, clips: Clips, device: Callable[..., Device]
) -> None:
    one = device(audio={"kind": kind, "device": "room"})
    room.stop(crash=True)
    try:
        one.wait_for(lambda: BROKEN in one.log, "the break to be told")
    finally:
        room.start()
    one.wait_for(lambda: READY in one.log, "the server to be found again")
    live(room, one, clips)
    assert one.log.count("ERROR the sound card room") == 1
    assert one.terminate()[0] == 0


@pytest.mark.parametrize("kind", CARDS)
def test_a_server_that_hangs_stalls_the_stream_until_it_goes_on(
    kind: str, room: VirtualRoom, device: Callable[..., Device]
) -> None:
    """The callbacks stop silently, and so does every call into the library."""
    one = device(audio={"kind": kind, "device": "room"})
    room.server.freeze()
    try:
        one.wait_for(lambda: BROKEN in one.log, "the stall to be told")
        assert re.search(r"ERROR the sound card room gave nothing for [02.5]+ s", one.log)
    finally:
        room.server.thaw()
    one.wait_for(lambda: READY in one.log, "the server to be found again")
    assert one.terminate()[0] == 0


def test_told_to_end_while_its_server_hangs_it_ends(
    room: VirtualRoom, device: Callable[..., Device]
) -> None:
    one = device()
    room.server.freeze()
    try:
        one.wait_for(lambda: "does not let go" in one.log, "the library to be given up")
        assert one.terminate()[0] == 0
    finally:
        room.server.thaw()


@pytest.mark.parametrize("kind", CARDS)
def test_a_card_that_is_pulled_and_put_back_is_found_again(
    kind: str, room: VirtualRoom, clips: Clips, device: Callable[..., Device]
) -> None:
    one = device(audio={"kind": kind, "device": "room"})
    room.unplug(LOUDSPEAKER)
    try:
        one.wait_for(lambda: BROKEN in one.log, "the break to be told")
    finally:
        room.plug_in(LOUDSPEAKER)
    one.wait_for(lambda: READY in one.log, "the card to be found again")
    live(room, one, clips)


@pytest.mark.parametrize("kind", CARDS)
def test_a_card_that_is_not_there_is_one_line_that_names_those_that_are(
    kind: str, room: VirtualRoom, device: Callable[..., Device]
) -> None:
    one = device(start=False, audio={"kind": kind, "device": "Jabra"})
    done = subprocess.run(
        one.argv, env=one.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert line.startswith("earmark: sound card Jabra / Jabra does not open")
    assert "there are: " in line
    assert "room (" in line
    assert "set audio.device" in line
