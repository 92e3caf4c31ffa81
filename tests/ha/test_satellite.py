"""Our satellite and Home Assistant itself: what is allowed is carried out, nothing else comes."""

from __future__ import annotations

import wave
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest
from homeassistant.core import Event, HomeAssistant
from tests.ha.home import ANSWER, SENTENCES, Home, Program, sound

Put = Callable[..., Awaitable[tuple[Program, int]]]

ACTIVE = "binary_sensor.kitchen_speaker_assist_in_progress"
MUTE = "switch.kitchen_speaker_mute"


async def joined(home: Home, port: int) -> None:
    """Add the device at a port, and wait until Home Assistant is connected."""
    assert await home.add(port) == "kitchen-speaker"
    assert home.states("kitchen_speaker_assist_in_progress") == [ACTIVE]
    assert home.states("kitchen_speaker_mute") == [MUTE]


@pytest.mark.parametrize("answers", [True, False], ids=["spoken answers", "no answers"])
async def test_an_allowed_command_is_carried_out_and_its_replay_never_arrives(
    answers: bool, hass: HomeAssistant, home: Home, device: Put, tmp_path: Path
) -> None:
    speaker, port = await device(answers=answers, keep_s=4.0)
    await joined(home, port)
    await home.choose(voice=answers)
    assert await speaker.ask("hears toast") == ["allow/fresh", "allowed"]
    text, length_s = await home.sphinx.line()
    assert text == SENTENCES["toast"]
    assert 1.5 < length_s < 4.0  # the command; with its replay or the nonce's tail it were longer
    await home.until(lambda: home.heard == [SENTENCES["toast"]], "the command to be carried out")
    assert home.runs() == 1

    for _ in range(6 if answers else 1):  # a busy machine takes its time to answer
        await speaker.ask(f"stays 2.0 {tmp_path}/played.wav")
        if answered(tmp_path / "played.wav"):
            break
    assert answered(tmp_path / "played.wav") == answers
    assert home.said == ([ANSWER] if answers else [])

    busy: list[str] = []

    def changed(event: Event) -> None:
        if event.data["entity_id"] == ACTIVE and event.data["new_state"]:
            busy.append(event.data["new_state"].state)

    await home.until(lambda: hass.states.get(ACTIVE).state == "off", "the pipeline to end")
    hass.bus.async_listen("state_changed", changed)
    assert await speaker.ask("again") == ["reject/replay", "could_not_verify"]
    await speaker.ask(f"stays 0.5 {tmp_path}/played.wav")
    await hass.async_block_till_done()
    assert (home.heard, home.runs(), busy) == ([SENTENCES["toast"]], 1, [])
    assert await home.sphinx.end() == []


async def test_muted_in_home_assistant_a_command_is_refused_and_unmuted_it_is_taken(
    hass: HomeAssistant, home: Home, device: Put
) -> None:
    speaker, port = await device(answers=False, keep_s=4.0)
    await joined(home, port)
    await home.choose(voice=False)

    async def switch(service: str) -> None:
        await hass.services.async_call("switch", service, {"entity_id": MUTE}, blocking=True)

    assert await speaker.ask("hears toast") == ["allow/fresh", "allowed"]
    assert (await home.sphinx.line())[0] == SENTENCES["toast"]
    await switch("turn_on")
    assert await speaker.ask("hears lobsters") == ["allow/fresh", "offline"]
    assert home.runs() == 1
    await switch("turn_off")
    assert await speaker.ask("hears lobsters") == ["allow/fresh", "allowed"]
    assert (await home.sphinx.line())[0] == SENTENCES["lobsters"]
    said = [SENTENCES["toast"], SENTENCES["lobsters"]]
    await home.until(lambda: home.heard == said, "both to be carried out")
    assert await home.sphinx.end() == []


def answered(file: Path) -> bool:
    """Whether the answer is in what was played, in one piece."""
    with wave.open(str(file)) as read:
        assert (read.getframerate(), read.getnchannels(), read.getsampwidth()) == (16_000, 1, 2)
        pcm = np.frombuffer(read.readframes(read.getnframes()), "<i2")
    played, wanted = pcm / 32768.0, sound(16_000)
    scores = np.correlate(played, wanted, "valid")
    at = int(np.argmax(np.abs(scores)))
    part = played[at : at + wanted.size]
    alike = float(scores[at]) / max(1e-9, float(np.linalg.norm(part) * np.linalg.norm(wanted)))
    return alike > 0.99
