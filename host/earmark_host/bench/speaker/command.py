"""The command ``earmark-host bench speaker``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from earmark_host.bench.measuring import measured
from earmark_host.bench.speaker.plots import draw
from earmark_host.bench.speaker.run import Part, run
from earmark_host.bench.work import usual_workers


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
    attacked: int | None = None,
) -> None:
    """Run the bench, print what it found, write it to `json` and draw it into `plots`.

    Raises
    ------
    EarmarkError
        The corpus or the model lacks something, a file cannot be written, or a part cannot work.
    """
    measured(
        lambda console: run(
            data,
            [Part(name) for name in only] or list(Part),
            quick=quick,
            seed=seed,
            workers=workers or usual_workers(),
            console=console,
            arms=arms,
            model=model,
            attacked=attacked,
        ),
        json,
        draw,
        plots,
    )
