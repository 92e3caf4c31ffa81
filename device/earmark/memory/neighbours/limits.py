"""From where on two fingerprints count as copies: calibrated on people, never guessed."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict, Field


class NeighboursLimits(BaseModel):
    """What ``earmark-host memory calibrate`` found.

    The likeness of two takes of the same phrase by the same person falls with the number of peaks
    that could match by chance, about with its root; so does the limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    floor: float = Field(ge=0.0, le=1.0, description="Limit for endless fingerprints, likeness.")
    slope: float = Field(ge=0.0, le=10.0, description="What is added, times the root of peaks.")
    mean: float = Field(
        gt=0.0, le=1.0, description="Limit of the mean plain cosine over the last queries."
    )
    approved: float = Field(
        gt=0.0,
        le=1.0,
        description="Least likeness to an approved repeat to pass as one; anything between it and "
        "a near-copy is counted as a near-copy.",
    )

    def likeness(self, peaks: int) -> float:
        """The likeness over which two queries are near-copies.

        Parameters
        ----------
        peaks : of the smaller fingerprint, at least 1.
        """
        return self.floor + self.slope / math.sqrt(peaks)
