"""The recorded speech and noise that ship with Earmark, for the demo and the tests.

``assets/manifest.json`` lists every file with its speaker, licence and SHA-256;
``assets/CREDITS.md`` credits the creators.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import MappingProxyType

import numpy as np
import soundfile
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from earmark.errors import AudioError, EarmarkError
from earmark.signal import RATE_HZ, Signal, active_level_dbfs, gain

ASSETS = Path(__file__).with_name("assets")
"""The folder of the clips that ship."""

_REINSTALL = "reinstall Earmark, or restore device/earmark/demo/assets from the repository"

_LARGEST_BYTES = 1_000_000
"""No clip is larger, bytes; the largest has 0.45 MB. Bounds what is read and decoded."""


class ClipKind(Enum):
    """What a clip is good for."""

    WAKE = "wake"
    """The word "alexa" and the silence around it."""
    COMMAND = "command"
    """A sentence of 1 to 4 s."""
    RESIDENT = "resident"
    """A sentence of 2 s by the reader of the command ``reading_1``, whom the demo enrols."""
    WORD = "word"
    """One word out of go, up, down, left, right, five."""
    TELEVISION = "television"
    """Somebody reading, to be played by a television."""
    NOISE = "noise"
    """A sound of the household."""


class _Entry(BaseModel):
    """One clip in the manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(pattern=r"^[a-z0-9_]+\.(opus|flac)$")
    kind: ClipKind
    name: str
    speaker: str | None
    text: str | None
    duration_s: float = Field(gt=0.0, le=60.0)
    spoken_s: tuple[float, float]
    source: str
    licence: str
    orig: str
    changes: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class _Manifest(BaseModel):
    """``manifest.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rate_hz: int
    clips: tuple[_Entry, ...]


@dataclass(frozen=True, eq=False)
class Clip:
    """One recording.

    Parameters
    ----------
    kind, name : together unique.
    speaker : who speaks, under the name that the source gives; None for noise.
    text : what is said; None where the source does not tell.
    signal : shape (n,), float32, at RATE_HZ, read-only; the level is the recording's own.
    spoken_s : start and end of the spoken part within `signal`, s (by energy, with a margin
        of 50 ms).
    source, licence : where it comes from and its SPDX licence.
    """

    kind: ClipKind
    name: str
    speaker: str | None
    text: str | None
    signal: Signal
    spoken_s: tuple[float, float]
    source: str
    licence: str

    @property
    def spoken(self) -> Signal:
        """The spoken part of `signal`, without the silence around it."""
        start_s, end_s = self.spoken_s
        return self.signal[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]


class Clips:
    """The clips, by kind and name. An unknown name is a KeyError that lists those there are."""

    def __init__(self, clips: Mapping[tuple[ClipKind, str], Clip]) -> None:
        self._clips = MappingProxyType(dict(clips))

    def all(self, kind: ClipKind) -> tuple[Clip, ...]:
        """Every clip of one kind, in the manifest's order."""
        return tuple(clip for (other, _), clip in self._clips.items() if other is kind)

    def wake(self, name: str = "1") -> Clip:
        """A spoken wake word; ``1`` to ``7`` are seven people."""
        return self._get(ClipKind.WAKE, name)

    def command(self, name: str) -> Clip:
        """A sentence, such as ``toast``."""
        return self._get(ClipKind.COMMAND, name)

    def sentence(self, name: str) -> Clip:
        """A command, or what the resident says: ``resident_1`` to ``resident_4``."""
        kind = ClipKind.RESIDENT if name.startswith("resident_") else ClipKind.COMMAND
        return self._get(kind, name)

    def word(self, voice: str, word: str) -> Clip:
        """One word by voice ``a`` or ``b``."""
        return self._get(ClipKind.WORD, f"{voice}_{word}")

    def phrase(self, voice: str, *words: str, pause_s: float = 0.15) -> Signal:
        """Several words by one voice at one level (-26 dBFS while active), with pauses."""
        if not words:
            raise ValueError("a phrase has at least one word")
        pause = np.zeros(round(pause_s * RATE_HZ), dtype=np.float32)
        parts: list[Signal] = []
        for word in words:
            spoken = self.word(voice, word).spoken
            parts += [spoken * np.float32(gain(-26.0 - active_level_dbfs(spoken))), pause]
        return np.concatenate(parts[:-1])

    def television(self) -> Signal:
        """32 s of four people talking one after the other, each at -26 dBFS while active."""
        signals = [clip.signal for clip in self.all(ClipKind.TELEVISION)]
        return np.concatenate(
            [signal * np.float32(gain(-26.0 - active_level_dbfs(signal))) for signal in signals]
        )

    def noise(self, name: str = "dishes") -> Clip:
        """A sound of the household, 60 s."""
        return self._get(ClipKind.NOISE, name)

    def _get(self, kind: ClipKind, name: str) -> Clip:
        try:
            return self._clips[kind, name]
        except KeyError:
            names = ", ".join(clip.name for clip in self.all(kind))
            raise KeyError(f"no {kind.value} clip {name!r}; there are {names}") from None


def load_clips(folder: Path = ASSETS) -> Clips:
    """Read and check every clip of `folder`: about 150 s of audio, 9 MB.

    Raises
    ------
    EarmarkError
        The manifest is missing or malformed, or a file is missing or altered.
    AudioError
        A file cannot be decoded, or is not mono at RATE_HZ.
    """
    path = folder / "manifest.json"
    try:
        manifest = _Manifest.model_validate_json(_read(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise EarmarkError(
            f"{path} is damaged at {where!r} ({first['msg']})", _REINSTALL
        ) from error
    clips = {}
    for entry in manifest.clips:
        clips[entry.kind, entry.name] = Clip(
            entry.kind,
            entry.name,
            entry.speaker,
            entry.text,
            _decode(folder / entry.file, entry.sha256),
            entry.spoken_s,
            entry.source,
            entry.licence,
        )
    return Clips(clips)


def _read(path: Path) -> bytes:
    """The whole file, which is at most 1 MB."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise EarmarkError(f"{path} cannot be read ({error.strerror})", _REINSTALL) from error
    if len(data) > _LARGEST_BYTES:
        raise EarmarkError(f"{path} is larger than any clip", _REINSTALL)
    return data


def _decode(path: Path, sha256: str) -> Signal:
    data = _read(path)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise EarmarkError(f"{path} was altered (its SHA-256 is not the manifest's)", _REINSTALL)
    try:
        samples, rate_hz = soundfile.read(io.BytesIO(data), dtype="float32")
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"{path} cannot be decoded ({error})", "install libsndfile 1.0.29 or later, with Opus"
        ) from error
    if rate_hz != RATE_HZ or samples.ndim != 1:
        raise AudioError(f"{path} is not mono at {RATE_HZ} Hz", _REINSTALL)
    signal: Signal = samples
    signal.setflags(write=False)
    return signal
