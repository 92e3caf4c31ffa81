"""Settings of feedback."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from earmark.gate import Announcement

LedName: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9_:@+-][A-Za-z0-9_:@+.-]{0,63}$")]
"""A folder in /sys/class/leds, and nothing that leads out of it."""


class FeedbackSettings(BaseModel):
    """How the room is told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    earcons: bool = Field(default=True, description="Play sounds at all.")
    earcon_level_dbspl_1m: float = Field(
        default=55.0,
        ge=30.0,
        le=75.0,
        description="Loudness of the sounds at 1 m, dB SPL: 5 dB under speech, so that they"
        " are heard in a quiet room and startle nobody.",
    )
    silent: tuple[Announcement, ...] = Field(
        default=(Announcement.WOKEN,),
        description="Announcements without a sound of their own. By default the one after the"
        " wake word: people speak on at once, and the nonce sounds there anyway.",
    )
    lights: bool = Field(default=True, description="Show light patterns at all.")
    leds: tuple[LedName, ...] = Field(
        default=(),
        max_length=16,
        description="LEDs that show the patterns, by their names in /sys/class/leds; those of"
        " several colours show the colour too. The service must be allowed to write them.",
    )
