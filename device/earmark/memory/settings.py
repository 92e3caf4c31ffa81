"""Settings of the query memory."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from earmark.memory.neighbours.settings import NeighboursSettings
from earmark.memory.paper.settings import PaperSettings


class MemorySettings(BaseModel):
    """Which detector watches the queries, and where they are remembered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["neighbours", "paper"] = Field(
        "neighbours",
        description="`neighbours` counts near-copies; `paper` is the detector of Guo et al. 2023, "
        "for comparison: it is blind for 75 queries, and fakes hide an attack from it.",
    )
    folder: Path | None = Field(
        Path("/var/lib/earmark/memory"),
        description="Folder of the store: fingerprints only, 600 bytes a query or less. Without "
        "one (null) everything is forgotten at the end.",
    )
    speech_factor: float = Field(
        1.0,
        ge=1.0,
        le=2.0,
        description="What the maker's limits on mean likeness are multiplied with here, for speech "
        "(and for both classes in `neighbours` mode, which has one such limit). A room that rings "
        "or hums makes different commands more alike; the calibration measures by how much.",
    )
    music_factor: float = Field(
        1.0,
        ge=1.0,
        le=2.0,
        description="The same for music, in `paper` mode.",
    )
    neighbours: NeighboursSettings = NeighboursSettings()
    paper: PaperSettings = PaperSettings()
