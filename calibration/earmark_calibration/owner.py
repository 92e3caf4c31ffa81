"""What root writes for a technician belongs to the technician.

The tool needs root's rights for the settings and the microphone, so it is run with sudo. Reports
are then copied off the device by whoever ran it, without sudo.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path


def give(handle: int, environ: Mapping[str, str] = os.environ) -> None:
    """Let an open file belong to who ran sudo; a disk that knows no owners is left alone."""
    if (who := _asked(environ)) is not None:
        with suppress(OSError):
            os.fchown(handle, *who)


def make_folder(folder: Path, mode: int = 0o755, environ: Mapping[str, str] = os.environ) -> None:
    """Make a folder, and those above it, for who ran sudo; one that is there stays as it is.

    Raises
    ------
    OSError
        It cannot be made, or is a file.
    """
    missing = [one for one in (folder, *folder.parents) if not os.path.lexists(one)]
    folder.mkdir(mode=mode, parents=True, exist_ok=True)
    if (who := _asked(environ)) is not None:
        for one in missing:
            with suppress(OSError):
                os.chown(one, *who, follow_symlinks=False)


def _asked(environ: Mapping[str, str]) -> tuple[int, int] | None:
    """User and group of who ran sudo, for root; None otherwise."""
    said = environ.get("SUDO_UID", ""), environ.get("SUDO_GID", "")
    if os.geteuid() != 0 or not all(one.isascii() and one.isdecimal() for one in said):
        return None
    return int(said[0]), int(said[1])
