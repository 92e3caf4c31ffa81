"""The fit of the coefficients, on synthetic sounds and a small corpus made of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.errors import EarmarkError
from earmark.memory.carrier import FEATURES, Coefficients, features
from earmark.signal import RATE_HZ, Signal, gain, rms
from earmark_host.bench.corpus import Corpus
from earmark_host.memory.fit_carrier import Example, accuracy, examples, fit

CONDITIONS = {"clean", "noise", "room", "room_noise", "short"}


def babble(rng: np.random.Generator, seconds: float = 2.0) -> Signal:
    """Syllables of noise, four a second."""
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    gate = (time * rng.uniform(3.5, 4.5)) % 1.0 < 0.4
    return np.asarray(0.1 * rng.standard_normal(time.size) * gate, np.float32)


def hum(rng: np.random.Generator, seconds: float = 2.0) -> Signal:
    """Held tones."""
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    tones = [np.sin(2 * np.pi * rng.uniform(200.0, 2000.0) * time) for _ in range(4)]
    return np.asarray(0.1 * np.sum(tones, axis=0), np.float32)


def both(rng: np.random.Generator, speech: int, music: int) -> list[Example]:
    return [Example("speech", "clean", babble(rng)) for _ in range(speech)] + [
        Example("music", "clean", hum(rng)) for _ in range(music)
    ]


def test_what_it_was_fitted_on_generalises() -> None:
    rng = np.random.default_rng(1)
    found = fit(both(rng, 20, 10))
    assert len(found.weights) == len(FEATURES)
    assert accuracy(both(rng, 12, 8), found) == {
        ("speech", "clean"): (12, 12),
        ("music", "clean"): (8, 8),
    }


def test_the_fit_is_where_the_gradient_vanishes() -> None:
    """Class-balanced log loss plus the ridge, differentiated by hand at the solution."""
    rng = np.random.default_rng(2)
    data = both(rng, 12, 5)
    data += [Example("music", "odd", babble(rng)), Example("speech", "odd", hum(rng))]
    found = fit(data)
    values = np.array([features(example.signal) for example in data])
    music = np.array([example.kind == "music" for example in data])
    share = np.where(music, 0.5 / music.sum(), 0.5 / (~music).sum())
    odds = 1.0 / (1.0 + np.exp(-(values @ found.weights + found.bias)))
    error = share * (odds - music)
    assert error.sum() == pytest.approx(0.0, abs=1e-6)
    spread = values.std(axis=0)
    scaled = (values - values.mean(axis=0)) / spread
    np.testing.assert_allclose(error @ scaled, -0.01 * spread * found.weights, atol=1e-6)


def test_silent_examples_are_left_out() -> None:
    data = both(np.random.default_rng(3), 4, 4)
    silent = [Example("music", "clean", np.zeros(RATE_HZ, np.float32))]
    assert fit(data + silent) == fit(data)


@pytest.mark.parametrize(("speech", "music"), [(5, 1), (1, 5), (0, 0)])
def test_too_few_clips_are_refused(speech: int, music: int) -> None:
    with pytest.raises(EarmarkError, match="fewer than two"):
        fit(both(np.random.default_rng(4), speech, music))


def test_accuracy_counts_each_kind_and_condition() -> None:
    rng = np.random.default_rng(5)
    data = [*both(rng, 3, 2), Example("music", "room", hum(rng))]
    always_music = Coefficients((0.0,) * len(FEATURES), 1.0)
    assert accuracy(data, always_music) == {
        ("speech", "clean"): (0, 3),
        ("music", "clean"): (2, 2),
        ("music", "room"): (1, 1),
    }


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Six people, six tunes of 7 s, a noise and a room response of one late echo."""
    rng = np.random.default_rng(6)
    echo = np.zeros(800, np.float32)
    echo[[0, 799]] = 1.0, 0.5
    files = {f"s{i}.wav": ("speech", f"p{i}", babble(rng, 5.0)) for i in range(6)}
    files |= {f"m{i}.wav": ("music", "", hum(rng, 7.0)) for i in range(6)}
    files["c.wav"] = ("command", "p1", babble(rng, 1.0))
    files["w.wav"] = ("wakeword", "", babble(rng, 1.0))
    files["n.wav"] = ("noise", "", 0.01 * rng.standard_normal(RATE_HZ).astype(np.float32))
    files["r.wav"] = ("rir", "", echo)
    rows = ["path,role,speaker"]
    for name, (role, speaker, signal) in files.items():
        soundfile.write(tmp_path / name, signal, RATE_HZ, subtype="FLOAT")
        rows.append(f"{name},{role},{speaker}")
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    return Corpus.open(tmp_path)


def test_examples_come_in_every_condition(corpus: Corpus) -> None:
    halves = [
        list(examples(corpus, half, np.random.default_rng(7)))
        for half in ("calibrate", "held_back")
    ]
    found = Counter((e.kind, e.condition) for half in halves for e in half)
    # 8 clips of speech; of each tune the windows from 0 and 2 s on.
    assert found == {("speech", name): 8 for name in CONDITIONS} | {
        ("music", name): 12 for name in CONDITIONS
    }
    assert halves[0]
    assert halves[1]


def test_the_variants_are_what_they_are_called(corpus: Corpus) -> None:
    made = list(examples(corpus, "calibrate", np.random.default_rng(8)))
    groups = [made[i : i + 5] for i in range(0, len(made), 5)]
    for group in groups:
        clean, noise, room, room_noise, short = (example.signal for example in group)
        assert clean.size <= 4 * RATE_HZ
        assert rms(noise - clean) == pytest.approx(rms(clean) * gain(-20.0), rel=0.01)
        assert rms(room_noise - room) == pytest.approx(rms(room) * gain(-20.0), rel=0.01)
        late = np.pad(clean, (799, 0))[: clean.size] * np.float32(0.5)
        np.testing.assert_allclose(room[: clean.size], clean + late, atol=1e-5)
        assert 0.7 * RATE_HZ <= short.size <= min(2.0 * RATE_HZ, clean.size)


def test_examples_repeat_with_the_seed(corpus: Corpus) -> None:
    first, again, other = (
        [example.signal for example in examples(corpus, "calibrate", np.random.default_rng(seed))]
        for seed in (1, 1, 2)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_a_corpus_without_music_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "r.wav", np.ones(10, np.float32) * 0.1, RATE_HZ)
    (tmp_path / "manifest.csv").write_text("path,role,speaker\nr.wav,rir,\nr.wav,speech,a\n")
    with pytest.raises(EarmarkError, match="role"):
        list(examples(Corpus.open(tmp_path), "calibrate", np.random.default_rng(1)))
