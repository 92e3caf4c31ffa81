"""ALSA's plugins, such as the one that reaches a sound server, stay loaded once they are.

PortAudio unloads them when it lists the cards anew. Once in some 50 openings, with the machine
busy, the process crashed in memory that was no longer mapped: most likely a thread of such a
plugin that was just ending. It has not been seen since they are kept.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path

MAPS = Path("/proc/self/maps")
"""What is loaded into this process; on systems without it there is no ALSA either."""

MARK = "/libasound_module_"
"""In the path of every plugin of ALSA."""


def keep_plugins(maps: Path = MAPS) -> int:
    """Keep every plugin that is loaded now for as long as the process runs; how many there are."""
    try:
        lines = maps.read_text().splitlines()
    except OSError:
        return 0
    paths = {line[line.index("/") :] for line in lines if MARK in line}
    for path in paths:
        with contextlib.suppress(OSError):  # removed by an update meanwhile
            ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_NODELETE | os.RTLD_LAZY)
    return len(paths)
