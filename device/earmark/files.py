"""What several parts do with files that must outlast a power cut, and that others may want too."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_POLL_S = 0.01
"""Pause between two tries to get a lock, s."""


def flush_folder(folder: Path) -> None:
    """Flush the names in `folder` to the disk, so that a power cut does not take a new one.

    Raises
    ------
    OSError
        The disk refuses.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def lock(handle: int, wait_s: float) -> bool:
    """Lock an open file or folder against other processes, until it is closed.

    Parameters
    ----------
    wait_s : longest wait for who holds it, s.

    Returns
    -------
    False when somebody held it all the time.
    """
    waits_until = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= waits_until:
                return False
            time.sleep(_POLL_S)


def replace_file(path: Path, raw: bytes, prepare: Callable[[int], None]) -> None:
    """Put `raw` in the place of the file: there is the old content or the new, never a mix.

    The new file is for its owner only. Its name is flushed when the caller flushes the folder.

    Parameters
    ----------
    prepare : given the new file, open, before anything is in it.

    Raises
    ------
    OSError
        The disk refuses. The old file is unchanged.
    """
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)  # of a process that was killed here
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(new, flags, 0o600)
    try:
        with open(handle, "wb") as file:
            os.fchmod(handle, 0o600)  # whatever the umask
            prepare(handle)
            file.write(raw)
            file.flush()
            os.fsync(handle)
        os.replace(new, path)
    except BaseException:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise
