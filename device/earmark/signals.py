"""Signals, heard by a thread of their own, whatever the main thread is doing.

Python calls a signal handler in the main thread, between two of its instructions. While that
thread is inside a sound library which opens a card, that may take for ever. The handlers here do
nothing; what wakes the thread is the byte that the interpreter writes from the C handler itself.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

STOPPING = (signal.SIGTERM, signal.SIGINT)
"""End the service. Ctrl-C is the same as a stop by the service manager."""


def has_terminal() -> bool:
    """Whether a terminal controls this process, and is there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def outlives_terminal() -> bool:
    """Whether this process is to go on when its terminal is closed: it has none, or `nohup`."""
    return signal.getsignal(signal.SIGHUP) is signal.SIG_IGN or not has_terminal()


class Signals:
    """While entered, SIGTERM and SIGINT call `stop` and SIGHUP calls `reload`, in a thread.

    To be entered and left in the main thread. What was set before is restored.

    Parameters
    ----------
    stop, reload : must return soon, and may be called several times.
    """

    def __init__(self, stop: Callable[[], None], reload: Callable[[], None]) -> None:
        self._calls = {**dict.fromkeys(STOPPING, stop), signal.SIGHUP: reload}
        self._before: dict[signal.Signals, Any] = {}
        self._fd_before = -1
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)  # the interpreter demands it
        self._fd_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, _nothing) for number in self._calls}
        self._thread = threading.Thread(target=self._listen, name="earmark-signals", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._fd_before)
        self._writer.close()
        if self._thread is not None:
            self._thread.join()
        self._reader.close()

    def _listen(self) -> None:
        while numbers := self._reader.recv(64):
            for number in numbers:
                call = self._calls.get(number)  # type: ignore[call-overload]
                if call is not None:
                    call()


def _nothing(*_: object) -> None:
    """Keep the interpreter from its own handler."""
