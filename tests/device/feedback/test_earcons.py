"""The sounds: short, soft at the edges, told apart, and nowhere near the nonce."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from earmark.feedback import earcon
from earmark.feedback.earcons import MAX_LEVEL_DBFS, contour
from earmark.gate import Announcement
from earmark.signal import RATE_HZ, level_dbfs

EVERY = list(Announcement)


@pytest.mark.parametrize("told", EVERY)
@pytest.mark.parametrize("level", [-60.0, -30.0, MAX_LEVEL_DBFS])
def test_has_the_level_asked_for_and_stays_within_full_scale(
    told: Announcement, level: float
) -> None:
    sound = earcon(told, level)

    assert sound.dtype == np.float32
    assert sound.ndim == 1
    assert level_dbfs(sound) == pytest.approx(level, abs=0.01)
    assert np.abs(sound).max() < 1.0


@pytest.mark.parametrize("told", EVERY)
def test_lasts_a_tenth_to_half_a_second(told: Announcement) -> None:
    assert 0.1 <= earcon(told, -30.0).size / RATE_HZ <= 0.5


@pytest.mark.parametrize("told", EVERY)
def test_does_not_click(told: Announcement) -> None:
    """No step beyond the slope of its highest tone, and energy nowhere else in the spectrum."""
    sound = earcon(told, -20.0).astype(np.float64)
    framed = np.concatenate([[0.0], sound, [0.0]])

    steepest = 2 * np.pi * 900 / RATE_HZ * np.abs(sound).max()
    assert np.abs(np.diff(framed)).max() <= 1.05 * steepest


@pytest.mark.parametrize("told", EVERY)
def test_keeps_out_of_the_nonce_s_band(told: Announcement) -> None:
    """Loudest in 0.39-0.9 kHz; 60 dB down over 2 kHz, where hop sets are."""
    sound = np.pad(earcon(told, -20.0).astype(np.float64), 4000)
    power = np.abs(np.fft.rfft(sound * np.hanning(sound.size))) ** 2
    frequency = np.fft.rfftfreq(sound.size, 1 / RATE_HZ)

    def share(low: float, high: float) -> float:
        return float(power[(frequency >= low) & (frequency < high)].sum() / power.sum())

    assert share(350, 950) > 0.97
    assert share(2000, 8000) < 1e-6


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(EVERY, 2)))
def test_two_sounds_differ_in_contour_or_rhythm_not_in_pitch_alone(
    one: Announcement, other: Announcement
) -> None:
    assert contour(one) != contour(other)


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(EVERY, 2)))
def test_two_sounds_are_no_shifted_copies(one: Announcement, other: Announcement) -> None:
    a, b = (earcon(each, -20.0).astype(np.float64) for each in (one, other))
    likeness = np.abs(np.correlate(a, b, mode="full")).max() / np.linalg.norm(a) / np.linalg.norm(b)
    assert likeness < 0.95


@pytest.mark.parametrize("level", [-120.1, MAX_LEVEL_DBFS + 0.1, float("nan")])
def test_refuses_a_level_out_of_its_range(level: float) -> None:
    with pytest.raises(ValueError, match="level"):
        earcon(Announcement.ALLOWED, level)
