"""``earmark-host bench memory``: its parts, one after the other, into one report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from rich.console import Console

from earmark.memory import MemorySettings
from earmark_host.bench.corpus import Corpus
from earmark_host.bench.memory.setup import ROOMS, Setup, held_back
from earmark_host.bench.parts import Held, conditions, joined, run_part
from earmark_host.bench.report import Report
from earmark_host.bench.work import Workers

_HERE = "earmark_host.bench.memory"


class Part(Enum):
    """What can be measured, in the order of the report."""

    HOUSEHOLDS = "households"
    """People who mean no harm: false alarms of all modes; exact repeats and their approval."""
    SIMULATED = "simulated"
    """The paper's four attacks as simulated streams, its flags, its collapse among fakes."""
    ATTACKS = "attacks"
    """Real attacks against real recognisers, digital and over the air, and who hides them."""
    PEERS = "peers"
    """Other fingerprints on the same audio."""
    LIKENESS = "likeness"
    """How alike two queries are, over the limit: people's, and those of one attack."""
    CPU = "cpu"
    """CPU time and memory. Alone on the machine, so after everything else."""


def run(
    folder: Path,
    parts: Sequence[Part],
    *,
    quick: bool,
    seed: int,
    workers: int,
    console: Console,
) -> Report:
    """Run these parts.

    Parameters
    ----------
    folder : of the corpus.
    parts : which; in whatever order they are given, they run in that of :class:`Part`.
    quick : few streams.
    seed : of everything random: the same seed gives the same figures, CPU times apart.
    workers : processes, at least 1.
    console : for the progress.

    Raises
    ------
    EarmarkError
        The corpus lacks something, or a part cannot work.
    """
    began = time.monotonic()
    corpus = Corpus.open(folder)
    corpus.require("speech", "command", "noise", "music")
    settings = MemorySettings(folder=None)
    setup = Setup(folder.resolve(), seed, None, settings)
    setup = Setup(folder.resolve(), seed, held_back(corpus, setup.thresholds), settings)
    held: list[Held] = []
    for part in Part:
        if part in parts:
            # A part that times itself has one process, when the others have ended.
            with Workers(1 if part is Part.CPU else workers, console) as pool:
                held.append(run_part(pool, _HERE, part.value, setup, quick))
    return Report(
        bench="memory",
        seed=seed,
        data=corpus.described(),
        conditions={
            **conditions(held, quick=quick, workers=workers, took_s=time.monotonic() - began),
            "clips": "held back from the calibration" if setup.side else "all",
            "rooms": list(ROOMS),
            "neighbours": settings.neighbours.model_dump(mode="json"),
            "limits": setup.thresholds.neighbours.model_dump(mode="json"),
            "thresholds_made": _short(setup.thresholds.made),
        },
        metrics=[metric for each in held for metric in each.metrics],
        tables=joined(held),
    )


def _short(made: dict[str, Any]) -> dict[str, Any]:
    """The plain values of how the thresholds were made; its tables are in the file itself."""
    return {key: value for key, value in made.items() if not isinstance(value, (dict, list))}
