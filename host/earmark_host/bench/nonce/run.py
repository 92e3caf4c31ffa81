"""``earmark-host bench nonce``: its parts, one after the other, into one report."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from rich.console import Console

from earmark.config import Config
from earmark_host.bench import stage
from earmark_host.bench.corpus import Corpus
from earmark_host.bench.nonce import remembered, take
from earmark_host.bench.nonce.setup import LONGEST_S, SENTENCE_S, Setup
from earmark_host.bench.parts import Held, conditions, joined, run_part, trials
from earmark_host.bench.report import Report
from earmark_host.bench.room_pool import LONG_M, Order, Room, compute
from earmark_host.bench.stage import Environment, Hardware
from earmark_host.bench.trials import ATTACK_DBSPL_1M, JAM_DBSPL_1M, TRIM_S
from earmark_host.bench.work import Workers

_HERE = "earmark_host.bench.nonce"


class Part(Enum):
    """What can be measured, in the order of the report."""

    SESSIONS = "sessions"
    """False rejects, sessions without their nonce, replays."""
    PEERS = "peers"
    """Success of the waveforms and of others' against the level."""
    REMOVAL = "removal"
    """Attacks that take the old nonce out of a recording."""
    QUALITY = "quality"
    """What is left of the nonce in what is forwarded."""
    CPU = "cpu"
    """CPU time of a verdict. Alone on the machine, so after everything else."""


ROOMS = {False: 24, True: 4}
"""Random rooms to choose from: in full, and in a quick run. Every second is long enough for 4 m."""


def run(
    folder: Path,
    parts: Sequence[Part],
    *,
    quick: bool,
    seed: int,
    config: Config,
    workers: int,
    console: Console,
) -> Report:
    """Run these parts.

    Parameters
    ----------
    folder : of the corpus.
    parts : which; in whatever order they are given, they run in that of :class:`Part`.
    quick : few sessions.
    seed : of everything random: the same seed gives the same figures, CPU times apart.
    config : settings of the device; its paths are not used.
    workers : processes, at least 1.
    console : for the progress.

    Raises
    ------
    EarmarkError
        The corpus lacks something, or a part cannot work.
    """
    began = time.monotonic()
    chosen = [part for part in Part if part in parts]
    corpus = Corpus.open(folder)
    corpus.require("noise", *(need for part in chosen for need in needs(part)))
    with tempfile.TemporaryDirectory(prefix="earmark-bench-") as scratch:
        with Workers(workers, console) as pool:
            orders = [Order(Path(scratch), seed, index) for index in range(ROOMS[quick])]
            rooms = pool.run("rooms", compute, orders)
            setup = Setup(folder.resolve(), tuple(rooms), seed, config)
            held = [
                run_part(pool, _HERE, part.value, setup, quick)
                for part in chosen
                if part is not Part.CPU
            ]
        if Part.CPU in chosen:
            # A fresh process with one thread, now that the others have ended.
            with Workers(1, console) as pool:
                held.append(run_part(pool, _HERE, Part.CPU.value, setup, quick))
    return Report(
        bench="nonce",
        seed=seed,
        data=corpus.described(),
        conditions=_conditions(held, quick, config, rooms, workers, time.monotonic() - began),
        metrics=[metric for each in held for metric in each.metrics],
        tables=joined(held),
    )


def needs(part: Part) -> tuple[str, ...]:
    """Roles of the corpus without which a part cannot be run."""
    return tuple(getattr(trials(_HERE, part.value), "NEEDS", ()))


# -- what the figures hold under ------------------------------------------------------------


def _conditions(
    held: Sequence[Held],
    quick: bool,
    config: Config,
    rooms: Sequence[Room],
    workers: int,
    took_s: float,
) -> dict[str, Any]:
    nonce = config.nonce
    shape = nonce.spread if nonce.waveform == "spread" else nonce.bfsk
    return {
        **conditions(held, quick=quick, workers=workers, took_s=took_s),
        "checks": list(remembered.REQUIRED.required),
        "nonce": {
            "waveform": nonce.waveform,
            "level_dbspl_1m": nonce.level_dbspl_1m,
            "payload_bits": nonce.payload_bits,
            **shape.model_dump(),
        },
        "speech_dbspl_1m": {each.value: each.speech_dbspl_1m for each in Environment},
        "lombard": f"{stage.LOMBARD_DB_PER_DB:g} dB per dB of noise above "
        f"{stage.LOMBARD_FROM_DBSPL:g} dB SPL (Lane and Tranel 1971)",
        "noise_dbspl_at_microphone": {each.value: each.noise_dbspl for each in Environment},
        "noise": {
            "quiet": "pink, diffuse; it is below the other two as well",
            "kitchen": "clips of the role noise, looped, diffuse; rms over the clip",
            "tv": "other people and music from the television's position; rms over the programme",
        },
        "commands": f"at most {LONGEST_S:g} s; a sentence is a clip of the role speech of at "
        f"least {SENTENCE_S:g} s, a word one of the role command; they begin "
        f"{take.REACTION_S[0]:g} to {take.REACTION_S[1]:g} s after the wake word, where they begin "
        "and end is known to the device; a session lasts until its whole nonce was heard",
        "rooms": {
            "count": len(rooms),
            "size_m": "3 x 2.5 x 2.4 to 8 x 6 x 3, every second one at least "
            f"{LONG_M:g} m long; shoebox, computed",
            "rt60_s": [round(room.rt60_s, 2) for room in rooms],
        },
        "hardware": {
            "clocks": f"one, or two that differ by up to {Hardware.DRIFT_PPM:g} ppm (uniform), in "
            "half of the sessions each",
            "shift_hz": 0.0,
            "latency_s": list(Hardware.LATENCY_S),
            "thd_percent": stage.THD_PERCENT,
        },
        "earlier_nonces": f"{remembered.EARLIER} in the ledger beside those of the attack, over "
        f"{remembered.SPREAD_OVER_S / 86_400.0:g} days of one epoch",
        "without": "quiet and kitchen in turn, 0.5, 1 or 2 m; a jammed loudspeaker plays white "
        f"noise or music of {JAM_DBSPL_1M[0]:g} to {JAM_DBSPL_1M[1]:g} dB SPL at 1 m",
        "replay": "recorded at r1 (1 m from person and device), r2 (0.2 m from the mouth), r3 "
        "(0.27 m from the device), person at 1 m, quiet; recorder's clock within "
        f"+-{take.RECORDER_CLOCK_PPM:g} ppm; cut within {TRIM_S:g} s of the speech; played a day "
        "later from 1 m by a small loudspeaker or a phone, the whole recording at "
        f"{ATTACK_DBSPL_1M[0]:g} to {ATTACK_DBSPL_1M[1]:g} dB SPL at 1 m, beside a current nonce "
        "as loud as the old one",
    }
