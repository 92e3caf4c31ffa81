"""Speaker encoders by others, run as they are: to learn from and to be measured beside."""

from __future__ import annotations

from collections.abc import Mapping

from earmark.errors import EarmarkError
from earmark_host.speaker.encoders.campplus import CamPlusPlus
from earmark_host.speaker.encoders.encoder import Encoder
from earmark_host.speaker.encoders.resemblyzer import Resemblyzer

ENCODERS: Mapping[str, type[Encoder]] = {
    CamPlusPlus.name: CamPlusPlus,
    Resemblyzer.name: Resemblyzer,
}
"""By name."""


def encoder(name: str) -> Encoder:
    """Load the encoder of that name.

    Raises
    ------
    EarmarkError
        There is none, or its package is not installed.
    """
    if name not in ENCODERS:
        raise EarmarkError(f"there is no encoder {name!r}", f"use one of {', '.join(ENCODERS)}")
    return ENCODERS[name]()


__all__ = ["ENCODERS", "CamPlusPlus", "Encoder", "Resemblyzer", "encoder"]
