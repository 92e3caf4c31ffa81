"""Which recordings set the thresholds, and which are held back to test them."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from typing import Literal, TypeAlias

from earmark_host.bench.corpus import Clip

Fold: TypeAlias = Literal["calibrate", "held_back"]
"""The two sides. No person and no tune is on both."""


def fold(clip: Clip) -> Fold:
    """The side of a clip: half of all people, tunes and unnamed files, by a hash.

    It depends on the clip alone: not on the other clips, their order or a seed. Clips of one
    :func:`owner` are on one side. People whom the manifest does not name (wake words) cannot be
    kept apart: one of them may be on both sides, with different takes.
    """
    digest = hashlib.sha256(owner(clip).encode()).digest()
    return "held_back" if digest[0] & 1 else "calibrate"


def owner(clip: Clip) -> str:
    """Whose clip it is: its speaker, else its tune, else the file itself."""
    if clip.speaker:
        return f"speaker {clip.speaker}"
    if clip.role == "music":
        return f"tune {_tune(clip.path)}"
    return f"file {clip.path}"


def _tune(path: str) -> str:
    """The letters of a file's name: ``Let_s_Go_2.opus`` and ``Lets_Go.opus`` are one tune."""
    name = PurePosixPath(path).stem
    return "".join(letter for letter in name.lower() if letter.isalpha()) or name
