"""Each attack does what it says, and leaves alone what it does not name."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from scipy import signal as sps

from earmark.errors import EarmarkError
from earmark.signal import RATE_HZ, Signal, active_level_dbfs, level_dbfs, rms
from earmark_host.nonce.attacks import ATTACKS, Loot, MissingLootError, denoisers
from earmark_host.nonce.attacks.codecs import Codec, code
from earmark_host.nonce.attacks.loot import Need
from earmark_host.nonce.attacks.timing import vocoder, wsola
from earmark_host.nonce.quality import stoi

ASKED_FOR = {
    "none", "mp3_32", "mp3_64", "opus_32", "opus_64", "speed_-3", "speed_-1", "speed_-0.5",
    "speed_+0.5", "speed_+1", "speed_+3", "shift_10hz", "bandstop", "lowpass_4k", "equaliser",
    "noise_20db", "phone", "gating_stationary", "gating_adaptive", "deepfilternet",
    "reference_mic", "reference_trained", "splice", "splice_pauses", "timestretch_-3",
    "timestretch_+3", "vocoder_-3", "vocoder_+3", "oracle_mask", "opus_8",
}  # fmt: skip
"""Names that reports and documents rely on."""

ROUGH = {"opus_8", "gating_adaptive"}
"""Those that are known to cost much."""


def run(name: str, loot: Loot, seed: int = 1) -> Signal:
    return ATTACKS[name].apply(loot, np.random.default_rng(seed))


def spectrum_db(signal: Signal) -> tuple[np.ndarray, np.ndarray]:
    at_hz, power = sps.welch(signal, RATE_HZ, nperseg=min(1024, signal.size))
    return at_hz, 10.0 * np.log10(power + 1e-20)


def only(signal: Signal) -> Loot:
    """A recording and nothing else."""
    return Loot(signal, None, None, signal, np.zeros_like(signal))


def tone(hz: float, seconds: float = 1.0) -> Signal:
    return (0.1 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)).astype(
        np.float32
    )


def strongest_hz(signal: Signal) -> float:
    middle = signal[signal.size // 4 : -signal.size // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(middle.size), 16 * middle.size))
    return float(np.argmax(spectrum) * RATE_HZ / (16 * middle.size))


def test_the_registry_is_complete_and_named_by_the_attacks() -> None:
    assert set(ATTACKS) == ASKED_FOR
    assert all(attack.name == name and attack.about for name, attack in ATTACKS.items())


@pytest.mark.parametrize("name", sorted(ASKED_FOR))
def test_an_attack_is_finite_repeatable_and_leaves_its_loot_alone(name: str, loot: Loot) -> None:
    before = loot.recording.copy()
    once, twice = run(name, loot), run(name, loot)
    assert once.dtype == np.float32
    assert once.ndim == 1
    assert np.all(np.isfinite(once))
    np.testing.assert_array_equal(once, twice)
    np.testing.assert_array_equal(loot.recording, before)
    restored = ATTACKS[name].restore(once, loot)
    assert restored.size == loot.recording.size
    # What is replayed is still a command, if at times a rough one.
    assert stoi(loot.clean, restored) > (0.6 if name in ROUGH else 0.8)


def test_none_changes_nothing(loot: Loot) -> None:
    np.testing.assert_array_equal(run("none", loot), loot.recording)


@pytest.mark.parametrize("codec", ["mp3", "opus"])
@pytest.mark.parametrize("kbit_s", [32, 64])
def test_a_codec_runs_at_its_rate_and_in_step(codec: Codec, kbit_s: int, loot: Loot) -> None:
    coded = code(loot.recording, codec, kbit_s)
    assert coded.kbit_s == pytest.approx(kbit_s, rel=0.15)
    assert coded.signal.size == loot.recording.size
    match = sps.correlate(coded.signal, loot.recording, method="fft")
    late = int(np.argmax(match)) - (loot.recording.size - 1)
    assert abs(late) <= 0.002 * RATE_HZ
    assert rms(coded.signal - loot.recording) < 0.5 * rms(loot.recording)


def test_a_low_rate_of_mp3_is_in_step_as_well(loot: Loot) -> None:
    """At 24 kbit/s and less the decoder is not told LAME's delay."""
    coded = code(loot.recording, "mp3", 24.0).signal
    assert coded.size == loot.recording.size
    assert rms(coded - loot.recording) < 0.5 * rms(loot.recording)


@pytest.mark.parametrize("percent", [-3.0, -1.0, -0.5, 0.5, 1.0, 3.0])
def test_speed_changes_length_and_pitch(percent: float) -> None:
    loot = only(tone(1000.0))
    played = run(f"speed_{percent:+g}", loot)
    factor = 1.0 + percent / 100.0
    assert played.size == pytest.approx(loot.recording.size / factor, abs=1)
    assert strongest_hz(played) == pytest.approx(1000.0 * factor, abs=0.5)


