"""A cell changes the sound in its time and its band, and all cells alike."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from scipy import signal as sps

from earmark.signal import RATE_HZ, Signal, rms
from earmark_host.memory.attacks.basis import SHORTEST, Basis, Cells, within

LEVEL = 0.01


@pytest.fixture(scope="module")
def sound() -> Signal:
    """Pink-like noise, 1 s: strong lows, weak highs."""
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(RATE_HZ))
    spectrum[1:] /= np.arange(1, spectrum.size)
    pink = np.fft.irfft(spectrum)
    return np.asarray(0.1 * pink / pink.std(), np.float32)


def basis(sound: Signal, kind: Literal["carrier", "noise"] = "carrier", seed: int = 1) -> Basis:
    return Basis(Cells(8, 10, kind), sound, LEVEL, np.random.default_rng(seed))


def one(time: int, band: int, weight: float = 1.0) -> np.ndarray:
    weights = np.zeros((8, 10))
    weights[time, band] = weight
    return weights


@pytest.mark.parametrize("kind", ["carrier", "noise"])
def test_weights_of_one_have_the_level(sound: Signal, kind: Literal["carrier", "noise"]) -> None:
    made = basis(sound, kind)
    rng = np.random.default_rng(5)
    levels = [rms(made(rng.standard_normal((8, 10))).astype(np.float32)) for _ in range(20)]
    assert np.mean(levels) == pytest.approx(LEVEL, rel=0.15)


@pytest.mark.parametrize("kind", ["carrier", "noise"])
def test_all_cells_are_about_as_loud(sound: Signal, kind: Literal["carrier", "noise"]) -> None:
    made = basis(sound, kind)
    levels = [np.std(made(one(t, b))) for t in range(1, 7) for b in range(1, 9)]
    assert max(levels) < 2.0 * min(levels)
    assert np.std(
        sps.sosfilt(sps.butter(4, 4000, "high", fs=RATE_HZ, output="sos"), sound)
    ) < 0.1 * rms(sound)


def test_a_cell_lies_in_its_time_and_its_band(sound: Signal) -> None:
    delta = basis(sound)(one(2, 7))
    power = delta**2
    middle = power @ np.arange(power.size) / power.sum() / RATE_HZ
    assert middle == pytest.approx(2 / 7, abs=0.05)
    spectrum = np.abs(np.fft.rfft(delta)) ** 2
    centre_hz = spectrum @ np.fft.rfftfreq(delta.size, 1 / RATE_HZ) / spectrum.sum()
    mel = np.linspace(2595 * np.log10(1 + 60 / 700), 2595 * np.log10(1 + 8000 / 700), 10)[7]
    assert centre_hz == pytest.approx(700 * (10 ** (mel / 2595) - 1), rel=0.1)


def test_a_cell_of_the_carrier_follows_its_sign(sound: Signal) -> None:
    made = basis(sound)
    louder, softer = made(one(4, 5, 0.1)), made(one(4, 5, -0.1))
    np.testing.assert_allclose(louder, -softer)
    assert np.sum((sound + louder) ** 2) > np.sum(sound**2) > np.sum((sound + softer) ** 2)


def test_a_cell_of_noise_owes_nothing_to_the_carrier(sound: Signal) -> None:
    weights = np.random.default_rng(2).standard_normal((8, 10))
    np.testing.assert_allclose(basis(sound, "noise")(weights), basis(sound[::-1], "noise")(weights))
    assert not np.allclose(basis(sound, "noise")(weights), basis(sound, "noise", seed=9)(weights))


def test_digital_silence_can_be_changed_too(sound: Signal) -> None:
    half = sound.copy()
    half[: RATE_HZ // 2] = 0.0
    delta = basis(half)(one(1, 5))
    assert np.linalg.norm(delta[: RATE_HZ // 2]) > 0.9 * np.linalg.norm(delta) > 0.0


def test_where_the_carrier_is_silent_a_cell_still_fills_its_time(sound: Signal) -> None:
    half = sound.copy()
    half[: RATE_HZ // 2] = 0.0
    power = basis(half)(one(2, 8)) ** 2
    middle = power @ np.arange(power.size) / power.sum() / RATE_HZ
    assert middle == pytest.approx(2 / 7, abs=0.03)


def test_the_length_is_the_carriers(sound: Signal) -> None:
    for size in (SHORTEST, 1001, 12345):
        assert basis(sound[:size])(one(0, 0)).shape == (size,)


def test_too_short_a_carrier_is_refused(sound: Signal) -> None:
    with pytest.raises(ValueError, match="512"):
        basis(sound[: SHORTEST - 1])


@pytest.mark.parametrize("shape", [(1, 10), (10, 1)])
def test_too_few_cells_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="2 x 2"):
        Cells(*shape)


def test_weights_stay_within_the_terms() -> None:
    assert np.sqrt(np.mean(within(np.full((4, 4), 3.0)) ** 2)) == pytest.approx(1.0)
    np.testing.assert_array_equal(within(np.full((4, 4), 0.3)), np.full((4, 4), 0.3))
