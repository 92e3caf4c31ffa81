"""The spectrogram is what Eq. 7 says."""

from __future__ import annotations

import numpy as np
import pytest

from earmark.memory.spectrum import spectrogram
from earmark.signal import Signal


def noise(count: int) -> Signal:
    return np.random.default_rng(count).standard_normal(count, dtype=np.float32)


def test_each_cell_is_the_power_of_a_direct_transform() -> None:
    size, hop = 16, 5
    signal = noise(100)
    power = spectrogram(signal, size, hop)
    assert power.shape == (17, 9)
    assert power.dtype == np.float32
    time = np.arange(size)
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * time / (size - 1))
    for row in range(17):
        windowed = signal[row * hop : row * hop + size] * hann
        for bin_ in range(9):
            amplitude = np.sum(windowed * np.exp(-2j * np.pi * bin_ * time / size))
            assert power[row, bin_] == pytest.approx(abs(amplitude) ** 2, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(("count", "rows"), [(16, 1), (20, 1), (21, 2), (25, 2), (26, 3)])
def test_what_does_not_fill_a_window_at_the_end_is_left_off(count: int, rows: int) -> None:
    signal = noise(count)
    power = spectrogram(signal, 16, 5)
    assert power.shape == (rows, 9)
    np.testing.assert_array_equal(power, spectrogram(signal[: 16 + 5 * (rows - 1)], 16, 5))


@pytest.mark.parametrize("count", [0, 1, 15])
def test_a_shorter_signal_is_filled_up_with_zeros(count: int) -> None:
    signal = noise(count)
    filled = np.zeros(16, np.float32)
    filled[:count] = signal
    power = spectrogram(signal, 16, 5)
    assert power.shape == (1, 9)
    np.testing.assert_array_equal(power, spectrogram(filled, 16, 5))


def test_the_signal_is_left_alone() -> None:
    signal = noise(64)
    signal.setflags(write=False)
    assert spectrogram(signal, 16, 5).flags.writeable
