"""Log lines for the systemd journal: with all their fields where it listens, else to stderr.

The fields need the journal's own socket (the native protocol, systemd.io/JOURNAL_NATIVE_PROTOCOL);
a line on stderr carries its priority alone, as a prefix such as ``<4>`` (sd-daemon(3)).
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

SOCKET = Path("/run/systemd/journal/socket")
"""Where the journal takes datagrams."""

_MAX_VALUE = 8192
"""Longest value sent, bytes: a datagram of a few such stays far under the socket's limit."""

_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
"""The least logging level of each syslog priority, the highest first; below is debug, 7."""


def priority(level: int) -> int:
    """Syslog priority (0 to 7) of a level of the logging module."""
    return next((value for least, value in _PRIORITIES if level >= least), 7)


def stderr_is_journal(environ: Mapping[str, str]) -> bool:
    """Tell whether stderr goes to the journal: ``JOURNAL_STREAM`` names its device and inode."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (AttributeError, OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM", "") == f"{status.st_dev}:{status.st_ino}"


def log_handler(environ: Mapping[str, str], journal: Path = SOCKET) -> logging.Handler:
    """Return the handler for this process: the journal's socket, prefixed stderr, or plain."""
    if not stderr_is_journal(environ):
        handler: logging.Handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        return handler
    with contextlib.suppress(OSError):
        return JournalHandler(journal)
    handler = logging.StreamHandler()
    handler.setFormatter(PrefixFormatter())
    return handler


class PrefixFormatter(logging.Formatter):
    """Puts the priority before every line, as sd-daemon(3) wants it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's text, each line with its prefix."""
        prefix = f"<{priority(record.levelno)}>"
        return "\n".join(prefix + line for line in super().format(record).splitlines())


class JournalHandler(logging.Handler):
    """Sends records to the journal, with those extra fields whose names are in capitals.

    Parameters
    ----------
    path : the journal's socket.

    Raises
    ------
    OSError
        Nothing listens there.
    """

    def __init__(self, path: Path = SOCKET) -> None:
        super().__init__()
        # Never blocking: a stuck journal must not hold up the audio.
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record. One that the journal does not take is lost, and nothing else."""
        fields = {
            key: value
            for key, value in record.__dict__.items()
            if key.isupper() and isinstance(value, str)
        }
        fields["PRIORITY"] = str(priority(record.levelno))
        fields["SYSLOG_IDENTIFIER"] = "earmark"
        fields["MESSAGE"] = self.format(record)
        with contextlib.suppress(OSError):
            self._socket.send(b"".join(_field(key, value) for key, value in fields.items()))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()


def _field(key: str, value: str) -> bytes:
    data = value.encode("utf-8", "replace")[:_MAX_VALUE]
    if b"\n" in data:
        return key.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
    return f"{key}=".encode() + data + b"\n"
