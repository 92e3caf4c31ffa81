"""What it costs to wait for a command: CPU and memory of the whole service, beside a peer's."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from rich.console import Console

from earmark.audio import AudioSettings, microphone_dbfs
from earmark.errors import EarmarkError
from earmark.signal import RATE_HZ, Signal, active_level_dbfs, gain
from earmark_host.bench.corpus import Corpus, draw
from earmark_host.bench.daemon import household, process
from earmark_host.bench.daemon.peer import Peer
from earmark_host.bench.daemon.service import Service, card_file
from earmark_host.bench.report import Metric, Row
from earmark_host.bench.speech import spoken

SPEECH_DBSPL = 60.0
"""Speech at the microphone, dB SPL: a person at 1 m."""

PROGRAMME_DBSPL = 50.0
"""A television across the room, dB SPL at the microphone."""

NOISE_DBSPL = 35.0
"""Noise of a quiet home, white, dB SPL."""

WARM_S = 5.0
"""After the start, before CPU is measured, s."""

TIDY_S = 2.5
"""From a verdict until its memory was given back, s: after the earcon, when no session is open."""

GAPS_S = (0.3, 6.0)
"""Pauses after the wake word, and after a command, s."""

COMMAND_S = 4.0
"""Longest command, s."""


@dataclass(frozen=True)
class Plan:
    """How much.

    Parameters
    ----------
    seconds : of waiting that are measured.
    sessions : held one after the other, for the memory.
    """

    seconds: float
    sessions: int


FULL, QUICK = Plan(120.0, 20), Plan(15.0, 2)


def run(
    folder: Path, data: Path, seed: int, plan: Plan, peer: Path | None, console: Console
) -> tuple[list[Metric], dict[str, list[Row]], dict[str, Any]]:
    """Measure the service, and the peer if there is one, on the same audio.

    Parameters
    ----------
    peer : Python interpreter of an environment with wyoming-satellite and wyoming-microwakeword.

    Returns
    -------
    Metrics, tables, and what belongs into the conditions.

    Raises
    ------
    EarmarkError
        The corpus lacks something, or a process ended.
    """
    corpus = Corpus.open(data)
    rng = np.random.default_rng([seed, *b"idle"])
    waiting = _waiting(corpus, plan.seconds + 2.0 * WARM_S, rng)
    sessions = _sessions(corpus, plan.sessions, rng)
    household.settle(folder, seed)
    sections = _sections(folder)
    card_file(folder / "waiting.raw", waiting)
    with Service(folder, folder / "waiting.raw", sections) as service:
        fresh = process.memory_mb(service.pid)
        console.print(f"idle: the service waits for {plan.seconds:g} s")
        ours = _cpu_share([service.pid], plan.seconds)
        woken = service.log.count("announcement=woken")
    card_file(folder / "sessions.raw", sessions)
    rows: list[Row] = [{"when": "started", **_rounded(fresh)}]
    with Service(folder, folder / "sessions.raw", sections) as service:
        for number in range(1, plan.sessions + 1):
            limit_s = 60.0 + sessions.size / RATE_HZ
            if not service.wait_for(partial(_enough, service, number), limit_s):
                raise EarmarkError(f"the service gave no verdict {number}", "see its log")
            time.sleep(TIDY_S)
            if number in (1, plan.sessions):
                found = process.memory_mb(service.pid)
                rows.append({"when": f"after {number} sessions", **_rounded(found)})
    metrics = [
        Metric("idle_cpu_share", ours, "share", None, 1),
        Metric("memory_mb_started", fresh["resident"], "MB", None, 1),
        Metric("memory_mb_after_sessions", found["resident"], "MB", None, 1),
        Metric("memory_mb_most", found["peak"], "MB", None, 1),
    ]
    cpu: list[Row] = [{"who": "earmark", "cpu_share": ours, "processes": 1, "woken": woken}]
    said = "none: give --peer the interpreter of an environment with wyoming-satellite"
    if peer is not None:
        wav = folder / "waiting.wav"
        soundfile.write(wav, waiting, RATE_HZ, subtype="PCM_16")
        with Peer(peer, wav, folder) as other:
            said = other.versions
            console.print(f"idle: {said} wait for {plan.seconds:g} s")
            theirs = _cpu_share(other.pids, plan.seconds)
            memory = [process.memory_mb(pid).get("resident", 0.0) for pid in other.pids]
        cpu.append(
            {"who": said, "cpu_share": theirs, "processes": len(memory), "woken": other.woken}
        )
        metrics += [
            Metric("idle_cpu_share_peer", theirs, "share", None, 1),
            Metric("idle_cpu_ratio", ours / theirs if theirs else None, "", None, 1),
            Metric("memory_mb_peer", sum(memory), "MB", None, len(memory)),
        ]
    conditions = {
        "audio": f"white noise of {NOISE_DBSPL:g} dB SPL, and by turns nothing more, noise of the "
        f"corpus or speech at {PROGRAMME_DBSPL:g} dB SPL; nobody says the wake word",
        "card": "48 kHz, blocks of 20 ms in real time, from a thread in the place of PortAudio's",
        "forward": "wyoming_satellite, nobody connected",
        "peer": said,
        "seconds": plan.seconds,
    }
    return metrics, {"idle_cpu": cpu, "memory": rows}, conditions


def _enough(service: Service, least: int) -> bool:
    return service.verdicts >= least


def _sections(folder: Path) -> dict[str, dict[str, Any]]:
    listen = f"unix://{folder}/satellite.sock"
    return {"forward": {"kind": "wyoming_satellite", "wyoming": {"listen": listen}}}


def _cpu_share(pids: Sequence[int], seconds: float) -> float:
    """CPU time of processes over so many seconds, as a share of one core."""
    time.sleep(WARM_S)
    began, before = time.monotonic(), process.cpu_s(pids)
    time.sleep(seconds)
    return (process.cpu_s(pids) - before) / (time.monotonic() - began)


def _rounded(memory: dict[str, float]) -> Row:
    return {f"{name}_mb": round(value, 1) for name, value in memory.items()}


# -- what is heard -----------------------------------------------------------------------------


def _waiting(corpus: Corpus, seconds: float, rng: np.random.Generator) -> Signal:
    """A home in which nobody says the wake word."""
    out = _noise(round(seconds * RATE_HZ), rng)
    roles = [role for role in ("noise", "speech") if corpus.has(role)]
    at, turn = 0, 0
    while at < out.size and roles:
        clip = draw(corpus.role(roles[turn % len(roles)]), rng)
        part = _at(corpus.load(clip)[: 10 * RATE_HZ], PROGRAMME_DBSPL)[: out.size - at]
        out[at : at + part.size] += part
        # As long a silence afterwards.
        at, turn = at + 2 * part.size, turn + 1
    return out


def _sessions(corpus: Corpus, count: int, rng: np.random.Generator) -> Signal:
    """People who say the wake word and a command, all different."""
    words = [c for c in corpus.role("wakeword") if c.label.replace(" ", "_") == "alexa"]
    if not words:
        raise EarmarkError("the corpus has no clip of the wake word alexa", "add some")
    speech = corpus.role("speech")
    chosen = rng.permutation(len(speech))
    pieces = [np.zeros(4 * RATE_HZ, np.float32)]
    # More than are needed: not every wake word is heard.
    for index in chosen[: 2 * count]:
        word = _at(spoken(corpus.load(draw(words, rng)), COMMAND_S), SPEECH_DBSPL)
        command = _at(spoken(corpus.load(speech[int(index)]), COMMAND_S), SPEECH_DBSPL)
        gaps = [np.zeros(round(gap_s * RATE_HZ), np.float32) for gap_s in GAPS_S]
        pieces += [word, gaps[0], command, gaps[1]]
    sound = np.concatenate(pieces)
    return sound + _noise(sound.size, rng)


def _noise(size: int, rng: np.random.Generator) -> Signal:
    level = gain(microphone_dbfs(NOISE_DBSPL, AudioSettings()))
    return rng.standard_normal(size).astype(np.float32) * np.float32(level)


def _at(signal: Signal, dbspl: float) -> Signal:
    level = microphone_dbfs(dbspl, AudioSettings()) - active_level_dbfs(signal)
    return np.asarray(signal * np.float32(gain(level)), np.float32)
