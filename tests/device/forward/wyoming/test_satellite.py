"""The satellite, with a Home Assistant made of the `wyoming` package's own client."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import stat
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping
from wyoming.pipeline import PipelineStage, RunPipeline
from wyoming.satellite import PauseSatellite, RunSatellite
from wyoming.tts import Synthesize
from wyoming.vad import VoiceStarted, VoiceStopped

from earmark.errors import ForwardError
from earmark.forward import Device, ForwardSettings, open_forwarder
from earmark.forward.wyoming import answer as answer_module
from earmark.forward.wyoming import connection, listener, satellite
from earmark.forward.wyoming.framing import MAX_PAYLOAD_BYTES, encode
from earmark.forward.wyoming.listener import MAX_CONNECTIONS
from earmark.forward.wyoming.machine import Phase
from earmark.forward.wyoming.satellite import SatelliteForwarder
from earmark.signal import RATE_HZ, Signal

from .ports import free_port

DEVICE = Device("kitchen-speaker", "Kitchen", "alexa")

Open = Callable[..., SatelliteForwarder]


def understood(text: str = "turn on the light") -> list[Any]:
    return [Transcribe(), VoiceStarted(0), VoiceStopped(900), Transcript(text)]


@pytest.fixture
def opened() -> Iterator[Open]:
    """Return a function that opens a satellite; settings of `wyoming` as keywords."""
    with contextlib.ExitStack() as stack:

        def start(
            speak: Callable[[Signal], None] | None = None, timeout_s: float = 4.0, **wyoming: object
        ) -> SatelliteForwarder:
            wyoming.setdefault("listen", f"tcp://127.0.0.1:{free_port()}")
            settings = ForwardSettings(
                kind="wyoming_satellite",
                timeout_s=timeout_s,
                wyoming={"keep_s": 0.0, **wyoming},
            )
            forwarder = open_forwarder(settings, DEVICE, speak)
            assert isinstance(forwarder, SatelliteForwarder)
            stack.callback(forwarder.close)
            return forwarder

        yield start


@pytest.fixture
def home(call: Any) -> Any:
    """Return a function that connects as Home Assistant does, ready for commands."""

    def connect(forwarder: SatelliteForwarder, reply: Any = understood, uri: str = "") -> Any:
        caller = call(uri or f"tcp://127.0.0.1:{forwarder.port}", reply)
        caller.write(RunSatellite(), Describe())
        caller.wait("info")
        return caller

    return connect


def until(condition: Callable[[], object]) -> None:
    for _ in range(500):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("it did not happen within 5 s")


class TestCommands:
    """An allowed command goes to who is connected, and nothing else does."""

    def test_what_is_asked_before_a_command_is_all_that_is_said(
        self, opened: Open, home: Any
    ) -> None:
        forwarder = opened()
        caller = home(forwarder)
        begun = time.monotonic()
        caller.write(Describe(), Ping("still there?"))
        assert caller.wait("pong").data == {"text": "still there?"}
        assert time.monotonic() - begun < 1.0
        assert caller.heard.types == ["info", "info", "pong"]
        assert forwarder.phase is Phase.READY

    def test_info_is_as_the_package_reads_it(self, opened: Open, home: Any) -> None:
        info = Info.from_event(home(opened()).wait("info"))
        assert info.satellite is not None
        assert (info.satellite.name, info.satellite.area) == ("kitchen-speaker", "Kitchen")
        assert info.satellite.installed
        assert not info.asr
        assert not info.wake

    def test_a_command_in_one_burst(self, opened: Open, home: Any, make: Any) -> None:
        forwarder = opened()
        caller = home(forwarder)
        command = make(3, seconds=1.03, person="Robin")

        forwarder.send(command)

        assert caller.heard.types == [
            "info",
            *("detection", "run-pipeline", "audio-start"),
            *["audio-chunk"] * 11,
            "audio-stop",
        ]
        detection = caller.wait("detection").data
        assert (detection["name"], detection["speaker"]) == ("alexa", "Robin")
        pipeline = RunPipeline.from_event(caller.wait("run-pipeline"))
        assert (pipeline.start_stage, pipeline.end_stage) == (PipelineStage.ASR, PipelineStage.TTS)
        assert not pipeline.restart_on_end
        np.testing.assert_allclose(caller.heard.audio, command.audio, atol=1.01 / 32768)
        assert forwarder.phase is Phase.READY

    def test_where_home_assistant_has_no_voice(self, opened: Open, home: Any, make: Any) -> None:
        forwarder = opened(answers=False)
        caller = home(forwarder)
        forwarder.send(make())
        pipeline = RunPipeline.from_event(caller.wait("run-pipeline"))
        assert pipeline.end_stage is PipelineStage.HANDLE

    def test_a_guest_has_no_name(self, opened: Open, home: Any, make: Any) -> None:
        forwarder = opened()
        caller = home(forwarder)
        forwarder.send(make())
        assert caller.wait("detection").data["speaker"] is None

    def test_one_after_the_other(self, opened: Open, home: Any, make: Any) -> None:
        forwarder = opened()
        caller = home(forwarder)
        for number in range(5):
            forwarder.send(make(number))
        assert caller.heard.types.count("run-pipeline") == 5

    def test_long_pauses_are_cut(self, opened: Open, home: Any, make: Any) -> None:
        forwarder = opened()
        caller = home(forwarder)
        silence = np.zeros(2 * RATE_HZ, np.float32)
        audio = np.concatenate([make(1).audio, silence, make(2).audio])
        forwarder.send(make(audio=audio))
        assert caller.heard.audio.size < 1.3 * RATE_HZ

    def test_it_comes_back_after_a_pause(self, opened: Open, home: Any, make: Any) -> None:
        forwarder = opened()
        caller = home(forwarder)
        caller.write(PauseSatellite())
        until(lambda: forwarder.phase is Phase.IDLE)
        with pytest.raises(ForwardError, match="has muted this device"):
            forwarder.send(make())
        caller.write(RunSatellite())
        until(lambda: forwarder.phase is Phase.READY)
        forwarder.send(make())
        assert caller.heard.types.count("run-pipeline") == 1

    def test_it_comes_back_after_it_was_gone(self, opened: Open, home: Any, make: Any) -> None:
        forwarder = opened()
        home(forwarder).hang_up()
        until(lambda: forwarder.phase is None)
        with pytest.raises(ForwardError, match=r"not connected.*forward\.wyoming\.peers"):
            forwarder.send(make())
        caller = home(forwarder)
        forwarder.send(make())
        caller.wait("audio-stop")

    def test_it_comes_back_before_we_noticed_that_it_was_gone(
        self, opened: Open, home: Any, make: Any
    ) -> None:
        forwarder = opened()
        old = home(forwarder)
        new = home(forwarder)
        assert old.gone.wait(5)
        forwarder.send(make())
        assert "detection" not in old.heard.types
        new.wait("audio-stop")

    def test_what_it_left_behind_is_ended_and_not_reset(self, opened: Open, home: Any) -> None:
        """Home Assistant forgets its old connection when it is unmuted, and still reads there."""
        forwarder = opened()
        with socket.create_connection(("127.0.0.1", forwarder.port), timeout=10) as old:
            old.sendall(encode([RunSatellite()]))
            until(lambda: forwarder.phase is Phase.READY)
            new = home(forwarder)
            assert old.recv(1) == b""
            for _ in range(3):
                old.sendall(encode([Ping()]))  # to a closed port: a reset, and then an error
                new.write(Ping("x"))
                new.wait("pong", 1)
            old.settimeout(0.2)
            assert old.recv(1) == b""
        assert forwarder.phase is Phase.READY

    def test_a_command_is_kept_for_a_moment(self, opened: Open, home: Any, make: Any) -> None:
        forwarder = opened(keep_s=4.0)
        failed: list[BaseException] = []

        def send() -> None:
            try:
                forwarder.send(make())
            except BaseException as error:
                failed.append(error)

        sending = threading.Thread(target=send)
        sending.start()
        time.sleep(0.2)
        home(forwarder).wait("audio-stop")
        sending.join(10)
        assert failed == []

    def test_a_unix_socket_for_its_owner_alone(
        self, opened: Open, home: Any, make: Any, tmp_path: Path
    ) -> None:
        path = tmp_path / "satellite.sock"
        uri = f"unix://{path}"
        forwarder = opened(listen=uri, peers=())
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        caller = home(forwarder, uri=uri)
        forwarder.send(make())
        caller.wait("audio-stop")
        forwarder.close()
        assert not path.exists()

    def test_a_socket_that_a_crash_left_is_replaced(self, opened: Open, tmp_path: Path) -> None:
        path = tmp_path / "satellite.sock"
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))
        opened(listen=f"unix://{path}")


class TestNotTaken:
    """A command that did not arrive is a ForwardError, and is not carried out later."""

    def test_an_error_event(self, opened: Open, home: Any, make: Any) -> None:
        forwarder = opened()
        home(forwarder, lambda: [Transcribe(), Error("the secret was said", "stt-no-text")])
        with pytest.raises(ForwardError, match=r"refused the command \(stt-no-text\)") as caught:
            forwarder.send(make())
        assert "secret" not in str(caught.value)
        assert forwarder.phase is Phase.READY

    def test_no_answer_closes_the_connection(self, opened: Open, home: Any, make: Any) -> None:
        forwarder = opened(timeout_s=1.0)
        caller = home(forwarder, lambda: [Transcribe()])
        with pytest.raises(ForwardError, match=r"within 1 s.*forward\.timeout_s"):
            forwarder.send(make())
        assert caller.gone.wait(5)
        until(lambda: forwarder.phase is None)

    def test_paused_within_a_command(self, opened: Open, home: Any, make: Any) -> None:
        forwarder = opened()
        home(forwarder, lambda: [PauseSatellite()])
        with pytest.raises(ForwardError, match="paused this satellite"):
            forwarder.send(make())

    def test_gone_within_a_command(self, opened: Open, call: Any, home: Any, make: Any) -> None:
        forwarder = opened()
        caller = home(forwarder, lambda: [Event("hang-up")])
        sending = threading.Timer(0.3, caller.hang_up)
        sending.start()
        with pytest.raises(ForwardError, match="connection"):
            forwarder.send(make())
        sending.join()

    def test_a_peer_that_reads_nothing(
        self, opened: Open, make: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "WRITE_S", 0.3)
        forwarder = opened()
        with socket.create_connection(("127.0.0.1", forwarder.port)) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.sendall(b'{"type": "run-satellite"}\n')
            until(lambda: forwarder.phase is Phase.READY)
            with pytest.raises(ForwardError, match="broke within a command"):
                forwarder.send(make(audio=np.ones(200 * RATE_HZ, np.float32) * 0.1))
        until(lambda: forwarder.phase is None)

    def test_who_heard_the_end_early_gets_no_more(
        self, opened: Open, home: Any, make: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        forwarder = opened()
        caller = home(forwarder)
        send = connection.Connection.send
        sent: list[bytes] = []

        async def slow(self: connection.Connection, data: bytes) -> None:
            await send(self, data)
            sent.append(data)
            if len(sent) == 3:
                caller.write_soon(Transcript("x"))
                await asyncio.sleep(0.3)

        monkeypatch.setattr(connection.Connection, "send", slow)
        forwarder.send(make(seconds=5.0))
        assert len(sent) == 3

    def test_closed_meanwhile(self, opened: Open, home: Any, make: Any) -> None:
        forwarder = opened(timeout_s=30.0)
        home(forwarder, lambda: [])
        closing = threading.Timer(0.3, forwarder.close)
        closing.start()
        begun = time.monotonic()
        with pytest.raises(ForwardError):
            forwarder.send(make())
        assert time.monotonic() - begun < 10.0
        closing.join()
        with pytest.raises(ForwardError):
            forwarder.send(make())
        forwarder.close()


def sounds(seconds: float, rate: int = 22050, channels: int = 1) -> list[Any]:
    form = {"rate": rate, "width": 2, "channels": channels}
    t = np.arange(round(seconds * rate)) / rate
    tone = np.repeat(0.5 * np.sin(2 * np.pi * 440 * t), channels)
    pcm = (tone * 32767).astype("<i2").tobytes()
    chunks = [pcm[at : at + 2048] for at in range(0, len(pcm), 2048)]
    return [
        AudioStart(**form),
        *[AudioChunk(**form, audio=chunk) for chunk in chunks],
        AudioStop(),
    ]


class TestAnswers:
    """What Home Assistant says is heard, at the pace of the sound."""

    @pytest.mark.parametrize(("rate", "channels"), [(22050, 1), (16000, 1), (48000, 2)])
    def test_an_answer_is_spoken_and_reported(
        self, opened: Open, home: Any, make: Any, rate: int, channels: int
    ) -> None:
        pieces: list[Signal] = []
        forwarder = opened(pieces.append)
        answer = [Synthesize("done"), *sounds(0.7, rate, channels)]
        caller = home(forwarder, lambda: [*understood(), *answer])
        begun = time.monotonic()
        forwarder.send(make())
        caller.wait("played")
        assert time.monotonic() - begun >= 0.65
        spoken = np.concatenate(pieces)
        assert spoken.dtype == np.float32
        assert max(piece.size for piece in pieces) <= answer_module.PIECE
        assert spoken.size == pytest.approx(0.7 * RATE_HZ, abs=5)
        t = np.arange(spoken.size) / RATE_HZ
        inner = slice(800, -800)
        expected = 0.5 * np.sin(2 * np.pi * 440 * t)
        np.testing.assert_allclose(spoken[inner], expected[inner], atol=0.01)

    def test_it_is_handed_over_no_faster_than_it_sounds(self, opened: Open, home: Any) -> None:
        came: list[tuple[float, int]] = []
        forwarder = opened(lambda piece: came.append((time.monotonic(), piece.size)))
        caller = home(forwarder)
        caller.write(*sounds(1.5))
        caller.wait("played")
        handed = np.cumsum([size for _, size in came]) / RATE_HZ
        after = np.array([t for t, _ in came]) - came[0][0]
        assert (handed - after <= answer_module.AHEAD_S + 0.25).all()

    def test_without_a_loudspeaker_it_is_over_at_once(self, opened: Open, home: Any) -> None:
        caller = home(opened())
        begun = time.monotonic()
        caller.write(*sounds(3.0))
        caller.wait("played")
        assert time.monotonic() - begun < 3.0

    def test_a_new_command_breaks_it_off(self, opened: Open, home: Any, make: Any) -> None:
        pieces: list[Signal] = []
        forwarder = opened(pieces.append)
        caller = home(forwarder)
        caller.write(*sounds(3.0))
        until(lambda: pieces)
        forwarder.send(make())
        count = len(pieces)
        time.sleep(0.5)
        assert len(pieces) == count
        assert "played" not in caller.heard.types

    def test_a_loudspeaker_that_fails_does_not_cost_the_link(
        self, opened: Open, home: Any, make: Any
    ) -> None:
        def speak(piece: Signal) -> None:
            raise ValueError("secret")

        forwarder = opened(speak)
        caller = home(forwarder)
        caller.write(*sounds(0.5))
        caller.wait("played")
        forwarder.send(make())

    def test_an_answer_without_end_is_cut(
        self, opened: Open, home: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(answer_module, "MAX_ANSWER_S", 0.5)
        pieces: list[Signal] = []
        caller = home(opened(pieces.append))
        caller.write(*sounds(3.0))
        caller.wait("played")
        assert sum(piece.size for piece in pieces) <= 1.5 * RATE_HZ

    def test_a_chunk_of_another_form_ends_the_link(self, opened: Open, home: Any) -> None:
        forwarder = opened()
        caller = home(forwarder)
        other = AudioChunk(rate=8000, width=2, channels=1, audio=b"\0\0")
        caller.write(sounds(0.1)[0], other)
        assert caller.gone.wait(5)

    def test_who_only_asks_what_this_is_may_not_speak(self, opened: Open, call: Any) -> None:
        pieces: list[Signal] = []
        forwarder = opened(pieces.append)
        caller = call(f"tcp://127.0.0.1:{forwarder.port}")
        caller.write(*sounds(0.1)[:1])
        assert caller.gone.wait(5)
        assert pieces == []


class TestHostile:
    """Peers that are not on the list, too many, too slow, or speak something else."""

    @staticmethod
    def raw(forwarder: SatelliteForwarder, data: bytes = b"") -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", forwarder.port), timeout=10)
        sock.sendall(data)
        return sock

    @staticmethod
    def ended(sock: socket.socket) -> bool:
        """Whether the other side has ended the connection, having said nothing more."""
        try:
            return sock.recv(1) == b""
        except ConnectionResetError:
            return True

    def test_who_is_not_on_the_list_is_refused_and_named_once(
        self, opened: Open, caplog: pytest.LogCaptureFixture
    ) -> None:
        forwarder = opened(peers=("192.0.2.0/24",))
        for _ in range(3):
            with self.raw(forwarder) as sock:
                assert self.ended(sock)
        lines = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
        assert lines == [
            "forward: 127.0.0.1 may not connect: add it to forward.wyoming.peers if it should"
        ]

    def test_another_machine_does_not_take_over(
        self, opened: Open, home: Any, make: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        forwarder = opened(listen=f"tcp://0.0.0.0:{free_port()}", peers=("127.0.0.0/8",))
        caller = home(forwarder)
        with socket.socket() as sock:
            sock.settimeout(10)
            sock.bind(("127.0.0.9", 0))
            sock.connect(("127.0.0.1", forwarder.port))
            sock.sendall(b'{"type": "run-satellite"}\n')
            assert self.ended(sock)
        forwarder.send(make())
        caller.wait("audio-stop")
        assert "127.0.0.9 was disconnected: another peer gets the commands already" in caplog.text

    @pytest.mark.parametrize(
        "data",
        [
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"x" * 20_000,
            b'{"type": "ping", "data_length": 70000}\n',
            b'{"type": "ping", "payload_length": 4294967296}\n' + bytes(50_000),
            b"[" * 15_000 + b"\n",
            b'{"type": 5}\n',
        ],
        ids=["http", "tls", "endless", "data", "4 GB", "brackets", "no type"],
    )
    def test_garbage_ends_its_own_connection_only(
        self, opened: Open, home: Any, make: Any, data: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        forwarder = opened()
        caller = home(forwarder)
        with self.raw(forwarder) as sock:
            with contextlib.suppress(OSError):
                sock.sendall(data + (b"" if data.endswith(b"\n") else b"\n"))
            assert self.ended(sock)
        forwarder.send(make())
        caller.wait("audio-stop")
        assert "was disconnected" in caplog.text

    def test_an_event_that_trickles_in(self, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connection, "EVENT_S", 0.3)
        with self.raw(opened(), b'{"type"') as sock:
            begun = time.monotonic()
            assert self.ended(sock)
            assert time.monotonic() - begun < 5.0

    def test_half_open(self, opened: Open, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(satellite, "IDLE_S", 0.3)
        forwarder = opened()
        with self.raw(forwarder, b'{"type": "run-satellite"}\n') as sock:
            assert self.ended(sock)
        until(lambda: forwarder.phase is None)

    def test_a_hundred_connections(self, opened: Open, home: Any, make: Any) -> None:
        forwarder = opened()
        caller = home(forwarder)
        socks = [self.raw(forwarder) for _ in range(100)]
        refused = [sock for sock in socks[MAX_CONNECTIONS:] if self.ended(sock)]
        assert len(refused) == 100 - MAX_CONNECTIONS
        forwarder.send(make())
        caller.wait("audio-stop")
        for sock in socks:
            sock.close()
        until(lambda: len(forwarder._server._listener._tasks) == 1)
        home(forwarder)  # there is room again

    def test_events_without_end_are_answered_one_by_one(
        self, opened: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "WRITE_S", 0.3)
        forwarder = opened()
        ping = b'{"type": "ping", "data": {"text": "%s"}}\n' % (b"x" * 150)
        pings = ping * 1000
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # it reads no answers
            sock.settimeout(10)
            sock.connect(("127.0.0.1", forwarder.port))
            # Instead of piling answers up it stops reading, and ends the connection.
            with pytest.raises(ConnectionError):
                sock.sendall(pings * 500)

    def test_memory_stays_within_the_limits(self, opened: Open) -> None:
        forwarder = opened()
        almost = b'{"type": "x", "payload_length": %d}\n' % MAX_PAYLOAD_BYTES
        tracemalloc.start()
        try:
            socks = [self.raw(forwarder, almost) for _ in range(MAX_CONNECTIONS)]
            part = bytes(MAX_PAYLOAD_BYTES - 1)
            for sock in socks:
                sock.sendall(part)  # one byte short, and held
            tasks = forwarder._server._listener._tasks
            until(lambda: len(tasks) == MAX_CONNECTIONS)
            time.sleep(0.2)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        for sock in socks:
            sock.close()
        assert most < MAX_CONNECTIONS * 1024 * 1024

    @pytest.mark.parametrize("seed", range(5))
    def test_noise_of_all_kinds(
        self, opened: Open, home: Any, make: Any, seed: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        rng = np.random.default_rng(seed)
        spoken: list[Signal] = []
        forwarder = opened(spoken.append)
        whole = encode([RunSatellite(), Describe(), Ping(), *sounds(0.02), Transcript("secret")])
        lines = whole.splitlines(keepends=True)
        for _ in range(20):
            data = bytearray(b"".join(lines[i] for i in rng.permutation(len(lines))))
            for at in rng.integers(0, len(data), rng.integers(0, 6)):
                data[at] = rng.integers(0, 256)
            with self.raw(forwarder) as sock, contextlib.suppress(OSError):
                sock.sendall(bytes(data[: rng.integers(1, len(data) + 1)]))
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(4096):
                    pass
        until(lambda: not forwarder._server._listener._tasks)
        caller = home(forwarder)
        forwarder.send(make())
        caller.wait("audio-stop")
        assert "a link failed" not in caplog.text
        assert "secret" not in caplog.text

    def test_a_system_without_files_left(
        self,
        opened: Open,
        home: Any,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(listener, "ACCEPT_PAUSE_S", 0.01)
        forwarder = opened()
        loop = forwarder._server._thread._loop
        accept, left = loop.sock_accept, [3]

        async def sock_accept(sock: socket.socket) -> Any:
            if left[0]:
                left[0] -= 1
                raise OSError(24, "Too many open files")
            return await accept(sock)

        monkeypatch.setattr(loop, "sock_accept", sock_accept)
        with self.raw(forwarder):  # the one that was being waited for
            home(forwarder)
        assert left == [0]
        warnings = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
        assert warnings == ["forward: cannot accept a connection: Too many open files"]

    def test_a_listener_that_stops_is_logged(
        self, opened: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        forwarder = opened()

        async def sock_accept(sock: socket.socket) -> Any:
            raise KeyError("secret")

        monkeypatch.setattr(forwarder._server._thread._loop, "sock_accept", sock_accept)
        with self.raw(forwarder):
            until(lambda: "the link stopped: KeyError" in caplog.text)
        assert "secret" not in caplog.text

    def test_a_mistake_of_ours_ends_one_link_and_says_no_more_than_its_type(
        self, opened: Open, home: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
    ) -> None:
        forwarder = opened()

        def broken(*args: object) -> None:
            raise KeyError("secret")

        monkeypatch.setattr(forwarder, "_carry_out", broken)
        with self.raw(forwarder, b'{"type": "describe"}\n') as sock:
            assert self.ended(sock)
        assert "a link failed: KeyError" in caplog.text
        assert "secret" not in caplog.text


class TestTls:
    """With tls, and with certificates of the peers."""

    @staticmethod
    def asked(port: int, context: ssl.SSLContext) -> bytes:
        """What a ``describe`` is answered with; nothing when we are not let in."""
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port), 10) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as sock,
        ):
            sock.sendall(b'{"type": "describe"}\n')
            return sock.recv(1000)
        return b""

    def test_who_has_a_certificate_gets_in(self, opened: Open, certificate: Any) -> None:
        forwarder = opened(
            listen=f"tls://127.0.0.1:{free_port()}",
            cert_file=certificate.cert,
            key_file=certificate.key,
            client_ca_file=certificate.cert,
        )
        context = connection.client_context(certificate.cert)
        assert self.asked(forwarder.port, context) == b""
        context.load_cert_chain(certificate.cert, certificate.key)
        assert b"info" in self.asked(forwarder.port, context)

    def test_who_speaks_no_tls(
        self, opened: Open, certificate: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(listener, "HANDSHAKE_S", 0.3)
        forwarder = opened(
            listen=f"tls://127.0.0.1:{free_port()}",
            cert_file=certificate.cert,
            key_file=certificate.key,
        )
        for data in (b'{"type": "describe"}\n', b""):
            with socket.create_connection(("127.0.0.1", forwarder.port), 10) as sock:
                sock.sendall(data)
                with contextlib.suppress(ConnectionResetError):
                    assert not sock.recv(1000).startswith(b"{")

    def test_a_certificate_that_is_none(self, opened: Open, tmp_path: Path) -> None:
        (tmp_path / "c.pem").write_text("nothing")
        for name in ("c.pem", "no-such.pem"):
            with pytest.raises(ForwardError, match=r"certificate of this device.*cert_file"):
                opened(
                    listen=f"tls://127.0.0.1:{free_port()}",
                    cert_file=tmp_path / name,
                    key_file=tmp_path / name,
                )


class TestListening:
    """An address that cannot be listened at is an error at start."""

    def test_an_address_that_is_taken(self, opened: Open) -> None:
        first = opened()
        with pytest.raises(
            ForwardError, match=r"cannot listen at tcp://.*\(Address already in use"
        ):
            opened(listen=f"tcp://127.0.0.1:{first.port}")

    def test_a_socket_that_is_used(self, opened: Open, tmp_path: Path) -> None:
        uri = f"unix://{tmp_path}/satellite.sock"
        opened(listen=uri)
        with pytest.raises(ForwardError, match="Address already in use"):
            opened(listen=uri)

    def test_a_file_that_is_no_socket(self, opened: Open, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_text("kept")
        with pytest.raises(ForwardError, match="cannot listen"):
            opened(listen=f"unix://{path}")
        assert path.read_text() == "kept"

    def test_no_such_folder(self, opened: Open, tmp_path: Path) -> None:
        with pytest.raises(ForwardError, match="No such file"):
            opened(listen=f"unix://{tmp_path}/no/such.sock")
