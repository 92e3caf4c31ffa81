"""Taking the nonce out: how deep, and that it leaves the rest alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from scipy.signal import butter, fftconvolve, sosfiltfilt

from earmark.demo.clips import load_clips
from earmark.nonce import Bfsk, Cleaned, LiveCanceller, Nonce, NonceSettings, clean, verify
from earmark.nonce.cancel import FIRST_S, estimate_path
from earmark.signal import BLOCK, RATE_HZ, Signal

NonceOf = Callable[..., Nonce]
Make = Callable[..., Signal]

SLOTS = 60
DELAY_S = 0.137
COVERED = slice(round(DELAY_S * RATE_HZ), round((DELAY_S + SLOTS * 0.05) * RATE_HZ))


def room(seed: int) -> Signal:
    """An echo path: direct sound, and 20 dB below a room of RT60 0.4 s."""
    decay = 10.0 ** (-3.0 * np.arange(round(0.3 * RATE_HZ)) / RATE_HZ / 0.4)
    taps = np.random.default_rng(seed).standard_normal(decay.size) * decay
    taps *= 0.1 / np.sqrt(np.sum(taps**2))
    taps[:32] = 0.0
    taps[10] = 1.0
    return taps.astype(np.float32)


@cache
def speech() -> Signal:
    spoken = load_clips().command("toast").spoken
    # 13 dB below the nonce: a person of 60 dB SPL at 1 m, the loudspeaker at 7 cm.
    return (spoken / np.sqrt(np.mean(spoken**2)) * 0.1 * 10.0 ** (-13.0 / 20.0)).astype(np.float32)


def power_db(signal: Signal) -> float:
    return float(10.0 * np.log10(np.mean(signal.astype(np.float64) ** 2)))


@dataclass(frozen=True, eq=False)
class Scene:
    """A recording and what it is made of."""

    nonce: Nonce
    echo: Signal
    rest: Signal
    spoken: slice

    @property
    def recording(self) -> Signal:
        return self.echo + self.rest


@pytest.fixture(scope="module")
def scene(nonce_of: NonceOf, played: Make, heard: Make) -> Callable[..., Scene]:
    def make(*, drift_ppm: float = 0.0, talk: bool = True, seed: int = 1) -> Scene:
        nonce = nonce_of(seed)
        dry = heard(played(nonce, SLOTS), drift_ppm=drift_ppm)
        echo = fftconvolve(dry, room(seed))[: dry.size].astype(np.float32)
        rest = 1e-4 * np.random.default_rng(seed).standard_normal(dry.size).astype(np.float32)
        spoken = slice(RATE_HZ, RATE_HZ + speech().size)
        if talk:
            rest[spoken] += speech()
        return Scene(nonce, echo, rest, spoken)

    return make


def cleaned(scene: Scene, settings: NonceSettings) -> Cleaned:
    report = verify(scene.recording, scene.nonce, 0.0, SLOTS, settings)
    return clean(scene.recording, scene.nonce, 0.0, report, settings, SLOTS)


@pytest.mark.parametrize("drift_ppm", [0.0, 150.0, -300.0])
@pytest.mark.parametrize("talk", [False, True])
def test_the_nonce_falls_by_40_db(
    settings: NonceSettings, scene: Callable[..., Scene], drift_ppm: float, talk: bool
) -> None:
    heard = scene(drift_ppm=drift_ppm, talk=talk)
    result = cleaned(heard, settings)
    assert result.signal.size == heard.recording.size
    left = result.signal - heard.rest
    assert power_db(heard.echo[COVERED]) - power_db(left[COVERED]) > 40.0


@pytest.mark.parametrize("talk", [False, True])
def test_it_promises_no_more_than_it_does(
    settings: NonceSettings, scene: Callable[..., Scene], talk: bool
) -> None:
    heard = scene(drift_ppm=100.0, talk=talk)
    result = cleaned(heard, settings)
    band = butter(6, [3900.0, 5100.0], "bandpass", fs=RATE_HZ, output="sos")
    left = sosfiltfilt(band, result.signal - heard.rest)[COVERED]
    true_db = power_db(sosfiltfilt(band, heard.echo)[COVERED]) - power_db(left)
    assert 20.0 < result.suppression_db <= true_db + 1.0
    if not talk:  # then there is little else in the band
        assert result.suppression_db == pytest.approx(true_db, abs=4.0)


def test_speech_is_left_as_it_was(settings: NonceSettings, scene: Callable[..., Scene]) -> None:
    heard = scene()
    result = cleaned(heard, settings)
    changed = (result.signal - heard.rest)[heard.spoken]
    assert power_db(speech()) - power_db(changed) > 25.0
    assert np.corrcoef(result.signal[heard.spoken], speech())[0, 1] > 0.999


def test_what_comes_before_and_after_the_nonce_is_left_alone(
    settings: NonceSettings, nonce_of: NonceOf, played: Make, heard: Make
) -> None:
    """The reference ends with the nonce: else its echo would be added where there is none."""
    nonce, quiet = nonce_of(2), np.zeros(RATE_HZ, np.float32)
    recording = np.concatenate([quiet, heard(played(nonce, SLOTS)), quiet])
    report = verify(recording, nonce, 1.0, SLOTS, settings)
    result = clean(recording, nonce, 1.0, report, settings, SLOTS).signal
    assert result[:RATE_HZ].tobytes() == recording[:RATE_HZ].tobytes()
    assert power_db(recording[RATE_HZ:][COVERED]) > -21.0
    assert power_db(result[-RATE_HZ // 2 :]) < -65.0


def test_a_nonce_that_is_cut_off_is_taken_out_to_the_last_sample(
    settings: NonceSettings, scene: Callable[..., Scene]
) -> None:
    """As in a session: the recording ends while the last slots are still in the air."""
    heard = scene()
    cut = round(2.82 * RATE_HZ)
    recording = heard.recording[:cut]
    report = verify(recording, heard.nonce, 0.0, SLOTS, settings)
    left = clean(recording, heard.nonce, 0.0, report, settings, SLOTS).signal - heard.rest[:cut]
    end = slice(cut - 400, cut)
    assert power_db(heard.echo[end]) - power_db(left[end]) > 20.0


def test_without_a_nonce_nothing_is_taken_out(settings: NonceSettings, nonce_of: NonceOf) -> None:
    recording = np.random.default_rng(1).standard_normal(100).astype(np.float32)
    report = verify(recording, nonce_of(1), 0.0, 0, settings)
    result = clean(recording, nonce_of(1), 0.0, report, settings)
    assert result.signal.tobytes() == recording.tobytes()
    assert result.suppression_db == 0.0


def test_a_jammed_loudspeaker_does_little_harm_to_speech(
    settings: NonceSettings, scene: Callable[..., Scene]
) -> None:
    """What is fitted then is chance; it must not eat the speech, which may be heard for a retry."""
    rest = scene().rest
    nonce = scene().nonce
    report = verify(rest, nonce, 0.0, SLOTS, settings)
    assert not report.present
    result = clean(rest, nonce, 0.0, report, settings, SLOTS)
    assert power_db(rest) - power_db(result.signal - rest) > 15.0


def test_the_path_is_the_one_that_was_walked(wave: Bfsk, nonce_of: NonceOf) -> None:
    """Within the band that the nonce excites, where alone it can be known."""
    wide = Bfsk(20.0, 400.0, 7400.0, 32, 0.005)
    reference = wave.render(nonce_of(3), 8 * RATE_HZ) + wide.render(nonce_of(4), 8 * RATE_HZ)
    taps = room(5)
    recording = fftconvolve(reference, taps)[: reference.size].astype(np.float32)
    found = estimate_path(recording, reference, 0.0, 0.25)
    assert found.delay_s == 0.0
    predicted = found.apply(reference)
    assert power_db(recording) - power_db(recording - predicted) > 35.0
    assert int(np.argmax(np.abs(found.taps))) == 10


def test_no_reference_is_no_path(settings: NonceSettings) -> None:
    silence = np.zeros(RATE_HZ, np.float32)
    found = estimate_path(silence + 1.0, silence, 0.1, settings.canceller_taps_s)
    assert not found.taps.any()
    assert not found.apply(silence).any()


# While it plays


def live(scene: Scene, settings: NonceSettings) -> tuple[Signal, list[int], LiveCanceller]:
    """What the canceller hands on, and how much at each block."""
    canceller = LiveCanceller(scene.nonce, settings)
    whole = scene.recording[: scene.recording.size // BLOCK * BLOCK]
    parts = [canceller.feed(block) for block in whole.reshape(-1, BLOCK)]
    return np.concatenate(parts), [part.size for part in parts], canceller


@pytest.mark.parametrize("drift_ppm", [0.0, -300.0])
def test_live_it_hands_on_every_sample_once_and_in_place(
    settings: NonceSettings, scene: Callable[..., Scene], drift_ppm: float
) -> None:
    heard = scene(drift_ppm=drift_ppm)
    out, sizes, _ = live(heard, settings)
    assert out.size == heard.recording.size // BLOCK * BLOCK
    held = round(FIRST_S * RATE_HZ) // BLOCK
    assert sizes[: held - 1] == [0] * (held - 1)
    assert sizes[held - 1] == held * BLOCK
    assert set(sizes[held:]) == {BLOCK}
    # In place: the speech lies where it lay. The correlation peaks at no lag and is high.
    spoken = out[heard.spoken]
    lags = {
        lag: float(np.dot(out[heard.spoken.start + lag :][: speech().size], speech()))
        for lag in range(-8, 9)
    }
    assert max(lags, key=lags.__getitem__) == 0
    assert np.corrcoef(spoken, speech())[0, 1] > 0.95


def test_live_it_reaches_20_db_and_improves(
    settings: NonceSettings, scene: Callable[..., Scene]
) -> None:
    heard = scene(drift_ppm=100.0)
    out, _, canceller = live(heard, settings)
    left = out - heard.rest[: out.size]

    def depth_db(first_s: float, last_s: float) -> float:
        part = slice(round(first_s * RATE_HZ), round(last_s * RATE_HZ))
        return power_db(heard.echo[part]) - power_db(left[part])

    assert depth_db(0.2, 1.0) > 20.0
    assert depth_db(1.0, 1.5) > 17.0
    assert depth_db(2.4, 3.0) > 25.0
    assert canceller.delay_s == pytest.approx(DELAY_S, abs=1.5e-3)  # the path begins 0.6 ms later


def test_live_it_knows_no_delay_before_the_first_estimate(
    settings: NonceSettings, nonce_of: NonceOf
) -> None:
    canceller = LiveCanceller(nonce_of(1), settings)
    assert canceller.feed(np.zeros(BLOCK, np.float32)).size == 0
    assert canceller.delay_s is None


def test_live_silence_stays_silence(settings: NonceSettings, nonce_of: NonceOf) -> None:
    canceller = LiveCanceller(nonce_of(1), settings)
    parts = [canceller.feed(np.zeros(BLOCK, np.float32)) for _ in range(80)]
    out = np.concatenate(parts)
    assert out.size == 80 * BLOCK
    assert not out.any()
