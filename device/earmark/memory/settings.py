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
    neighbours: NeighboursSettings = NeighboursSettings()
    paper: PaperSettings = PaperSettings()