@pytest.mark.parametrize("stretched", [wsola, vocoder])
@pytest.mark.parametrize("factor", [0.97, 1.03])
def test_stretching_changes_length_and_keeps_pitch(stretched, factor: float) -> None:
    signal = tone(440.0, 2.0)
    out = stretched(signal, factor)
    assert out.size == round(signal.size / factor)
    assert strongest_hz(out) == pytest.approx(440.0, abs=1.0)
    # No amplitude lost or beating.
    inner = out[3200:-3200]
    blocks = inner[: inner.size // 320 * 320].reshape(-1, 320)
    levels = np.sqrt(np.mean(blocks**2, axis=1))
    assert levels.min() > 0.9 * rms(signal)
    assert levels.max() < 1.1 * rms(signal)


@pytest.mark.parametrize("name", ["timestretch_-3", "timestretch_+3", "vocoder_-3", "vocoder_+3"])
def test_a_stretched_command_is_late_by_the_stretch_only(name: str) -> None:
    """A click keeps its place on the stretched axis."""
    signal = np.zeros(2 * RATE_HZ, np.float32)
    signal[RATE_HZ : RATE_HZ + 80] = np.hanning(80) * 0.5
    factor = 1.0 + float(name.split("_")[1]) / 100.0
    at = int(np.argmax(np.abs(run(name, only(signal)))))
    assert at == pytest.approx((RATE_HZ + 40) / factor, abs=0.03 * RATE_HZ)


def test_a_shift_moves_every_frequency_by_the_same() -> None:
    for hz in (300.0, 3000.0):
        assert strongest_hz(run("shift_10hz", only(tone(hz)))) == pytest.approx(hz + 10.0, abs=0.5)


def test_a_shift_leaves_no_mirror_image() -> None:
    at_hz, db = spectrum_db(run("shift_10hz", only(tone(1000.0, 4.0))))
    assert db[np.abs(at_hz - 1010) < 20].max() - db[np.abs(at_hz - 1100) < 20].max() > 50.0


@pytest.mark.parametrize(
    ("name", "low_hz", "high_hz"), [("bandstop", 4000.0, 6000.0), ("lowpass_4k", 4000.0, 8000.0)]
)
def test_a_filter_takes_its_band_and_nothing_else(name: str, low_hz: float, high_hz: float) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 4 * RATE_HZ).astype(np.float32)
    at_hz, before = spectrum_db(noise)
    after = spectrum_db(run(name, only(noise)))[1]
    gone = (at_hz >= low_hz + 50) & (at_hz <= high_hz - 50)
    kept = (at_hz <= low_hz - 150) | (at_hz >= high_hz + 150)
    assert np.all(before[gone] - after[gone] > 30.0)
    assert np.all(np.abs(before[kept] - after[kept]) < 1.0)


def test_an_equaliser_moves_octaves_by_up_to_6_db() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 4 * RATE_HZ).astype(np.float32)
    at_hz, before = spectrum_db(noise)
    change = [spectrum_db(run("equaliser", only(noise), seed))[1] - before for seed in (1, 2)]
    inner = (at_hz > 60) & (at_hz < 7900)
    assert np.all(np.abs(change[0][inner]) < 7.0)
    assert np.ptp(change[0][inner]) > 2.0
    assert np.max(np.abs(change[0][inner] - change[1][inner])) > 1.0


def test_added_noise_is_20_db_below_the_speech(loot: Loot) -> None:
    added = run("noise_20db", loot) - loot.recording
    assert level_dbfs(added) == pytest.approx(active_level_dbfs(loot.recording) - 20.0, abs=0.1)


def test_a_phone_takes_the_lows(loot: Loot) -> None:
    at_hz, before = spectrum_db(loot.recording)
    after = spectrum_db(run("phone", loot))[1]
    assert np.mean((before - after)[(at_hz > 80) & (at_hz < 150)]) > 10.0
    assert abs(np.mean((before - after)[(at_hz > 1000) & (at_hz < 3000)])) < 1.5


@pytest.mark.parametrize(
    ("name", "least_db"),
    [
        ("gating_stationary", 10.0),
        ("deepfilternet", 10.0),
        ("reference_mic", 6.0),
        ("reference_trained", 10.0),
        ("oracle_mask", 10.0),
    ],
)
def test_what_removes_noise_empties_the_pauses(name: str, least_db: float, loot: Loot) -> None:
    pause = slice(round(1.45 * RATE_HZ), round(1.7 * RATE_HZ))  # 0.2 s after the reverberation
    fallen = level_dbfs(loot.recording[pause]) - level_dbfs(run(name, loot)[pause])
    assert fallen > least_db


