"""The files of a speaker model: their names, how they are read, and the manifest beside them.

A model is a folder of three files. ``speaker.json``, the manifest, says what the network expects
and gives, and holds the SHA-256 of the other two, which are not looked into before it agrees.
The manifest itself is trusted as far as its folder is: only root writes there on a device.
"""

from __future__ import annotations

import hashlib
import os
import stat
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from earmark.errors import EarmarkError
from earmark.speaker.frontend import FrontEnd

NETWORK = "speaker.tflite"
"""The network: static int8."""

NUMBERS = "speaker.npz"
"""Golden recordings with what the network says to them, and the cohort."""

MANIFEST = "speaker.json"
"""The manifest."""

FORMAT = 1
"""Version of the folder's format."""

MAX_BYTES = {NETWORK: 1_000_000, NUMBERS: 8_000_000, MANIFEST: 100_000}
"""Largest file that is read, bytes: more than twice the 400 KB that a network may have; a cohort
of some thousand people and a minute of recordings; some hundred numbers as text."""

REINSTALL = "install Earmark again, or export the model again: earmark-host speaker export"
"""What to do about a damaged model."""


class SpeakerModelError(EarmarkError):
    """The speaker model is missing, damaged or altered, or it cannot be run here."""


class Manifest(BaseModel):
    """What ``earmark-host speaker export`` says about the model that it wrote."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = Field(description="FORMAT; a newer one is refused.")
    name: str = Field(min_length=1, max_length=100, description="For people.")
    created: date = Field(description="When it was exported.")
    front_end: FrontEnd
    window_frames: int = Field(ge=2, le=2048, description="Frames that the network takes at once.")
    embedding: int = Field(ge=2, le=1024, description="Size of the output that is the embedding.")
    classes: int = Field(
        ge=2, le=100_000, description="Size of the other output: people it was trained on."
    )
    sha256: dict[str, str] = Field(description="Of the network and of the numbers, lower-case hex.")
    tolerance_cosine: float = Field(
        ge=0.9,
        le=1.0,
        description="Least cosine of an embedding computed here to the golden one. A file that the "
        "runtime misreads gives 0.67; another CPU's rounding more than 0.999.",
    )
    decision: dict[str, Any] = Field(description="Constants of the decision, calibrated for it.")

    @field_validator("sha256")
    @classmethod
    def _sums(cls, sums: dict[str, str]) -> dict[str, str]:
        if set(sums) != {NETWORK, NUMBERS}:
            raise ValueError(f"must name {NETWORK} and {NUMBERS}")
        for name, value in sums.items():
            if len(value) != 64 or not set(value) <= set("0123456789abcdef"):
                raise ValueError(f"{name}: 64 hexadecimal digits")
        return sums

    @model_validator(mode="after")
    def _sizes_differ(self) -> Manifest:
        if self.embedding == self.classes:
            raise ValueError(
                f"embedding and classes are both {self.classes}: the outputs are told apart by size"
            )
        return self

    @property
    def window_samples(self) -> int:
        """Samples that the network takes at once."""
        return self.front_end.samples(self.window_frames)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the model in `folder`.

    Raises
    ------
    SpeakerModelError
        It is missing, too large, or says something that it must not.
    """
    raw = read_file(folder, MANIFEST)
    try:
        return Manifest.model_validate_json(raw)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in fault["loc"])
        do = REINSTALL
        if place == "format":
            do = f"this Earmark reads format {FORMAT}: export the model with the same version"
        raise SpeakerModelError(
            f"{folder / MANIFEST}: {place + ': ' if place else ''}{fault['msg']}", do
        ) from None


def read_sealed(folder: Path, name: str, manifest: Manifest) -> bytes:
    """The content of a file whose SHA-256 is in the manifest.

    Raises
    ------
    SpeakerModelError
        It is missing, too large, or not the file that was exported.
    """
    raw = read_file(folder, name)
    if hashlib.sha256(raw).hexdigest() != manifest.sha256[name]:
        raise SpeakerModelError(
            f"{folder / name} was altered (its SHA-256 is not the manifest's)", REINSTALL
        )
    return raw


def read_file(folder: Path, name: str) -> bytes:
    """The content of one of the three files, at most :data:`MAX_BYTES` (SpeakerModelError)."""
    path, most = folder / name, MAX_BYTES[name]
    try:
        # Not blocking: a named pipe in its place must not hold the device.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise SpeakerModelError(f"{path} is no file", REINSTALL)
            raw = file.read(most + 1)
    except OSError as error:
        raise SpeakerModelError(f"{path} cannot be read ({error.strerror})", REINSTALL) from error
    if len(raw) > most:
        raise SpeakerModelError(f"{path} is larger than {most} bytes", REINSTALL)
    return raw
