"""Reports as files: written whole or not at all, and read with bounds."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

from earmark.errors import ConfigError, EarmarkError
from earmark.files import flush_folder, replace_file
from earmark_calibration.owner import give, make_folder
from earmark_calibration.record import MAX_REPORT_BYTES, SCHEMA, Record, read_record
from earmark_calibration.report.page import page

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_SERIAL = 60
"""Of a serial number in a file's name, letters: file systems take 255 bytes."""


@dataclass(frozen=True, slots=True)
class Written:
    """Where a report lies: the page and its numbers."""

    html: Path
    json: Path


def stem(record: Record) -> str:
    """Name of a report's files without their ends: serial number and time, so many fit a folder."""
    serial = _NOT_IN_A_NAME.sub("-", record.device.serial).strip(".-")[:_LONGEST_SERIAL]
    when = record.when.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"calibration-{serial or 'device'}-{when}"


def write(record: Record, folder: Path) -> Written:
    """Write the page and the JSON into `folder`, which is made if need be.

    They are for their owner only (of sudo: who ran it): how a home sounds is nobody else's concern.
    The page is written first, so where there is a JSON there is its page. The same run again
    replaces both.

    Raises
    ------
    EarmarkError
        The folder or a file cannot be written.
    ValueError
        The record breaks its own rules, so nobody could read the JSON; nothing is written.
    """
    numbers = record.to_json().encode()
    Record.model_validate_json(numbers)  # a changed copy of a record was never checked
    name = stem(record)
    written = Written(folder / f"{name}.html", folder / f"{name}.json")
    html = page(record, written.json.name).encode()
    try:
        make_folder(folder)
        replace_file(written.html, html, give)
        replace_file(written.json, numbers, give)
        flush_folder(folder)
    except OSError as error:
        raise EarmarkError(
            f"the report cannot be written to {folder} ({error.strerror or error})",
            "name a folder that can be written",
        ) from error
    return written


def read(path: Path) -> Record:
    """Read a JSON report.

    Raises
    ------
    ConfigError
        It is missing, too large, not a report, or one of a version that is not known here.
    """
    try:
        return read_record(path)
    except ConfigError:
        schema = _schema_of(path)
        if schema is None or schema == SCHEMA:
            raise
        raise ConfigError(
            f"report {path} is {schema[:80]!r}, and this program reads {SCHEMA}",
            "read it with the version of earmark-calibrate that wrote it, or a newer one",
        ) from None


def is_foreign(path: Path) -> bool:
    """Whether a file that is no report is sound JSON of another kind, and none of our business."""
    found = _parsed(path)
    return found is not None and _schema_of(path) is None


def _schema_of(path: Path) -> str | None:
    """What a file says that it is, if it is a calibration of any version."""
    found = _parsed(path)
    schema = found.get("schema") if isinstance(found, dict) else None
    family = SCHEMA.partition("/")[0] + "/"
    return schema if isinstance(schema, str) and schema.startswith(family) else None


def _parsed(path: Path) -> object:
    """The JSON in a file; None when it cannot be read or is none."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_REPORT_BYTES + 1)
        return json.loads(data) if len(data) <= MAX_REPORT_BYTES else None
    except (OSError, ValueError, RecursionError):
        return None
