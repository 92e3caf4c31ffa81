"""The command ``earmark-host memory calibrate``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from earmark.errors import EarmarkError
from earmark.memory import Thresholds
from earmark_host.bench.work import usual_workers
from earmark_host.memory.calibrate_run import Found, Row, run

PIPE_WIDTH = 140
"""Width of the tables where there is no terminal, characters."""


def calibrate(data: Path, out: Path, seed: int, quick: bool, workers: int | None) -> None:
    """Find all thresholds, print what was found and write the table to `out`.

    Raises
    ------
    EarmarkError
        The corpus is too small, a clip cannot be decoded, or the file cannot be written.
    """
    if out.is_dir() or not out.parent.is_dir():
        raise EarmarkError(f"{out} cannot be written", "give a file in a folder that exists")
    try:
        found = run(
            data,
            seed=seed,
            quick=quick,
            workers=workers or usual_workers(),
            console=Console(stderr=True),
        )
    except KeyboardInterrupt:
        typer.echo("earmark-host: interrupted, nothing was written", err=True)
        raise typer.Exit(130) from None
    write(found.thresholds, out)
    show(found, Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH))


def write(thresholds: Thresholds, path: Path) -> None:
    """Write the table, whole or not at all.

    Raises
    ------
    EarmarkError
        The file cannot be written.
    """
    text = json.dumps(thresholds.model_dump(mode="json"), indent=1, allow_nan=False)
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(text + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise EarmarkError(
            f"{path} cannot be written ({error.strerror})", "give another file with --out"
        ) from error


def show(found: Found, console: Console) -> None:
    """Print the limits and what they rest on."""
    limits = found.thresholds.neighbours
    for title, rows in found.tables.items():
        console.print(_table(title, rows))
    console.print(
        f"near-copies: likeness over {limits.floor:.3f} + {limits.slope:.3f} / sqrt(peaks); "
        f"second ear: mean over {limits.mean:.4f}; approved repeats: over {limits.approved:.3f}"
    )
    left_out = found.thresholds.made["duplicates_left_out"]
    console.print(f"recordings that are in the corpus twice, left out: {left_out}")


def _table(title: str, rows: Sequence[Row]) -> Table:
    table = Table(
        title=title.replace("_", " "), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for column in rows[0] if rows else ():
        table.add_column(column.replace("_", " "))
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    return table


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
