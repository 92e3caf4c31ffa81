"""The sweep through systems whose response and harmonics are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal as sps

from earmark.signal import RATE_HZ, Signal
from earmark_calibration.measure.arrival import arrival_s
from earmark_calibration.measure.bands import OCTAVES, THIRDS, octaves, thirds
from earmark_calibration.measure.sweep import (
    HARMONICS,
    TAIL_S,
    deconvolve,
    distortion_percent,
    lead_s,
    noise_db,
    response_db,
    sweep,
)

CENTRES = np.array(THIRDS.centres_hz)
DELAY = 1600


def through(bend: float = 0.0, noise: float = 0.0, taps: np.ndarray | None = None) -> Signal:
    """The sweep after a bend (second harmonic), a filter, a delay and noise."""
    played = sweep().astype(np.float64)
    bent = played + bend * played**2
    heard = np.zeros(played.size + round(TAIL_S * RATE_HZ))
    heard[DELAY : DELAY + bent.size] = bent
    if taps is not None:
        heard = sps.fftconvolve(heard, taps)[: heard.size]
    heard += noise * np.random.default_rng(0).standard_normal(heard.size)
    return np.asarray(heard, np.float32)


def test_a_wire_is_flat_and_comes_when_it_comes() -> None:
    impulse = deconvolve(through())
    delay_s = arrival_s(impulse.causal)
    assert delay_s == pytest.approx(DELAY / RATE_HZ, abs=1e-6)
    assert response_db(impulse, delay_s) == pytest.approx(np.zeros(CENTRES.size), abs=0.1)


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.1])
def test_a_filter_is_seen_through_noise(noise: float) -> None:
    sections = sps.butter(2, (500.0, 3000.0), "bandpass", fs=RATE_HZ, output="sos")
    taps = sps.sosfilt(sections, np.eye(1, 4000)[0])
    impulse = deconvolve(through(noise=noise, taps=taps))
    hz, transfer = sps.freqz(taps, worN=1 << 16, fs=RATE_HZ)
    truth = 10.0 * np.log10(THIRDS.mean(hz, np.abs(transfer) ** 2))
    found = response_db(impulse, DELAY / RATE_HZ)
    inside = CENTRES > 150.0
    assert found[inside] == pytest.approx(truth[inside], abs=0.3 if noise < 0.05 else 1.0)


def test_what_noise_leaves_of_a_response_is_known() -> None:
    loud, quiet = (deconvolve(through(noise=noise)) for noise in (0.1, 0.01))
    at_s = DELAY / RATE_HZ
    fell = noise_db(loud, at_s) - noise_db(quiet, at_s)
    assert np.median(fell) == pytest.approx(20.0, abs=0.5)
    # With nothing played, response and noise say the same.
    heard = through(noise=0.1) - through()
    nothing = deconvolve(np.asarray(heard, np.float32))
    assert (response_db(nothing, at_s) < noise_db(nothing, at_s) + 3.0).all()


@pytest.mark.parametrize("percent", [0.3, 1.0, 5.0])
def test_the_second_harmonic_is_as_strong_as_the_bend_makes_it(percent: float) -> None:
    # x + b x^2 of a sine of amplitude 1: the second harmonic has b / 2.
    impulse = deconvolve(through(bend=2.0 * percent / 100.0, noise=1e-4))
    found = distortion_percent(impulse, DELAY / RATE_HZ)
    inside = (CENTRES > 150.0) & (CENTRES < 2000.0)
    assert found[inside] == pytest.approx(np.full(inside.sum(), percent), rel=0.05)


def test_harmonics_above_the_sweep_are_not_known() -> None:
    found = distortion_percent(deconvolve(through(bend=0.02)), DELAY / RATE_HZ)
    assert np.isnan(found[3.0 * CENTRES > 7500.0]).all()


def test_a_wire_has_no_distortion() -> None:
    found = distortion_percent(deconvolve(through(noise=1e-4)), DELAY / RATE_HZ)
    assert np.nanmax(np.nan_to_num(found[CENTRES > 150.0])) < 0.05


def test_each_harmonic_lies_where_it_must() -> None:
    impulse = deconvolve(through(bend=0.1))
    for order in HARMONICS[:1]:
        at = DELAY / RATE_HZ - lead_s(order)
        here = np.sum(impulse.around(at, 0.01, 0.05) ** 2)
        beside = np.sum(impulse.around(at - 0.3, 0.01, 0.05) ** 2)
        assert here > 1e4 * beside


def test_bands_are_those_of_the_standard() -> None:
    assert octaves(0, 0).edges_hz(1000.0) == pytest.approx((707.9, 1412.5), abs=0.1)
    assert thirds(0, 0).edges_hz(1000.0) == pytest.approx((891.3, 1122.0), abs=0.1)
    for bands in (THIRDS, OCTAVES):
        edges = [bands.edges_hz(centre) for centre in bands.centres_hz]
        above = [low for low, _ in edges[1:]]
        assert above == pytest.approx([high for _, high in edges[:-1]])
    hz = np.array([1000.0, 1001.0, 5000.0])
    found = thirds(0, 2).sum(hz, np.array([1.0, 2.0, 4.0]))
    assert found[0] == 3.0
    assert np.isnan(found[1:]).all()


def test_the_sweep_is_a_sweep() -> None:
    assert np.abs(sweep()).max() == pytest.approx(1.0, abs=1e-3)
    assert abs(sweep()[0]) < 1e-6
    assert abs(sweep()[-1]) < 1e-2
