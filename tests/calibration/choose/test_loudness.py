"""Loudness: ISO 226 at published points, and differences against another method."""

from __future__ import annotations

import numpy as np
import pytest

from earmark.nonce import NonceSettings, SpreadSettings
from earmark.nonce.spread.bank import band_filter
from earmark.signal import RATE_HZ
from earmark_calibration.choose.loudness import (
    BANDS_HZ,
    loudness_sone,
    phon_of,
    power_spectrum,
    response_power,
    sone_of,
    third_octaves,
    tone_phon,
)
from earmark_calibration.choose.options import heard_at_1m

from .rooms import place

SILENT = np.full(len(BANDS_HZ), -60.0)


@pytest.mark.parametrize(
    ("hz", "level", "phon"),
    # ISO 226:2003, table B.1.
    [
        (1000.0, 40.01, 40.0),
        (1000.0, 80.01, 80.0),
        (100.0, 64.37, 40.0),
        (250.0, 50.40, 40.0),
        (2000.0, 39.23, 40.0),
        (4000.0, 36.65, 40.0),
        (6300.0, 45.83, 40.0),
    ],
)
def test_the_contours_of_iso_226(hz: float, level: float, phon: float) -> None:
    levels = SILENT.copy()
    levels[BANDS_HZ.index(hz)] = level
    assert tone_phon(levels)[BANDS_HZ.index(hz)] == pytest.approx(phon, abs=0.1)


def test_a_sone_is_40_phon_and_doubles_every_10() -> None:
    assert sone_of(40.0) == 1.0
    assert sone_of(60.0) == 4.0
    for phon in (5.0, 22.0, 40.0, 71.0):
        assert phon_of(sone_of(phon)) == pytest.approx(phon)


def test_a_tone_is_as_loud_as_its_phon_and_more_bands_are_louder() -> None:
    one = SILENT.copy()
    one[BANDS_HZ.index(1000.0)] = 50.0
    assert phon_of(loudness_sone(one)) == pytest.approx(50.0, abs=0.1)
    two = one.copy()
    two[BANDS_HZ.index(2000.0)] = 50.0
    assert loudness_sone(two) > 1.1 * loudness_sone(one)


@pytest.mark.parametrize(
    ("band", "level", "zwicker_phon"),
    # ISO 532-1:2017 by MoSQITo 1.2.1, free field, for codes of these bands, dB SPL.
    [
        ((500.0, 7000.0), 30.0, 42.0),
        ((500.0, 7000.0), 46.0, 62.9),
        ((500.0, 4000.0), 40.0, 54.6),
        ((300.0, 5000.0), 36.0, 50.6),
        ((1000.0, 7000.0), 40.0, 54.9),
        ((200.0, 3000.0), 40.0, 53.2),
    ],
)
def test_differences_agree_with_zwickers_method(
    band: tuple[float, float], level: float, zwicker_phon: float
) -> None:
    """Against codes of 500-7000 Hz at 40 dB SPL: 56.1 phon by Zwicker."""

    def phon(edges: tuple[float, float], at: float) -> float:
        power = response_power(band_filter(*edges))
        return phon_of(loudness_sone(third_octaves(power / power.sum()) + at))

    ours = phon(band, level) - phon((500.0, 7000.0), 40.0)
    assert ours == pytest.approx(zwicker_phon - 56.1, abs=2.0)


def test_spectra_keep_their_power() -> None:
    rng = np.random.default_rng(2)
    noise = rng.standard_normal(4 * RATE_HZ).astype(np.float32)
    assert power_spectrum(noise).sum() == pytest.approx(1.0, rel=0.03)
    # White noise: 3 dB more in a band twice as wide.
    levels = third_octaves(power_spectrum(noise))
    assert levels[-1] - levels[-4] == pytest.approx(3.0, abs=0.5)


def test_a_nonce_is_louder_at_a_higher_level_and_hidden_by_noise() -> None:
    quiet, loud = place(noise_dbspl=25.0), place(noise_dbspl=50.0)
    low, high = NonceSettings(level_dbspl_1m=30.0), NonceSettings(level_dbspl_1m=40.0)
    assert heard_at_1m(high, quiet).phon > heard_at_1m(low, quiet).phon + 7.0
    assert heard_at_1m(high, quiet).phon == pytest.approx(heard_at_1m(high, loud).phon)
    assert heard_at_1m(high, loud).added_sone < 0.5 * heard_at_1m(high, quiet).added_sone
    assert heard_at_1m(high, loud).over_ambient_db == pytest.approx(
        heard_at_1m(high, quiet).over_ambient_db - 25.0, abs=0.1
    )


def test_the_loudspeakers_colour_counts() -> None:
    narrow = SpreadSettings(band_low_hz=1000.0, band_high_hz=3000.0)
    wide, mid = NonceSettings(), NonceSettings(spread=narrow)
    assert heard_at_1m(mid, place()).sone != pytest.approx(
        heard_at_1m(wide, place()).sone, rel=0.01
    )
