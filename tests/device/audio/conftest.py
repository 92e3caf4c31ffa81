"""A room without echoes, for tests that measure one thing at a time."""

from __future__ import annotations

import numpy as np
import pytest

from earmark.audio import RoomModel
from earmark.audio.room_model import LEAD
from earmark.signal import Signal

SPOTS = ("loudspeaker", "person_1m", "attacker")


@pytest.fixture(scope="session")
def free_field() -> RoomModel:
    """Everything at 1 m from everything, no walls, no time of flight."""
    direct: Signal = np.zeros(LEAD + 1, dtype=np.float32)
    direct[LEAD] = 1.0
    return RoomModel(
        name="free_field",
        rt60_s=0.0,
        size_m=(3.0, 3.0, 3.0),
        positions=dict.fromkeys((*SPOTS, "mic", "r1"), (1.0, 1.0, 1.0)),
        responses={(spot, ear): direct for spot in SPOTS for ear in ("mic", "r1")},
    )
