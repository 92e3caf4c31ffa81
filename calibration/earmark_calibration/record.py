"""The record of a calibration: what the JSON report is, and all that the HTML page shows.

It holds numbers and sentences, never sound, transcripts, nonces or voiceprints; names of
people neither. Everything in it is bounded, so a report from elsewhere can be read safely.
The one curve that comes near to sound is the room's impulse response.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from earmark.errors import ConfigError
from earmark_calibration.declared import Outcome, Taken, worst

SCHEMA: Final = "earmark-calibration/1"
"""Name and version of the format. It grows by fields with a default; else the number rises."""

MAX_POINTS = 8192
"""Most points of a curve: an impulse response of 0.5 s at 16 kHz."""

MAX_CURVES = 64
MAX_MEASUREMENTS = 256
MAX_CHANGES = 256

MAX_REPORT_BYTES = 16_000_000
"""Largest report that is read: all curves at full length."""

Name: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.]*$", max_length=80)]
Text: TypeAlias = Annotated[str, StringConstraints(max_length=1000)]
Sha256: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Number: TypeAlias = Annotated[float, Field(allow_inf_nan=False)]
Share: TypeAlias = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Value: TypeAlias = bool | int | Number | Text | None
"""Value of a setting."""


class Profile(StrEnum):
    """What matters most to the household."""

    QUIET = "quiet"
    """The nonce should be heard as little as possible."""
    NORMAL = "normal"
    PAYMENT = "payment"
    """A replay must be found, even at the price of a nonce that is heard."""


class CurveKind(StrEnum):
    """What a curve shows."""

    RESPONSE = "response"
    DISTORTION = "distortion"
    NOISE_SPECTRUM = "noise_spectrum"
    NOISE_OVER_TIME = "noise_over_time"
    IMPULSE_RESPONSE = "impulse_response"
    DECAY = "decay"
    FREQUENCY_SHIFT = "frequency_shift"
    TRADE_OFF = "trade_off"
    SCORES = "scores"


class FaultKind(StrEnum):
    """A broken installation, by what is broken."""

    MICROPHONE_MISSING = "microphone_missing"
    MICROPHONE_SILENT = "microphone_silent"
    MICROPHONE_CLIPS = "microphone_clips"
    WRONG_CHANNEL = "wrong_channel"
    LOUDSPEAKER_DEAD = "loudspeaker_dead"
    LOUDSPEAKER_WEAK = "loudspeaker_weak"
    OTHER_SOUND = "other_sound"
    ECHO_CANCELLER = "echo_canceller"
    SAMPLE_RATE_CONVERSION = "sample_rate_conversion"
    CLOCK_DRIFT = "clock_drift"
    STREAM_UNSTABLE = "stream_unstable"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Device(_Part):
    """Which device was measured, and what ran on it.

    A hash is a SHA-256 in hex, None where there was nothing to hash.
    """

    serial: Text
    program_version: Text
    program_sha256: Sha256 | None = None
    settings_sha256: Sha256 | None = None
    """Of the settings before the run."""
    speaker_model_sha256: Sha256 | None = None
    audio_kind: Text = ""
    audio_device: Text = ""


class Measurement(_Part):
    """A declared measurement as it was taken. A limit of None is open."""

    name: Name
    unit: Text
    doc: Text
    value: Number | None
    """None: it could not be measured."""
    pass_low: Number | None = None
    pass_high: Number | None = None
    marginal_low: Number | None = None
    marginal_high: Number | None = None
    outcome: Outcome
    advice: Text = ""

    @classmethod
    def of(cls, taken: Taken) -> Measurement:
        """The entry of a measurement that was taken."""
        declared = taken.declared
        marginal = declared.marginal or declared.passes
        return cls(
            name=declared.name,
            unit=declared.unit,
            doc=declared.doc,
            value=taken.value,
            pass_low=declared.passes.low,
            pass_high=declared.passes.high,
            marginal_low=marginal.low,
            marginal_high=marginal.high,
            outcome=taken.outcome,
            advice=taken.advice,
        )


class Curve(_Part):
    """Points of a plot; `x` ascends, but not for a trade-off."""

    name: Name
    kind: CurveKind
    title: Text
    x_name: Text
    x_unit: Text
    y_name: Text
    y_unit: Text
    x: tuple[Number, ...] = Field(max_length=MAX_POINTS)
    y: tuple[Number | None, ...] = Field(max_length=MAX_POINTS)
    """None where it could not be measured."""

    @model_validator(mode="after")
    def _as_long(self) -> Self:
        if len(self.x) != len(self.y):
            raise ValueError(f"curve {self.name}: {len(self.x)} x and {len(self.y)} y")
        return self


class Estimate(_Part):
    """A share with its 95 % interval, and the number of trials behind it (0: a model's)."""

    value: Share
    low: Share
    high: Share
    n: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"{self.value} is not between {self.low} and {self.high}")
        return self


