"""The chirps: their delays, and what moves or takes them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal as sps

from earmark.signal import RATE_HZ, Signal
from earmark_calibration.measure.clock import Clock
from earmark_calibration.measure.pilots import (
    PLAYED_AT_S,
    TAIL_S,
    chirp,
    pilots,
    trace,
)


def late(delay_s: float, drift_ppm: float = 0.0, gain: float = 1.0) -> Signal:
    """The chirps after a delay, each sample computed at its own time."""
    size = pilots().size + round(TAIL_S * RATE_HZ)
    out = np.zeros(size)
    length = chirp().size
    ratio = 1.0 + drift_ppm * 1e-6
    for at_s in PLAYED_AT_S:
        begin = round(at_s * RATE_HZ)
        first = int((begin / ratio) + delay_s * RATE_HZ) - 4
        here = np.arange(first, first + length + 8)
        inside = (here - delay_s * RATE_HZ) * ratio - begin
        wanted = (inside >= 0.0) & (inside <= length - 1)
        out[here[wanted]] += gain * _chirp_at(inside[wanted] / RATE_HZ)
    return np.asarray(out, np.float32)


def _chirp_at(seconds: np.ndarray) -> np.ndarray:
    phase = 2.0 * np.pi * (300.0 * seconds + 0.5 * (7400.0 - 300.0) / 0.1 * seconds**2)
    edge = np.minimum(seconds, 0.1 - 1.0 / RATE_HZ - seconds) / 0.01
    return np.sin(phase) * np.where(edge < 1.0, 0.5 * (1.0 - np.cos(np.pi * edge)), 1.0)


def noisy(signal: Signal, rms: float, seed: int = 0) -> Signal:
    noise = rms * np.random.default_rng(seed).standard_normal(signal.size)
    return np.asarray(signal + noise, np.float32)


@pytest.mark.parametrize("delay", [0.003, 0.1, 0.1234567, 0.284, 0.499, 0.85])
def test_the_round_trip_is_found_to_a_tenth_of_a_card_sample(delay: float) -> None:
    found = trace(noisy(late(delay), 1e-3))
    assert found.heard == len(PLAYED_AT_S)
    assert found.delay_s == pytest.approx(delay, abs=2e-6)
    assert found.steps == 0
    assert found.jitter_s == pytest.approx(0.0, abs=1e-6)
    assert found.drift_ppm == pytest.approx(0.0, abs=0.5)
    assert found.fading_db < 0.1


@pytest.mark.parametrize("drift", [50.0, -50.0, 300.0, -300.0])
def test_a_drift_is_the_slope_and_the_delay_is_that_of_the_beginning(drift: float) -> None:
    found = trace(noisy(late(0.1, drift), 1e-3), Clock(drift))
    assert found.drift_ppm == pytest.approx(drift, abs=0.5)
    assert found.delay_s == pytest.approx(0.1, abs=2e-6)


def test_a_shift_that_is_known_does_not_move_the_chirps() -> None:
    shifted = np.real(
        sps.hilbert(late(0.1).astype(float))
        * np.exp(2j * np.pi * 20.0 * np.arange(late(0.1).size) / RATE_HZ)
    )
    signal = noisy(np.asarray(shifted, np.float32), 1e-3)
    assert trace(signal, Clock(0.0, 20.0)).delay_s == pytest.approx(0.1, abs=5e-6)
    ignorant = trace(signal).delay_s
    assert ignorant is not None
    assert abs(ignorant - 0.1) > 5e-5  # so the test would notice


def test_jitter_is_measured() -> None:
    rng = np.random.default_rng(4)
    moves = 50e-6 * rng.standard_normal(len(PLAYED_AT_S))
    out = np.zeros(pilots().size + round(TAIL_S * RATE_HZ), np.float32)
    for at_s, move in zip(PLAYED_AT_S, moves, strict=True):
        begin = round((at_s + 0.1) * RATE_HZ)
        here = (np.arange(chirp().size)) / RATE_HZ - move
        out[begin : begin + here.size] += np.where(
            (here >= 0.0) & (here < 0.0999), _chirp_at(here), 0.0
        ).astype(np.float32)
    at = np.array(PLAYED_AT_S)
    beside = moves - np.polyval(np.polyfit(at, moves, 1), at)
    assert trace(noisy(out, 1e-3)).jitter_s == pytest.approx(np.std(beside), rel=0.05)


def test_a_lost_block_is_a_step_and_neither_drift_nor_jitter() -> None:
    signal = late(0.2)
    cut = round(5.0 * RATE_HZ)
    stepped = np.concatenate([signal[:cut], np.zeros(320, np.float32), signal[cut:-320]])
    found = trace(noisy(stepped, 1e-3))
    assert found.steps == 1
    assert found.heard == len(PLAYED_AT_S)
    assert found.delay_s == pytest.approx(0.2, abs=0.001)
    assert found.jitter_s is not None
    assert found.jitter_s < 1e-3


def test_chirps_that_fade_are_measured_though_no_longer_heard() -> None:
    signal = late(0.1).astype(float)
    for number, at_s in enumerate(PLAYED_AT_S):
        begin = round((at_s + 0.1) * RATE_HZ)
        signal[begin - 10 : begin + 1700] *= 10.0 ** (-min(60.0, 8.0 * number) / 20.0)
    found = trace(noisy(np.asarray(signal, np.float32), 3e-3))
    assert 2 <= found.heard < len(PLAYED_AT_S)
    assert found.fading_db > 20.0


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_heard_in_noise_alone(seed: int) -> None:
    silence = np.zeros(pilots().size + round(TAIL_S * RATE_HZ), np.float32)
    found = trace(noisy(silence, 0.1, seed))
    assert found.heard == 0
    assert (found.delay_s, found.drift_ppm, found.jitter_s, found.steps) == (None, None, None, 0)


def test_nothing_is_heard_in_digital_silence() -> None:
    assert trace(np.zeros(pilots().size + round(TAIL_S * RATE_HZ), np.float32)).heard == 0


def test_the_level_is_that_of_the_echo() -> None:
    one, half = trace(noisy(late(0.1), 1e-4)), trace(noisy(late(0.1, gain=0.5), 1e-4))
    assert one.levels_db[0] - half.levels_db[0] == pytest.approx(6.02, abs=0.05)
    assert one.levels_db[0] == pytest.approx(0.0, abs=1.0)
