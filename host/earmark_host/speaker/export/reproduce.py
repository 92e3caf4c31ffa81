"""The command that trains a network again, from what its checkpoint says of itself.

It is not kept in the checkpoint: it is what :func:`~earmark_host.speaker.train_command.planned`
would have to be asked for to get the same arm, shape and recipe, so that it holds with the
defaults of this version too.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from earmark_host.speaker.arms import ARMS
from earmark_host.speaker.arms import arm as arm_of
from earmark_host.speaker.checkpoint import Trained
from earmark_host.speaker.encoders import ENCODERS
from earmark_host.speaker.network import SHAPES
from earmark_host.speaker.train_command import Options, planned

SCHEDULES: tuple[Literal["fast", "paper"], ...] = ("fast", "paper")
"""Of :class:`~earmark_host.speaker.train_command.Options`."""

NOT_SET = frozenset({"name", "doc", "front_end", "teacher", "steps"})
"""What ``--set`` does not know: there are options for it."""


def arm_numbers(trained: Trained) -> dict[str, Any]:
    """All numbers of the arm, those of its name where the checkpoint does not tell."""
    return dict(trained.recipe.get("arm") or vars(arm_of(trained.arm)))


def teacher_of(trained: Trained) -> str | None:
    """Name of the encoder that it learned from; None: of none."""
    if not trained.recipe.get("distil"):
        return None
    return next(
        (name for name, each in ENCODERS.items() if each.dimensions == trained.shape.teacher), None
    )


def options(trained: Trained) -> Options:
    """What to ask for. `data` and `out` are words; the split is that of the default options but
    for people who were kept out, and the same corpus.

    Of the shapes and schedules the one is taken that needs the fewest changes.
    """
    return min(
        (_options(trained, shape, schedule) for shape in SHAPES for schedule in SCHEDULES),
        key=lambda each: len(each.changes),
    )


def command(trained: Trained) -> tuple[str, ...]:
    """``earmark-host speaker train`` with each option, quoted for a shell, as a part of its own."""
    asked = options(trained)
    parts = [
        "earmark-host speaker train --data DIR --out DIR",
        f"--arm {shlex.quote(asked.arm)} --seed {asked.seed}",
        f"--shape {asked.shape} --schedule {asked.schedule}",
        f"--steps {asked.steps} --batch {asked.batch}",
    ]
    if asked.teacher != "none":
        parts.append(f"--teacher {asked.teacher}")
    if asked.extra:
        parts.append("--extra")
    if asked.hold_out:
        parts.append(f"--hold-out {asked.hold_out}")
    if asked.bf16 is not None:
        parts.append("--bf16" if asked.bf16 else "--no-bf16")
    if trained.start is not None:
        parts.append("--start FIRST/last.pt")
    return (*parts, *(f"--set {shlex.quote(change)}" for change in asked.changes))


def commands(trained: Trained) -> tuple[tuple[str, ...], ...]:
    """All that it takes, the first one first: each begins with what the one before it has made."""
    parent = trained.parent
    before = () if parent is None else commands(parent)
    return (*before, command(trained))


def _options(trained: Trained, shape: str, schedule: Literal["fast", "paper"]) -> Options:
    recipe, split = trained.recipe, trained.split
    asked = Options(
        data=Path("DIR"),
        out=Path("DIR"),
        arm=trained.arm if trained.arm in ARMS else "hat10",
        seed=trained.seed,
        shape=shape,
        schedule=schedule,
        steps=recipe["steps"],
        batch=recipe["batch"],
        teacher=teacher_of(trained) or "none",
        extra=bool(split.get("extra_people")),
        hold_out=len(split.get("held_out", ())),
        bf16=recipe.get("bf16"),
    )
    return Options(**{**vars(asked), "changes": tuple(_changes(trained, asked))})


def _changes(trained: Trained, asked: Options) -> Iterator[str]:
    """``name=value`` of all that is not as the options alone would have it."""
    arm, shape, recipe = planned(asked, 1)
    pairs = (
        (arm, arm_numbers(trained)),
        (shape.front_end, vars(trained.shape.front_end)),
        (shape, vars(trained.shape)),
        (recipe, trained.recipe),
    )
    for part, found in pairs:
        for field in fields(part):
            if field.name in NOT_SET or field.name not in found:
                continue
            value, usual = found[field.name], getattr(part, field.name)
            if _plain(value) != _plain(usual):
                yield f"{field.name}={_said(value)}"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(_plain(value), separators=(",", ":"))