class Played(_Part):
    """What came of it when it was played: `failures` of `n` trials."""

    n: int = Field(ge=0)
    failures: int = Field(ge=0)

    @model_validator(mode="after")
    def _not_more(self) -> Self:
        if self.failures > self.n:
            raise ValueError(f"{self.failures} failures in {self.n} trials")
        return self


class Option(_Part):
    """A set of the nonce's parameters, and what it gives. None: not predicted, not played."""

    parameters: dict[Name, Value]
    """Keys as in the settings, such as ``nonce.level_dbspl_1m``."""
    false_rejects: Estimate | None = None
    """Predicted share of current nonces that are not accepted."""
    stale_detection: Estimate | None = None
    """Predicted share of stale nonces that are found."""
    played_current: Played | None = None
    """Current nonces that were played; a failure was not accepted."""
    played_stale: Played | None = None
    """Stale nonces that were played; a failure was not found."""
    loudness_phon: Number | None = None
    """Loudness level at 1 m by ISO 226, phon."""
    loudness_sone: Number | None = None
    over_ambient_db: Number | None = None
    """Level at 1 m over the noise in the nonce's band, dB."""


class Choice(_Part):
    """The nonce's parameters before and after, and why in one sentence."""

    before: Option
    after: Option
    sentence: Text


class Threshold(_Part):
    """A threshold of this device with the errors that it makes."""

    name: Name
    """Key in the settings where it has one, such as ``speaker.threshold``."""
    value: Number
    unit: Text = ""
    frr: Estimate | None = None
    """Share of the rightful that it refuses."""
    far: Estimate | None = None
    """Share of the others that it lets through."""
    note: Text = ""


class Fault(_Part):
    """A broken installation and what to do about it, in one sentence."""

    kind: FaultKind
    advice: Text


class Change(_Part):
    """A setting before and after. None is unset."""

    key: Name
    before: Value = None
    after: Value = None


class Record(_Part):
    """One calibration of one device."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,  # into the JSON schema
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )

    schema_: Literal["earmark-calibration/1"] = Field(SCHEMA, alias="schema")
    device: Device
    when: AwareDatetime
    profile: Profile = Profile.NORMAL
    sound_s: Number = Field(0.0, ge=0.0)
    """Seconds of sound that the run played and recorded, altogether."""
    spl_reference: Text = ""
    """Where dB SPL come from: a sound-level meter's reading, the maker's table; "" is none."""
    measurements: tuple[Measurement, ...] = Field((), max_length=MAX_MEASUREMENTS)
    curves: tuple[Curve, ...] = Field((), max_length=MAX_CURVES)
    choice: Choice | None = None
    thresholds: tuple[Threshold, ...] = Field((), max_length=MAX_CHANGES)
    faults: tuple[Fault, ...] = Field((), max_length=MAX_CHANGES)
    settings: tuple[Change, ...] = Field((), max_length=MAX_CHANGES)
    applied: bool = False
    """Whether the settings were written to the device."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for what, names in (
            ("measurement", [item.name for item in self.measurements]),
            ("curve", [item.name for item in self.curves]),
            ("setting", [item.key for item in self.settings]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{what} {twice[0]} is there twice")
        return self

    @property
    def outcome(self) -> Outcome:
        """FAIL with any fault, else the worst of the measurements."""
        if self.faults:
            return Outcome.FAIL
        return worst([item.outcome for item in self.measurements])

    def measurement(self, name: str) -> Measurement | None:
        """The measurement of that name, if it was taken."""
        return next((item for item in self.measurements if item.name == name), None)

    def curves_of(self, kind: CurveKind) -> tuple[Curve, ...]:
        """The curves of one kind."""
        return tuple(item for item in self.curves if item.kind is kind)

    def to_json(self) -> str:
        """The report, indented, with a newline at its end."""
        return self.model_dump_json(indent=2) + "\n"


def read_record(path: Path) -> Record:
    """Read a JSON report.

    Raises
    ------
    ConfigError
        It is missing, too large, of another version, or not a report.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_REPORT_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"report {path} cannot be read ({error.strerror or error})", "name a JSON report"
        ) from error
    if len(data) > MAX_REPORT_BYTES:
        raise ConfigError(f"report {path} is larger than {MAX_REPORT_BYTES} bytes", "name another")
    try:
        return Record.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or "the file"
        raise ConfigError(
            f"report {path} is not {SCHEMA} ({where}: {first['msg']})",
            "name a JSON report of this version of earmark-calibrate",
        ) from error


def utc(when: datetime) -> datetime:
    """`when` as the record keeps it: in UTC, in whole seconds."""
    return when.astimezone(UTC).replace(microsecond=0)
