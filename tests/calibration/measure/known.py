"""Rooms whose truth is known."""

from __future__ import annotations

import numpy as np

from earmark.audio import RoomModel
from earmark.signal import RATE_HZ

LEAD = 40
"""Samples of a response before time zero, as in the room model."""

NEAR_M = 0.0643125
"""Distance of the loudspeaker, m: three samples of 16 kHz at 343 m/s, so that it is exact."""

DIRECT = 1.0 / NEAR_M


def room_of(rt60_s: float, seed: int = 0, direct_over_room_db: float = 18.0) -> RoomModel:
    """A room that decays exponentially at all frequencies alike: its RT60 is exact."""
    rng = np.random.default_rng(seed)
    count = round(min(1.9, 1.3 * rt60_s) * RATE_HZ)
    tail = rng.standard_normal(count) * 10.0 ** (-3.0 * np.arange(count) / RATE_HZ / rt60_s)
    tail[:32] = 0.0
    tail *= DIRECT * 10.0 ** (-direct_over_room_db / 20.0) / np.sqrt(np.sum(tail**2))
    response = np.zeros(LEAD + 3 + count, np.float32)
    response[LEAD + 3 :] = tail
    response[LEAD + 3] += DIRECT
    return RoomModel(
        "known",
        rt60_s,
        (5.0, 4.0, 2.5),
        {"loudspeaker": (1.0, 1.0, 1.0), "mic": (1.0 + NEAR_M, 1.0, 1.0)},
        {("loudspeaker", "mic"): response},
    )
