"""A recogniser at the other end of a Wyoming link that goes away and comes back."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.e2e.device import Device
from tests.e2e.play import EARCON_S, played, says
from tests.e2e.room import VirtualRoom

from earmark.demo.clips import Clips
from earmark.gate import Announcement

KEEP_S = 4.0
"""How long a command is kept, s: the recogniser needs 1 s to start, on a busy machine 3."""

SPHINX = Path(__file__).parents[1] / "peers/sphinx.py"


@pytest.fixture
def sphinx(clips: Clips, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Return a function that starts pocketsphinx at `tmp_path`/asr.sock."""
    texts = [str(clips.command(name).text) for name in ("mop_it_up", "toast")]
    with ExitStack() as running:

        def start() -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                [sys.executable, str(SPHINX), f"unix://{tmp_path}/asr.sock", *texts],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
            )
            running.enter_context(process)
            running.callback(process.kill)
            return process

        yield start


def test_without_its_recogniser_a_command_is_refused_aloud_and_kept_when_it_comes_back(
    room: VirtualRoom,
    clips: Clips,
    device: Callable[..., Device],
    sphinx: Callable[[], subprocess.Popen[bytes]],
    tmp_path: Path,
) -> None:
    link = {"uri": f"unix://{tmp_path}/asr.sock", "keep_s": KEEP_S}
    one = device(
        forward={"kind": "wyoming_asr", "timeout_s": 9.0, "wyoming": link},
        session={"forward_s": 10.0},
    )

    def refused() -> None:
        one.wait_for(lambda: "announcement=offline" in one.log, "the refusal")
        time.sleep(EARCON_S)

    tape = says(room, one, clips, "toast", then=refused)
    assert one.commands() == []
    assert "cannot be reached" in one.log
    assert played(tape, Announcement.OFFLINE)

    def kept() -> None:
        sphinx()  # allowed already, and nobody there
        one.wait_for(lambda: len(one.commands()) == 1, "the command to be delivered")

    says(room, one, clips, "mop_it_up", then=kept)
    [(entry, _)] = one.commands()
    assert entry["text"] == str(clips.command("mop_it_up").text).lower()
    assert one.log.count("announcement=offline") == 1
    assert one.status()["sessions"]["not_forwarded"] == 1
    assert one.terminate()[0] == 0
