"""The proxy between a Home Assistant and a recogniser, both made of the `wyoming` package."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping

from earmark.errors import ForwardError
from earmark.forward import Command, Device, ForwardSettings, open_forwarder
from earmark.forward.wyoming import proxy
from earmark.forward.wyoming.meeting import MATCH_S, nearest
from earmark.forward.wyoming.proxy import ProxyForwarder

from .ports import free_port

FORM = {"rate": 16000, "width": 2, "channels": 1}
REPLAY = AudioChunk(**FORM, audio=b"\x7f\x7f" * 1600)

Open = Callable[..., ProxyForwarder]


@pytest.fixture
def opened() -> Iterator[Open]:
    """Return a function that opens a proxy in front of a uri."""
    with contextlib.ExitStack() as stack:

        def start(uri: str, timeout_s: float = 4.0, **wyoming: object) -> ProxyForwarder:
            settings = ForwardSettings(
                kind="wyoming_proxy",
                timeout_s=timeout_s,
                wyoming={
                    "uri": uri,
                    "listen": f"tcp://127.0.0.1:{free_port()}",
                    "keep_s": 0.3,
                    "verdict_s": 0.5,
                    **wyoming,
                },
            )
            forwarder = open_forwarder(settings, Device("kitchen-speaker"))
            assert isinstance(forwarder, ProxyForwarder)
            stack.callback(forwarder.close)
            return forwarder

        yield start


@pytest.fixture
def now(make: Any) -> Callable[..., Command]:
    """Return a function that makes a command whose wake word was heard just now."""

    def command(number: int = 1, late_s: float = 0.0, **other: object) -> Command:
        made: Command = make(number, woken_unix_s=time.time() - late_s, **other)
        return made

    return command


def says(text: str) -> Any:
    return lambda heard: [Transcript(text)]


@pytest.fixture
def ask(call: Any) -> Any:
    """Return a function that asks as Home Assistant does: what to write is cut into events."""

    def connect(forwarder: ProxyForwarder, language: str | None = "en") -> Any:
        caller = call(f"tcp://127.0.0.1:{forwarder.port}")
        caller.write(Transcribe(language=language), AudioStart(**FORM), REPLAY)
        # Once this is answered, the request is known.
        caller.write(Ping())
        caller.wait("pong")
        return caller

    return connect


def sending(forwarder: ProxyForwarder, command: Command) -> Callable[[], BaseException | None]:
    """Send beside the test; the function that is returned waits and gives what was raised."""
    raised: list[BaseException] = []

    def send() -> None:
        try:
            forwarder.send(command)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=send)
    thread.start()

    def wait() -> BaseException | None:
        thread.join(15)
        assert not thread.is_alive()
        return raised[0] if raised else None

    return wait


def test_what_was_allowed_is_transcribed_and_nothing_of_the_request_is(
    recognise: Any, opened: Open, ask: Any, now: Any
) -> None:
    service = recognise(says("turn on the light"))
    forwarder = opened(service.uri)
    caller = ask(forwarder, "de")
    command = now(3, person="Robin")
    done = sending(forwarder, command)
    caller.write(REPLAY, AudioStop())
    answer = Transcript.from_event(caller.wait("transcript"))
    assert done() is None
    assert answer == Transcript("turn on the light", {"speaker": "Robin"}, "de")
    (heard,) = service.heard
    assert heard.events[0].data["language"] == "de"
    np.testing.assert_allclose(heard.audio, command.audio, atol=1.01 / 32768)
    assert "error" not in caller.heard.types


def test_the_verdict_may_come_after_the_audio(
    recognise: Any, opened: Open, ask: Any, now: Any
) -> None:
    forwarder = opened(recognise(says("hello")).uri, verdict_s=5.0)
    caller = ask(forwarder)
    caller.write(AudioStop())
    forwarder.send(now())
    assert caller.wait("transcript").data["text"] == "hello"


def test_the_request_may_come_after_the_verdict(
    recognise: Any, opened: Open, ask: Any, now: Any
) -> None:
    forwarder = opened(recognise(says("hello")).uri, keep_s=3.0)
    done = sending(forwarder, now())
    time.sleep(0.2)
    caller = ask(forwarder)
    caller.write(AudioStop())
    assert caller.wait("transcript").data["text"] == "hello"
    assert done() is None


def test_without_a_verdict_there_is_an_error_and_an_empty_transcript(
    recognise: Any, opened: Open, ask: Any
) -> None:
    service = recognise(says("secret"))
    caller = ask(opened(service.uri))
    caller.write(AudioStop())
    assert caller.wait("transcript").data == {"text": ""}
    assert Error.from_event(caller.wait("error")).code == "not-verified"
    assert caller.heard.types == ["pong", "error", "transcript"]
    assert service.heard == []


def test_one_connection_may_ask_again(recognise: Any, opened: Open, ask: Any, now: Any) -> None:
    forwarder = opened(recognise(says("hello")).uri)
    caller = ask(forwarder)
    caller.write(AudioStop())
    caller.wait("transcript")
    caller.write(Transcribe(), AudioStart(**FORM), Ping())
    caller.wait("pong", 2)
    done = sending(forwarder, now())
    caller.write(AudioStop())
    assert caller.wait("transcript", 2).data["text"] == "hello"
    assert done() is None


def test_one_command_answers_one_request(recognise: Any, opened: Open, ask: Any, now: Any) -> None:
    forwarder = opened(recognise(says("hello")).uri)
    callers = [ask(forwarder), ask(forwarder)]
    done = sending(forwarder, now())
    for caller in callers:
        caller.write(AudioStop())
    texts = [caller.wait("transcript").data["text"] for caller in callers]
    assert sorted(texts) == ["", "hello"]
    assert done() is None


def test_a_request_of_another_moment_gets_nothing(
    recognise: Any, opened: Open, ask: Any, now: Any
) -> None:
    service = recognise(says("secret"))
    forwarder = opened(service.uri)
    caller = ask(forwarder)
    with pytest.raises(ForwardError, match="nobody asked"):
        forwarder.send(now(late_s=MATCH_S + 1.0))
    caller.write(AudioStop())
    assert caller.wait("transcript").data == {"text": ""}
    assert service.heard == []


def test_info_is_as_the_package_reads_it(recognise: Any, opened: Open, call: Any) -> None:
    forwarder = opened("tcp://127.0.0.1:9", language="de")
    caller = call(f"tcp://127.0.0.1:{forwarder.port}")
    caller.write(Describe())
    info = Info.from_event(caller.wait("info"))
    assert info.satellite is None
    (program,) = info.asr
    assert program.name == "kitchen-speaker"
    assert program.models[0].languages == ["de"]


class TestFailures:
    """What does not arrive is a ForwardError for us and a refusal for who asked."""

    def test_nobody_asks(self, recognise: Any, opened: Open, now: Any) -> None:
        service = recognise(says("secret"))
        with pytest.raises(ForwardError, match="nobody asked for the transcript"):
            opened(service.uri).send(now())
        assert service.heard == []

    def test_no_recogniser(self, opened: Open, ask: Any, now: Any) -> None:
        forwarder = opened("tcp://127.0.0.1:9")
        caller = ask(forwarder)
        caller.write(AudioStop())
        with pytest.raises(ForwardError, match="cannot be reached"):
            forwarder.send(now())
        assert caller.wait("transcript").data == {"text": ""}

    def test_a_recogniser_that_does_not_answer(
        self, recognise: Any, opened: Open, ask: Any, now: Any
    ) -> None:
        forwarder = opened(recognise(lambda heard: []).uri, timeout_s=1.0)
        caller = ask(forwarder)
        caller.write(AudioStop())
        with pytest.raises(ForwardError, match=r"within 1 s.*forward\.timeout_s"):
            forwarder.send(now())
        assert caller.wait("transcript").data == {"text": ""}

    def test_who_asked_is_gone(self, recognise: Any, opened: Open, ask: Any, now: Any) -> None:
        forwarder = opened(recognise(says("hello")).uri)
        caller = ask(forwarder)
        done = sending(forwarder, now())
        time.sleep(0.2)
        caller.hang_up()
        error = done()
        assert isinstance(error, ForwardError)
        assert "gone" in str(error)

    def test_audio_without_end(
        self, opened: Open, ask: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(proxy, "MAX_REQUEST_S", 0.2)
        caller = ask(opened("tcp://127.0.0.1:9"))
        time.sleep(0.3)
        caller.write(REPLAY)
        assert caller.gone.wait(5)

    @pytest.mark.parametrize("language", [5, ["en"], {}, None, "x" * 1000])
    def test_a_language_that_is_none(
        self, recognise: Any, opened: Open, call: Any, now: Any, language: object
    ) -> None:
        service = recognise(says("hello"))
        forwarder = opened(service.uri)
        caller = call(f"tcp://127.0.0.1:{forwarder.port}")
        data = {"language": language, "vad_sensitivity": [1], "name": 3}
        caller.write(Event("transcribe", data), Ping())
        caller.wait("pong")
        done = sending(forwarder, now())
        caller.write(AudioStop())
        assert caller.wait("transcript").data["text"] == "hello"
        assert done() is None
        assert len(service.heard[0].events[0].data.get("language", "")) <= 16

    def test_stray_events(self, opened: Open, call: Any) -> None:
        caller = call(f"tcp://127.0.0.1:{opened('tcp://127.0.0.1:9').port}")
        caller.write(AudioStop(), REPLAY, Transcript("x"), Event("from-2030"), Ping("x"))
        assert caller.wait("pong").data == {"text": "x"}

    def test_closed_meanwhile(self, recognise: Any, opened: Open, ask: Any, now: Any) -> None:
        forwarder = opened(recognise(lambda heard: []).uri, timeout_s=30.0)
        ask(forwarder)
        done = sending(forwarder, now())
        time.sleep(0.2)
        forwarder.close()
        assert isinstance(done(), ForwardError)
        forwarder.close()


@dataclass
class At:
    started_unix_s: float


def test_the_nearest_request_in_time_belongs_to_a_command() -> None:
    requests = [At(100.0), At(103.5), At(97.0)]
    assert nearest(103.0, requests) is requests[1]
    assert nearest(100.4, requests) is requests[0]
    assert nearest(96.0, requests) is requests[2]
    assert nearest(93.9, requests) is None
    assert nearest(0.0, []) is None
