"""The command ``earmark-host speaker evaluate``."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from earmark.audio import load_room
from earmark.errors import EarmarkError
from earmark_host.bench.measuring import measured
from earmark_host.bench.parts import plain
from earmark_host.bench.report import Report, check_writable
from earmark_host.speaker import checkpoint, clips, evaluate_plots, evaluate_report
from earmark_host.speaker.attacks import filled
from earmark_host.speaker.evaluate import (
    FULL,
    QUICK,
    TABLES,
    Evaluation,
    Found,
    Heldout,
    Plan,
    Subject,
    stages,
    transferred,
)
from earmark_host.speaker.evaluate_figures import figures
from earmark_host.speaker.victim import NetVictim

PIPE_WIDTH = 160
"""Width of the tables where there is no terminal, characters."""

SOURCES = ("standard", "fs10")
"""Arms whose examples are tried on the others; the paper's."""

ROOMS = ("bedroom", "kitchen", "living_room")
"""Rooms for examples over the air; they ship."""

QUICK_CLIPS = 24
"""Clips of a quick run."""


def evaluate(
    data: Path,
    models: Sequence[str],
    json: Path,
    markdown: Path | None,
    seed: int,
    quick: bool,
    most: int | None,
    plots: Path | None,
    threads: int = 1,
    tables: bool = False,
) -> None:
    """Attack models, print what was found, and write it.

    Parameters
    ----------
    data : folder of the corpus that they were trained on.
    models : each a checkpoint, or ``ARM=CHECKPOINT`` to call it something else.
    json, markdown : the report, and the same as text; `markdown` may be None.
    seed : of everything random.
    quick : few clips and weak attacks, to see that all of it works.
    most : clips, taken person by person; None: one of each person.
    plots : folder for plots; None: none.
    threads : of torch on a CPU; more are slower on a busy one.
    tables : only what the paper has, :data:`~.evaluate.TABLES`.

    Raises
    ------
    EarmarkError
        A file is missing or cannot be written, or the models do not belong together.
    """
    torch.set_num_threads(threads)
    if markdown is not None:
        check_writable(markdown)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    plan = QUICK if quick else TABLES if tables else FULL

    def measure(console: Console) -> Report:
        trained = opened(models)
        held = heldout(data, trained, QUICK_CLIPS if quick and most is None else most)
        return _report(trained, held, plan, seed, quick, device, data, console)

    report = measured(measure, json, evaluate_plots.draw, plots, PIPE_WIDTH)
    if markdown is not None:
        evaluate_report.write(report.to_json(), markdown)


def opened(models: Sequence[str]) -> Mapping[str, checkpoint.Trained]:
    """The models by arm and seed.

    Raises
    ------
    EarmarkError
        One cannot be read, two have one name, or they know different people.
    """
    found: dict[str, checkpoint.Trained] = {}
    for text in models:
        arm, is_named, path = text.rpartition("=")
        trained = checkpoint.load(Path(path))
        name = f"{arm if is_named else trained.arm}/{trained.seed}"
        if name in found:
            raise EarmarkError(
                f"two models are called {name}", "call one of them otherwise: ARM=CHECKPOINT"
            )
        found[name] = trained
    if not found:
        raise EarmarkError("there is no model to attack", "give one with --model ARM=CHECKPOINT")
    if len({trained.people for trained in found.values()}) > 1:
        raise EarmarkError(
            "the models know different people", "evaluate models of one corpus and split together"
        )
    return found


def heldout(data: Path, trained: Mapping[str, checkpoint.Trained], most: int | None) -> Heldout:
    """Clips that none of the models was trained on: the first of each person, the second, ...

    People come in the order of hashes of their names: by name those of one source would come
    together, and few clips would not stand for all.

    Parameters
    ----------
    most : how many; None: one of each person.

    Raises
    ------
    EarmarkError
        The corpus lacks such clips: it is not the one they were trained on.
    """
    some = next(iter(trained.values()))
    keys = set.intersection(*(set(each.split["test_clips"]) for each in trained.values()))
    corpus = clips.people(data, background=True, commands=True)
    order_of_people = sorted(some.people, key=lambda name: hashlib.sha256(name.encode()).digest())
    own = [[c for c in corpus.get(person, ()) if c.key in keys] for person in order_of_people]
    turns = range(max((len(each) for each in own), default=0))
    order = [each[turn] for turn in turns for each in own if turn < len(each)]
    if not order:
        raise EarmarkError(
            f"{data} has none of the clips that the models were kept from",
            "give the corpus that they were trained on with --data",
        )
    chosen = order[: len(some.people) if most is None else most]
    labels = {person: label for label, person in enumerate(some.people)}
    least = max(
        each.shape.least_samples if each.shape.whole else each.shape.window_samples
        for each in trained.values()
    )
    return Heldout(
        signals=tuple(filled(clips.load(clip), least) for clip in chosen),
        labels=tuple(labels[clip.person] for clip in chosen),
        keys=tuple(clip.key for clip in chosen),
    )


def _report(
    trained: Mapping[str, checkpoint.Trained],
    held: Heldout,
    plan: Plan,
    seed: int,
    quick: bool,
    device: str,
    data: Path,
    console: Console,
) -> Report:
    found = _attacked(trained, held, plan, seed, device, console)
    metrics, tables = figures(found, plan)
    some = next(iter(trained.values()))
    levels = [20.0 * np.log10(np.sqrt(np.mean(np.square(signal)))) for signal in held.signals]
    return Report(
        bench="speaker evaluate",
        seed=seed,
        data={
            "folder": data.name,
            "clips": len(held),
            "people": len(set(held.labels)),
            "classes": len(some.people),
            "disjoint": some.split["disjoint"],
            "by_session": len(some.split["by_session"]),
            "median_level_dbfs": float(np.median(levels)),
            "median_snr_db": float(np.median(levels) - 20.0 * np.log10(plan.eps)),
        },
        conditions={
            "plan": plain(asdict(plan)),
            "quick": quick,
            "tables_only": plan == TABLES,
            "rooms": list(ROOMS),
            "models": {
                name: {"arm": each.arm, "seed": each.seed, "steps": each.steps}
                for name, each in trained.items()
            },
            "device": device,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "torch": str(torch.__version__),
        },
        metrics=metrics,
        tables=tables,
    )


def _attacked(
    trained: Mapping[str, checkpoint.Trained],
    held: Heldout,
    plan: Plan,
    seed: int,
    device: str,
    console: Console,
) -> list[Found]:
    subjects = {
        name: Subject(name.rpartition("/")[0], each.seed, NetVictim.of(each.net.to(device)))
        for name, each in trained.items()
    }
    lenders = [subject for subject in subjects.values() if subject.arm in SOURCES]
    rooms = [load_room(name) for name in ROOMS]
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    with progress:
        each = stages(plan, 2 * len(lenders), bool(rooms))
        bar = progress.add_task("transfer", total=each * len(subjects) + len(lenders))
        lent = []
        for lender in lenders:
            lent += transferred(lender, held, plan, seed, device)
            progress.advance(bar)
        found = []
        for number, (name, subject) in enumerate(subjects.items(), 1):

            def step(attack: str, name: str = name) -> None:
                progress.update(bar, description=f"{name}: {attack}", advance=1)

            evaluation = Evaluation(subject, held, plan, rooms, seed, device, step)
            found.append(evaluation.run(lent))
            progress.update(bar, completed=each * number + len(lenders))
    return found
