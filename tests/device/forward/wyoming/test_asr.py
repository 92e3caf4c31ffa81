"""The ASR client, against the `wyoming` package's server and against servers that misbehave."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from wyoming.asr import Transcript, TranscriptChunk, TranscriptStart
from wyoming.error import Error
from wyoming.event import Event
from wyoming.ping import Ping

from earmark.errors import ForwardError
from earmark.forward import INDEX, Forwarder, ForwardSettings, open_forwarder
from earmark.forward.wyoming import connection
from earmark.signal import RATE_HZ


def says(text: str) -> Any:
    return lambda heard: [Transcript(text)]


@pytest.fixture
def client(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    """Return a function that opens a forwarder to a uri, with the folder as what comes next."""

    def start(uri: str, timeout_s: float = 4.0, **wyoming: object) -> Forwarder:
        settings = ForwardSettings(
            kind="wyoming_asr",
            folder=tmp_path / "commands",
            timeout_s=timeout_s,
            wyoming={"uri": uri, "keep_s": 0.0, **wyoming},
        )
        forwarder = open_forwarder(settings)
        request.addfinalizer(forwarder.close)
        return forwarder

    return start


def stored(tmp_path: Path) -> list[dict[str, Any]]:
    index = tmp_path / "commands" / INDEX
    return [json.loads(line) for line in index.read_text().splitlines()] if index.exists() else []


def test_the_command_goes_there_and_its_text_goes_on(
    recognise: Any, client: Any, make: Any, tmp_path: Path
) -> None:
    service = recognise(says("turn on the läight"))
    command = make(3, seconds=1.03)

    client(service.uri, language="en", model="tiny").send(command)

    (heard,) = service.heard
    assert heard.types == ["transcribe", "audio-start", *["audio-chunk"] * 11, "audio-stop"]
    assert heard.events[0].data == {"name": "tiny", "language": "en"}
    np.testing.assert_allclose(heard.audio, command.audio, atol=1.01 / 32768)
    stamps = [e.data["timestamp"] for e in heard.events if e.type.startswith("audio")]
    assert stamps == [0, *range(0, 1100, 100), 1030]
    (line,) = stored(tmp_path)
    assert line["text"] == "turn on the läight"
    assert line["session"] == "s0003"
    assert (tmp_path / "commands" / line["file"]).exists()


def test_who_spoke_is_not_told_to_the_recogniser_but_to_what_comes_next(
    recognise: Any, client: Any, make: Any, tmp_path: Path
) -> None:
    service = recognise(says("hello"))
    client(service.uri).send(make(person="Robin"))
    assert "Robin" not in str(service.heard[0].events)
    assert stored(tmp_path)[0]["person"] == "Robin"


def test_a_program_can_come_next(recognise: Any, make: Any, tmp_path: Path) -> None:
    keep = "import sys; open(sys.argv[1], 'wb').write(sys.stdin.buffer.read())"
    settings = ForwardSettings(
        kind="wyoming_asr",
        argv=(sys.executable, "-c", keep, str(tmp_path / "got")),
        timeout_s=20.0,
        wyoming={"uri": recognise(says("hello")).uri, "then": "command"},
    )
    forwarder = open_forwarder(settings)
    forwarder.send(make(4))
    forwarder.close()
    line, wav = (tmp_path / "got").read_bytes().split(b"\n", 1)
    assert json.loads(line)["text"] == "hello"
    assert json.loads(line)["wav_bytes"] == len(wav)


def test_long_pauses_do_not_reach_the_recogniser_but_the_folder(
    recognise: Any, client: Any, make: Any, tmp_path: Path
) -> None:
    service = recognise(says("hello"))
    audio = np.concatenate([make(1).audio, np.zeros(2 * RATE_HZ, np.float32), make(2).audio])
    client(service.uri).send(make(3, audio=audio))
    assert service.heard[0].audio.size < 1.3 * RATE_HZ
    assert stored(tmp_path)[0]["duration_s"] == 3.0


def test_nothing_understood_is_handed_on_as_such(
    recognise: Any, client: Any, make: Any, tmp_path: Path
) -> None:
    client(recognise(says("")).uri).send(make())
    assert stored(tmp_path)[0]["text"] == ""


def test_a_recogniser_that_streams_and_pings(
    recognise: Any, client: Any, make: Any, tmp_path: Path
) -> None:
    answer = [Ping("?"), TranscriptStart(), TranscriptChunk("he"), Transcript("hello")]
    client(recognise(lambda heard: answer).uri).send(make())
    assert stored(tmp_path)[0]["text"] == "hello"


def test_a_transcript_without_end_is_cut_and_stays_fit_for_a_file(
    serve_bytes: Any, client: Any, make: Any, tmp_path: Path
) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while b"audio-stop" not in await reader.readline():
            pass
        data = b'{"text": "\\ud800' + b"a" * 20_000 + b'"}'
        writer.write(b'{"type": "transcript", "data_length": %d}\n' % len(data) + data)
        await writer.drain()

    client(serve_bytes(behave).uri).send(make())
    assert stored(tmp_path)[0]["text"] == "?" + "a" * 4095


def test_a_unix_socket(recognise: Any, client: Any, make: Any, tmp_path: Path) -> None:
    service = recognise(says("hello"), uri=f"unix://{tmp_path}/asr.sock")
    client(service.uri).send(make())
    assert stored(tmp_path)[0]["text"] == "hello"


def test_a_name_is_looked_up(recognise: Any, client: Any, make: Any, tmp_path: Path) -> None:
    uri = recognise(says("hello")).uri.replace("127.0.0.1", "localhost")
    client(uri).send(make())
    assert stored(tmp_path)[0]["text"] == "hello"


def test_one_forwarder_takes_many_commands(
    recognise: Any, client: Any, make: Any, tmp_path: Path
) -> None:
    service = recognise(says("hello"))
    forwarder = client(service.uri)
    for number in range(5):
        forwarder.send(make(number))
    assert len(service.heard) == len(stored(tmp_path)) == 5


def test_a_recogniser_that_is_back_soon_gets_the_command(
    recognise: Any, client: Any, make: Any, tmp_path: Path
) -> None:
    uri = f"unix://{tmp_path}/asr.sock"
    forwarder = client(uri, keep_s=3.0)
    failed: list[BaseException] = []

    def send() -> None:
        try:
            forwarder.send(make())
        except BaseException as error:
            failed.append(error)

    sending = threading.Thread(target=send)
    sending.start()
    time.sleep(0.3)
    recognise(says("hello"), uri=uri)
    sending.join(10)
    assert failed == []
    assert stored(tmp_path)[0]["text"] == "hello"


def test_a_connection_that_breaks_is_tried_again(
    recognise: Any, client: Any, make: Any, tmp_path: Path
) -> None:
    service = recognise(lambda heard: [Transcript("hello")] if len(service.heard) > 1 else None)
    client(service.uri, keep_s=2.0).send(make())
    assert len(service.heard) == 2
    assert len(stored(tmp_path)) == 1


class TestFailures:
    """A command that did not arrive is a ForwardError, soon, and nothing comes next."""

    @pytest.fixture(autouse=True)
    def _nothing_stored(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Any:
        caplog.set_level(logging.DEBUG)
        yield
        assert stored(tmp_path) == []
        assert "secret" not in caplog.text

    def test_nobody_there(self, client: Any, make: Any) -> None:
        forwarder = client("tcp://127.0.0.1:9")
        with pytest.raises(ForwardError, match=r"127\.0\.0\.1:9 cannot be reached \(.*uri"):
            forwarder.send(make())

    def test_no_such_host(self, client: Any, make: Any) -> None:
        with pytest.raises(ForwardError, match="cannot be reached"):
            client("tcp://no-such-host.invalid:10300").send(make())

    def test_a_resolver_that_hangs_costs_no_more_than_the_time_out(
        self, client: Any, make: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        let_go = threading.Event()
        monkeypatch.setattr(connection.socket, "getaddrinfo", lambda *a, **k: [let_go.wait(30)][:0])
        forwarder = client("tcp://slow.example:10300", timeout_s=1.0)
        try:
            with pytest.raises(ForwardError, match=r"did not answer within 0\.5 s"):
                forwarder.send(make())
            forwarder.close()  # does not wait for it
        finally:
            let_go.set()

    def test_an_error_event_is_told_by_its_code_only(
        self, recognise: Any, client: Any, make: Any
    ) -> None:
        reply = [Error("the secret was said", "no-model")]
        with pytest.raises(ForwardError, match=r"refused a command \(no-model\)") as caught:
            client(recognise(lambda heard: reply).uri).send(make())
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize("code", [None, "a secret", "secret\n", 5, "x" * 50, {}])
    def test_a_code_that_may_be_anything_is_left_out(
        self, recognise: Any, client: Any, make: Any, code: object
    ) -> None:
        reply = [Event("error", {"text": "secret", "code": code})]
        with pytest.raises(ForwardError, match="refused a command:"):
            client(recognise(lambda heard: reply).uri).send(make())

    @pytest.mark.parametrize("text", [None, 5, ["secret"]])
    def test_a_transcript_that_is_no_text(
        self, recognise: Any, client: Any, make: Any, text: object
    ) -> None:
        reply = [Event("transcript", {"text": text})]
        with pytest.raises(ForwardError, match="does not keep to Wyoming"):
            client(recognise(lambda heard: reply).uri).send(make())

    def test_events_without_end(self, recognise: Any, client: Any, make: Any) -> None:
        reply = [TranscriptChunk("secret")] * 1001
        with pytest.raises(ForwardError, match="sends no transcript"):
            client(recognise(lambda heard: reply).uri).send(make())

    def test_a_recogniser_that_hangs_up(self, recognise: Any, client: Any, make: Any) -> None:
        with pytest.raises(ForwardError, match="ended the connection without a transcript"):
            client(recognise(lambda heard: None).uri).send(make())

    def test_a_recogniser_that_never_answers(
        self, serve_bytes: Any, client: Any, make: Any
    ) -> None:
        async def behave(reader: asyncio.StreamReader, writer: object) -> None:
            while await reader.read(4096):
                pass

        service = serve_bytes(behave)
        with pytest.raises(ForwardError, match=r"did not answer within 0\.7 s.*forward\.timeout_s"):
            client(service.uri, timeout_s=1.2).send(make())

    def test_a_recogniser_that_reads_nothing(
        self, serve_bytes: Any, client: Any, make: Any
    ) -> None:
        async def behave(reader: asyncio.StreamReader, writer: object) -> None:
            await asyncio.sleep(60)

        service = serve_bytes(behave)
        forwarder = client(service.uri, timeout_s=1.2)
        with pytest.raises(ForwardError):
            forwarder.send(make(seconds=60.0))

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 400 the secret\r\n\r\n",
            b"x" * 20_000,
            b'{"type": "transcript", "payload_length": 4294967296}\n' + b"secret" * 1000,
            b'{"type": "transcript", "data_length": 100}\n{"text": "secr',
        ],
        ids=["another protocol", "an endless line", "4 GB", "cut off"],
    )
    def test_garbage(self, serve_bytes: Any, client: Any, make: Any, answer: bytes) -> None:
        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(answer)
            await writer.drain()
            writer.write_eof()
            while await reader.read(4096):
                pass

        with pytest.raises(ForwardError, match=r"does not keep to Wyoming|cannot be reached"):
            client(serve_bytes(behave).uri).send(make())

    def test_an_answer_that_trickles(
        self, serve_bytes: Any, client: Any, make: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "EVENT_S", 0.3)

        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                writer.write(b" ")
                await asyncio.sleep(0.02)

        with pytest.raises(ForwardError, match="in time"):
            client(serve_bytes(behave).uri, timeout_s=10.0).send(make())

    def test_what_comes_next_fails(self, recognise: Any, make: Any, tmp_path: Path) -> None:
        settings = ForwardSettings(
            kind="wyoming_asr",
            argv=(sys.executable, "-c", "import sys; sys.stdin.buffer.read(); sys.exit(3)"),
            timeout_s=20.0,
            wyoming={"uri": recognise(says("secret")).uri, "then": "command"},
        )
        forwarder = open_forwarder(settings)
        with pytest.raises(ForwardError, match="ended with status 3"):
            forwarder.send(make())
        forwarder.close()

    def test_closed_meanwhile(self, serve_bytes: Any, client: Any, make: Any) -> None:
        async def behave(reader: asyncio.StreamReader, writer: object) -> None:
            await asyncio.sleep(60)

        forwarder = client(serve_bytes(behave).uri, timeout_s=30.0)
        closing = threading.Timer(0.3, forwarder.close)
        closing.start()
        begun = time.monotonic()
        with pytest.raises(ForwardError):
            forwarder.send(make())
        assert time.monotonic() - begun < 10.0
        closing.join()
        forwarder.close()
        with pytest.raises(ForwardError):
            forwarder.send(make())


class TestTls:
    """With tls the recogniser must show who it is."""

    @staticmethod
    def server(certificate: Any) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.cert, certificate.key)
        return context

    @staticmethod
    async def recogniser(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while b"audio-stop" not in await reader.readline():
            pass
        writer.write(b'{"type": "transcript", "data": {"text": "hello"}}\n')
        await writer.drain()

    def test_one_whose_authority_is_known(
        self, serve_bytes: Any, client: Any, make: Any, certificate: Any, tmp_path: Path
    ) -> None:
        service = serve_bytes(self.recogniser, self.server(certificate))
        client(service.uri, ca_file=certificate.cert).send(make())
        assert stored(tmp_path)[0]["text"] == "hello"

    def test_one_whose_authority_is_not(
        self, serve_bytes: Any, client: Any, make: Any, certificate: Any
    ) -> None:
        service = serve_bytes(self.recogniser, self.server(certificate))
        with pytest.raises(ForwardError, match=r"(?i)certificate"):
            client(service.uri).send(make())

    def test_one_with_another_name(
        self, serve_bytes: Any, client: Any, make: Any, certificate: Any
    ) -> None:
        service = serve_bytes(self.recogniser, self.server(certificate))
        uri = service.uri.replace("127.0.0.1", "localhost")
        with pytest.raises(ForwardError, match=r"(?i)mismatch"):
            client(uri, ca_file=certificate.cert).send(make())

    def test_authorities_that_are_none(self, client: Any, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").write_text("no certificate")
        for name in ("ca.pem", "no-such.pem"):
            with pytest.raises(ForwardError, match=rf"{name} cannot be used .*ca_file"):
                client("tls://127.0.0.1:10300", ca_file=tmp_path / name)
