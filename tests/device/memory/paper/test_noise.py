"""The input noise of the robust mode."""

from __future__ import annotations

import numpy as np
import pytest

from earmark.memory.paper import with_input_noise
from earmark.signal import RATE_HZ, gain, rms


@pytest.mark.parametrize("snr_db", [25.0, 50.0])
def test_the_noise_has_the_level_that_was_asked_for(snr_db: float) -> None:
    signal = np.sin(np.arange(RATE_HZ) * 0.3).astype(np.float32) * np.float32(0.2)
    noisy = with_input_noise(signal, snr_db, np.random.default_rng(1))
    assert noisy.dtype == np.float32
    assert rms(noisy - signal) == pytest.approx(rms(signal) * gain(-snr_db), rel=0.03)


def test_every_query_has_its_own_noise() -> None:
    signal = np.full(1000, 0.1, np.float32)
    rng = np.random.default_rng(2)
    first, second = with_input_noise(signal, 30.0, rng), with_input_noise(signal, 30.0, rng)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.2
    again = with_input_noise(signal, 30.0, np.random.default_rng(2))
    np.testing.assert_array_equal(first, again)


def test_silence_stays_silence() -> None:
    for length in (0, 100):
        silence = np.zeros(length, np.float32)
        assert not with_input_noise(silence, 30.0, np.random.default_rng(3)).any()
