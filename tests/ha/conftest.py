"""Home Assistant with our programs beside it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest
from homeassistant.core import Event, HomeAssistant
from homeassistant.setup import async_setup_component
from tests.device.forward.wyoming.ports import free_port
from tests.ha.home import ANSWER, HEARD, PYTHON, ROOT, SENTENCES, Home, Program, Voice
from wyoming.server import AsyncTcpServer

Start = Callable[..., Awaitable[Program]]


@pytest.fixture
async def start(socket_enabled: None) -> AsyncIterator[Start]:
    """Return a function that starts a program of ours; it has ended after the test."""
    async with contextlib.AsyncExitStack() as running:

        async def begin(*argv: str) -> Program:
            process = await asyncio.create_subprocess_exec(
                PYTHON,
                "-m",
                *argv,
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            program = Program(process)
            running.push_async_callback(program.end)
            return program

        yield begin


@pytest.fixture
async def home(hass: HomeAssistant, start: Start, tmp_path: Path) -> AsyncIterator[Home]:
    """A home without our device."""
    hass.config.config_dir = str(tmp_path)  # where answers are cached
    asr_port, tts_port = free_port(), free_port()
    words = list(SENTENCES.values())
    sphinx = await start("tests.peers.sphinx", f"tcp://127.0.0.1:{asr_port}", *words)
    one = Home(hass, sphinx)
    voice = AsyncTcpServer("127.0.0.1", tts_port)
    await voice.start(lambda *streams: Voice(one.said, *streams))
    rule = {
        "trigger": {"platform": "conversation", "command": words},
        "action": [
            {"event": HEARD, "event_data": {"sentence": "{{ trigger.sentence }}"}},
            {"set_conversation_response": ANSWER},
        ],
    }

    def note(event: Event) -> None:
        one.heard.append(event.data["sentence"])

    hass.bus.async_listen(HEARD, note)
    # Home Assistant comes with it as a program; here it is in a package.
    program = {"ffmpeg": {"ffmpeg_bin": imageio_ffmpeg.get_ffmpeg_exe()}}
    assert await async_setup_component(hass, "ffmpeg", program)
    for part in ("homeassistant", "media_source", "stt", "tts", "conversation", "assist_pipeline"):
        assert await async_setup_component(hass, part, {})
    assert await async_setup_component(hass, "automation", {"automation": rule})
    assert await sphinx.line() == "up"
    assert await one.add(asr_port) == "pocketsphinx"
    assert await one.add(tts_port) == "voice"
    yield one
    # Before the device goes: Home Assistant says goodbye to it.
    for entry in hass.config_entries.async_entries("wyoming"):
        await hass.config_entries.async_remove(entry.entry_id)
    await hass.async_block_till_done()
    await voice.stop()


@pytest.fixture
async def device(start: Start, tmp_path: Path) -> Callable[..., Awaitable[tuple[Program, int]]]:
    """Return a function that starts a device as a satellite, and says at which port."""

    async def put(**wyoming: Any) -> tuple[Program, int]:
        port = free_port()
        listen = {"listen": f"tcp://127.0.0.1:{port}", **wyoming}
        # Home Assistant reads its sentences at the first command: 1 s, on a busy machine 5.
        kind = {"kind": "wyoming_satellite", "timeout_s": 20.0}
        forward = json.dumps({**kind, "wyoming": listen})
        program = await start("tests.ha.speaker", str(tmp_path), forward)
        assert await program.line() == "up"
        return program, port

    return put
