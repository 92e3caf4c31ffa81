"""ALSA's plugins are kept loaded: which ones, and that the loader takes it."""

from __future__ import annotations

import ctypes.util
import subprocess
import sys
from pathlib import Path

import pytest

from earmark.audio.plugins import keep_plugins

MAPS = """
7f00-7f01 r-xp 00000000 fd:00 1  /usr/lib/x86_64-linux-gnu/libasound.so.2.0.0
7f02-7f03 r--p 00000000 fd:00 2  /nowhere/alsa-lib/libasound_module_pcm_pulse.so
7f04-7f05 r-xp 00001000 fd:00 2  /nowhere/alsa-lib/libasound_module_pcm_pulse.so
7f06-7f07 r-xp 00000000 fd:00 3  /nowhere/alsa-lib/libasound_module_pcm_jack.so
7f08-7f09 rw-p 00000000 00:00 0
"""


def test_each_plugin_counts_once_and_one_that_is_gone_is_no_error(tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    maps.write_text(MAPS)
    assert keep_plugins(maps) == 2


def test_where_nothing_tells_what_is_loaded_nothing_is_done(tmp_path: Path) -> None:
    assert keep_plugins(tmp_path / "none") == 0


STAYS = """
import ctypes, sys, _ctypes
from pathlib import Path
from earmark.audio import plugins
path = sys.argv[1]
plugins.MARK = "/" + Path(path).name
library = ctypes.CDLL(path)
if sys.argv[2] == "keep":
    assert plugins.keep_plugins() == 1
_ctypes.dlclose(library._handle)
print(path in Path("/proc/self/maps").read_text())
"""


@pytest.mark.parametrize("how", ["keep", "leave"])
def test_what_is_kept_outlives_its_unloading(how: str) -> None:
    """With any library that nothing else here uses in the place of a plugin."""
    import sysconfig

    folder = Path(sysconfig.get_paths()["platstdlib"]) / "lib-dynload"
    path = next(iter(sorted(folder.glob("_ctypes_test*.so"))), None) or next(
        iter(sorted(folder.glob("xxlimited*.so"))), None
    )
    if path is None:  # a Python with everything built in: take what the system has
        path = Path(ctypes.util.find_library("portaudio") or "libportaudio.so.2")
    done = subprocess.run(
        [sys.executable, "-c", STAYS, str(path), how],
        env={"PYTHONPATH": ":".join(entry for entry in sys.path if entry)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == str(how == "keep"), done.stderr
