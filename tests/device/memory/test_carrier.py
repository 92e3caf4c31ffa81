"""Speech or music: each feature on a sound made for it, and the decision on shipped speech."""

from __future__ import annotations

import numpy as np
import pytest

from earmark.demo.clips import ClipKind, load_clips
from earmark.memory.carrier import FEATURES, Coefficients, carrier, features, musicness
from earmark.signal import RATE_HZ, Signal

TIME = np.arange(4 * RATE_HZ) / RATE_HZ


def sound(values: np.ndarray) -> Signal:
    return np.asarray(0.1 * values, np.float32)


def chords(first_hz: float) -> Signal:
    """Four chords of a second each, three notes with four harmonics, all held."""
    out = np.zeros(TIME.size)
    for second, root in enumerate((1.0, 4 / 3, 3 / 2, 1.0)):
        part = slice(second * RATE_HZ, (second + 1) * RATE_HZ)
        for note in (1.0, 5 / 4, 3 / 2):
            for harmonic in range(1, 5):
                pitch = first_hz * root * note * harmonic
                out[part] += np.sin(2 * np.pi * pitch * TIME[part]) / harmonic
    return sound(out)


def feature(name: str, signal: Signal) -> float:
    values = features(signal)
    assert values is not None
    assert values.shape == (len(FEATURES),)
    return float(values[FEATURES.index(name)])


def noise(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(TIME.size)


def test_low_energy_is_the_share_of_quiet_frames() -> None:
    gated = noise() * np.where(TIME % 1.0 < 0.25, 1.0, 0.3)  # 10 dB down: .28 of the mean
    assert feature("low_energy", sound(gated)) == pytest.approx(0.75, abs=0.04)
    assert feature("low_energy", sound(noise())) < 0.02


def test_level_spread_is_in_tens_of_decibels() -> None:
    # Half the time 20 dB down: the levels in bel are +-1 around their mean.
    stepped = noise() * np.where(TIME < 2.0, 1.0, 0.1)
    assert feature("level_spread", sound(stepped)) == pytest.approx(1.0, abs=0.05)


def test_the_power_of_a_swing_by_hand() -> None:
    """The one-sided power of 0.8 sin is 0.8**2 / 4; the window of 64 ms takes a little."""
    swing = np.sin(2 * np.pi * 500.0 * TIME) * (1.0 + 0.8 * np.sin(2 * np.pi * 4.0 * TIME))
    assert feature("syllables", sound(swing)) == pytest.approx(np.log10(0.16), abs=0.05)


@pytest.mark.parametrize("rate_hz", [1.0, 12.0])
def test_syllables_come_at_four_a_second(rate_hz: float) -> None:
    def swinging(rate: float) -> float:
        envelope = 1.0 + 0.8 * np.sin(2 * np.pi * rate * TIME)
        return feature("syllables", sound(noise() * envelope))

    assert swinging(4.0) > swinging(rate_hz) + 0.5


def test_flux_varies_where_the_spectrum_jumps_now_and_then() -> None:
    tone = np.sin(2 * np.pi * 500.0 * TIME)
    jumping = np.sin(2 * np.pi * np.where(TIME % 0.5 < 0.25, 500.0, 1500.0) * TIME)
    assert feature("flux_variance", sound(jumping)) > feature("flux_variance", sound(tone)) + 2.0


def test_steady_tones_stay_and_gliding_ones_do_not() -> None:
    steady = sum(np.sin(2 * np.pi * f * TIME) for f in (300.0, 700.0, 1500.0))
    gliding = sum(np.sin(2 * np.pi * f * (TIME + 0.15 * TIME**2)) for f in (300.0, 700.0, 1500.0))
    assert feature("staying", sound(np.asarray(steady))) > 0.95
    assert feature("staying", sound(np.asarray(gliding))) < 0.2


def test_the_centroid_spreads_between_vowels_and_hisses() -> None:
    dark = np.sin(2 * np.pi * 300.0 * TIME)
    turns = np.where(TIME % 0.5 < 0.25, dark, np.sin(2 * np.pi * 4000.0 * TIME))
    assert feature("centroid", sound(turns)) > feature("centroid", sound(dark)) + 1.0


@pytest.mark.parametrize("first_hz", [130.0, 220.0, 440.0])
def test_held_chords_are_music(first_hz: float) -> None:
    assert carrier(chords(first_hz)) == "music"


def test_the_sign_decides() -> None:
    mixed = [chords(220.0) + sound(share * noise()) for share in np.linspace(0.0, 4.0, 30)]
    mixed += [sound(noise() * (on_s > TIME % 0.25)) for on_s in np.linspace(0.05, 0.25, 20)]
    values = [musicness(signal) for signal in mixed]
    assert min(abs(value) for value in values if value > 0.0) < 2.0
    assert min(abs(value) for value in values if value < 0.0) < 2.0
    assert [carrier(signal) == "music" for signal in mixed] == [value > 0.0 for value in values]


def test_shipped_commands_and_television_are_speech() -> None:
    clips = load_clips()
    spoken = [clip for kind in (ClipKind.COMMAND, ClipKind.TELEVISION) for clip in clips.all(kind)]
    assert [clip.name for clip in spoken if carrier(clip.signal) != "speech"] == []


def test_loudness_does_not_matter() -> None:
    signal = chords(200.0)
    assert musicness(signal * np.float32(0.01)) == pytest.approx(musicness(signal), abs=1e-3)


def test_only_the_first_four_seconds_count() -> None:
    signal = chords(200.0)
    longer = np.concatenate([signal, sound(noise() * (TIME % 0.5 < 0.1))])
    assert musicness(longer) == musicness(signal)


@pytest.mark.parametrize("length", [0, 1, 100, RATE_HZ])
def test_silence_is_speech(length: int) -> None:
    silence = np.zeros(length, np.float32)
    assert features(silence) is None
    assert musicness(silence) == 0.0
    assert carrier(silence) == "speech"


@pytest.mark.parametrize("length", [10, 300, 1500, 9000])
def test_a_short_query_has_finite_features(length: int) -> None:
    signal = chords(200.0)[100 : 100 + length]
    values = features(signal)
    assert values is not None
    assert np.isfinite(values).all()


def test_other_coefficients_can_be_tried() -> None:
    only_bias = Coefficients((0.0,) * len(FEATURES), 0.25)
    assert musicness(chords(200.0), only_bias) == 0.25
    one = Coefficients((0.0, 2.0, 0.0, 0.0, 0.0, 0.0), 0.0)
    signal = chords(200.0)
    assert musicness(signal, one) == pytest.approx(2 * feature("level_spread", signal))