def test_adaptive_gating_lowers_a_steady_tone_under_speech(loot: Loot) -> None:
    steady = tone(6000.0, loot.recording.size / RATE_HZ) * np.float32(0.05)
    noisy = only(loot.clean + steady)
    at_hz, before = spectrum_db(noisy.recording)
    after = spectrum_db(run("gating_adaptive", noisy))[1]
    at = np.argmin(np.abs(at_hz - 6000.0))
    assert before[at] - after[at] > 10.0


def test_the_oracle_gives_back_the_speech(loot: Loot) -> None:
    restored = stoi(loot.clean, run("oracle_mask", loot))
    assert restored > 0.95
    assert restored > stoi(loot.clean, loot.recording)


@pytest.mark.parametrize("name", ["reference_mic", "reference_trained"])
def test_the_reference_cancels_the_nonce_and_not_the_speech(name: str, loot: Loot) -> None:
    """Under the speech as well: what the filter does to each is found by linearity."""
    out = run(name, loot)
    speech = slice(0, round(1.2 * RATE_HZ))
    nonce = sps.lfilter([1, -0.9], [1], loot.wet_nonce)[speech]

    def share(signal: Signal) -> float:
        return abs(float(np.dot(sps.lfilter([1, -0.9], [1], signal)[speech], nonce)))

    assert 20 * np.log10(share(loot.recording) / share(out)) > 6.0
    assert abs(level_dbfs(out[speech]) - level_dbfs(loot.clean[speech])) < 2.0


def test_a_silent_reference_takes_nothing(loot: Loot) -> None:
    deaf = replace(loot, reference=np.zeros_like(loot.recording))
    np.testing.assert_allclose(run("reference_mic", deaf), loot.recording, atol=1e-6)


def test_a_splice_leaves_no_slot_of_256_ms_whole(loot: Loot) -> None:
    attack = ATTACKS["splice"]
    pieces = attack.kept(loot.recording)  # type: ignore[attr-defined]
    assert max(end - start for start, end in pieces[:-1]) < 0.256 * RATE_HZ
    out = run("splice", loot)
    assert out.size == sum(end - start for start, end in pieces)
    assert 0.8 < out.size / loot.recording.size < 0.97
    # A cut makes no click: no step is steeper than the speech's own.
    assert np.abs(np.diff(out)).max() <= 1.2 * np.abs(np.diff(loot.recording)).max()


def test_cutting_pauses_keeps_the_words(loot: Loot) -> None:
    out = run("splice_pauses", loot)
    gone = loot.recording.size - out.size
    assert 0.3 * RATE_HZ < gone < 1.4 * RATE_HZ
    assert np.sum(out.astype(np.float64) ** 2) > 0.98 * np.sum(
        loot.recording.astype(np.float64) ** 2
    )


# What cannot work says so.


@pytest.mark.parametrize(
    ("name", "without"),
    [
        ("gating_stationary", "noise_only"),
        ("reference_mic", "reference"),
        ("reference_trained", "noise_reference"),
    ],
)
def test_an_attack_says_what_it_lacks(name: str, without: str, loot: Loot) -> None:
    changes: dict[str, None] = {without: None}
    if without == "noise_only":
        changes["noise_reference"] = None
    with pytest.raises(MissingLootError, match=rf"{name} needs {without}") as caught:
        run(name, replace(loot, **changes))  # type: ignore[arg-type]
    assert caught.value.need is Need(without)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("recording", np.zeros(0, np.float32)),
        ("recording", np.zeros((2, 2), np.float32)),
        ("clean", np.full(10, np.nan, np.float32)),
        ("reference", np.zeros(9, np.float32)),
        ("noise_reference", np.zeros(9, np.float32)),
    ],
)
def test_loot_refuses_what_does_not_fit(field: str, value: Signal) -> None:
    ten = np.zeros(10, np.float32)
    with pytest.raises(ValueError, match=field):
        replace(Loot(ten, ten, ten, ten, ten, ten), **{field: value})


@pytest.mark.parametrize("name", sorted(ASKED_FOR))
@pytest.mark.parametrize("size", [1, RATE_HZ])
def test_silence_and_snippets_do_no_harm(name: str, size: int) -> None:
    silence = np.zeros(size, np.float32)
    out = run(name, Loot(silence, silence, silence, silence, silence, silence))
    assert np.all(np.isfinite(out))
    assert rms(out) < 1e-3


def test_a_denoiser_that_is_not_installed_says_how(
    monkeypatch: pytest.MonkeyPatch, loot: Loot
) -> None:
    monkeypatch.setattr(denoisers, "find_spec", lambda _: None)
    with pytest.raises(EarmarkError, match="pip install"):
        run("deepfilternet", loot)
