"""What a strong encoder makes of each clip: the direction that a small network is to learn.

The targets are those of whole clips, and are kept in a file: an encoder takes minutes for an hour
of speech.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from earmark.errors import EarmarkError
from earmark_host.speaker.clips import SCALE, Cache, Clip
from earmark_host.speaker.encoders import encoder

LONGEST = 160_000
"""What of a clip the teacher hears, samples: 10 s; more changes its direction little."""


def targets(
    name: str, clips: Sequence[Clip], cache: Cache, folder: Path, console: Console
) -> NDArray[np.float32]:
    """Unit embeddings of `clips`, shape (clips, dimensions), computed once per folder.

    Parameters
    ----------
    name : of the encoder.
    clips : to be heard.
    cache : to take them from.
    folder : where the embeddings are kept, as ``teacher-NAME.npz``.
    console : where the progress is shown.

    Raises
    ------
    EarmarkError
        There is no such encoder, its package is not installed, or the file cannot be written.
    """
    path = folder / f"teacher-{name}.npz"
    key = hashlib.sha256("\n".join(clip.key for clip in clips).encode()).hexdigest()
    kept = _kept(path, key, len(clips))
    if kept is not None:
        return kept
    teacher = encoder(name)
    if torch.cuda.is_available():
        teacher.cuda()
    found = np.empty((len(clips), teacher.dimensions), np.float32)
    for place, clip in enumerate(
        track(clips, f"{name} hears the clips", console=console, transient=True)
    ):
        signal = cache.samples(clip)[:LONGEST].astype(np.float32) / np.float32(SCALE)
        found[place] = teacher.embed(signal)
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            np.savez(file, key=np.array(key), embeddings=found)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise EarmarkError(
            f"{path} cannot be written ({error.strerror})", "give a folder with --out"
        ) from error
    return found


def _kept(path: Path, key: str, count: int) -> NDArray[np.float32] | None:
    try:
        with np.load(path) as content:
            if str(content["key"]) != key:
                return None
            embeddings = np.asarray(content["embeddings"], np.float32)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    return embeddings if len(embeddings) == count else None
