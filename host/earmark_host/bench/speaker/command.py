"""The command ``earmark-host bench speaker``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from earmark_host.bench.drawing import check_drawable
from earmark_host.bench.measuring import measured
from earmark_host.bench.report import check_writable
from earmark_host.bench.speaker.plots import draw
from earmark_host.bench.speaker.run import Part, run
from earmark_host.bench.work import usual_workers

PIPE_WIDTH = 140
"""Width of the tables where there is no terminal, characters."""


def bench_speaker(
    data: Path,
    json: Path,
    seed: int,
    quick: bool,
    workers: int | None,
    only: Sequence[str],
    arms: Path | None,
    model: Path | None,
    plots: Path | None,
) -> None:
    """Run the bench, print what it found, write it to `json` and draw it into `plots`.

    Raises
    ------
    EarmarkError
        The corpus or the model lacks something, a file cannot be written, or a part cannot work.
    """
    check_writable(json)
    if plots is not None:
        check_drawable(plots)
    report = measured(
        lambda console: run(
            data,
            [Part(name) for name in only] or list(Part),
            quick=quick,
            seed=seed,
            workers=workers or usual_workers(),
            console=console,
            arms=arms,
            model=model,
        ),
        json,
        PIPE_WIDTH,
    )
    if plots is not None:
        for path in draw(report.to_json(), plots):
            typer.echo(f"drawn: {path}")
