"""``earmark-host bench daemon``: its parts, one after the other, into one report."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from rich.console import Console

from earmark_host.bench.corpus import Corpus
from earmark_host.bench.daemon import idle, kill, latency, soak, theatre
from earmark_host.bench.report import Metric, Report, Row


class Part(Enum):
    """What can be measured, in the order of the report."""

    LATENCY = "latency"
    """How long a verdict takes after the end of a command."""
    IDLE = "idle"
    """CPU and memory of the whole service, beside a peer's."""
    SOAK = "soak"
    """Thousands of sessions: lost ones, growth."""
    KILL = "kill"
    """Killed at random moments: what is left on the disk."""


def run(
    data: Path,
    parts: Sequence[Part],
    *,
    quick: bool,
    seed: int,
    peer: Path | None,
    minutes: float | None,
    console: Console,
) -> Report:
    """Run these parts, each with a device of its own.

    Parameters
    ----------
    data : folder of the corpus.
    peer : Python interpreter of an environment with a satellite to compare with.
    minutes : of real time for the soak; None: so many sessions, as fast as the processor can.
    console : for the progress.

    Raises
    ------
    EarmarkError
        The corpus lacks something, or a part cannot work.
    """
    began = time.monotonic()
    corpus = Corpus.open(data)
    corpus.require("speech", *(("wakeword", "noise") if Part.IDLE in parts else ()))
    metrics: list[Metric] = []
    tables: dict[str, list[Row]] = {}
    conditions: dict[str, Any] = {
        "plan": "quick" if quick else "full",
        "parts": [part.value for part in Part if part in parts],
        "room": f"{theatre.ROOM}, simulated, {theatre.AMBIENT_DBSPL:g} dB SPL of pink noise; "
        f"people at 1 m, {theatre.SPEECH_DBSPL_1M:g} dB SPL",
        "trigger": "a button, beside the wake word's detector; in `idle` the wake word",
        "people": "three enrolled, with voices drawn by chance; guests always",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_before": [round(value, 2) for value in os.getloadavg()],
    }
    for part in Part:
        if part not in parts:
            continue
        with tempfile.TemporaryDirectory(prefix="earmark-") as scratch:
            folder = Path(scratch)
            if part is Part.LATENCY:
                plan = latency.QUICK if quick else latency.FULL
                some, more = latency.run(folder, data, seed, plan, console)
            elif part is Part.IDLE:
                measured = idle.QUICK if quick else idle.FULL
                some, more, said = idle.run(folder, data, seed, measured, peer, console)
                conditions["idle"] = said
            elif part is Part.SOAK:
                length = soak.QUICK if quick else soak.FULL
                some, more = soak.run(folder, data, seed, length, minutes, console)
                conditions["soak"] = "real time" if minutes else "as fast as the processor can"
            else:
                kills = kill.QUICK if quick else kill.FULL
                some, more = kill.run(folder, data, seed, kills, console)
        metrics += some
        tables |= more
    conditions["load_after"] = [round(value, 2) for value in os.getloadavg()]
    conditions["took_s"] = round(time.monotonic() - began, 1)
    return Report("daemon", seed, corpus.described(), conditions, metrics, tables)
