"""Unix sockets that only their owner may open, from the first moment on."""

from __future__ import annotations

import socket
from pathlib import Path

PROBE_S = 1.0
"""Longest wait for whoever may listen at a socket, s: a queue that is full makes us wait."""


def owner_socket(path: Path, backlog: int) -> socket.socket:
    """A socket that listens at `path`, mode 0600, and does not block.

    Raises
    ------
    OSError
        Something is there already, or it cannot be made.
    """
    made = socket.socket(socket.AF_UNIX)
    try:
        made.setblocking(False)
        made.bind(str(path))
        path.chmod(0o600)
        made.listen(backlog)  # nobody could connect before
    except BaseException:
        made.close()
        raise
    return made


def answers(path: Path) -> bool:
    """Whether somebody listens at the socket `path`; not so after a crash.

    Raises
    ------
    OSError
        That cannot be found out.
    """
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(PROBE_S)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
    return True
