"""Whole sessions of the real loop and gate: what Home Assistant gets to hear of each."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.ping import Ping
from wyoming.satellite import RunSatellite

from earmark.forward import Forwarder, ForwardSettings, open_forwarder
from earmark.forward.wyoming import open as opening
from earmark.gate import Announcement, Reason
from earmark.session import State
from earmark.signal import RATE_HZ


@pytest.fixture
def opened() -> Iterator[Callable[..., Forwarder]]:
    """Return a function that opens a forwarder; settings as keywords."""
    with contextlib.ExitStack() as stack:

        def start(kind: str, **wyoming: object) -> Forwarder:
            settings = ForwardSettings.model_validate({"kind": kind, "wyoming": wyoming})
            forwarder = open_forwarder(settings)
            stack.callback(forwarder.close)
            return forwarder

        yield start


def free_uri() -> str:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{sock.getsockname()[1]}"


def test_an_allowed_command_reaches_home_assistant_and_a_replay_does_not(
    opened: Any, call: Any, desk: Any, real_judge: Any
) -> None:
    uri = free_uri()
    device = desk(forwarder=opened("wyoming_satellite", listen=uri))
    device.parts.judge = real_judge(device)
    home = call(uri, lambda: [Transcript("turn on the light")])
    home.write(RunSatellite(), Ping())
    home.wait("pong")
    device.run(1.0)

    began = device.wire.now
    said = device.session()
    assert device.judgements[-1][0].verdict.reason is Reason.FRESH
    assert device.told[-2:] == [Announcement.WOKEN, Announcement.ALLOWED]
    assert home.heard.types[:4] == ["pong", "detection", "run-pipeline", "audio-start"]
    heard = home.heard.audio
    # The command is in it, as it was said, and the nonce is out of it.
    at = int(np.argmax(np.correlate(heard, said, "valid")))
    alike = np.corrcoef(heard[at : at + said.size], said)[0, 1]
    assert alike > 0.95

    before = len(home.heard.events)
    device.wake.pressed = True
    device.wire.say(np.concatenate(device.wire.heard)[began:], 0.2)
    device.step()
    device.until(State.IDLE, State.LOCKED)
    assert device.judgements[-1][0].verdict.reason is Reason.REPLAY
    home.write(Ping())
    home.wait("pong", 2)
    assert home.heard.types[before:] == ["pong"]


def test_without_home_assistant_the_room_is_told_at_once(opened: Any, desk: Any) -> None:
    device = desk(forwarder=opened("wyoming_satellite", listen=free_uri(), keep_s=0.0))
    device.run(1.0)
    device.session()
    assert device.told[-1] is Announcement.OFFLINE


def test_the_proxy_answers_with_the_command_and_not_with_what_it_was_sent(
    opened: Any, call: Any, desk: Any, recognise: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, service = free_uri(), recognise(lambda heard: [Transcript("turn on the light")])
    clock = [0.0]
    monkeypatch.setattr(opening, "time", SimpleNamespace(time=lambda: clock[0]))
    device = desk(forwarder=opened("wyoming_proxy", uri=service.uri, listen=uri, verdict_s=15.0))
    device.run(1.0)
    clock[0] = device.parts.now() + 1.0  # the desk's clock moves on by 1 s each time it is read
    form = {"rate": RATE_HZ, "width": 2, "channels": 1}
    home = call(uri)
    other = AudioChunk(**form, audio=b"\x55\x55" * RATE_HZ)
    home.write(Transcribe(), AudioStart(**form), other, AudioStop(), Ping())
    home.wait("pong")
    said = device.session()
    assert home.wait("transcript").data["text"] == "turn on the light"
    (heard,) = service.heard
    assert np.abs(np.correlate(heard.audio, said, "valid")).max() > 0.5 * float(said @ said)
    assert not (np.abs(heard.audio - 0x5555 / 32768.0) < 1e-3).all()
    assert device.told[-1] is Announcement.ALLOWED


def test_a_recogniser_that_is_gone_is_heard_and_one_that_is_back_is_used(
    opened: Any, desk: Any, recognise: Any, tmp_path: Any
) -> None:
    uri = f"unix://{tmp_path}/asr.sock"
    settings = ForwardSettings.model_validate(
        {"kind": "wyoming_asr", "folder": tmp_path / "out", "wyoming": {"uri": uri, "keep_s": 0.0}}
    )
    with contextlib.closing(open_forwarder(settings)) as forwarder:
        device = desk(forwarder=forwarder)
        device.run(1.0)
        device.session()
        assert device.told[-1] is Announcement.OFFLINE
        recognise(lambda heard: [Transcript("hello")], uri=uri)
        device.session()
        assert device.told[-1] is Announcement.ALLOWED
    assert len(list((tmp_path / "out").glob("*.wav"))) == 1
