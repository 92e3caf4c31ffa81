"""Connections that are bounded in memory and time, and the thread that they live on."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
import ssl
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError as FutureCancelled
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import Any, TypeVar

from wyoming.event import Event, Eventable

from earmark.forward.wyoming.address import Address
from earmark.forward.wyoming.framing import Decoder, Fault, ProtocolError, encode

READ_BYTES = 4096
"""Most that is read at once: what a hostile peer can make us parse before others have a turn."""

BUFFER_BYTES = 64 * 1024
"""What asyncio may buffer in either direction; it pauses a peer at twice that."""

EVENT_S = 5.0
"""Longest time for an event to come whole, s. A quarter of a megabyte takes 0.2 s on bad Wi-Fi;
who sends it byte by byte holds a place that others need."""

WRITE_S = 3.0
"""Longest wait for a peer to take what is written, s: it reads nothing any more."""

RETRY_FIRST_S = 0.1
"""Pause before a connection is tried again, s: a service that restarts is back in a moment."""

RETRY_MAX_S = 0.8
"""Longest such pause, s; it doubles until then. A person waits meanwhile."""

CLOSE_S = 1.0
"""Longest wait for the thread to end, s: the service has 2 s to stop."""

_T = TypeVar("_T")

_log = logging.getLogger(__name__)


class Connection:
    """Events to and from one peer.

    Parameters
    ----------
    reader, writer : the stream; it is closed with :meth:`close`.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = Decoder()
        self._ended = False
        writer.transport.set_write_buffer_limits(high=BUFFER_BYTES)

    async def read(self, idle_s: float | None = None) -> Event | None:
        """The next event; None when the peer has ended the connection between two.

        Parameters
        ----------
        idle_s : longest wait for an event to begin, s; None for ever.

        Raises
        ------
        ProtocolError
            It broke the protocol, was too slow, or ended within an event.
        OSError
            The connection broke.
        """
        event = self._decoder.next()
        begun: float | None = None
        now = asyncio.get_running_loop().time
        while event is None:
            if self._decoder.unfinished and begun is None:
                begun = now()
            left_s = idle_s if begun is None else begun + EVENT_S - now()
            try:
                async with asyncio.timeout(left_s):
                    data = await self._reader.read(READ_BYTES)
            except TimeoutError:
                raise ProtocolError(Fault.SLOW) from None
            if not data:
                if self._decoder.unfinished:
                    raise ProtocolError(Fault.CUT_OFF)
                return None
            self._decoder.feed(data)
            event = self._decoder.next()
        return event

    async def write(self, *events: Event | Eventable) -> None:
        """Send events; see :meth:`send`."""
        await self.send(encode(events))

    async def send(self, data: bytes) -> None:
        """Send the bytes of whole events; nothing after :meth:`end`.

        Raises
        ------
        ProtocolError
            The peer does not read.
        OSError
            The connection broke.
        """
        if self._ended:
            return
        self._writer.write(data)
        try:
            async with asyncio.timeout(WRITE_S):
                await self._writer.drain()
        except TimeoutError:
            raise ProtocolError(Fault.SLOW) from None

    def end(self) -> None:
        """Tell the peer that nothing more comes, and go on reading until it is gone or silent.

        To close with bytes unread would reset the connection. Where it cannot be ended on one
        side alone (TLS), it is dropped.
        """
        if self._ended:
            return
        self._ended = True
        if not self._writer.can_write_eof():
            self.close()
            return
        with contextlib.suppress(OSError):  # gone meanwhile: reading tells
            self._writer.write_eof()

    def close(self) -> None:
        """Drop the connection, with what was not read or not sent. Twice is harmless."""
        self._writer.transport.abort()


async def connect(address: Address, context: ssl.SSLContext | None) -> Connection:
    """Connect to a service.

    Raises
    ------
    OSError
        It cannot be reached, or is not who it should be (``ssl.SSLError``).
    """
    if address.path is not None:
        reader, writer = await asyncio.open_unix_connection(address.path, limit=BUFFER_BYTES)
        return Connection(reader, writer)
    last: OSError = OSError(f"{address.host} has no address")
    for found in await _resolve(address.host, address.port):
        try:
            reader, writer = await asyncio.open_connection(
                found,
                address.port,
                limit=BUFFER_BYTES,
                ssl=context,
                server_hostname=address.host if context else None,
            )
        except OSError as error:
            last = error
        else:
            return Connection(reader, writer)
    raise last


async def _resolve(host: str, port: int) -> list[str]:
    """The addresses of `host`, at most four.

    In a thread of its own and not in the loop's executor: the system's resolver cannot be
    told to stop, and Python would wait for an executor's thread before it exits.
    """
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host.partition("%")[0])
        return [host]
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def settle(found: list[str] | OSError) -> None:
        if answer.done():
            return
        if isinstance(found, OSError):
            answer.set_exception(found)
        else:
            answer.set_result(found)

    def look_up() -> None:
        found: list[str] | OSError
        try:
            lines = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found = list(dict.fromkeys(str(line[4][0]) for line in lines))[:4]
        except OSError as error:
            found = error
        except UnicodeError:
            found = OSError(f"{host} is no host name")
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(settle, found)

    threading.Thread(target=look_up, name="earmark-resolve", daemon=True).start()
    return await answer


def client_context(ca_file: Path | None) -> ssl.SSLContext:
    """TLS towards a service: its certificate and its name are checked, always.

    Raises
    ------
    OSError
        The file of authorities cannot be read.
    """
    context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def server_context(cert_file: Path, key_file: Path, client_ca_file: Path | None) -> ssl.SSLContext:
    """TLS towards those who connect; with authorities, they must show a certificate of theirs.

    Raises
    ------
    OSError
        A file cannot be read or is none of what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert_file, key_file)
    if client_ca_file is not None:
        context.load_verify_locations(client_ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class LoopThread:
    """An event loop on a thread of its own: the audio never waits for a peer.

    Parameters
    ----------
    name : of the thread.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        with contextlib.suppress(Exception):
            rest = asyncio.all_tasks(self._loop)
            self._loop.run_until_complete(asyncio.wait(rest, timeout=CLOSE_S / 2))
        self._loop.close()

    def start(self, work: Coroutine[Any, Any, _T]) -> None:
        """Begin `work` on the loop, and let it run. Should it fail, that is logged."""
        self._submit(work).add_done_callback(_report)

    def call(self, work: Coroutine[Any, Any, _T], timeout_s: float) -> _T:
        """Do `work` on the loop and wait for it. It is cancelled when the time is over.

        Raises
        ------
        TimeoutError
            It took longer, or the loop was closed meanwhile.
        """
        future = self._submit(work)
        try:
            return future.result(timeout_s)
        except (FutureTimeout, FutureCancelled):
            future.cancel()
            raise TimeoutError from None

    def _submit(self, work: Coroutine[Any, Any, _T]) -> Future[_T]:
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:  # closed
            work.close()
            raise TimeoutError from None

    def close(self) -> None:
        """End what runs, and the thread. Twice is harmless."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_S)


def _report(done: Future[Any]) -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        # The type only: a message might quote what was said.
        _log.error("forward: the link stopped: %s", type(error).__name__)
