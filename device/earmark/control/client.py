"""The other end of the control socket: what the commands ask a running daemon with."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from earmark.control.protocol import MAX_REPLY_BYTES, ControlError, Request, line

TIMEOUT_S = 5.0
"""Longest wait for an answer, s: a mute waits 2 s for an audio loop that hangs."""


class NoDaemon(ControlError):
    """Nobody listens at the control socket."""


class NoAccess(ControlError):
    """The daemon does not listen to this user."""


def ask(path: Path, request: Request, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """Send a request to the daemon and return its answer.

    Parameters
    ----------
    path : the control socket.
    timeout_s : longest wait for the whole answer, s.

    Raises
    ------
    NoDaemon
        No daemon runs.
    NoAccess
        This user may not ask it.
    ControlError
        It did not answer in time, or refused.
    """
    with _connected(path, request, timeout_s) as lines:
        return next(lines)


@contextmanager
def listen(
    path: Path, timeout_s: float = TIMEOUT_S, idle_s: float | None = None
) -> Iterator[Iterator[dict[str, Any]]]:
    """Follow the events of a daemon; an iterator that ends with the daemon.

    Parameters
    ----------
    timeout_s : longest wait for the daemon to agree, s.
    idle_s : longest wait for one event, s; None waits for ever.

    Raises
    ------
    ControlError
        As of :func:`ask`.
    """
    with _connected(path, Request.EVENTS, timeout_s, idle_s) as lines:
        next(lines)
        yield lines


@contextmanager
def _connected(
    path: Path, request: Request, timeout_s: float, idle_s: float | None = None
) -> Iterator[Iterator[dict[str, Any]]]:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    with made:
        made.settimeout(timeout_s)
        try:
            made.connect(str(path))
            with suppress(BrokenPipeError):  # turned away already: the answer says why
                made.sendall(line({"request": request.value}))
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            raise NoDaemon(
                f"no daemon runs here (nobody listens at {path})",
                "start it: systemctl start earmark, or earmark run",
            ) from None
        except PermissionError:
            raise NoAccess(
                f"the daemon does not listen to this user ({path})", "ask it as root: sudo"
            ) from None
        except OSError as error:
            raise ControlError(
                f"{path}: the daemon cannot be asked ({error.strerror or error})",
                "try again; if it repeats: systemctl restart earmark",
            ) from None
        yield _answers(made, path, timeout_s, idle_s)


def _answers(
    connection: socket.socket, path: Path, timeout_s: float, idle_s: float | None
) -> Iterator[dict[str, Any]]:
    """The lines that arrive, each bounded in length and in time; the first must be a consent."""
    waiting = b""
    first = True
    while True:
        until_s = time.monotonic() + timeout_s if first else None
        while b"\n" not in waiting:
            left_s = idle_s if until_s is None else max(0.001, until_s - time.monotonic())
            try:
                connection.settimeout(left_s)
                part = connection.recv(65536)
            except (TimeoutError, ConnectionError):
                part = b""
                late = True
            else:
                late = False
            waiting += part
            over = until_s is not None and time.monotonic() >= until_s
            if len(waiting) > MAX_REPLY_BYTES or (first and (not part or over)):
                raise ControlError(
                    f"{path}: the daemon did not answer",
                    "try again; if it repeats: systemctl restart earmark",
                )
            if not part:
                if late:
                    raise ControlError(f"{path}: no event came", "wait longer")
                return
        text, _, waiting = waiting.partition(b"\n")
        yield _checked(text, path) if first else json.loads(text)
        first = False


def _checked(text: bytes, path: Path) -> dict[str, Any]:
    try:
        tree: Any = json.loads(text)
        if tree["ok"] is True:
            return dict(tree)
        error, do = str(tree["error"]), str(tree["do"])
    except (ValueError, KeyError, TypeError):
        raise ControlError(
            f"{path}: the daemon's answer is not understood",
            "restart it, so that it has the version of this command: systemctl restart earmark",
        ) from None
    raise ControlError(error, do)
