"""Settings of the detector that counts near-copies."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class NeighboursSettings(BaseModel):
    """How many near-copies make an attack. What a near-copy is, was calibrated."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    copies: int = Field(
        5,
        ge=2,
        le=20,
        description="Near-copies of a query among the remembered ones that make it an attack: "
        "the alarm comes with the 6th of a series. Fewer would take an advertisement that is "
        "heard four times for one; more would give an attacker so many more queries.",
    )
    last: int = Field(
        1000,
        ge=50,
        le=10_000,
        description="Queries that are remembered. An attacker who hides among fakes must keep "
        "the copies below `copies` in so many: 99.5 % fakes. A household's month.",
    )
    min_peaks: int = Field(
        10,
        ge=4,
        le=40,
        description="Least number of spectral peaks, 40 a second: with fewer, likeness is "
        "chance. Only a recording that is mostly digital silence has so few.",
    )
    speeds_percent: tuple[float, ...] = Field(
        (-4.5, -3.0, -1.5, 1.5, 3.0, 4.5),
        max_length=12,
        description="Speeds at which copies are looked for, % faster (negative: slower); 0 is "
        "always looked at. Copies fade with 0.75 % to either side (likeness .5 instead of .65). "
        "Each costs about 1 ms at 1,000 remembered queries.",
    )
    second_ear_depth: int = Field(
        75,
        ge=25,
        le=200,
        description="Queries over which the mean of the plain cosine is taken, for an attacker "
        "whose own noise is too loud for near-copies; the depth of the paper's memory. No "
        "verdict before a third of them is there.",
    )
    max_clusters: int = Field(
        64,
        ge=1,
        le=1000,
        description="Attacks and approved repeats that are kept after their alarm, whatever "
        "time passes. Of more, the attack that was not heard for longest is forgotten.",
    )
    approved_per_day: int = Field(
        24,
        ge=1,
        le=1000,
        description="Hearings of an approved repeat that pass within 24 h: a routine or an "
        "advertisement, once an hour. Who crafts an attack out of it needs many more.",
    )
