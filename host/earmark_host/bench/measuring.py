"""What every bench's command does around its measurement: it can be interrupted, writes, shows."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import typer
from rich.console import Console

from earmark_host.bench.report import Report


def measured(measure: Callable[[Console], Report], json: Path, pipe_width: int) -> Report:
    """Measure, write the report and print it.

    Parameters
    ----------
    measure : gets the console for its progress.
    json : the report to write.
    pipe_width : width of the tables where there is no terminal, characters.

    Raises
    ------
    EarmarkError
        What `measure` raises, or the file cannot be written.
    """
    try:
        report = measure(Console(stderr=True))
    except KeyboardInterrupt:
        typer.echo("earmark-host: interrupted, nothing was written", err=True)
        raise typer.Exit(130) from None
    report.write(json)
    # Into a file or a pipe as wide as the tables are.
    report.show(Console() if sys.stdout.isatty() else Console(width=pipe_width))
    return report
