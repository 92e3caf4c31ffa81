"""``earmark-host bench session``: how often people are refused, and replays let in.

Sessions are drawn from a corpus and held in random simulated rooms by the very code that runs
on the device: live ones, ones without this session's nonce, and replays of recorded ones.
"""

from __future__ import annotations

import math
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from rich.console import Console

from earmark.config import Config
from earmark.nonce import BfskSettings, FixedKeys, NonceSettings, Source, SpreadSettings
from earmark.signal import RATE_HZ
from earmark_host.bench import session_figures, stage, trials
from earmark_host.bench.corpus import Corpus
from earmark_host.bench.report import Metric, Report
from earmark_host.bench.room_pool import LONG_M, Order, Room, compute
from earmark_host.bench.stage import Environment, Hardware
from earmark_host.bench.trials import (
    RECORDERS,
    Attack,
    Live,
    NoNonce,
    Setup,
    Trial,
    Unprotected,
)
from earmark_host.bench.work import Workers


class Part(Enum):
    """The kinds of sessions."""

    LIVE = "live"
    NO_NONCE = "no_nonce"
    REPLAY = "replay"


DISTANCES_M = (0.5, 1.0, 2.0, 3.0, 4.0)
"""Where people stand, m from the microphone."""

REPLAY_LEVELS_DBSPL_1M = (40.0, 50.0, 60.0)
"""Loudness of the nonce in the replayed sessions, dB SPL at 1 m."""


@dataclass(frozen=True)
class Plan:
    """How many sessions of which kind.

    Parameters
    ----------
    name : goes into the report.
    rooms : random rooms to choose from; every second one is long enough for 4 m.
    live : live sessions for each environment and distance.
    no_nonce : sessions of each kind without this session's nonce.
    victims : recorded sessions for each loudness of the nonce; each gives three replays.
    environments, distances_m, levels_dbspl_1m : the cells.
    parts : which kinds are held.
    """

    name: str
    rooms: int
    live: int
    no_nonce: int
    victims: int
    environments: tuple[Environment, ...] = tuple(Environment)
    distances_m: tuple[float, ...] = DISTANCES_M
    levels_dbspl_1m: tuple[float, ...] = REPLAY_LEVELS_DBSPL_1M
    parts: tuple[Part, ...] = tuple(Part)

    def pieces(self) -> list[Piece]:
        """Every session to hold; those that take longest first."""
        asked: list[Piece] = []
        if Part.REPLAY in self.parts:
            asked += [
                Attack(level, index)
                for index in range(self.victims)
                for level in self.levels_dbspl_1m
            ]
        if Part.LIVE in self.parts:
            asked += [
                Live(environment, distance, index)
                for index in range(self.live)
                for environment in self.environments
                for distance in self.distances_m
            ]
        if Part.NO_NONCE in self.parts:
            asked += [
                Unprotected(kind, index) for index in range(self.no_nonce) for kind in NoNonce
            ]
        return asked


Piece: TypeAlias = Live | Unprotected | Attack

FULL = Plan("full", rooms=24, live=30, no_nonce=120, victims=100)
"""450 live sessions, 360 without the nonce, 900 replays."""

QUICK = Plan("quick", rooms=4, live=3, no_nonce=8, victims=5)
"""45 live sessions, 24 without the nonce, 45 replays: within 90 s on two cores."""


