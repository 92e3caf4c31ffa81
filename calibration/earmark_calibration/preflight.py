"""Before any sound: what would make a calibration pointless, each with what to do about it."""

from __future__ import annotations

import math
import os
from pathlib import Path

from earmark.config import Config
from earmark.control import NoDaemon, Request, ask
from earmark.doctor import Found, Grade, around, within
from earmark.errors import EarmarkError
from earmark.signal import FLOOR_DBFS, Signal, level_dbfs
from earmark_calibration.sealed import credentials
from earmark_calibration.settings import folder_of

BLOCKING = frozenset(
    {"clock", "sound", "microphone", "loudspeaker", "speaker model", "space", "daemon", "mute"}
    | {"levels", "clipping", "settings folder"}
)
"""Findings that must not fail. Others are shown: they are `earmark doctor`'s business."""

CLIPPED = 0.999
"""Magnitude from which a sample is at full scale."""

MOST_CLIPPED = 3
"""Most samples at full scale in a second of quiet: a knock on the table."""

LISTEN_S = 1.0
"""How long is listened before anything is played, s."""


def preflight(config: Config, config_path: Path | None, *, hardware: bool) -> list[Found]:
    """Look at the device without a sound.

    Parameters
    ----------
    config_path : main file of the settings.
    hardware : a real device; in the simulated room nothing runs and nothing is muted.
    """
    found = around(config)
    if hardware:
        with credentials(config.speaker) as environ:
            found += [one for one in within(config, environ) if one.name in ("space", "people")]
        found += [_daemon(config), _mute(config)]
    found.append(_folder(config_path))
    return found


def levels(heard: Signal) -> list[Found]:
    """What a second of listening says of the microphone."""
    level = level_dbfs(heard)
    clipped = int((abs(heard) >= CLIPPED).sum())
    silent = heard.size == 0 or not heard.any() or level <= FLOOR_DBFS
    found = [
        Found(
            "levels",
            Grade.FAIL if silent else Grade.OK,
            "the microphone gives digital silence" if silent else f"{level:.0f} dBFS of noise",
            "unmute it, and look at the channel and the mixer (alsamixer)" if silent else "",
        )
    ]
    if clipped > MOST_CLIPPED:
        by_db = max(6, math.ceil(level + 20.0))
        found.append(
            Found(
                "clipping",
                Grade.FAIL,
                f"{clipped} samples are at full scale although nothing is played",
                f"turn the microphone's gain down by {by_db} dB or more",
            )
        )
    else:
        found.append(Found("clipping", Grade.OK, "none"))
    return found


def stops(found: list[Found]) -> list[Found]:
    """The findings with which there is no use in going on."""
    return [one for one in found if one.grade is Grade.FAIL and one.name in BLOCKING]


def _daemon(config: Config) -> Found:
    """The daemon must not run: it has the microphone."""
    if config.control.path is None:
        return Found("daemon", Grade.WARN, "has no control socket", "make sure that it is stopped")
    try:
        ask(config.control.path, Request.STATUS)
    except NoDaemon:
        return Found("daemon", Grade.OK, "is stopped")
    except EarmarkError as error:
        return Found("daemon", Grade.WARN, f"does not answer ({error.what})", error.do)
    do = "sudo systemctl stop earmark, and start it again afterwards"
    return Found("daemon", Grade.FAIL, "runs, and has the microphone", do)


def _mute(config: Config) -> Found:
    file = config.control.mute_file
    if file is not None and file.exists():
        return Found("mute", Grade.FAIL, "the microphone is switched off", "earmark unmute")
    return Found("mute", Grade.OK, "the microphone is on")


def _folder(config_path: Path | None) -> Found:
    folder = folder_of(config_path)
    if folder.exists() and not folder.is_dir():
        return Found("settings folder", Grade.FAIL, f"{folder} is no folder", "move it away")
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    if not os.access(there, os.W_OK):
        # A dry run needs it not; any other would fail at its very end.
        do = "sudo earmark-calibrate, or only look: --dry-run"
        return Found("settings folder", Grade.WARN, f"{folder} may not be written by you", do)
    return Found("settings folder", Grade.OK, f"{folder}")
