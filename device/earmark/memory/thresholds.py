"""The maker's table: every threshold of the query memory, as calibrated on people.

``earmark-host memory calibrate`` writes it; it ships with the package and is read here.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from earmark.errors import ConfigError
from earmark.memory.carrier import CarrierKind
from earmark.memory.neighbours.limits import NeighboursLimits
from earmark.memory.paper.settings import PaperSettings, Weighting

FILE = "thresholds.json"
"""Its name, in this package."""


class PaperThreshold(BaseModel):
    """The thresholds of the paper's detector for one choice of its flags."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: Weighting
    depth: int
    input_noise_snr_db: float | None
    speech: float = Field(allow_inf_nan=False)
    music: float = Field(allow_inf_nan=False)


class Thresholds(BaseModel):
    """The whole table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    made: dict[str, Any] = Field(description="How: command, seed, corpus, counts, target rates.")
    neighbours: NeighboursLimits
    paper: tuple[PaperThreshold, ...]

    def paper_for(self, settings: PaperSettings) -> dict[CarrierKind, float]:
        """The thresholds for each carrier class.

        Raises
        ------
        ConfigError
            The table has none for these settings.
        """
        wanted = (settings.weights, settings.depth, settings.input_noise_snr_db)
        for row in self.paper:
            if (row.weights, row.depth, row.input_noise_snr_db) == wanted:
                return {"speech": row.speech, "music": row.music}
        raise ConfigError(
            f"memory.paper: no threshold was calibrated for weights {wanted[0]}, depth "
            f"{wanted[1]}, input_noise_snr_db {wanted[2]}",
            "choose settings of the table, or make one: earmark-host memory calibrate",
        )


@cache
def shipped() -> Thresholds:
    """The table that ships."""
    text = resources.files(__package__).joinpath(FILE).read_text(encoding="utf-8")
    return Thresholds.model_validate_json(text)
