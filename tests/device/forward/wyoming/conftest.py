"""Peers: a recogniser made of the `wyoming` package's own server, and one that sends any bytes."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from wyoming.asr import Transcript
from wyoming.audio import AudioChunk, AudioStop
from wyoming.client import AsyncClient
from wyoming.event import Event, Eventable
from wyoming.server import AsyncEventHandler, AsyncServer

from earmark.signal import Signal

from .ports import free_port

# The same examples each time, and nothing kept between runs.
hypothesis.settings.register_profile("earmark", derandomize=True, database=None, deadline=None)
hypothesis.settings.load_profile("earmark")


@dataclass
class Heard:
    """What the recogniser was asked."""

    events: list[Event] = field(default_factory=list)

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events]

    @property
    def audio(self) -> Signal:
        chunks = [AudioChunk.from_event(e) for e in self.events if AudioChunk.is_type(e.type)]
        assert all((c.rate, c.width, c.channels) == (16000, 2, 1) for c in chunks)
        pcm = np.frombuffer(b"".join(c.audio for c in chunks), "<i2")
        return pcm.astype(np.float32) / 32768.0


Reply = Callable[[Heard], list[Event | Eventable] | None]
"""What the recogniser answers at the end of the audio; None ends the connection."""


class _Recogniser(AsyncEventHandler):
    def __init__(self, heard: list[Heard], reply: Reply, *streams: object) -> None:
        super().__init__(*streams)  # type: ignore[arg-type]
        self._heard = Heard()
        heard.append(self._heard)
        self._reply = reply

    async def handle_event(self, event: Event) -> bool:
        self._heard.events.append(event)
        if AudioStop.is_type(event.type):
            answer = self._reply(self._heard)
            for one in answer or ():
                await self.write_event(one if isinstance(one, Event) else one.event())
            return answer is not None
        return True


@dataclass
class Service:
    """A server on a thread of its own."""

    uri: str
    heard: list[Heard] = field(default_factory=list)


@contextlib.contextmanager
def on_a_thread(main: Callable[[], object]) -> Iterator[asyncio.AbstractEventLoop]:
    """Run `main` (a coroutine function that returns once it serves) on a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(main(), loop).result(10)  # type: ignore[arg-type]
        yield loop
    finally:

        async def end() -> None:
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


Recognise = Callable[..., Service]


@pytest.fixture
def recognise() -> Iterator[Recognise]:
    """Return a function that starts a recogniser: (reply, uri=...) -> Service."""
    with contextlib.ExitStack() as opened:

        def start(reply: Reply, uri: str | None = None) -> Service:
            service = Service(uri or f"tcp://127.0.0.1:{free_port()}")
            server = AsyncServer.from_uri(service.uri)
            opened.enter_context(
                on_a_thread(partial(server.start, partial(_Recogniser, service.heard, reply)))
            )
            return service

        yield start


def says(text: str) -> Reply:
    return lambda heard: [Transcript(text)]


Raw = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]


@pytest.fixture
def serve_bytes() -> Iterator[Callable[[Raw], Service]]:
    """Return a function that starts a server which does anything: (coroutine function) -> it."""
    with contextlib.ExitStack() as opened:

        def start(behave: Raw, ssl: object = None) -> Service:
            port = free_port()

            async def serve() -> None:
                async def handle(
                    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
                ) -> None:
                    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                        await behave(reader, writer)  # type: ignore[misc]
                    writer.close()

                await asyncio.start_server(handle, "127.0.0.1", port, ssl=ssl)  # type: ignore[arg-type]

            opened.enter_context(on_a_thread(serve))
            return Service(f"{'tls' if ssl else 'tcp'}://127.0.0.1:{port}")

        yield start


@dataclass(frozen=True)
class Certificate:
    cert: Path
    key: Path


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate of 127.0.0.1 that is its own authority."""
    folder = tmp_path_factory.mktemp("tls")
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "earmark")])
    now = datetime.now(UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    made.cert.write_bytes(cert.public_bytes(Encoding.PEM))
    made.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return made


class Caller:
    """Somebody who connects to us, made of the `wyoming` package's client.

    Parameters
    ----------
    reply : what it answers at the end of a command's audio.
    """

    def __init__(self, uri: str, reply: Callable[[], list[Event | Eventable]]) -> None:
        self.heard = Heard()
        self._client = AsyncClient.from_uri(uri)
        self._reply = reply
        self._came = threading.Condition()
        self.gone = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def begin(self) -> None:
        await self._client.connect()
        self._loop = asyncio.get_running_loop()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            while (event := await self._client.read_event()) is not None:
                with self._came:
                    self.heard.events.append(event)
                    self._came.notify_all()
                if AudioStop.is_type(event.type):
                    await self._write(self._reply())
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.gone.set()
            with contextlib.suppress(OSError):
                await self._client.disconnect()

    async def _write(self, events: list[Event | Eventable]) -> None:
        for event in events:
            await self._client.write_event(event if isinstance(event, Event) else event.event())

    def write(self, *events: Event | Eventable) -> None:
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self._write([*events]), self._loop).result(10)

    def write_soon(self, *events: Event | Eventable) -> None:
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self._write([*events]), self._loop)

    def hang_up(self) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._reading.cancel)
        assert self.gone.wait(10)

    def wait(self, kind: str, count: int = 1) -> Event:
        """Wait for the `count`-th event of `kind`."""
        with self._came:
            assert self._came.wait_for(lambda: self.heard.types.count(kind) >= count, 10), (
                f"no {kind} among {self.heard.types}"
            )
            return [event for event in self.heard.events if event.type == kind][count - 1]


@pytest.fixture
def call() -> Iterator[Callable[..., Caller]]:
    """Return a function that connects to a uri: (uri, reply=...) -> Caller."""
    with contextlib.ExitStack() as opened:

        def start(uri: str, reply: Callable[[], list[Event | Eventable]] = lambda: []) -> Caller:
            caller = Caller(uri, reply)
            opened.enter_context(on_a_thread(caller.begin))
            return caller

        yield start
