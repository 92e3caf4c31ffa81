"""Nonces from fixed seeds, and a way from the player to a microphone that is not our own code."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import soxr
from scipy.signal import hilbert

from earmark.nonce import (
    Bank,
    Bfsk,
    BfskCarrier,
    BfskSettings,
    Carrier,
    FixedKeys,
    Nonce,
    NoncePlayer,
    NonceSettings,
    SpreadCarrier,
    entropy_bytes,
)
from earmark.signal import RATE_HZ, Signal

PLAYED_RMS = 0.1
DELAY_S = 0.137


NOW = 1_800_000_000.0
"""A wall-clock time in 2027, s since 1970."""


@pytest.fixture(scope="session")
def settings() -> NonceSettings:
    """Those of the paper's figures, whatever the defaults are: the limits were measured on them."""
    return NonceSettings(
        waveform="bfsk",
        payload_bits=32,
        bfsk=BfskSettings(bit_rate_hz=20.0, band_low_hz=4000.0, band_high_hz=5000.0, channels=8),
        stale_false_alarm=1e-4,
    )


@pytest.fixture(scope="session")
def wave(settings: NonceSettings) -> Bfsk:
    return Bfsk.from_settings(settings)


@pytest.fixture(scope="session")
def nonce_of() -> Callable[..., Nonce]:
    def make(seed: int, bits: int = 32) -> Nonce:
        return Nonce.from_entropy(bits, np.random.default_rng(seed).bytes(entropy_bytes(bits)))

    return make


@pytest.fixture(scope="session")
def bank() -> Bank:
    """The codes of one epoch of one household."""
    key = FixedKeys(bytes(range(32))).current(NOW)
    return Bank.of(key, 500.0, 7000.0)


@pytest.fixture(scope="session")
def in_tones(wave: Bfsk) -> Callable[..., BfskCarrier]:
    """A nonce in tones, of any waveform that the settings allow."""

    def make(nonce: Nonce, form: Bfsk = wave) -> BfskCarrier:
        shape = BfskSettings(
            bit_rate_hz=form.bit_rate_hz,
            band_low_hz=form.low_hz,
            band_high_hz=form.high_hz,
            channels=form.channels,
            ramp_s=form.ramp_s,
        )
        return BfskCarrier(
            nonce, NonceSettings(waveform="bfsk", payload_bits=nonce.bits, bfsk=shape)
        )

    return make


@pytest.fixture(scope="session")
def in_codes(bank: Bank) -> Callable[..., SpreadCarrier]:
    """A nonce in codes."""

    def make(seed: int, of: Bank = bank) -> SpreadCarrier:
        return SpreadCarrier(np.random.default_rng(seed).bytes(4), of, NonceSettings())

    return make


@pytest.fixture(scope="session")
def played() -> Callable[..., Signal]:
    """What the player hands out, to its last sample."""

    def play(carrier: Carrier, slots: int) -> Signal:
        player = NoncePlayer(carrier, PLAYED_RMS)
        while not player.done:
            if player.slots >= slots:
                player.stop()
            player.block()
        assert player.slots == slots
        return player.played

    return play


@pytest.fixture(scope="session")
def heard() -> Callable[..., Signal]:
    """A played signal at the microphone: `DELAY_S` late, on another clock, shifted, in noise.

    The clocks are resampled by soxr and the shift is made by the analytic signal, so that
    nothing of what is tested takes part.
    """

    def travel(
        signal: Signal,
        *,
        drift_ppm: float = 0.0,
        shift_hz: float = 0.0,
        snr_db: float | None = None,
        seed: int = 0,
    ) -> Signal:
        x = signal.astype(np.float64)
        if drift_ppm:
            x = soxr.resample(x, RATE_HZ * (1.0 + drift_ppm * 1e-6), RATE_HZ, "VHQ")
        x = np.concatenate([np.zeros(round(DELAY_S * RATE_HZ)), x, np.zeros(RATE_HZ // 4)])
        if shift_hz:
            turn = np.exp(2j * np.pi * shift_hz * np.arange(x.size) / RATE_HZ)
            x = (hilbert(x) * turn).real
        if snr_db is not None:
            # The ratio is that within the 1 kHz of the hop set above: 1/8 of the spectrum.
            rms = PLAYED_RMS * 10.0 ** (-snr_db / 20.0) * np.sqrt(8.0)
            x = x + rms * np.random.default_rng(seed).standard_normal(x.size)
        return x.astype(np.float32)

    return travel
