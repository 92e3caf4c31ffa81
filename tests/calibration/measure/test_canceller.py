"""The product's own canceller, as it is measured."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import signal as sps
from tests.calibration.measure.known import room_of

from earmark.nonce import Carrier, NonceSettings
from earmark.signal import RATE_HZ, Signal
from earmark_calibration.measure.canceller import TAIL_S, one_cycle, take_out

RMS = 0.01


def noise(level: float, seconds: float, seed: int) -> Signal:
    rng = np.random.default_rng(seed)
    return np.asarray(level * rng.standard_normal(round(seconds * RATE_HZ)), np.float32)


def heard(played: Signal, level: float, bend: float = 0.0) -> Signal:
    response = room_of(0.4).responses["loudspeaker", "mic"] / 14.0
    late = np.pad(played + bend * played**2 / RMS, (1000, round(TAIL_S * RATE_HZ) - 1000))
    echo = sps.fftconvolve(late, response)[: late.size]
    return np.asarray(echo + noise(level, late.size / RATE_HZ, 1), np.float32)


def test_a_cycle_is_the_whole_nonce(draw: Callable[[], Carrier]) -> None:
    carrier = draw()
    played, slots = one_cycle(carrier, RMS)
    assert slots * carrier.slot_s == pytest.approx(carrier.cycle_s)
    assert played.size == round(carrier.cycle_s * RATE_HZ) + carrier.tail
    assert np.sqrt(np.mean(played**2)) == pytest.approx(RMS, rel=0.1)


@pytest.mark.parametrize("level", [1e-3, 3e-3])
def test_it_is_taken_out_down_to_the_noise(
    draw: Callable[[], Carrier], nonce: NonceSettings, level: float
) -> None:
    carrier = draw()
    played, slots = one_cycle(carrier, RMS)
    found = take_out(heard(played, level), played, slots, carrier, nonce, noise(level, 5.0, 2))
    assert found.received
    assert found.left_db == pytest.approx(0.0, abs=1.5)
    in_band = 20.0 * np.log10(RMS / level) + 10.0 * np.log10(8000.0 / 6500.0)
    assert found.depth_db == pytest.approx(in_band, abs=4.0)
    assert found.delay_s == pytest.approx(1043 / RATE_HZ, abs=1e-3)


def test_what_a_bad_loudspeaker_adds_is_left_and_counts(
    draw: Callable[[], Carrier], nonce: NonceSettings
) -> None:
    carrier = draw()
    played, slots = one_cycle(carrier, RMS)
    good, bad = (
        take_out(heard(played, 3e-4, bend), played, slots, carrier, nonce, noise(3e-4, 5.0, 2))
        for bend in (0.0, 0.15)
    )
    assert bad.left_db > good.left_db + 3.0
    assert bad.depth_db < good.depth_db - 3.0


def test_without_a_nonce_there_is_nothing_to_take_out(
    draw: Callable[[], Carrier], nonce: NonceSettings
) -> None:
    carrier = draw()
    played, slots = one_cycle(carrier, RMS)
    silent = noise(1e-3, played.size / RATE_HZ + TAIL_S, 3)
    found = take_out(silent, played, slots, carrier, nonce, noise(1e-3, 5.0, 2))
    assert not found.received
    assert found.depth_db == 0.0
    assert np.isnan(found.left_db)
