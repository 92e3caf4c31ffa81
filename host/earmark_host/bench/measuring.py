"""What every bench's command does around its measurement.

Where it writes to is tried first, it can be interrupted, and it writes, shows and draws.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import typer
from rich.console import Console

from earmark_host.bench.drawing import check_drawable
from earmark_host.bench.report import Report, check_writable

PIPE_WIDTH = 140
"""Width of the tables where there is no terminal, characters."""

Draw: TypeAlias = Callable[[dict[str, Any], Path], Sequence[Path]]
"""Draws a report, as JSON values, into a folder; the files that it made."""


def measured(
    measure: Callable[[Console], Report],
    json: Path,
    draw: Draw | None = None,
    plots: Path | None = None,
    pipe_width: int = PIPE_WIDTH,
) -> Report:
    """Measure, write the report, print it and draw it.

    Parameters
    ----------
    measure : gets the console for its progress.
    json : the report to write.
    draw, plots : what draws it, and the folder for that; None for no pictures.
    pipe_width : width of the tables where there is no terminal, characters.

    Raises
    ------
    EarmarkError
        What `measure` raises, or a file cannot be written: known before it measures.
    """
    check_writable(json)
    if plots is not None:
        check_drawable(plots)
    try:
        report = measure(Console(stderr=True))
    except KeyboardInterrupt:
        typer.echo("earmark-host: interrupted, nothing was written", err=True)
        raise typer.Exit(130) from None
    report.write(json)
    # Into a file or a pipe as wide as the tables are.
    report.show(Console() if sys.stdout.isatty() else Console(width=pipe_width))
    if draw is not None and plots is not None:
        for path in draw(report.to_json(), plots):
            typer.echo(f"drawn: {path}")
    return report
