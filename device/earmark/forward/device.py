"""How this device presents itself to those that connect to it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Device:
    """What a peer is told of this device.

    Parameters
    ----------
    name : its name in the household.
    place : the room that it stands in; "" when nobody said.
    wake_word : its wake word; by it Home Assistant notices that two devices heard the same
        person, and carries out one of the two commands. "" leaves that out.
    """

    name: str = "earmark"
    place: str = ""
    wake_word: str = ""
