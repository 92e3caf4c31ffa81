"""The command ``earmark-host bench daemon``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from earmark_host.bench.daemon.run import Part, run
from earmark_host.bench.measuring import measured


def bench_daemon(
    data: Path,
    json: Path,
    seed: int,
    quick: bool,
    only: Sequence[str],
    peer: Path | None,
    minutes: float | None,
) -> None:
    """Run the bench, print what it found and write it to `json`.

    Raises
    ------
    EarmarkError
        The corpus lacks something, the file cannot be written, or a part cannot work.
    """
    measured(
        lambda console: run(
            data,
            [Part(name) for name in only] or list(Part),
            quick=quick,
            seed=seed,
            peer=peer,
            minutes=minutes,
            console=console,
        ),
        json,
    )
