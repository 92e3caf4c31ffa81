"""What the service manager is told, and the watchdog that it is fed (sd_notify(3)).

A datagram of ``KEY=value`` lines to the socket that ``NOTIFY_SOCKET`` names; without one, nothing.
No call here waits or raises: the audio loop makes them. What the socket does not take at once is
offered again with the next :meth:`Notifier.beat`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, MutableMapping

MAX_STATUS_CHARS = 200
"""Longest status, characters: one line of ``systemctl status``."""


class Notifier:
    """Tells the service manager how the service is.

    Parameters
    ----------
    address : the socket: a path, or with a leading ``@`` a name in the abstract namespace. None
        tells nobody.
    watchdog_s : time without a beat after which the manager kills the service, s; None or 0
        when it does not.
    clock : monotonic time, s.
    """

    def __init__(
        self,
        address: str | None,
        watchdog_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        # Half of the time-out, as sd_watchdog_enabled(3) advises: one beat may be missed.
        self._every_s = watchdog_s / 2.0 if watchdog_s else None
        self._due_s = float("-inf")
        self._status = ""
        self._owed: dict[str, str] = {}
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        if address:
            with contextlib.suppress(OSError, ValueError):
                self._socket = _connected(address)

    @classmethod
    def taken(cls, environ: MutableMapping[str, str]) -> Notifier:
        """The notifier that `environ` asks for; its variables are taken out of `environ`.

        So a program that commands are handed to cannot speak for the service.
        """
        address = environ.pop("NOTIFY_SOCKET", None)
        limit_us = environ.pop("WATCHDOG_USEC", "")
        pid = environ.pop("WATCHDOG_PID", str(os.getpid()))
        watched = pid == str(os.getpid()) and limit_us.isascii() and limit_us.isdigit()
        return cls(address, int(limit_us) / 1e6 if watched else None)

    def ready(self) -> None:
        """The service works: after its start, or after a reload."""
        self._tell(READY="1")

    def stopping(self) -> None:
        """The service is about to end."""
        self._tell(STOPPING="1")

    def reloading(self) -> None:
        """The settings are being read again; :meth:`ready` ends it."""
        # Not self._clock: the manager compares it with CLOCK_MONOTONIC.
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell(RELOADING="1", MONOTONIC_USEC=str(now_us))

    def status(self, text: str) -> None:
        """Say in one line what the service is doing; told only when it has changed."""
        text = " ".join(text.split())[:MAX_STATUS_CHARS]
        if text != self._status:
            self._status = text
            self._tell(STATUS=text)

    def beat(self) -> None:
        """The audio loop went round: feed the watchdog when it is time to."""
        due = self._every_s is not None and self._clock() >= self._due_s
        if due and self._every_s is not None and self._send(b"WATCHDOG=1"):
            self._due_s = self._clock() + self._every_s
        if self._owed:
            self._tell()

    def close(self) -> None:
        """Close the socket. Closing twice is harmless."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
            self._socket = None

    def _tell(self, **values: str) -> None:
        with self._lock:
            if "READY" in values or "STOPPING" in values:
                self._owed.pop("RELOADING", None)
            self._owed |= values
            lines = "\n".join(f"{key}={value}" for key, value in self._owed.items())
            if self._send(lines.encode("utf-8", "replace")):
                self._owed.clear()

    def _send(self, data: bytes) -> bool:
        """False when it should be offered again."""
        if self._socket is None:
            return True
        try:
            self._socket.send(data)
        except BlockingIOError:
            return False
        except OSError:
            return True  # nobody is there any more
        return True


def _connected(address: str) -> socket.socket:
    name = "\0" + address[1:] if address.startswith("@") else address
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        made.setblocking(False)
        made.connect(name)
    except (OSError, ValueError):
        made.close()
        raise
    return made
