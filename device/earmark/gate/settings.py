"""Settings of the gate."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator

CheckName: TypeAlias = Literal["signal", "nonce", "stale", "memory", "speaker"]
"""The checks that exist. A name that no check has is refused when the settings are read."""


class SignalCheckSettings(BaseModel):
    """Limits of the check on the recording itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_speech_s: float = Field(
        default=0.15,
        ge=0.05,
        le=1.0,
        description="Shortest command, s. Words like 'on' and 'go' last 0.25 s and more;"
        " a door or a click that the voice detector took for speech is shorter.",
    )
    min_snr_db: float = Field(
        default=2.0,
        ge=0.0,
        le=30.0,
        description="Least level of speech and noise over the noise floor in the cleaned"
        " recording, dB. Steady noise alone reads 0.4 to 1.5, with speech as loud as the noise"
        " 2.2 to 3.8 (30 read sentences, white and pink noise); below that a recogniser guesses."
        " Music and other voices have pauses of their own and read more, so this limit never"
        " refuses anybody because of a television.",
    )
    max_clipped_share: float = Field(
        default=0.01,
        ge=0.0,
        le=0.5,
        description="Largest share of samples at full scale within the speech. Peaks 3 dB over"
        " full scale, which hardly harm, give a median of 0.003, 6 dB over 0.017 (30 read"
        " sentences).",
    )


class GateSettings(BaseModel):
    """Which checks must pass, and their limits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    required: tuple[CheckName, ...] = Field(
        default=("signal", "nonce", "stale", "memory", "speaker"),
        min_length=1,
        description="Checks that must all pass before a command is forwarded. All of them by"
        " default: the nonce proves that the speech is of now, the stale search that"
        " it is not of before as well, the query memory that nobody crafts it by trial and error,"
        " the speaker check that one of the household speaks. Leave one out for measurements only;"
        " without `speaker` no speaker model is loaded and nobody is named.",
    )
    signal: SignalCheckSettings = SignalCheckSettings()

    @field_validator("required")
    @classmethod
    def _each_once(cls, value: tuple[CheckName, ...]) -> tuple[CheckName, ...]:
        if len(set(value)) != len(value):
            raise ValueError("name each check once")
        return value