def run(
    folder: Path,
    plan: Plan,
    *,
    seed: int,
    config: Config,
    workers: int,
    console: Console,
) -> Report:
    """Hold the sessions of a plan.

    Parameters
    ----------
    folder : of the corpus.
    plan : how many sessions.
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
    corpus = Corpus.open(folder)
    corpus.require("noise")
    with tempfile.TemporaryDirectory(prefix="earmark-bench-") as scratch:
        ledger = Path(scratch) / "remembered.sqlite"
        with Workers(workers, console) as pool:
            orders = [Order(Path(scratch), seed, index) for index in range(plan.rooms)]
            rooms = pool.run("rooms", compute, orders)
            setup = Setup(folder.resolve(), Path(scratch), ledger, tuple(rooms), seed, config)
            trials.write_remembered(setup, ledger)
            held = pool.run("sessions", partial(_hold, setup), plan.pieces(), _sessions)
    results = [trial for several in held for trial in several]
    return Report(
        bench="session",
        seed=seed,
        data=corpus.described(),
        conditions=_conditions(plan, config, rooms, workers, time.monotonic() - began),
        metrics=_metrics(plan, results, seed),
        tables=session_figures.tables(results),
    )


def _hold(setup: Setup, piece: Piece) -> Sequence[Trial]:
    if isinstance(piece, Live):
        return (trials.hold_live(setup, piece),)
    if isinstance(piece, Unprotected):
        return (trials.hold_unprotected(setup, piece),)
    return trials.hold_attack(setup, piece)


def _sessions(piece: Piece) -> int:
    """How many sessions a piece stands for: the recorded one and its replays."""
    return 1 + len(RECORDERS) if isinstance(piece, Attack) else 1


# -- figures ------------------------------------------------------------------------------


def _metrics(plan: Plan, results: Sequence[Trial], seed: int) -> list[Metric]:
    metrics: list[Metric] = []
    if Part.LIVE in plan.parts:
        rng = np.random.default_rng([seed, *b"bootstrap"])
        metrics += session_figures.live_metrics(results, plan.environments, rng)
    if Part.NO_NONCE in plan.parts:
        metrics += session_figures.no_nonce_metrics(results)
    if Part.REPLAY in plan.parts:
        metrics += session_figures.replay_metrics(results, plan.levels_dbspl_1m)
    return [*metrics, *session_figures.cpu_metrics(results)]


# -- what the figures hold under ------------------------------------------------------------


def _conditions(
    plan: Plan, config: Config, rooms: Sequence[Room], workers: int, took_s: float
) -> dict[str, Any]:
    nonce = config.nonce
    return {
        "plan": plan.name,
        "parts": [part.value for part in plan.parts],
        "sessions": sum(_sessions(piece) for piece in plan.pieces()),
        "trigger": "push to talk: the people of a corpus share no wake word",
        "speech_begins_after_trigger_s": list(trials.REACTION_S),
        "longest_command_s": trials.LONGEST_COMMAND_S,
        "speech_dbspl_1m": {each.value: each.speech_dbspl_1m for each in plan.environments},
        "lombard": f"{stage.LOMBARD_DB_PER_DB:g} dB per dB of noise above "
        f"{stage.LOMBARD_FROM_DBSPL:g} dB SPL (Lane and Tranel 1971)",
        "noise_dbspl_at_microphone": {each.value: each.noise_dbspl for each in plan.environments},
        "noise": {
            "quiet": "pink, diffuse; it is below the other two as well",
            "kitchen": "clips of the role noise, looped, diffuse; rms over the clip",
            "tv": "other people and music from the television's position; rms over the programme",
        },
        "distances_m": list(plan.distances_m),
        "nonce": {
            "level_dbspl_1m": nonce.level_dbspl_1m,
            "level_dba_1m": round(nonce.level_dbspl_1m + _a_weight_db(nonce), 1),
            "level_dbspl_at_person": {
                f"{metres:g} m": round(nonce.level_dbspl_1m - 20.0 * math.log10(metres), 1)
                for metres in plan.distances_m
            },
            "replays_level_dbspl_1m": list(plan.levels_dbspl_1m),
            "payload_bits": nonce.payload_bits,
            "waveform": nonce.waveform,
            **_shape(nonce).model_dump(),
        },
        "rooms": {
            "count": len(rooms),
            "size_m": "3 x 2.5 x 2.4 to 8 x 6 x 3, every second one at least "
            f"{LONG_M:g} m long; shoebox, computed",
            "rt60_s": [round(room.rt60_s, 2) for room in rooms],
            "with_person_at": {
                f"{metres:g} m": sum(f"person_{metres:g}m" in room.sources for room in rooms)
                for metres in plan.distances_m
            },
        },
        "hardware": {
            "drift_ppm": f"uniform within +-{Hardware.DRIFT_PPM:g} in half of the sessions, else 0",
            "shift_hz": f"uniform within +-{Hardware.SHIFT_HZ:g} in a quarter, else 0",
            "latency_s": list(Hardware.LATENCY_S),
            "thd_percent": stage.THD_PERCENT,
        },
        "ledger_nonces": trials.REMEMBERED,
        "no_nonce": "quiet and kitchen in turn, 0.5, 1 or 2 m; a jammed loudspeaker plays white "
        f"noise or music of {trials.JAM_DBSPL_1M[0]:g} to {trials.JAM_DBSPL_1M[1]:g} dB SPL at 1 m",
        "replay": "recorded at r1 (1 m from person and device), r2 (0.2 m from the mouth), r3 "
        "(0.27 m from the device), person at 1 m, quiet; recorder's clock within "
        f"+-{trials.RECORDER_CLOCK_PPM:g} ppm; cut within {trials.TRIM_S:g} s of the speech; "
        "played a day later from 1 m by a small loudspeaker or a phone, the whole recording at "
        f"{trials.ATTACK_DBSPL_1M[0]:g} to {trials.ATTACK_DBSPL_1M[1]:g} dB SPL at 1 m",
        "ber_interval": "bootstrap over sessions; with no error at all, exact over slots",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "workers": workers,
        "took_s": round(took_s, 1),
    }


def _shape(nonce: NonceSettings) -> SpreadSettings | BfskSettings:
    """The settings of the waveform that is played."""
    return nonce.spread if nonce.waveform == "spread" else nonce.bfsk


def _a_weight_db(settings: NonceSettings) -> float:
    """A-weighting (IEC 61672-1) of the nonce, by the spectrum of ten seconds of it, dB."""
    sound = Source(settings, FixedKeys(bytes(range(32)))).draw(bytes, 0.0)
    power = np.abs(np.fft.rfft(sound.render(0, 10 * RATE_HZ))) ** 2
    f2 = np.square(np.fft.rfftfreq(10 * RATE_HZ, 1.0 / RATE_HZ))
    weight = (12194.0**2 * f2**2) / (
        (f2 + 20.6**2) * np.sqrt((f2 + 107.7**2) * (f2 + 737.9**2)) * (f2 + 12194.0**2)
    )
    return 10.0 * math.log10(float(np.sum(power * weight**2) / np.sum(power))) + 2.0
