"""The checkpoints of a folder: arms of the training, and the one that the shipped file is from."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from earmark.errors import EarmarkError
from earmark.speaker import DEVICE, PAPER, PAPER_FLOORED, FrontEnd
from earmark.speaker.manifest import NUMBERS, read_manifest, read_sealed
from earmark.speaker.model import FULL_SCALE, shipped_folder
from earmark_host.bench.speaker.learning import PREFIX
from earmark_host.bench.speaker.setup import ArmFile
from earmark_host.speaker.checkpoint import Trained, load

FOLDER = "arms"
"""Below the folder of the models: where checkpoints are looked for by default."""

SAME_COSINE = 0.97
"""A checkpoint is the parent of an int8 file when their embeddings of its golden recordings are at
least so alike; rounding leaves more than .99, another seed of the same training has about 0."""

FRONT_ENDS: Mapping[str, FrontEnd] = {
    "device": DEVICE,
    "paper": PAPER,
    "paper-floored": PAPER_FLOORED,
}
"""By what they are called in a report."""


@dataclass(frozen=True)
class Found:
    """A checkpoint.

    Parameters
    ----------
    path : of its file.
    arm : how it is called in the bench.
    """

    path: Path
    arm: ArmFile


@dataclass(frozen=True)
class Arms:
    """What was found.

    Parameters
    ----------
    parent : what the shipped file was made from; None: it is not there.
    compared : arms of the training.
    learning : those that differ in how many people they were trained on.
    """

    parent: Path | None = None
    compared: tuple[Found, ...] = ()
    learning: tuple[Found, ...] = ()


def look(folder: Path | None, model: Path | None) -> Arms:
    """Sort the checkpoints in `folder`.

    The parent is no arm beside others of its own arm: it may have a recipe of its own.

    Parameters
    ----------
    folder : with files ``*.pt``; None: ``arms`` below the shipped model, if there is such a folder.
    model : folder of the int8 file; None: the one that ships.

    Raises
    ------
    EarmarkError
        The folder is missing, or a file in it is no checkpoint.
    """
    model = model or shipped_folder()
    if folder is None:
        folder = model / FOLDER
        if not folder.is_dir():
            return Arms()
    if not folder.is_dir():
        raise EarmarkError(f"{folder} is no folder", "give one with checkpoints to --arms")
    parent: Path | None = None
    found: list[Found] = []
    paths = sorted(folder.glob("*.pt"), key=lambda path: (path.stem.startswith(PREFIX), path.stem))
    for path in paths:
        trained = load(path)
        found.append(Found(path, _described(path, trained)))
        if parent is None and is_parent(trained, model):
            parent = path
    learning = [each for each in found if each.arm.ear.startswith(PREFIX)]
    rest = [each for each in found if each not in learning]
    compared = [each for each in rest if each.path != parent or not _others(rest, each)]
    return Arms(parent, tuple(compared), tuple(learning))


def is_parent(trained: Trained, model: Path) -> bool:
    """Whether the int8 file in `model` was made from this network.

    Raises
    ------
    SpeakerModelError
        The model is missing or was altered.
    """
    manifest = read_manifest(model)
    same = (manifest.embedding, manifest.classes, manifest.front_end)
    if same != (trained.shape.dimensions, len(trained.people), trained.shape.front_end):
        return False
    with np.load(io.BytesIO(read_sealed(model, NUMBERS, manifest))) as numbers:
        signals, golden = numbers["signal"], numbers["embedding"]
    for signal, embedding in zip(signals, golden, strict=True):
        with torch.no_grad():
            said = torch.from_numpy(signal.astype(np.float32) / np.float32(FULL_SCALE))
            heard = trained.net.recording(said)[0].numpy()
        lengths = float(np.linalg.norm(heard) * np.linalg.norm(embedding))
        if not float(heard @ embedding) >= SAME_COSINE * lengths:
            return False
    return True


def _others(found: Sequence[Found], one: Found) -> bool:
    return any(each.arm.arm == one.arm.arm and each.path != one.path for each in found)


def _described(path: Path, trained: Trained) -> ArmFile:
    heard = [name for name, one in FRONT_ENDS.items() if one == trained.shape.front_end]
    return ArmFile(path.stem, trained.arm, trained.seed, (heard or ["own"])[0], len(trained.people))
