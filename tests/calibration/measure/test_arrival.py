"""Delays of a fraction of a sample, from signals whose delay is exact."""

from __future__ import annotations

import numpy as np
import pytest

from earmark.signal import RATE_HZ
from earmark_calibration.measure.arrival import arrival_s, envelope

CARD_SAMPLE_S = 1.0 / 48_000.0


def delayed(samples_48k: float, size: int = 8000) -> np.ndarray:
    """A click that is late by so many samples at 48 kHz, at 16 kHz, by its phase."""
    hz = np.fft.rfftfreq(size, 1.0 / RATE_HZ)
    return np.fft.irfft(np.exp(-2j * np.pi * hz * samples_48k / 48_000.0), size)


@pytest.mark.parametrize("samples", [3000.0, 3000.1, 3000.5, 3001.0, 3001.77, 12_345.678])
def test_a_delay_is_found_to_a_hundredth_of_a_sample_at_48_khz(samples: float) -> None:
    assert arrival_s(delayed(samples)) * 48_000.0 == pytest.approx(samples, abs=0.01)


@pytest.mark.parametrize("turn", [0.5, 1.57, 3.14])
def test_a_turn_of_all_phases_does_not_move_it(turn: float) -> None:
    hz = np.fft.rfftfreq(8000, 1.0 / RATE_HZ)
    spectrum = np.exp(-2j * np.pi * hz * 3000.4 / 48_000.0 + 1j * turn)
    turned = np.fft.irfft(spectrum, 8000)
    assert arrival_s(turned) * 48_000.0 == pytest.approx(3000.4, abs=0.02)


def test_a_stronger_reflection_is_not_the_direct_sound() -> None:
    response = 0.7 * delayed(3000.0) + delayed(3300.0)
    assert arrival_s(response) * 48_000.0 == pytest.approx(3000.0, abs=0.5)


def test_a_weak_sound_ahead_is_not_either() -> None:
    response = 0.2 * delayed(3000.0) + delayed(3300.0)
    assert arrival_s(response) * 48_000.0 == pytest.approx(3300.0, abs=0.5)


def test_noise_moves_it_by_little() -> None:
    rng = np.random.default_rng(2)
    found = [
        arrival_s(delayed(3000.25) + 0.03 * rng.standard_normal(8000)) * 48_000.0 for _ in range(20)
    ]
    assert np.mean(found) == pytest.approx(3000.25, abs=0.05)
    assert np.std(found) < 0.2


def test_the_envelope_has_one_top() -> None:
    shape = envelope(delayed(3000.0))
    top = int(np.argmax(shape))
    assert top == 1000
    around = shape[top - 3 : top + 4]
    assert (np.diff(around)[:3] > 0.0).all()
    assert (np.diff(around)[3:] < 0.0).all()
