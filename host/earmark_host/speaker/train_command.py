"""The command ``earmark-host speaker train``."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import torch
import typer
from rich.console import Console

from earmark.errors import EarmarkError
from earmark.speaker import FrontEnd
from earmark_host.speaker import schedule
from earmark_host.speaker.arms import Arm
from earmark_host.speaker.arms import arm as arm_of
from earmark_host.speaker.checkpoint import load
from earmark_host.speaker.clips import Cache, people, split
from earmark_host.speaker.encoders import ENCODERS
from earmark_host.speaker.network import SHAPES, Shape
from earmark_host.speaker.reverb import Rooms
from earmark_host.speaker.schedule import Recipe
from earmark_host.speaker.teacher import targets
from earmark_host.speaker.train import MODEL, Material, Plan, accuracy, train

DISTIL = 2.0
"""Weight of a teacher where none is given."""

ROOMS_SEED = 5
"""Of the rooms that clips are heard in: the same for every arm and seed."""

PIPE_WIDTH = 140
"""Width where there is no terminal, characters."""


@dataclass(frozen=True)
class Options:
    """What the command line asks for.

    Parameters
    ----------
    data : folder of the corpus.
    out : folder of the checkpoints.
    arm : a name of :data:`earmark_host.speaker.arms.ARMS`, or of the ablation's.
    seed : of the weights and of all that is drawn; the split into train and test has none.
    shape : a name of :data:`earmark_host.speaker.network.SHAPES`.
    schedule : ours, or the paper's.
    epochs, steps, batch : instead of the schedule's; epochs or steps, not both.
    teacher : a name of :data:`earmark_host.speaker.encoders.ENCODERS`, or "none".
    extra : also learn from the teacher what people with a single clip are like.
    least : utterances that a person needs to be a class.
    most : no more people than this.
    hold_out : so many people are kept out, for a test with strangers.
    resume : go on from the last checkpoint.
    start : a checkpoint whose weights to begin with.
    bf16 : convolutions in bfloat16; None where the processor is fast at it.
    threads : of torch, on a CPU.
    cache_gb : memory for decoded clips, and as much again for those heard in rooms, GiB.
    changes : "name=value" for a field of the arm, the front-end, the shape or the recipe; the
        value as JSON or a word.
    """

    data: Path
    out: Path
    arm: str
    seed: int = 1
    shape: str = "device"
    schedule: Literal["fast", "paper"] = "fast"
    epochs: int | None = None
    steps: int | None = None
    batch: int | None = None
    teacher: str = "none"
    extra: bool = False
    least: int = 15
    most: int | None = None
    hold_out: int = 0
    resume: bool = False
    start: Path | None = None
    bf16: bool | None = None
    threads: int = 1
    cache_gb: float = 2.0
    changes: tuple[str, ...] = ()


def run(options: Options) -> None:
    """Train, and say how many of the test recordings the network gives to the right person.

    Raises
    ------
    EarmarkError
        An option is wrong, the corpus is too small, or a file cannot be read or written.
    """
    torch.set_num_threads(options.threads)
    if options.steps is not None and options.epochs is not None:
        raise EarmarkError("both --steps and --epochs are given", "give one of them")
    first = os.environ.get("RANK", "0") == "0"
    console = Console(stderr=True) if first else Console(quiet=True)
    if not console.is_terminal and first:
        console = Console(stderr=True, width=PIPE_WIDTH)
    divided = split(people(options.data), options.least, 0, options.hold_out, options.most)
    # Who has one clip cannot be told from others in a test: nothing is lost to the open set.
    whose = people(options.data, background=True, commands=True) if options.extra else {}
    extra = tuple(clips[0] for clips in whose.values() if len(clips) == 1)
    limit = round(options.cache_gb * 1024**3)
    cache = Cache(limit)
    arm, shape, recipe = planned(options, len(divided.train) + len(extra))
    material = Material(divided, extra, cache=cache, speeds=recipe.speeds)
    if recipe.distil:
        options.out.mkdir(parents=True, exist_ok=True)
        found = targets(options.teacher, material.clips, cache, options.out, console)
        material = dataclasses.replace(material, targets=found)
    bf16 = fast_bf16() if options.bf16 is None else options.bf16
    plan = Plan(arm, shape, recipe, options.seed, bf16)
    if recipe.rooms:
        rooms = Rooms.computed(cache, ROOMS_SEED, limit=limit)
        material = dataclasses.replace(material, rooms=rooms)
    start = None if options.start is None else load(options.start)
    try:
        trained = train(material, plan, options.out, console, options.resume, start=start)
    except KeyboardInterrupt:
        typer.echo("earmark-host: interrupted; --resume goes on from last.pt", err=True)
        raise typer.Exit(130) from None
    if first:
        right, count = accuracy(trained, divided.test, cache)
        typer.echo(
            f"{options.out / MODEL}: {plan.arm.name}, {len(divided.people)} people, "
            f"{100.0 * right / count:.1f} % of {count} clean test recordings "
            f"({divided.disjoint}-disjoint)"
        )


def planned(options: Options, clips: int) -> tuple[Arm, Shape, Recipe]:
    """The arm, the shape and the recipe that the options ask for, for that number of clips.

    Raises
    ------
    EarmarkError
        An option is unknown or wrong.
    """
    if options.shape not in SHAPES:
        raise EarmarkError(f"there is no shape {options.shape!r}", f"use {', '.join(SHAPES)}")
    if options.teacher not in (*ENCODERS, "none"):
        raise EarmarkError(
            f"there is no teacher {options.teacher!r}", f"use {', '.join([*ENCODERS, 'none'])}"
        )
    shape, recipe = SHAPES[options.shape], schedule.FAST
    if options.schedule == "paper":
        recipe = schedule.paper(1)
    if options.extra and options.teacher == "none":
        raise EarmarkError(
            "--extra is of people who are no classes: without a teacher nothing is learnt of them",
            "give --teacher, or leave --extra out",
        )
    if options.teacher != "none":
        recipe = dataclasses.replace(recipe, distil=DISTIL)
        shape = dataclasses.replace(shape, teacher=ENCODERS[options.teacher].dimensions)
    if options.batch is not None:
        recipe = dataclasses.replace(recipe, batch=options.batch)
    epochs = options.epochs
    if epochs is None and options.steps is None and options.schedule == "paper":
        epochs = schedule.PAPER_EPOCHS
    if epochs is not None:
        recipe = dataclasses.replace(recipe, steps=max(1, -(-clips * epochs // recipe.batch)))
    elif options.steps is not None:
        recipe = dataclasses.replace(recipe, steps=options.steps)
    arm, shape, recipe = _changed(arm_of(options.arm), shape, recipe, options.changes)
    if (recipe.distil > 0.0) != (shape.teacher > 0):
        raise EarmarkError(
            f"distil is {recipe.distil:g} with the teacher {options.teacher!r}",
            "give --teacher to learn from one, and no distil=0 with it",
        )
    return arm, shape, recipe


def fast_bf16() -> bool:
    """Whether bfloat16 is faster than float32 here: a GPU since 2020, or a CPU with AVX512-BF16."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported())


