"""The command ``earmark-host bench plots``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from earmark.errors import EarmarkError
from earmark_host.bench.nonce.plots import draw

MAX_REPORT_BYTES = 64 * 1024 * 1024
"""Largest report that is read, bytes: a hundred times the largest that a bench writes."""


def bench_plots(report: Path, out: Path, other: Path | None = None) -> None:
    """Draw the plots of a report of ``bench nonce`` into `out`, and name the files.

    Parameters
    ----------
    report : the JSON file.
    out : folder, made if it is missing.
    other : the report of a run with the other waveform, to be drawn beside the first.

    Raises
    ------
    EarmarkError
        A file cannot be read or written, or is no such report.
    """
    second = None if other is None else load(other)
    for file in draw(load(report), out, second):
        typer.echo(file)


def load(path: Path) -> Mapping[str, Any]:
    """Read a report.

    Raises
    ------
    EarmarkError
        It cannot be read, or is no report of ``bench nonce``.
    """
    do = "give the file that `earmark-host bench nonce --json` wrote"
    try:
        with path.open("rb") as file:
            data = file.read(MAX_REPORT_BYTES + 1)
    except OSError as error:
        raise EarmarkError(f"{path} cannot be read ({error.strerror})", do) from error
    if len(data) > MAX_REPORT_BYTES:
        raise EarmarkError(f"{path} is larger than {MAX_REPORT_BYTES} bytes", do)
    try:
        report = json.loads(data)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise EarmarkError(f"{path} is no JSON file ({error})", do) from error
    if not isinstance(report, dict) or not isinstance(report.get("tables"), dict):
        raise EarmarkError(f"{path} is no report of a bench: it has no tables", do)
    return report
