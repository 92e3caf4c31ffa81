"""A real recogniser behind the ASR client and behind the proxy."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.device.forward.wyoming.conftest import Caller, on_a_thread
from tests.device.forward.wyoming.ports import free_port
from tests.peers.conftest import Sphinx
from tests.peers.speaker import Speaker
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.info import Describe

from earmark.gate import Announcement


@pytest.mark.parametrize("said", ["bread", "lobsters"])
def test_a_command_that_was_allowed_is_understood_and_its_replay_is_not_even_heard(
    said: str,
    sphinx: Sphinx,
    speaker: Callable[..., Speaker],
    texts: dict[str, str],
    tmp_path: Path,
) -> None:
    one = speaker(
        kind="wyoming_asr",
        folder=tmp_path / "commands",
        wyoming={"uri": sphinx.uri, "then": "folder"},
    )
    assert one.hears(said) == "allow/fresh"
    assert one.told[-1] is Announcement.ALLOWED
    assert sphinx.heard()[0] == texts[said]

    assert one.hears_it_again() == "reject/replay"
    [line] = (tmp_path / "commands/commands.jsonl").read_text().splitlines()
    assert json.loads(line)["text"] == texts[said]
    assert sphinx.end() == []


def test_the_proxy_answers_with_what_was_said_here_and_not_for_a_replay(
    sphinx: Sphinx, speaker: Callable[..., Speaker], texts: dict[str, str]
) -> None:
    uri = f"tcp://127.0.0.1:{free_port()}"
    one = speaker(
        kind="wyoming_proxy", wyoming={"uri": sphinx.uri, "listen": uri, "verdict_s": 15.0}
    )
    asked: list[Caller] = []
    with ExitStack() as connected:

        def asks() -> None:
            """Somebody else's satellite has heard the wake word, too."""
            satellite = Caller(uri, lambda: [])
            connected.enter_context(on_a_thread(satellite.begin))
            form = {"rate": 16_000, "width": 2, "channels": 1}
            # What it has recorded is none of the proxy's business.
            audio = (AudioStart(**form), AudioChunk(**form, audio=b"\x55" * 3200), AudioStop())
            satellite.write(Transcribe(), *audio, Describe())
            satellite.wait("info")
            asked.append(satellite)

        one.woken = asks
        assert one.hears("mop_it_up") == "allow/fresh"
        assert asked[0].wait("transcript").data["text"] == texts["mop_it_up"]
        assert sphinx.heard()[0] == texts["mop_it_up"]

        assert one.hears_it_again() == "reject/replay"
        assert len(asked) == 2
        told = [event.data["text"] for event in asked[1].heard.events if event.type == "transcript"]
        assert told in ([], [""])  # nothing yet, or, on a slow machine, that there is nothing
    assert sphinx.end() == []
