"""Settings of the wake word, the pre-roll and the endpointer."""

from __future__ import annotations

from enum import Enum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class WakeKind(Enum):
    """What starts a session."""

    MICRO = "micro"
    """A spoken wake word, recognised on the device."""
    BUTTON = "button"
    """Push to talk: a button, a remote, another program."""


class EndpointSettings(BaseModel):
    """When somebody is taken to have started and stopped speaking."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: float = Field(
        0.5,
        gt=0.0,
        lt=1.0,
        description="Speech probability from which speech starts; 1 minute of dish washing "
        "stays below 0.2, a single spoken word reaches it 19 times in 20.",
    )
    release: float = Field(
        0.3,
        gt=0.0,
        lt=1.0,
        description="Speech probability below which speech may end, at most `threshold`: the "
        "hysteresis bridges a third of the gaps inside sentences.",
    )
    start_s: float = Field(
        0.06,
        ge=0.02,
        le=1.0,
        description="Time above `threshold` before speech has started, s: three blocks; the "
        "detector averages over 0.76 s already, and a single word stays up for little more.",
    )
    hangover_s: float = Field(
        0.7,
        ge=0.2,
        le=3.0,
        description="Silence that ends a command, s: longer than a pause between words "
        "(0.2-0.5 s), and with 0.5 s a few read sentences were cut.",
    )
    drop_db: float = Field(
        10.0,
        ge=3.0,
        le=60.0,
        description="Whoever is this much quieter than the person so far does not keep the "
        "command open, dB. With 8 the soft ends of sentences are lost first; with 12 a "
        "television 15 dB below keeps every fourth command open.",
    )
    rise_db: float = Field(
        8.0,
        ge=3.0,
        le=30.0,
        description="Whatever is this much louder than the room's median level before the wake "
        "word, dB, may be a word that the detector is too slow for; a person of usual loudness "
        "at 4 m is 10 dB over a quiet room.",
    )
    doubt: float = Field(
        0.02,
        gt=0.0,
        lt=1.0,
        description="Speech probability that is enough after such a rise. Noise of a quiet room "
        "stays below it (none of 60 trials of 4.5 s).",
    )
    prime_dbfs: float = Field(
        -65.0,
        ge=-90.0,
        le=-40.0,
        description="Level of the noise that the detector hears before a command, dBFS rms: "
        "about that of a quiet room. A cold detector misses one spoken word in four.",
    )
    gain_db: float = Field(
        0.0,
        ge=-40.0,
        le=40.0,
        description="Digital gain in front of the detector, dB: it hears the same from -20 to "
        "-60 dBFS without any.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.doubt > self.release:
            raise ValueError(f"doubt ({self.doubt}) must not exceed release")
        if self.release > self.threshold:
            raise ValueError(f"release ({self.release}) must not exceed threshold")
        return self


class WakeSettings(BaseModel):
    """What starts a session, and how its command is cut out of the stream."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: WakeKind = Field(WakeKind.MICRO, description="What starts a session: micro or button.")
    model: str = Field(
        "alexa",
        min_length=1,
        description="Wake-word model inside pymicro-wakeword: alexa, hey_jarvis, hey_mycroft, "
        "okay_nabu. The default is the one that was measured on recordings.",
    )
    cutoff: float | None = Field(
        None,
        gt=0.0,
        lt=1.0,
        description="Mean probability that counts as the wake word; null takes the model's own "
        "(0.9 for alexa), chosen by its author for few false alarms.",
    )
    gain_db: float = Field(
        10.0,
        ge=-40.0,
        le=40.0,
        description="Digital gain in front of the wake word, dB: at -60 dBFS (4 m away) 45 of 47 "
        "recorded words are found with it and 42 without; louder ones saturate unharmed.",
    )
    refractory_s: float = Field(
        1.5,
        ge=0.0,
        le=10.0,
        description="Time after a detection in which none can follow, s: longer than the recorded "
        "wake words (0.4 to 0.9 s), so that one word counts once.",
    )
    pre_roll_s: float = Field(
        0.5,
        ge=0.0,
        le=2.0,
        description="What is kept from before the detection, s: the detector speaks up to 0.41 s "
        "after the wake word has ended (median 0.2), and the command may start at once.",
    )
    endpoint: EndpointSettings = Field(
        default_factory=EndpointSettings, description="Start and end of speech."
    )
