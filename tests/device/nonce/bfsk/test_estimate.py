"""The clock from the phases of the tones, by itself: phases are made up, not recorded."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from earmark.nonce import Bfsk, Nonce
from earmark.nonce.bfsk.estimate import MIN_SLOTS, estimate_clock
from earmark.signal import RATE_HZ, Signal

NonceOf = Callable[..., Nonce]
Make = Callable[..., Signal]
DELAY_S = 0.137


@pytest.mark.parametrize("coarse_ms", [-6.0, 0.0, 6.0])
@pytest.mark.parametrize("coarse_hz", [-2.5, 2.5])
def test_it_mends_a_coarse_start(
    wave: Bfsk, nonce_of: NonceOf, played: Make, heard: Make, coarse_ms: float, coarse_hz: float
) -> None:
    """Off by a whole step of the delay grid and half a step of the shift grid."""
    nonce = nonce_of(1)
    recording = heard(played(nonce, 50), drift_ppm=120.0, shift_hz=10.0, snr_db=20.0)
    clock = estimate_clock(
        recording, wave, wave.tones(nonce, 50), DELAY_S + coarse_ms / 1e3, 10.0 + coarse_hz, 300.0
    )
    assert clock.offset_s == pytest.approx(DELAY_S, abs=0.1e-3)
    assert clock.drift_ppm == pytest.approx(120.0, abs=6.0)
    assert clock.shift_hz == pytest.approx(10.0, abs=0.05)


def test_too_few_slots_leave_the_coarse_values(
    wave: Bfsk, nonce_of: NonceOf, played: Make, heard: Make
) -> None:
    nonce, few = nonce_of(2), MIN_SLOTS - 1
    recording = heard(played(nonce, few), drift_ppm=200.0)
    clock = estimate_clock(recording, wave, wave.tones(nonce, few), 0.14, 5.0, 300.0)
    assert (clock.offset_s, clock.drift_ppm, clock.shift_hz) == (0.14, 0.0, 5.0)


def test_noise_gives_a_clock_within_the_search(wave: Bfsk, nonce_of: NonceOf) -> None:
    noise = np.random.default_rng(3).standard_normal(3 * RATE_HZ).astype(np.float32)
    clock = estimate_clock(noise, wave, wave.tones(nonce_of(3), 50), 0.2, 0.0, 300.0)
    assert abs(clock.offset_s - 0.2) < 0.02
    assert abs(clock.drift_ppm) < 600.0
    assert abs(clock.shift_hz) < 15.0


def test_its_memory_does_not_grow_out_of_hand(wave: Bfsk, nonce_of: NonceOf) -> None:
    """The longest command that can be set, 60 s: the whole grid at once would be 1 GB."""
    noise = np.random.default_rng(4).standard_normal(60 * RATE_HZ).astype(np.float32)
    tracemalloc.start()
    estimate_clock(noise, wave, wave.tones(nonce_of(4), 1190), 0.2, 0.0, 300.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
