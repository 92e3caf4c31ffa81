"""What a run has found so far, on disk: it can be interrupted at any moment and goes on there.

Numbers only, as in the report, and fingerprints of the clips that ship with Earmark. The file is
replaced after every step; it is deleted when the run is over.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from earmark.audio import AudioSettings
from earmark.config import Config
from earmark.errors import EarmarkError
from earmark.files import flush_folder, replace_file
from earmark_calibration.choose.choice import Priced
from earmark_calibration.choose.place import Place
from earmark_calibration.choose.play import Trial
from earmark_calibration.choose.thresholds import Draws, Marks
from earmark_calibration.owner import give, make_folder
from earmark_calibration.record import Curve, Fault, Measurement, Number, Profile, Text

FILE = "run.json"
"""Name of the file, in the folder of the reports."""

MAX_BYTES = 16_000_000
"""Largest file that is read."""


class StateError(EarmarkError):
    """A run cannot go on from what is on disk."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlaceState(_Part):
    """A :class:`Place` without its audio settings, which the configuration has."""

    response: tuple[Number, ...] = Field(max_length=65_536)
    delay_s: Number
    noise_psd: tuple[Number, ...] = Field(max_length=65_536)
    drift_ppm: Number
    noise_db: tuple[Number, ...] = Field(max_length=4096)
    noise_step_s: Number

    @classmethod
    def of(cls, place: Place) -> Self:
        """To be kept."""
        return cls(
            response=tuple(float(each) for each in place.response),
            delay_s=place.delay_s,
            noise_psd=tuple(float(each) for each in place.noise_psd),
            drift_ppm=place.drift_ppm,
            noise_db=place.noise_db,
            noise_step_s=place.noise_step_s,
        )

    def place(self, audio: AudioSettings) -> Place:
        """As it was."""
        return Place(
            np.asarray(self.response, np.float32),
            self.delay_s,
            np.asarray(self.noise_psd, np.float64),
            audio,
            self.drift_ppm,
            self.noise_db,
            self.noise_step_s,
        )


class Surveyed(_Part):
    """What was measured."""

    measurements: tuple[Measurement, ...]
    curves: tuple[Curve, ...]
    faults: tuple[Fault, ...]
    spl_reference: Text
    mic_dbspl_at_0dbfs: Number
    place: PlaceState | None
    """None: it could not be measured well enough to predict anything."""


class Decided(_Part):
    """What was chosen."""

    before: Priced
    after: Priced
    curves: tuple[Curve, ...]
    met: bool
    sentence: Text


class Held(_Part):
    """A trial that was played, with all that is kept of it."""

    trial: Trial
    draws: Draws
    marks: Marks | None
    """Of a live command; None for a replay."""


class State(_Part):
    """The whole file."""

    earmark_calibration_run: Literal[1] = 1
    when: AwareDatetime
    profile: Profile
    seed: int
    settings_sha256: str
    """Of the device's settings at the beginning."""
    sound_s: Number = 0.0
    surveyed: Surveyed | None = None
    decided: Decided | None = None
    held: tuple[Held, ...] = ()

    @classmethod
    def new(cls, config: Config, profile: Profile, seed: int, when: datetime) -> Self:
        """Nothing is found yet."""
        return cls(when=when, profile=profile, seed=seed, settings_sha256=settings_sha256(config))

    def with_(self, **found: object) -> Self:
        """A copy with more in it."""
        return self.model_copy(update=found)


def settings_sha256(config: Config) -> str:
    """Hash of all settings in effect; a secret counts by being there."""
    return hashlib.sha256(config.model_dump_json().encode()).hexdigest()


def save(state: State, folder: Path) -> None:
    """Put the state on the disk.

    Raises
    ------
    StateError
        The folder cannot be written.
    """
    try:
        make_folder(folder)
        replace_file(folder / FILE, state.model_dump_json().encode(), give)
        flush_folder(folder)
    except OSError as error:
        raise StateError(
            f"{folder} cannot be written ({error.strerror or error})", "name another: --out DIR"
        ) from None


def resumed(folder: Path, config: Config, profile: Profile) -> State:
    """The state of an interrupted run.

    Raises
    ------
    StateError
        There is none, it is damaged, or it is of other settings or another profile.
    """
    again = "run it without --resume"
    try:
        with (folder / FILE).open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise StateError(f"no run was interrupted in {folder}", again) from None
    except OSError as error:
        what = f"{folder / FILE} cannot be read ({error.strerror or error})"
        raise StateError(what, again) from None
    try:
        state = State.model_validate_json(raw)
    except ValidationError:
        raise StateError(f"{folder / FILE} is damaged", again) from None
    if state.settings_sha256 != settings_sha256(config):
        raise StateError("the device's settings have changed since", again)
    if state.profile is not profile:
        raise StateError(f"it was for the profile {state.profile.value}", again)
    return state


def forget(folder: Path) -> None:
    """The run is over."""
    (folder / FILE).unlink(missing_ok=True)