def _changed(
    arm: Arm, shape: Shape, recipe: Recipe, changes: Sequence[str]
) -> tuple[Arm, Shape, Recipe]:
    known = {
        field.name
        for part in (Arm, FrontEnd, Shape, Recipe)
        for field in dataclasses.fields(part)
        if field.name not in ("name", "doc", "front_end", "teacher")
    }
    # Both an arm's attack and the training have steps: --arm and --steps say them.
    known -= {"steps"}
    values: dict[str, Any] = {}
    for change in changes:
        name, _, text = change.partition("=")
        if name not in known or not text:
            raise EarmarkError(
                f"--set {change} is not understood",
                f"give name=value with one of {', '.join(sorted(known))}",
            )
        values[name] = _value(text)
    try:
        front_end = _replaced(shape.front_end, values)
    except ValueError as error:
        raise EarmarkError(f"--set does not fit the front-end: {error}", "change it") from error
    shape = dataclasses.replace(_replaced(shape, values), front_end=front_end)
    try:
        recipe = _replaced(recipe, values)
    except ValueError as error:
        raise EarmarkError(f"--set does not fit the recipe: {error}", "change it") from error
    return _replaced(arm, values), shape, recipe


def _replaced(part: Any, values: Mapping[str, Any]) -> Any:
    own = {}
    hints = get_type_hints(type(part))
    for field in dataclasses.fields(part):
        if field.name not in values:
            continue
        value, before = values[field.name], getattr(part, field.name)
        if isinstance(before, tuple) and isinstance(value, list):
            value = tuple(value)
        if isinstance(before, float) and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        words = get_args(hints[field.name]) if isinstance(before, str) else ()
        if type(value) is not type(before) or (words and value not in words):
            raise EarmarkError(
                f"--set {field.name}={value} is not possible",
                f"give one of {', '.join(words)}" if words else f"give a value like {before}",
            )
        own[field.name] = value
    return dataclasses.replace(part, **own)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
