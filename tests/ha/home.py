"""A home: Home Assistant itself, its recogniser and its voice, and programs of ours beside it.

This runs in the environment of `.ci/setup-ha`; those programs run in Earmark's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from homeassistant.components import assist_pipeline
from homeassistant.components.assist_pipeline.pipeline import async_update_pipeline
from homeassistant.core import HomeAssistant
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.event import Event as WyomingEvent
from wyoming.info import Attribution, Describe, Info, TtsProgram, TtsVoice
from wyoming.server import AsyncEventHandler
from wyoming.tts import Synthesize

ROOT = Path(__file__).resolve().parents[2]

PYTHON = os.environ.get("EARMARK_PYTHON", str(ROOT / ".venv/bin/python"))
"""Earmark's own environment."""

LONGEST_S = 60.0
"""Longest wait for a process of ours, s: a session takes 1 s to compute, 10 on a busy machine."""

VOICE_HZ = 22_050
"""Rate of the voice, Hz: that of the usual one (piper), which is not ours."""

HEARD = "earmark_heard"
"""The event by which the home shows that it carries out a command."""

ANSWER = "understood"
"""What it says then."""

SENTENCES = {"toast": "to make dry toast", "lobsters": "lobsters and lobsters"}
"""Commands that ship, and what is said in them."""


def sound(rate_hz: int) -> np.ndarray:
    """The sound of an answer: 0.6 s from 300 Hz to 3 kHz, faded at both ends, -12 dBFS."""
    times = np.arange(round(0.6 * rate_hz)) / rate_hz
    wave = np.sin(2.0 * np.pi * (300.0 * times + 2250.0 * times**2))
    return 0.25 * wave * np.minimum(1.0, np.minimum(times, 0.6 - times) / 0.02)


class Voice(AsyncEventHandler):
    """Text-to-speech that always says the same, and what it was asked to say."""

    def __init__(self, said: list[str], *streams: Any) -> None:
        super().__init__(*streams)
        self._said = said

    async def handle_event(self, event: WyomingEvent) -> bool:
        by = Attribution("test", "")
        if Describe.is_type(event.type):
            voice = TtsVoice("chirp", by, True, "chirp", "1", ["en"])
            program = TtsProgram("voice", by, True, "voice", "1", [voice])
            await self.write_event(Info(tts=[program]).event())
        elif Synthesize.is_type(event.type):
            self._said.append(Synthesize.from_event(event).text)
            pcm = np.round(sound(VOICE_HZ) * 32767.0).astype("<i2").tobytes()
            form = {"rate": VOICE_HZ, "width": 2, "channels": 1}
            await self.write_event(AudioStart(**form).event())
            for at in range(0, len(pcm), 2048):
                await self.write_event(AudioChunk(**form, audio=pcm[at : at + 2048]).event())
            await self.write_event(AudioStop().event())
        return True


class Program:
    """A program of ours, in Earmark's environment."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._lines: list[str] = []

    async def line(self) -> Any:
        """What its next line says."""
        assert self._process.stdout is not None
        async with asyncio.timeout(LONGEST_S):
            text = await self._process.stdout.readline()
        assert text, "the program has ended; see its message above"
        return json.loads(text)

    async def ask(self, request: str) -> Any:
        """Write a line, and read one."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{request}\n".encode())
        await self._process.stdin.drain()
        return await self.line()

    async def end(self) -> list[str]:
        """Close its input and end it; the lines that nobody has read."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        async with asyncio.timeout(LONGEST_S):
            rest, _ = await self._process.communicate()
        return rest.decode().splitlines()


@dataclass
class Home:
    """Home Assistant with a recogniser and a voice.

    Parameters
    ----------
    said : what the voice was asked to say.
    heard : the sentences that were carried out.
    sphinx : the recogniser.
    """

    hass: HomeAssistant
    sphinx: Program
    said: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)

    async def add(self, port: int) -> str:
        """Add what listens at a port, as somebody does at the screen; its name."""
        flows = self.hass.config_entries.flow
        form = await flows.async_init("wyoming", context={"source": "user"})
        where = {"host": "127.0.0.1", "port": port}
        done = await flows.async_configure(form["flow_id"], where)
        assert done["type"] == "create_entry", done
        await self.hass.async_block_till_done()
        return str(done["title"])

    def states(self, ending: str) -> list[str]:
        """The entities whose name ends so."""
        names = sorted(state.entity_id for state in self.hass.states.async_all())
        return [name for name in names if name.endswith(ending)]

    def runs(self) -> int:
        """How many commands Home Assistant was asked to carry out."""
        debug = self.hass.data[assist_pipeline.DOMAIN].pipeline_debug
        return sum(len(runs) for runs in debug.values())

    async def until(self, ready: Callable[[], bool], what: str, longest_s: float = 15.0) -> None:
        """Wait until `ready`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                while not ready():
                    await asyncio.sleep(0.02)
        assert ready(), f"waited for {what}"

    async def choose(self, voice: bool) -> None:
        """Set its pipeline to our recogniser and, or not, the voice."""
        pipeline = assist_pipeline.async_get_pipeline(self.hass)
        [recogniser], [speech] = self.states("pocketsphinx"), self.states("tts.voice")
        await async_update_pipeline(
            self.hass,
            pipeline,
            stt_engine=recogniser,
            stt_language="en",
            tts_engine=speech if voice else None,
            tts_language="en" if voice else None,
            tts_voice=None,
        )
