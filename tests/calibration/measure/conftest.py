"""What it takes to measure a simulated room."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tests.calibration.measure.known import room_of

from earmark.audio import AudioPort, AudioSettings, RoomConditions, RoomModel, SimulatedRoom
from earmark.nonce import Carrier, FixedKeys, NonceSettings, Source
from earmark_calibration.measure import Measured, Reference, Rig, measure


@pytest.fixture(scope="session")
def audio() -> AudioSettings:
    return AudioSettings(kind="simulated")


@pytest.fixture(scope="session")
def nonce() -> NonceSettings:
    return NonceSettings()


@pytest.fixture(scope="session")
def draw(nonce: NonceSettings) -> Callable[[], Carrier]:
    source = Source(nonce, FixedKeys(b"calibration test key, 32 bytes.."))
    rng = np.random.default_rng(7)
    return lambda: source.draw(rng.bytes, 1_800_000_000.0)


@pytest.fixture(scope="session")
def measured(
    audio: AudioSettings, nonce: NonceSettings, draw: Callable[[], Carrier]
) -> Callable[..., Measured]:
    """Measures a simulated room, through a faulty port if one is given."""

    def run(
        conditions: RoomConditions,
        room: RoomModel | None = None,
        fault: Callable[[AudioPort], AudioPort] = lambda port: port,
        before: Callable[[SimulatedRoom], None] = lambda room: None,
    ) -> Measured:
        simulated = SimulatedRoom(room or room_of(0.4), audio, conditions)
        before(simulated)
        with Rig(lambda: fault(simulated)) as rig:
            return measure(rig, audio, nonce, draw, Reference.by_maker(109.0))

    return run
