"""Reads the reports of a folder, within bounds: at the rim, so that `fleets.py` stays pure."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from earmark.errors import ConfigError, EarmarkError
from earmark_calibration.report.fleets import Entry, Fleet, Unread, fleet
from earmark_calibration.report.writing import is_foreign, read

MOST_FILES = 20_000
"""JSON files that are read. A report is some 300 kB, and a few ms to read."""

MOST_ENTRIES = 500_000
"""Files and folders that are looked at: somebody may name / instead of a folder of reports."""

DEEPEST = 8
"""Folders within folders that are entered."""


def read_fleet(folder: Path, told: Callable[[int, int], None] = lambda done, of: None) -> Fleet:
    """Read every report in `folder` and the folders within it.

    A file that cannot be read is named in the fleet, with the reason, and stops nothing. Links
    are not followed.

    Parameters
    ----------
    told : called with how many files are read, of how many.

    Raises
    ------
    EarmarkError
        There is no such folder, no report in it, or too much to look through.
    """
    if not folder.is_dir():
        raise EarmarkError(f"{folder} is not a folder", "name a folder with JSON reports")
    files = sorted(_files(folder))
    entries, unread, foreign = [], [], 0
    for done, file in enumerate(files, 1):
        try:
            entries.append(Entry.of(read(file), str(file.relative_to(folder))))
        except ConfigError as error:
            if is_foreign(file):
                foreign += 1
            else:
                unread.append(Unread(str(file.relative_to(folder)), str(error)))
        told(done, len(files))
    if not entries:
        first = f"; the first: {unread[0].why}" if unread else ""
        raise EarmarkError(
            f"{folder} holds no report that can be read ({len(files)} JSON files{first})",
            "name a folder with the JSON files of earmark-calibrate",
        )
    return fleet(entries, unread, foreign)


def _files(folder: Path) -> Iterator[Path]:
    """The JSON files, no links; a folder that may not be entered is an error, not a gap."""
    seen = found = 0
    waiting = [(folder, 0)]
    while waiting:
        here, depth = waiting.pop()
        try:
            inside = os.scandir(here)
        except OSError as error:
            raise EarmarkError(
                f"folder {here} cannot be read ({error.strerror or error})",
                "make it readable, or name another folder",
            ) from error
        with inside:
            for entry in inside:
                seen += 1
                if seen > MOST_ENTRIES:
                    raise EarmarkError(
                        f"{folder} holds more than {MOST_ENTRIES} files and folders",
                        "name a folder that holds reports alone",
                    )
                if entry.is_dir(follow_symlinks=False):
                    if depth < DEEPEST:
                        waiting.append((Path(entry.path), depth + 1))
                elif entry.name.endswith(".json") and entry.is_file(follow_symlinks=False):
                    found += 1
                    if found > MOST_FILES:
                        raise EarmarkError(
                            f"{folder} holds more than {MOST_FILES} JSON files",
                            "name a folder within it, or move old reports elsewhere",
                        )
                    yield Path(entry.path)
