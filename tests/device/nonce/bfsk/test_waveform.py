"""The nonce and its sound: what is drawn, where it hops, and that it does not click."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
import soxr
from pydantic import ValidationError
from scipy import stats
from scipy.signal import hilbert, welch

from earmark.nonce import Bfsk, BfskSettings, Nonce, NonceSettings, entropy_bytes
from earmark.signal import RATE_HZ, Signal

KEYS = range(20)
NonceOf = Callable[..., Nonce]


def levels_db(error: Signal, signal: Signal) -> float:
    return float(10.0 * np.log10(np.mean(error.astype(float) ** 2) / np.mean(signal**2)))


# What is drawn


def test_a_nonce_is_its_entropy_bit_for_bit() -> None:
    entropy = bytes(range(entropy_bytes(32)))
    nonce = Nonce.from_entropy(32, entropy)
    assert (nonce.payload, nonce.hop_key) == (entropy[:4], entropy[4:])
    assert nonce.bit_array().tolist() == [int(b) for b in f"{0x00010203:032b}"]


def test_a_nonce_does_not_show_its_secrets(nonce_of: NonceOf) -> None:
    nonce = nonce_of(1)
    for text in (repr(nonce), str(nonce)):
        assert nonce.payload.hex() not in text
        assert nonce.hop_key.hex() not in text
        assert repr(nonce.payload) not in text


@pytest.mark.parametrize("slots", [4000])
def test_hops_are_uniform_and_do_not_follow_from_the_last(
    wave: Bfsk, nonce_of: NonceOf, slots: int
) -> None:
    singles, pairs = [], []
    for key in KEYS:
        hops = wave.hops(nonce_of(key), slots)
        singles.append(stats.chisquare(np.bincount(hops, minlength=wave.channels)).pvalue)
        pair = hops[:-1:2] * wave.channels + hops[1::2]
        pairs.append(stats.chisquare(np.bincount(pair, minlength=wave.channels**2)).pvalue)
    # Fixed keys: p-values of uniform draws are uniform themselves.
    for values in (singles, pairs):
        assert stats.kstest(values, "uniform").pvalue > 0.01
        assert min(values) > 1e-3


def test_hops_of_two_keys_agree_as_often_as_chance(wave: Bfsk, nonce_of: NonceOf) -> None:
    slots = 4000
    one, other = (wave.hops(nonce_of(key), slots) for key in (1, 2))
    agree = int(np.count_nonzero(one == other))
    assert stats.binomtest(agree, slots, 1 / wave.channels).pvalue > 0.01


def test_the_payload_repeats_and_the_hops_do_not(wave: Bfsk, nonce_of: NonceOf) -> None:
    nonce = nonce_of(3)
    tones = wave.tones(nonce, 96).reshape(3, 32)
    assert (tones % 2 == nonce.bit_array()).all()
    channels = tones // 2
    assert not (channels[0] == channels[1]).all()
    assert not (channels[1] == channels[2]).all()


def test_a_longer_sequence_begins_with_the_shorter(wave: Bfsk, nonce_of: NonceOf) -> None:
    nonce = nonce_of(4)
    assert wave.tones(nonce, 500)[:77].tolist() == wave.tones(nonce, 77).tolist()


# Its sound


def test_each_slot_sounds_at_its_own_tone(wave: Bfsk, nonce_of: NonceOf) -> None:
    nonce = nonce_of(5)
    slots, size = 40, round(wave.slot_s * RATE_HZ)
    frames = wave.render(nonce, slots * size).reshape(slots, size)
    spectra = np.abs(np.fft.rfft(frames * np.hanning(size), 16 * size))
    found_hz = np.argmax(spectra, axis=1) * RATE_HZ / (16 * size)
    assert found_hz == pytest.approx(wave.tone_hz[wave.tones(nonce, slots)], abs=1.0)


def test_the_signal_has_peak_1_and_stays_under_the_fades(wave: Bfsk, nonce_of: NonceOf) -> None:
    sound = wave.render(nonce_of(6), 3 * RATE_HZ)
    assert (sound.dtype, sound.shape) == (np.float32, (3 * RATE_HZ,))
    assert 0.99 < np.abs(sound).max() <= 1.0
    # At every slot's edge the signal is zero, and nowhere may it rise faster than the ramp.
    within = np.arange(sound.size) / RATE_HZ % wave.slot_s
    edge = np.minimum(within, wave.slot_s - within)
    ramp = 0.5 - 0.5 * np.cos(np.pi * np.minimum(edge / wave.ramp_s, 1.0))
    assert (np.abs(sound) <= ramp + 1e-6).all()


def test_fades_keep_the_energy_in_the_band(wave: Bfsk, nonce_of: NonceOf) -> None:
    def outside_db(form: Bfsk) -> float:
        hz, power = welch(form.render(nonce_of(7), 10 * RATE_HZ), RATE_HZ, nperseg=4096)
        out = (hz < wave.low_hz - 300.0) | (hz > wave.high_hz + 300.0)
        return float(10.0 * np.log10(power[out].sum() / power.sum()))

    hard = Bfsk(wave.bit_rate_hz, wave.low_hz, wave.high_hz, wave.channels, 1.0 / RATE_HZ)
    assert outside_db(wave) < -45.0
    assert outside_db(hard) > -30.0  # what a click would be


def test_it_can_be_rendered_in_pieces(wave: Bfsk, nonce_of: NonceOf) -> None:
    nonce = nonce_of(8)
    whole = wave.render(nonce, 10_000)
    pieces = [wave.render(nonce, 1000, start_s=k * 1000 / RATE_HZ) for k in range(10)]
    assert np.concatenate(pieces) == pytest.approx(whole, abs=1e-6)


def test_before_its_start_there_is_silence(wave: Bfsk, nonce_of: NonceOf) -> None:
    nonce = nonce_of(8)
    early = wave.render(nonce, 3000, start_s=-1000 / RATE_HZ)
    assert not early[:1000].any()
    assert early[1000:] == pytest.approx(wave.render(nonce, 2000), abs=1e-6)
    assert not wave.render(nonce, 100, start_s=-1.0).any()
    assert wave.render(nonce, 0).size == 0


@pytest.mark.parametrize("drift_ppm", [-300.0, 300.0])
def test_drift_is_what_a_resampler_makes_of_it(
    wave: Bfsk, nonce_of: NonceOf, drift_ppm: float
) -> None:
    nonce = nonce_of(9)
    player = wave.render(nonce, 5 * RATE_HZ).astype(np.float64)
    ours = wave.render(nonce, 4 * RATE_HZ, drift_ppm=drift_ppm)
    theirs = soxr.resample(player, RATE_HZ * (1.0 + drift_ppm * 1e-6), RATE_HZ, "VHQ")
    theirs = theirs[: ours.size]
    assert levels_db(ours - theirs, ours) < -60.0
    assert levels_db(ours - wave.render(nonce, ours.size), ours) > -3.0  # it does matter


@pytest.mark.parametrize("shift_hz", [-20.0, 7.5])
def test_shift_moves_every_tone(wave: Bfsk, nonce_of: NonceOf, shift_hz: float) -> None:
    nonce = nonce_of(10)
    plain = wave.render(nonce, 2 * RATE_HZ)
    turn = np.exp(2j * np.pi * shift_hz * np.arange(plain.size) / RATE_HZ)
    ours = wave.render(nonce, plain.size, shift_hz=shift_hz)
    assert levels_db(ours - (hilbert(plain) * turn).real, ours) < -40.0


def test_a_start_between_samples_is_what_a_resampler_makes_of_it(
    wave: Bfsk, nonce_of: NonceOf
) -> None:
    nonce = nonce_of(11)
    fine = wave.render(nonce, 3 * 3 * RATE_HZ, rate_hz=3 * RATE_HZ)
    late = wave.render(nonce, 2 * RATE_HZ, start_s=1.0 + 1.0 / (3 * RATE_HZ))
    filtered = soxr.resample(fine[1:].astype(np.float64), 3 * RATE_HZ, RATE_HZ, "VHQ")
    assert levels_db(late - filtered[RATE_HZ : 3 * RATE_HZ], late) < -60.0


def test_the_waveform_goes_through_json_with_its_kind(wave: Bfsk) -> None:
    assert Bfsk.from_json(wave.to_json()) == wave
    assert json.loads(wave.to_json())["kind"] == "bfsk"


def test_a_waveform_of_the_first_version_says_no_kind(wave: Bfsk) -> None:
    fields = json.loads(wave.to_json())
    del fields["kind"]
    assert Bfsk.from_json(json.dumps(fields)) == wave


# Failures


@pytest.mark.parametrize(
    ("payload", "key"), [(b"abc", bytes(16)), (b"abcde", bytes(16)), (b"abcd", bytes(15))]
)
def test_a_nonce_of_another_size_is_refused(payload: bytes, key: bytes) -> None:
    with pytest.raises(ValueError, match="bytes"):
        Nonce(payload, 32, key)


def test_too_little_entropy_is_refused() -> None:
    with pytest.raises(ValueError, match="hop key"):
        Nonce.from_entropy(32, bytes(entropy_bytes(32) - 1))


@pytest.mark.parametrize(
    "change",
    [
        {"bit_rate_hz": 0.0},
        {"bit_rate_hz": float("nan")},
        {"bit_rate_hz": 1e9},
        {"bit_rate_hz": "20"},
        {"low_hz": 5000.0, "high_hz": 4000.0},
        {"high_hz": 9000.0},
        {"channels": 0},
        {"channels": 2.5},
        {"channels": 10**9},
        {"ramp_s": 0.0},
        {"ramp_s": 0.1},
        {"another": 1},
        {"low_hz": None},
        {"kind": "spread"},
        {"kind": None},
    ],
)
def test_a_waveform_that_makes_no_sense_is_refused(wave: Bfsk, change: dict[str, object]) -> None:
    text = json.dumps(json.loads(wave.to_json()) | change)
    with pytest.raises(ValueError, match="not a BFSK waveform"):
        Bfsk.from_json(text)


@pytest.mark.parametrize("text", ["", "{", "[]", "1", "null", "{}"])
def test_text_that_is_no_waveform_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Bfsk.from_json(text)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"band_low_hz": 4900.0, "band_high_hz": 5000.0, "channels": 8}, "set of 8 channels"),
        ({"band_low_hz": 4000.0, "band_high_hz": 5000.0, "channels": 22}, "needs 1320 Hz"),
        ({"band_low_hz": 5000.0, "band_high_hz": 4000.0}, "not -1000"),
        ({"bit_rate_hz": 40.0, "ramp_s": 0.01}, "hop set|ramp_s"),
        ({"ramp_s": 0.013}, "at most a quarter of a bit"),
        ({"channels": 3}, "greater than or equal to 4"),
    ],
)
def test_tones_that_cannot_work_are_refused(change: dict[str, float], told: str) -> None:
    for model, values in ((BfskSettings, change), (NonceSettings, {"bfsk": change})):
        with pytest.raises(ValidationError, match=told):
            model.model_validate(values)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"payload_bits": 36}, "multiple of 8"),
        ({"payload_bits": 24}, "greater than or equal to 32"),
        ({"waveform": "chirp"}, "'spread' or 'bfsk'"),
        ({"channels": 8}, "Extra inputs"),
    ],
)
def test_settings_that_cannot_work_are_refused(change: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        NonceSettings.model_validate(change)
