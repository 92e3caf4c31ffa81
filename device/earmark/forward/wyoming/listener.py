"""Where peers connect: only those on the list, only so many, each bounded in memory and time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import stat
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from earmark.errors import ForwardError
from earmark.forward.wyoming.address import Address, Peers
from earmark.forward.wyoming.connection import BUFFER_BYTES, Connection, LoopThread
from earmark.forward.wyoming.framing import ProtocolError
from earmark.owner_socket import answers, owner_socket

_log = logging.getLogger(__name__)

MAX_CONNECTIONS = 16
"""Most connections at once, 0.5 MB each at worst. Home Assistant needs two, now and then three."""

BACKLOG = 64
"""Connections that wait to be accepted: a flood of others must not make a peer wait for seconds."""

HANDSHAKE_S = 3.0
"""Longest TLS handshake, s: three times what a Pi under load takes."""

MAX_NAMED = 100
"""Most refused addresses that are remembered, so that each is logged once."""

ACCEPT_PAUSE_S = 0.2
"""Pause when the system cannot accept, s: it has run out of files, and trying again at once
would take the processor that whoever is to close some needs."""

SLACK_S = 0.5
"""What a calling thread waits longer than the work on the loop, s, so that it ends in order."""

Handle = Callable[[Connection, str], Awaitable[None]]
"""Serves one peer: its connection and its address ("" on a socket in the file system)."""


class Listener:
    """A listening socket.

    Parameters
    ----------
    address : where to listen.
    peers : who may connect by tcp and tls; by ``unix`` whoever may open the socket, its owner.
    tls : context for a ``tls`` address.
    handle : serves a peer. What it raises for a peer's fault is logged, and ends that peer only.

    Raises
    ------
    ForwardError
        The address cannot be listened at.
    """

    def __init__(
        self, address: Address, peers: Peers, tls: ssl.SSLContext | None, handle: Handle
    ) -> None:
        self._address = address
        self._peers = peers
        self._tls = tls
        self._handle = handle
        self._refused: set[str] = set()
        self._faulty: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        try:
            self._socket = _bound(address)
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise ForwardError(
                f"cannot listen at {address} ({why})",
                "stop what listens there, or name another address in forward.wyoming.listen",
            ) from error

    @property
    def port(self) -> int:
        """The port; 0 for a socket in the file system."""
        return 0 if self._address.path is not None else int(self._socket.getsockname()[1])

    async def run(self) -> None:
        """Serve peers until cancelled."""
        loop = asyncio.get_running_loop()
        failing = False
        while True:
            try:
                sock, where = await loop.sock_accept(self._socket)
            except OSError as error:
                level = logging.DEBUG if failing else logging.WARNING
                _log.log(level, "forward: cannot accept a connection: %s", error.strerror)
                failing = True
                await asyncio.sleep(ACCEPT_PAUSE_S)
                continue
            failing = False
            peer = "" if self._address.path is not None else str(where[0])
            if not self._may(peer) or len(self._tasks) >= MAX_CONNECTIONS:
                sock.close()  # before a byte is read or, with TLS, a key is exchanged
                continue
            task = asyncio.create_task(self._serve(sock, peer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Stop listening. Twice is harmless."""
        self._socket.close()
        if self._address.path is not None:
            self._address.path.unlink(missing_ok=True)

    def _may(self, peer: str) -> bool:
        if self._address.path is not None or peer in self._peers:
            return True
        if self._first_time(self._refused, peer):
            _log.warning(
                "forward: %s may not connect: add it to forward.wyoming.peers if it should", peer
            )
        return False

    @staticmethod
    def _first_time(known: set[str], peer: str) -> bool:
        first = peer not in known and len(known) < MAX_NAMED
        if first:
            known.add(peer)
        return first

    async def _serve(self, sock: socket.socket, peer: str) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(BUFFER_BYTES, loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        limits = {"ssl_handshake_timeout": HANDSHAKE_S} if self._tls else {}
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol, sock, ssl=self._tls, **limits
            )
        except OSError as error:  # ssl.SSLError, and a peer that says nothing
            _log.info("forward: no TLS with %s: %s", peer, type(error).__name__)
            sock.close()
            return
        connection = Connection(reader, asyncio.StreamWriter(transport, protocol, reader, loop))
        try:
            await self._handle(connection, peer)
        except ProtocolError as error:
            # The first time is worth a look; whoever tries again and again would fill the journal.
            level = logging.WARNING if self._first_time(self._faulty, peer) else logging.DEBUG
            _log.log(level, "forward: %s was disconnected: %s", peer or "a peer", error)
        except OSError as error:
            _log.info("forward: %s is gone: %s", peer or "a peer", type(error).__name__)
        except Exception as error:
            # The type only: a message might quote what was said.
            _log.error("forward: a link failed: %s", type(error).__name__)
        finally:
            connection.close()


class Server:
    """A listener at work on a thread of its own: what a forwarder stands on that peers connect to.

    Parameters
    ----------
    name : of the thread.
    listener : what listens; it is closed with this.
    announce : announces the service, given its port.
    """

    def __init__(
        self,
        name: str,
        listener: Listener,
        announce: Callable[[int], Coroutine[Any, Any, None]] | None,
    ) -> None:
        self._listener = listener
        self._thread = LoopThread(name)
        self._thread.start(listener.run())
        if announce is not None:
            self._thread.start(announce(self.port))

    @property
    def port(self) -> int:
        """The port that peers connect to."""
        return self._listener.port

    def call(self, work: Coroutine[Any, Any, None], timeout_s: float) -> None:
        """Do `work`, which itself ends within `timeout_s`; raises as of :meth:`LoopThread.call`."""
        self._thread.call(work, timeout_s + SLACK_S)

    def close(self) -> None:
        """Disconnect everybody. Twice is harmless."""
        self._thread.close()
        self._listener.close()


def _bound(address: Address) -> socket.socket:
    if address.path is not None:
        return _bound_path(address.path)
    dual = address.host == "::" and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.create_server(
        (address.host, address.port),
        family=family,
        backlog=BACKLOG,
        dualstack_ipv6=dual,
    )
    sock.setblocking(False)
    return sock


def _bound_path(path: Path) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.lstat().st_mode) and not _answers(path):
            path.unlink()  # left over from a crash
    return owner_socket(path, BACKLOG)


def _answers(path: Path) -> bool:
    try:
        return answers(path)
    except OSError:
        return True
