"""Settings of the speaker model and of the people it knows."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class EnrolmentSettings(BaseModel):
    """How many phrases a person says, and how good each must be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    phrases: int = Field(
        5,
        ge=4,
        le=6,
        description="Phrases that are kept. Each is heard in a session of its own, so that the "
        "voiceprint is a mean over moments; fewer than 4 leave the leave-one-out test without "
        "a majority, more than 6 nobody says.",
    )
    least_speech_s: float = Field(
        1.5,
        ge=0.5,
        le=5.0,
        description="Least speech in a phrase, s: a sentence of six words. The model hears 2 s at "
        "a time, and a shorter recording is repeated to fill them.",
    )
    least_speech_dbfs: float = Field(
        -65.0,
        ge=-90.0,
        le=-20.0,
        description="Least level of the speech, dBFS: 44 dB SPL at the default microphone. "
        "Speech at 60 dB SPL at 1 m has -49 dBFS there, at 4 m about -60 in a living room.",
    )
    least_snr_db: float = Field(
        10.0,
        ge=0.0,
        le=40.0,
        description="Least level of the speech over the noise floor, dB: a voiceprint is kept for "
        "years, so it is made of better speech than a command must be (gate.signal.min_snr_db).",
    )
    max_clipped_share: float = Field(
        0.005,
        ge=0.0,
        le=0.5,
        description="Largest share of samples at full scale within the speech; half of what a "
        "command may have (gate.signal.max_clipped_share), for the same reason.",
    )
    max_tries: int = Field(
        15,
        ge=6,
        le=60,
        description="Most phrases that are heard in one enrolment, the repeated ones included. "
        "Who needs more should change the place, not go on.",
    )


class SpeakerSettings(BaseModel):
    """Which model, who may command, and where the voiceprints are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Path | None = Field(
        None,
        description="Folder with speaker.tflite, speaker.json and speaker.npz; null takes the "
        "one that ships with Earmark.",
    )
    vault: Path | None = Field(
        Path("/var/lib/earmark/people.vault"),
        description="The encrypted file of the people, in systemd's state folder of the service. "
        "Without one (null) everybody is forgotten at the end.",
    )
    key_credential: str = Field(
        "earmark-people-key",
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="Name of the systemd credential that holds the key of the vault. Where the "
        "service gets it, it is used; it can be sealed to this machine (systemd-creds encrypt).",
    )
    key_file: Path | None = Field(
        Path("/var/lib/earmark/people.key"),
        description="The key of the vault where systemd gives none; made by `earmark people key "
        "create`, mode 0600. Beside the vault it protects a copy of the vault, not a stolen disk.",
    )
    guests: Literal["until_enrolled", "always", "never"] = Field(
        "until_enrolled",
        description="Who may command besides the enrolled people: everybody as long as nobody is "
        "enrolled; always everybody (people are then told apart, not kept out); nobody.",
    )
    far_target: float = Field(
        0.01,
        ge=0.001,
        le=0.1,
        description="Probability that a stranger is taken for anybody at home, by the cohort "
        "that ships with the model; 0.005 and less goes beyond what 200 people in it can show. A "
        "quarter of it refused people at home twice as often.",
    )
    least_speech_s: float = Field(
        0.7,
        ge=0.2,
        le=3.0,
        description="Least speech in a command for a decision on who speaks, s; with less it is "
        "asked for again.",
    )
    enrolment: EnrolmentSettings = EnrolmentSettings()
