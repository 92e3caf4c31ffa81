"""Banks of random codes, and a way to a microphone that is none of our own code."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import soxr
from scipy.signal import hilbert, lfilter

from earmark.demo.clips import load_clips
from earmark.nonce import NonceSettings, SpreadCarrier
from earmark.nonce.spread import Bank
from earmark.nonce.spread.bank import PERMUTATIONS
from earmark.nonce.spread.shape import CHIPS, CODES
from earmark.signal import RATE_HZ, Signal

BAND_HZ = (500.0, 7000.0)


@cache
def _bank_of(seed: int) -> Bank:
    rng = np.random.default_rng([seed, 77])
    return Bank(
        "00000000",
        seed,
        BAND_HZ,
        rng.choice(np.array([-1.0, 1.0], np.float32), (CODES, CHIPS)),
        np.argsort(rng.random((PERMUTATIONS, CODES)), axis=1).astype(np.uint8),
    )


@pytest.fixture(scope="session")
def bank_of() -> Callable[[int], Bank]:
    """A bank of random signs, without the cost of keys."""
    return _bank_of


@pytest.fixture(scope="session")
def spread_settings() -> NonceSettings:
    return NonceSettings()


@pytest.fixture(scope="session")
def sound() -> Callable[..., Signal]:
    """A nonce of root mean square 1, with its tail."""

    def make(carrier: SpreadCarrier, slots: int, first: int = 0) -> Signal:
        size = (slots - first) * CHIPS + carrier.tail
        return carrier.render(first * CHIPS, size, slots)

    return make


@pytest.fixture(scope="session")
def microphone() -> Callable[..., Signal]:
    """What a recorder with a clock of its own makes of a sound, late, shifted, in white noise.

    `snr_db` is the power of the sound over that of the noise, both over the whole spectrum.
    """

    def record(
        signal: Signal,
        *,
        delay_s: float = 0.137,
        after_s: float = 0.25,
        drift_ppm: float = 0.0,
        shift_hz: float = 0.0,
        snr_db: float = 40.0,
        seed: int = 0,
    ) -> Signal:
        x = signal.astype(np.float64)
        rms = np.sqrt(np.mean(x**2))
        if drift_ppm:
            x = soxr.resample(x, RATE_HZ * (1.0 + drift_ppm * 1e-6), RATE_HZ, "VHQ")
        before, after = (np.zeros(round(s * RATE_HZ)) for s in (delay_s, after_s))
        x = np.concatenate([before, x, after])
        if shift_hz:
            turn = np.exp(2j * np.pi * shift_hz * np.arange(x.size) / RATE_HZ)
            x = (hilbert(x) * turn).real
        noise = np.random.default_rng([seed, 5]).standard_normal(x.size)
        return np.asarray(x + rms * 10.0 ** (-snr_db / 20.0) * noise, np.float32)

    return record


@pytest.fixture(scope="session")
def recording_of() -> Callable[..., Signal]:
    """Sounds that hold no nonce, by name; root mean square about 1 where they sound."""

    def make(kind: str, samples: int, seed: int = 0) -> Signal:
        rng = np.random.default_rng([seed, 9])
        time = np.arange(samples) / RATE_HZ
        white = rng.standard_normal(samples)
        match kind:
            case "white":
                x = white
            case "coloured":
                x = lfilter([0.2], [1.0, -0.98], white)
            case "modulated":  # syllables 40 dB above their pauses
                x = white * np.where(np.sin(2.0 * np.pi * 3.0 * time) > 0.0, 1.0, 0.01)
            case "tone":  # of a converter of 16 bits
                x = np.round(np.sin(2.0 * np.pi * 1000.0 * time) * 3000.0) / 3000.0
            case "voice":
                x = load_clips().television()[RATE_HZ : RATE_HZ + samples].astype(np.float64)
                x = x / np.sqrt(np.mean(x**2))
            case "clicks":  # in digital silence
                x = np.zeros(samples)
                x[rng.integers(0, samples, 6)] = rng.uniform(-1.0, 1.0, 6)
            case "burst":  # in digital silence
                x = np.zeros(samples)
                middle = slice(samples // 2 - 200, samples // 2 + 200)
                x[middle] = white[middle]
            case "third":  # the rest is digital silence
                x = np.where(np.arange(samples) < samples // 3, white, 0.0)
            case _:
                raise ValueError(kind)
        return np.asarray(x, np.float32)

    return make
