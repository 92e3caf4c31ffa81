"""The command ``earmark-host attack memory``."""

from __future__ import annotations

import difflib
from pathlib import Path

import numpy as np

from earmark.audio import load_room
from earmark.errors import EarmarkError
from earmark.memory import MemorySettings, shipped
from earmark_host.bench.corpus import Corpus
from earmark_host.bench.memory.setup import ROOMS
from earmark_host.memory.attacks import ATTACKS
from earmark_host.memory.material import Material
from earmark_host.memory.save import MAX_QUERIES, save
from earmark_host.memory.staging import Gate, Scene, attempt, victim
from earmark_host.memory.stream import Stream


def attack_memory(
    data: Path, out: Path, scene: Scene, attack: str, queries: int, seed: int, defended: bool
) -> list[str]:
    """Run one attack and save what the device heard.

    Parameters
    ----------
    data : folder of the corpus.
    out : folder for the stream (:mod:`earmark_host.memory.save`), empty or not there yet.
    scene : who is attacked, with what, through what.
    attack : its name in ``ATTACKS``.
    queries : most queries, 1 or more.
    seed : of everything random.
    defended : whether the device has the default detector, and withholds what alarms.

    Returns
    -------
    Lines for the user: how it went, and what the detector says to it.

    Raises
    ------
    EarmarkError
        The name is unknown, the corpus does not do, or the folder cannot be written.
    """
    _check(out, attack, queries)
    corpus = Corpus.open(data)
    corpus.require("speech", "command", "noise")
    material = Material.of(corpus, "held_back", [load_room(name) for name in ROOMS])
    rng = np.random.default_rng([seed, *attack.encode()])
    begun = attempt(scene, victim(scene.victim, data, seed), material, rng)
    gate = Gate(MemorySettings(folder=None), shipped())
    stream = begun.run(attack, queries, rng, gate if defended else None)
    save(stream, out)
    if not defended:
        for query in stream.queries:
            gate(query.signal, query.at_s)
    return [
        f"{out}: {attack} on {begun.victim.name}, {begun.clip.path} as {begun.target!r}, "
        f"{begun.channel.name}",
        *_told(stream, gate, defended),
    ]


def _told(stream: Stream, gate: Gate, defended: bool) -> list[str]:
    queries = len(stream.queries)
    alarms = [number for number, found in enumerate(gate.found, 1) if found.alarm]
    won = "not won" if stream.won_at is None else f"won at query {stream.won_at + 1}"
    what = "withheld" if defended else "would have withheld"
    if not alarms:
        return [f"{won}, {queries} queries", f"the detector {what} none of them"]
    sign = gate.found[alarms[0] - 1].sign.value
    return [
        f"{won}, {queries} queries",
        f"the detector {what} {len(alarms)} of them, the first at query {alarms[0]} ({sign})",
    ]


def _check(out: Path, attack: str, queries: int) -> None:
    """Find out before the work what would make it useless."""
    if attack not in ATTACKS:
        near = difflib.get_close_matches(attack, ATTACKS, n=1)
        raise EarmarkError(
            f"there is no attack {attack!r}" + (f", but {near[0]}" if near else ""),
            f"--attack is one of {', '.join(ATTACKS)}",
        )
    if not 1 <= queries <= MAX_QUERIES:
        raise EarmarkError(f"{queries} queries", f"give 1 to {MAX_QUERIES} with --queries")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise EarmarkError(f"{out} is there and is no empty folder", "give another with --out")
