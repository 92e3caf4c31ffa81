"""The daemon's end of the control socket: one thread, nothing unbounded, nobody waited for.

Every connection has a deadline, a longest request and a longest backlog; there is a most of
them. A client that is slow, silent or talks too much is disconnected, and none of them is ever
in the way of the audio loop: that only puts events into a bounded queue.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import selectors
import socket
import stat
import struct
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from enum import Enum
from pathlib import Path

from earmark.control.protocol import (
    MAX_REQUEST_BYTES,
    ControlError,
    Request,
    answer,
    line,
    parsed,
    refusal,
)
from earmark.errors import EarmarkError
from earmark.owner_socket import answers, owner_socket

_log = logging.getLogger(__name__)

MAX_CLIENTS = 16
"""Most connections at a time: a few commands, a few that follow events. More are refused."""

MAX_LISTENERS = 8
"""Most clients that follow events, so that there is always room for a command."""

CLIENT_S = 2.0
"""Time for a client to send its request, and again to take the answer, s."""

ANSWER_S = 10.0
"""Longest that an answer may take to be made, s: a doctor looks at a slow disk."""

MAX_BACKLOG_BYTES = 64 * 1024
"""Most that waits for one client that follows events, bytes: some 400 events, an hour of an
evening. Who does not take them is disconnected."""

MAX_EVENTS = 256
"""Most events between the audio loop and the thread; there are ten a session."""

DEAF_S = 1.0
"""Pause when no connection can be taken (no file handles left), s."""

_SELECT_S = 1.0
"""Longest sleep of the thread, s; deadlines and events wake it sooner."""

Handler = Callable[[Request], "Future[Mapping[str, object]]"]
"""Answers a request. Called in the server's thread: it must not wait. A future that fails with
an :class:`EarmarkError` becomes a refusal."""


class _Phase(Enum):
    READING = "reading"
    ANSWERING = "answering"
    WRITING = "writing"
    LISTENING = "listening"


class _Client:
    def __init__(self, connection: socket.socket, deadline_s: float) -> None:
        self.connection = connection
        self.phase = _Phase.READING
        self.deadline_s = deadline_s
        self.inbox = bytearray()
        self.outbox = bytearray()
        self.hung_up = False


class ControlServer:
    """Listens at a unix socket that only its owner (and root) may use.

    Parameters
    ----------
    path : the socket; a missing folder is made, mode 0700.
    handler : answers requests; ``EVENTS`` is answered here.
    clock : monotonic time, s.

    Raises
    ------
    ControlError
        The socket cannot be made, or another daemon listens there.
    """

    def __init__(
        self, path: Path, handler: Handler, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._handler = handler
        self._clock = clock
        self._clients: dict[socket.socket, _Client] = {}
        self._events: queue.Queue[bytes] = queue.Queue(MAX_EVENTS)
        self._done: queue.SimpleQueue[tuple[_Client, Future[Mapping[str, object]]]]
        self._done = queue.SimpleQueue()
        self._deaf_until_s: float | None = None
        self._listener = _bound(path)
        self._inode = path.lstat().st_ino
        self._selector = selectors.DefaultSelector()
        self._alarm, self._bell = socket.socketpair()
        self._bell.setblocking(False)
        self._alarm.setblocking(False)
        self._over = threading.Event()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._alarm, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="earmark-control", daemon=True)
        self._thread.start()

    def publish(self, event: Mapping[str, object]) -> None:
        """Tell all who follow events; returns at once. Dropped when too many wait already."""
        with contextlib.suppress(queue.Full):
            self._events.put_nowait(line(event))
            self._ring()

    def close(self, wait_s: float = 0.5) -> None:
        """Disconnect everybody and remove the socket. Closing twice is harmless."""
        if self._over.is_set():
            return
        self._over.set()
        self._ring()
        self._thread.join(wait_s)
        with contextlib.suppress(OSError):
            if self._path.lstat().st_ino == self._inode:
                self._path.unlink()

    # -- the thread -----------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                self._turn()
        except Exception as error:  # the device goes on without its control socket
            _log.error("the control socket failed: %s", type(error).__name__)
        finally:
            for client in list(self._clients.values()):
                self._drop(client)
            self._selector.close()
            for one in (self._listener, self._alarm, self._bell):
                one.close()

    def _turn(self) -> None:
        for key, ready in self._selector.select(self._patience_s()):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj is self._alarm:
                with contextlib.suppress(BlockingIOError):
                    self._alarm.recv(4096)
            else:
                client = self._clients.get(key.fileobj)  # type: ignore[call-overload]
                if client is not None:
                    self._serve(client, ready)
        while not self._done.empty():
            self._answered(*self._done.get())
        while not self._events.empty():
            self._tell(self._events.get())
        self._expire()

    def _patience_s(self) -> float:
        now = self._clock()
        ends = [client.deadline_s for client in self._clients.values()]
        if self._deaf_until_s is not None:
            ends.append(self._deaf_until_s)
        return max(0.0, min([_SELECT_S, *(end - now for end in ends)]))

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:
            # Out of file handles: the connection would wake us over and over.
            self._selector.unregister(self._listener)
            self._deaf_until_s = self._clock() + DEAF_S
            return
        connection.setblocking(False)
        client = _Client(connection, self._clock() + CLIENT_S)
        if not _may_ask(connection):
            self._turn_away(client, "this user may not ask the daemon", "ask it as root: sudo")
        elif len(self._clients) >= MAX_CLIENTS:
            self._turn_away(client, "too many are asking the daemon", "try again")
        else:
            self._clients[connection] = client
            self._watch(client)

    @staticmethod
    def _turn_away(client: _Client, what: str, do: str) -> None:
        with contextlib.suppress(OSError):
            client.connection.send(refusal(ControlError(what, do)))
        client.connection.close()

    def _serve(self, client: _Client, ready: int) -> None:
        try:
            if ready & selectors.EVENT_READ:
                self._read(client)
            if ready & selectors.EVENT_WRITE and client.connection in self._clients:
                self._write(client)
        except BlockingIOError:
            pass
        except OSError:
            self._drop(client)

    def _read(self, client: _Client) -> None:
        data = client.connection.recv(MAX_REQUEST_BYTES)
        if not data:
            if client.phase in (_Phase.ANSWERING, _Phase.WRITING):
                client.hung_up = True  # it may still read, as after `... | socat - UNIX:...`
                self._watch(client)
            else:
                self._drop(client)
            return
        if client.phase is not _Phase.READING:
            return  # one request only; what follows is thrown away
        client.inbox += data
        text, end, _ = client.inbox.partition(b"\n")
        if len(client.inbox) > MAX_REQUEST_BYTES or len(text) >= MAX_REQUEST_BYTES:
            error = ControlError("the request is too long", f"send {MAX_REQUEST_BYTES} bytes")
            self._reply(client, refusal(error))
        elif end:
            client.inbox.clear()
            self._ask(client, bytes(text))

    def _ask(self, client: _Client, text: bytes) -> None:
        try:
            request = parsed(text)
            if request is Request.EVENTS:
                self._follow(client)
                return
            future = self._handler(request)
        except EarmarkError as error:
            self._reply(client, refusal(error))
            return
        client.phase = _Phase.ANSWERING
        client.deadline_s = self._clock() + ANSWER_S

        def done(answered: Future[Mapping[str, object]]) -> None:
            self._done.put((client, answered))
            self._ring()  # this is whichever thread made the answer

        future.add_done_callback(done)

    def _follow(self, client: _Client) -> None:
        following = [one for one in self._clients.values() if one.phase is _Phase.LISTENING]
        if len(following) >= MAX_LISTENERS:
            raise ControlError("too many follow the events", "end one of them")
        client.phase = _Phase.LISTENING
        client.deadline_s = float("inf")
        self._queue(client, answer())

    def _answered(self, client: _Client, future: Future[Mapping[str, object]]) -> None:
        if client.connection not in self._clients or client.phase is not _Phase.ANSWERING:
            return  # it has left
        try:
            reply = answer(**future.result())
        except EarmarkError as error:
            reply = refusal(error)
        except Exception as error:
            _log.error("no answer on the control socket: %s", type(error).__name__)
            reply = refusal(ControlError("the daemon could not answer", "see its journal"))
        self._reply(client, reply)

    def _reply(self, client: _Client, reply: bytes) -> None:
        client.phase = _Phase.WRITING
        client.deadline_s = self._clock() + CLIENT_S
        self._queue(client, reply)

    def _tell(self, event: bytes) -> None:
        for client in list(self._clients.values()):
            if client.phase is _Phase.LISTENING:
                self._queue(client, event)

    def _queue(self, client: _Client, data: bytes) -> None:
        client.outbox += data
        if client.phase is _Phase.LISTENING and len(client.outbox) > MAX_BACKLOG_BYTES:
            self._drop(client)
            return
        self._watch(client)

    def _watch(self, client: _Client) -> None:
        """Have the selector look for what this client needs, and for nothing else."""
        wanted = 0 if client.hung_up else selectors.EVENT_READ
        wanted |= selectors.EVENT_WRITE if client.outbox else 0
        watched = self._selector.get_map().get(client.connection)
        if watched is not None and wanted:
            self._selector.modify(client.connection, wanted)
        elif watched is not None:
            self._selector.unregister(client.connection)
        elif wanted:
            self._selector.register(client.connection, wanted)

    def _write(self, client: _Client) -> None:
        sent = client.connection.send(client.outbox)
        del client.outbox[:sent]
        if client.outbox:
            return
        if client.phase is _Phase.LISTENING:
            self._watch(client)
        else:
            self._drop(client)

    def _expire(self) -> None:
        now = self._clock()
        for client in [one for one in self._clients.values() if one.deadline_s <= now]:
            self._drop(client)
        if self._deaf_until_s is not None and self._deaf_until_s <= now:
            self._deaf_until_s = None
            self._selector.register(self._listener, selectors.EVENT_READ)

    def _drop(self, client: _Client) -> None:
        if self._clients.pop(client.connection, None) is not None:
            with contextlib.suppress(KeyError):
                self._selector.unregister(client.connection)
            client.connection.close()

    def _ring(self) -> None:
        # Full means that it rings already; closed, that nobody is there to hear it.
        with contextlib.suppress(OSError):
            self._bell.send(b"!")


def _may_ask(connection: socket.socket) -> bool:
    """The same user or root, by what the kernel says (unix(7), SO_PEERCRED)."""
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack(
        "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    )
    return uid in (0, os.geteuid())


def _bound(path: Path) -> socket.socket:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _clear(path)
        return owner_socket(path, MAX_CLIENTS)
    except OSError as error:
        raise ControlError(
            f"the control socket {path} cannot be made ({error.strerror or error})",
            "set control.path to a file in a folder of the user that runs Earmark, or to null",
        ) from None


def _clear(path: Path) -> None:
    """Remove a socket that a daemon which was killed has left behind."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise ControlError(
            f"{path} is there and is no socket", "remove it, or set control.path to another one"
        )
    if not answers(path):
        path.unlink()
        return
    raise ControlError(f"another daemon listens at {path}", "stop it first: systemctl stop earmark")
