"""A corpus of real audio: a folder with a ``manifest.csv`` that says what each file is for.

One row a file, with at least the columns ``path`` (below the folder), ``role`` and
``speaker``. Clips are chosen by role, never by folder name, and decoded when they are asked
for:

- people: roles ``speech`` and ``command`` with a speaker's name;
- noises: role ``noise``;
- a television: role ``background`` (speech of others) and ``music``.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import soundfile

from earmark.errors import AudioError, EarmarkError
from earmark.signal import RATE_HZ, Signal

MANIFEST = "manifest.csv"
"""Name of the file that lists the clips."""

MAX_MANIFEST_BYTES = 64 * 1024 * 1024
"""Largest manifest that is read, bytes: some 200,000 clips."""

MAX_CLIP_S = 120.0
"""Longest clip that is decoded, s; the rest of a longer file is left out."""

COLUMNS = ("path", "role", "speaker")
"""Columns that a manifest must have; of the others ``label`` and ``text`` are looked at."""

SPOKEN = ("speech", "command")
"""Roles that are a person speaking to the device."""


@dataclass(frozen=True)
class Clip:
    """One file of the corpus, not yet decoded.

    Parameters
    ----------
    path : below the corpus's folder.
    role : what it is for.
    speaker : who speaks, "" where nobody is named.
    label : what it holds, such as the wake word; "" where the manifest has no such column.
    text : what is said in it, word for word; "" where that is not known.
    """

    path: str
    role: str
    speaker: str
    label: str = ""
    text: str = ""


class Corpus:
    """The clips of one folder, by role and by person; :meth:`open` it."""

    def __init__(self, folder: Path, clips: Sequence[Clip], manifest_sha256: str) -> None:
        self.folder = folder
        self.manifest_sha256 = manifest_sha256
        self._roles: dict[str, list[Clip]] = {}
        people: dict[str, list[Clip]] = {}
        for clip in clips:
            self._roles.setdefault(clip.role, []).append(clip)
            if clip.role in SPOKEN and clip.speaker:
                people.setdefault(clip.speaker, []).append(clip)
        self.people: Mapping[str, Sequence[Clip]] = MappingProxyType(dict(sorted(people.items())))
        """Clips of each person who can speak to the device, by name."""
        self._names = tuple(self.people)

    @classmethod
    def open(cls, folder: Path) -> Corpus:
        """Read the manifest.

        Raises
        ------
        EarmarkError
            There is no manifest, or it is malformed.
        """
        path = folder / MANIFEST
        try:
            with path.open("rb") as file:
                data = file.read(MAX_MANIFEST_BYTES + 1)
        except OSError as error:
            raise EarmarkError(
                f"{path} cannot be read ({error.strerror})",
                f"give the folder of a corpus with --data; its {MANIFEST} has one row a file "
                f"with the columns {', '.join(COLUMNS)}",
            ) from error
        if len(data) > MAX_MANIFEST_BYTES:
            raise EarmarkError(f"{path} is larger than {MAX_MANIFEST_BYTES} bytes", "split it")
        return cls(folder, _rows(path, data), hashlib.sha256(data).hexdigest())

    def has(self, role: str) -> bool:
        """Whether there is a clip of that role."""
        return bool(self._roles.get(role))

    def role(self, role: str) -> Sequence[Clip]:
        """All clips of a role.

        Raises
        ------
        EarmarkError
            There is none.
        """
        clips = self._roles.get(role)
        if not clips:
            there = ", ".join(sorted(self._roles)) or "no roles at all"
            raise EarmarkError(
                f"{self.folder / MANIFEST} has no clip of the role {role!r}, only {there}",
                f"add clips with the role {role!r}",
            )
        return clips

    def require(self, *roles: str, people: int = 2) -> None:
        """Check that there is enough to work with, before the work.

        Parameters
        ----------
        roles : each must have a clip.
        people : least number of people who can speak to the device.

        Raises
        ------
        EarmarkError
            Something is missing.
        """
        for role in roles:
            self.role(role)
        if len(self.people) < people:
            raise EarmarkError(
                f"{self.folder / MANIFEST} has {len(self.people)} people, {people} are needed",
                "add clips of the role 'speech' or 'command' that name their speaker",
            )

    def counts(self) -> dict[str, int]:
        """How many clips each role has."""
        return dict(Counter({role: len(clips) for role, clips in sorted(self._roles.items())}))

    def described(self) -> dict[str, Any]:
        """Which corpus it is, as a report says it: JSON values."""
        return {
            "folder": self.folder.resolve().name,
            "manifest_sha256": self.manifest_sha256,
            "clips": self.counts(),
            "people": len(self.people),
        }

    def person(self, rng: np.random.Generator) -> str:
        """Draw one of the people, all alike."""
        return self._names[int(rng.integers(len(self._names)))]

    def spoken_by(self, person: str, rng: np.random.Generator) -> Clip:
        """Draw one of a person's clips."""
        return draw(self.people[person], rng)

    def load(self, clip: Clip) -> Signal:
        """Decode a clip: 1-D float32 at 16 kHz, at most :data:`MAX_CLIP_S`.

        Raises
        ------
        AudioError
            The file is missing, cannot be decoded, is silent, or is not 16 kHz mono.
        """
        path = self.folder / clip.path
        try:
            with soundfile.SoundFile(path) as stream:
                if stream.samplerate != RATE_HZ or stream.channels != 1:
                    raise AudioError(
                        f"{path} has {stream.samplerate} Hz and {stream.channels} channels",
                        f"convert the corpus to {RATE_HZ} Hz mono",
                    )
                signal: Signal = stream.read(round(MAX_CLIP_S * RATE_HZ), dtype="float32")
        except (OSError, soundfile.SoundFileError) as error:
            raise AudioError(
                f"{path} cannot be decoded ({error})", f"mend the file or its row in {MANIFEST}"
            ) from error
        if not np.isfinite(signal).all() or not signal.any():
            raise AudioError(f"{path} is silent or not finite", f"take it out of {MANIFEST}")
        return signal


def draw(clips: Sequence[Clip], rng: np.random.Generator) -> Clip:
    """Draw one of `clips`, all alike."""
    return clips[int(rng.integers(len(clips)))]


def _rows(path: Path, data: bytes) -> list[Clip]:
    do = f"mend it: one row a file, UTF-8, with the columns {', '.join(COLUMNS)}"
    clips: list[Clip] = []
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise EarmarkError(f"{path} has no column {', '.join(missing)}", do)
        for row in reader:
            values = [row[name] for name in COLUMNS]
            if None in values:
                raise EarmarkError(f"{path}: line {reader.line_num} is cut short", do)
            rest = (row.get("label") or "", row.get("text") or "")
            clip = Clip(values[0], values[1], values[2], *rest)
            inside = Path(clip.path)
            if not clip.path or inside.is_absolute() or ".." in inside.parts:
                raise EarmarkError(
                    f"{path}: line {reader.line_num} names a file outside the folder", do
                )
            clips.append(clip)
    except (UnicodeDecodeError, csv.Error) as error:
        raise EarmarkError(f"{path} is no CSV file ({error})", do) from error
    if not clips:
        raise EarmarkError(f"{path} lists no files", do)
    return clips
