"""Settings of the audio part: which port, and how loud full scale is."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class AudioSettings(BaseModel):
    """Where sound comes from and goes to, and the two sensitivities that give levels a meaning.

    0 dBFS is an rms of 1.0 throughout (see :mod:`earmark.signal`), so a full-scale sine is
    3.01 dB lower.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["simulated", "wav", "sounddevice", "pyaudio"] = Field(
        default="sounddevice",
        description="Kind of port: a sound card (through sounddevice, or through PyAudio where "
        "that is what a system has), WAV files, or the simulated room.",
    )
    device: str | None = Field(
        default=None,
        description="Sound card, by (part of) its PortAudio name; none takes the default one.",
    )
    playback_device: str | None = Field(
        default=None,
        description="Sound card of the loudspeaker where it is not that of the microphone. "
        "Two cards have two clocks, so the playback drifts against the recording.",
    )
    stall_timeout_s: float = Field(
        default=0.5,
        ge=0.1,
        le=10.0,
        description="Seconds without a block from the card before the stream counts as broken: "
        "25 blocks, well above scheduling jitter; servers may stop calling without an error.",
    )
    wav_in: Path | None = Field(
        default=None,
        description="Kind wav: recording taken as the microphone (16 kHz, mono; WAV, FLAC, Opus).",
    )
    wav_out: Path | None = Field(
        default=None, description="Kind wav: file that the playback is written to, if any."
    )
    room: str = Field(
        default="living_room",
        min_length=1,
        description="Kind simulated: name of a room that ships with Earmark, or a .npz file.",
    )
    mic_dbspl_at_0dbfs: float = Field(
        default=109.0,
        ge=80.0,
        le=150.0,
        description="Sound pressure level at the microphone, dB SPL, that records as 0 dBFS rms. "
        "109: a sine of 106 dB SPL is full scale, so speech at 0.5 m has 40 dB of headroom.",
    )
    speaker_dbspl_1m_at_0dbfs: float = Field(
        default=91.0,
        ge=60.0,
        le=130.0,
        description="Level of the loudspeaker at 1 m in free field, dB SPL, for 0 dBFS rms. "
        "91: a full-scale sine gives 88 dB SPL, typical of a small speaker with 3-5 W.",
    )
