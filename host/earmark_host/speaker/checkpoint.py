"""A trained network in a file: tensors and JSON, nothing that runs when it is read."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from earmark.errors import EarmarkError
from earmark_host.speaker.network import Shape, SpeakerNet

FORMAT = 1
"""Of the file; another is refused."""

MAX_BYTES = 1024**3
"""Largest file that is read, bytes: a hundred times the largest shape with its training state."""


@dataclass(frozen=True)
class Trained:
    """A network and how it came about.

    Parameters
    ----------
    net : the network, in evaluation mode when it was loaded.
    shape : what it is made of.
    people : names of the classes, in the order of the logits.
    arm : how it was trained, a name of :data:`earmark_host.speaker.arms.ARMS`.
    seed : of its training.
    recipe : :meth:`earmark_host.speaker.schedule.Recipe.described`; `arm`: all numbers of the arm;
        `bf16`.
    split : :meth:`earmark_host.speaker.clips.Split.facts`, and `extra_people`: who else was heard.
    steps : how many were done.
    start : of the network whose weights it began with: all of this but `net` and `people`, as in a
        file; None where it began with random ones.
    """

    net: SpeakerNet
    shape: Shape
    people: tuple[str, ...]
    arm: str
    seed: int
    recipe: dict[str, Any]
    split: dict[str, Any]
    steps: int
    start: dict[str, Any] | None = None

    @property
    def about(self) -> dict[str, Any]:
        """All but the network and the people, for JSON."""
        return {
            "shape": self.shape.described(),
            "arm": self.arm,
            "seed": self.seed,
            "recipe": self.recipe,
            "split": self.split,
            "steps": self.steps,
            "start": self.start,
        }

    @property
    def parent(self) -> Trained | None:
        """What is known of the one whose weights it began with; the network is this one's."""
        return None if self.start is None else _described(self.start, self.net, self.people)


def save(path: Path, trained: Trained, resume_state: dict[str, Any] | None = None) -> None:
    """Write it, whole or not at all.

    Parameters
    ----------
    path : of the file; its folder must exist.
    trained : what to write.
    resume_state : what training needs to go on: tensors, numbers and strings, nested.

    Raises
    ------
    EarmarkError
        The file cannot be written.
    """
    about = trained.about | {"people": list(trained.people)}
    content = {
        "format": FORMAT,
        "about": json.dumps(about, allow_nan=False),
        "weights": {name: value.cpu() for name, value in trained.net.state_dict().items()},
        "resume": resume_state,
    }
    part = path.with_name(path.name + ".part")
    try:
        torch.save(content, part)
        part.replace(path)
    except (OSError, RuntimeError) as error:
        part.unlink(missing_ok=True)
        raise EarmarkError(
            f"{path} cannot be written ({error})", "give a folder that exists and has room"
        ) from error


def load(path: Path) -> Trained:
    """Read a network, in evaluation mode, on the CPU.

    Raises
    ------
    EarmarkError
        The file cannot be read or is none of ours.
    """
    return _trained(path, _read(path))


def load_resume(path: Path) -> tuple[Trained, dict[str, Any]]:
    """Read a network and what its training needs to go on.

    Raises
    ------
    EarmarkError
        The file cannot be read, is none of ours, or was saved when training was over.
    """
    content = _read(path)
    if content["resume"] is None:
        raise EarmarkError(
            f"{path} has no training state", "resume from last.pt, which is saved during training"
        )
    return _trained(path, content), content["resume"]


def _read(path: Path) -> dict[str, Any]:
    do = "give a checkpoint that earmark-host speaker train wrote"
    try:
        if path.stat().st_size > MAX_BYTES:
            raise EarmarkError(f"{path} is larger than {MAX_BYTES} bytes", do)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise EarmarkError(f"{path} cannot be read ({error.strerror})", do) from error
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
        raise EarmarkError(f"{path} is no checkpoint", do) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise EarmarkError(f"{path} is no checkpoint of format {FORMAT}", do)
    return content


def _trained(path: Path, content: dict[str, Any]) -> Trained:
    try:
        about = json.loads(content["about"])
        net = SpeakerNet(Shape.of(about["shape"]), len(about["people"]))
        net.load_state_dict(content["weights"])
        return _described(about, net.eval(), tuple(about["people"]))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise EarmarkError(
            f"{path} does not hold what a checkpoint of format {FORMAT} holds ({error})",
            "train again; it may be damaged or of another version",
        ) from error


def _described(about: dict[str, Any], net: SpeakerNet, people: tuple[str, ...]) -> Trained:
    return Trained(
        net=net,
        shape=Shape.of(about["shape"]),
        people=people,
        arm=about["arm"],
        seed=about["seed"],
        recipe=about["recipe"],
        split=about["split"],
        steps=about["steps"],
        start=about.get("start"),  # older files have none
    )
