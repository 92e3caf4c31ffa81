"""``earmark-host bench speaker``: its parts, one after the other, into one report."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import fields, replace
from enum import Enum
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console

from earmark.errors import EarmarkError
from earmark_host.bench.corpus import MANIFEST, Corpus
from earmark_host.bench.parts import Held, conditions, joined, run_part, trials
from earmark_host.bench.report import Report
from earmark_host.bench.room_pool import Order, Room, compute
from earmark_host.bench.speaker import store
from earmark_host.bench.speaker.arms import Arms, Found, look
from earmark_host.bench.speaker.ears import Checkpoint, Ears, Peer, Shipped
from earmark_host.bench.speaker.setup import DEVICE, PARENT, PEERS, Setup
from earmark_host.bench.work import Workers
from earmark_host.speaker.encoders import ENCODERS
from earmark_host.speaker.schedule import EPS

_HERE = "earmark_host.bench.speaker"


class Part(Enum):
    """What can be measured, in the order of the report."""

    CLOSED = "closed"
    """Who of known people speaks: clean, under every attack, by arm of the training, and peers."""
    OPEN = "open"
    """People whom nobody trained on: enrolled and told from strangers, clean and attacked."""
    ROOM = "room"
    """After the nonce, a room and the nonce's removal."""
    LEARNING = "learning"
    """What more people in training would give."""
    CPU = "cpu"
    """CPU time and size. Alone on the machine, so after everything else."""


def run(
    folder: Path,
    parts: Sequence[Part],
    *,
    quick: bool,
    seed: int,
    workers: int,
    console: Console,
    arms: Path | None = None,
    model: Path | None = None,
    attacked: int | None = None,
) -> Report:
    """Run these parts.

    Parameters
    ----------
    folder : of the corpus: with a manifest, or LibriSpeech's own.
    parts : which; in whatever order they are given, they run in that of :class:`Part`.
    quick : few clips.
    seed : of everything random: the same seed gives the same figures, CPU times apart.
    workers : processes, at least 1.
    console : for the progress.
    arms : folder of checkpoints; None: the one below the shipped model, if there is one.
    model : folder of the model; None: the one that ships.
    attacked : clips that each attack is tried on, at most; None: as many as the plan has.

    Raises
    ------
    EarmarkError
        The corpus or the model lacks something, or a part cannot work.
    """
    began = time.monotonic()
    folder = folder.resolve()
    chosen = [part for part in Part if part in parts]
    found = look(arms, model)
    ears = _ears(found, model)
    held: list[Held] = []
    with tempfile.TemporaryDirectory(prefix="earmark-bench-") as scratch:
        setup = Setup(
            folder,
            seed,
            Path(scratch),
            ears,
            tuple(each.arm for each in found.compared),
            tuple(each.arm for each in found.learning),
        )
        if len(setup.corpus) < 2:
            raise EarmarkError(
                f"{folder} has {len(setup.corpus)} people, 2 are needed",
                "add clips of the role 'speech' that name their speaker",
            )
        setup.ear(DEVICE)  # before the work: it may be missing
        with Workers(workers, console) as pool:
            if Part.ROOM in chosen:
                setup = _with_rooms(pool, setup, quick)
            store.fill(pool, setup, store.wanted(_asked(setup, chosen, quick)))
            held += [
                run_part(pool, _HERE, part.value, setup, quick, partial(_fewer, attacked))
                for part in chosen
                if part is not Part.CPU
            ]
        if Part.CPU in chosen:
            # A fresh process with one thread, now that the others have ended.
            with Workers(1, console) as pool:
                held.append(run_part(pool, _HERE, Part.CPU.value, setup, quick))
        return Report(
            bench="speaker",
            seed=seed,
            data=_data(setup),
            conditions={
                **conditions(held, quick=quick, workers=workers, took_s=time.monotonic() - began),
                "eps": EPS,
                **_models(setup, found),
                "rooms": [room.path.stem for room in setup.rooms],
            },
            metrics=[metric for each in held for metric in each.metrics],
            tables=joined(held),
        )


def _ears(found: Arms, model: Path | None) -> tuple[tuple[str, Ears], ...]:
    ears: dict[str, Ears] = {DEVICE: Shipped(model, found.parent)}
    if found.parent is not None:
        ears[PARENT] = Checkpoint(found.parent)
    ears |= {name: Peer(name) for name in PEERS if _installed(name)}
    for each in (*found.compared, *found.learning):
        if each.arm.ear in ears:
            raise EarmarkError(f"{each.path} has a name that means something else", "rename it")
        ears[each.arm.ear] = Checkpoint(each.path)
    return tuple(ears.items())


def _fewer(attacked: int | None, plan: Any) -> Any:
    """The plan with at most so many clips (trials) under attack; nearly all its time goes there."""
    if attacked is None:
        return plan
    counts = [each.name for each in fields(plan) if each.name.endswith("attacked")]
    return replace(plan, **{name: min(attacked, getattr(plan, name)) for name in counts})


def _asked(setup: Setup, parts: Sequence[Part], quick: bool) -> Any:
    """What each part wants to be heard before."""
    for part in parts:
        module = trials(_HERE, part.value)
        wanted = getattr(module, "wanted", None)
        if wanted is not None:
            yield from wanted(setup, module.QUICK if quick else module.FULL)


def _with_rooms(pool: Workers, setup: Setup, quick: bool) -> Setup:
    module = trials(_HERE, Part.ROOM.value)
    count = (module.QUICK if quick else module.FULL).rooms
    orders = [Order(setup.scratch, setup.seed, index) for index in range(count)]
    rooms: list[Room] = pool.run("rooms", compute, orders)
    return replace(setup, rooms=tuple(rooms))


def _installed(peer: str) -> bool:
    return _version(peer) is not None


def _version(peer: str) -> str | None:
    try:
        return version(ENCODERS[peer].package)
    except PackageNotFoundError:
        return None


# -- what the figures hold under ------------------------------------------------------------


def _data(setup: Setup) -> dict[str, Any]:
    if (setup.data / MANIFEST).exists():
        return Corpus.open(setup.data).described()
    return {
        "folder": setup.data.name,
        "clips": {"speech": sum(map(len, setup.corpus.values()))},
        "people": len(setup.corpus),
    }


def _models(setup: Setup, found: Arms) -> dict[str, Any]:
    def named(some: Sequence[Found]) -> list[str]:
        return [each.path.name for each in some]

    trained = setup.ear(DEVICE).trained
    there = [person for person in trained.people if person in setup.corpus]
    return {
        "parent": "not found: no float figures, and whom the model was trained on is not known, "
        "so that people it has heard would count as strangers"
        if found.parent is None
        else found.parent.name,
        "trained_on": len(trained.people),
        "of_them_in_the_corpus": len(there),
        "arms": named(found.compared),
        "learning": named(found.learning),
        "peers": {name: _version(name) or "left out: not installed" for name in PEERS},
    }
