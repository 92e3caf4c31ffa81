"""Commands are trimmed and cut in pauses; a television never falls silent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from earmark.audio import AudioSettings, RoomConditions, SimulatedRoom, load_room, microphone_dbspl
from earmark.loop import SILENCE
from earmark.signal import RATE_HZ, Signal, level_dbfs
from earmark_host.bench.corpus import Corpus
from earmark_host.bench.speech import spoken, television
from earmark_host.bench.stage import Environment


def noise(seconds: float, level: float = 0.1) -> Signal:
    rng = np.random.default_rng(0)
    return (level * rng.standard_normal(round(seconds * RATE_HZ))).astype(np.float32)


def test_silence_around_the_speech_is_cut_off() -> None:
    signal = np.concatenate([noise(0.5, 1e-4), noise(1.0), noise(0.7, 1e-4)])
    assert spoken(signal, 6.0).size / RATE_HZ == pytest.approx(1.08, abs=0.03)


def test_a_long_clip_is_cut_in_its_last_pause() -> None:
    pause = noise(0.3, 1e-4)
    signal = np.concatenate([noise(2.0), pause, noise(2.5), pause, noise(3.0)])
    assert spoken(signal, 6.0).size / RATE_HZ == pytest.approx(4.8, abs=0.1)


def test_a_long_clip_without_a_pause_is_cut_at_its_quietest_moment() -> None:
    signal = np.concatenate([noise(5.4), noise(0.04, 0.03), noise(3.0)])
    cut = spoken(signal, 6.0)
    assert cut.size / RATE_HZ == pytest.approx(5.43, abs=0.05)
    assert abs(cut[-1]) < 1e-6


def test_a_television_plays_on_without_the_person(tiny_corpus: Path) -> None:
    corpus = Corpus.open(tiny_corpus)
    programme = television(corpus, 8.0, "ann", np.random.default_rng(1))
    assert programme.size == 8 * RATE_HZ
    seconds = programme.reshape(8, RATE_HZ)
    assert min(level_dbfs(second) for second in seconds) > -60.0
    again = television(corpus, 8.0, "ann", np.random.default_rng(1))
    np.testing.assert_array_equal(programme, again)


@pytest.mark.parametrize("environment", [Environment.KITCHEN, Environment.TV])
def test_an_environment_is_as_loud_at_the_microphone_as_it_says(
    tiny_corpus: Path, environment: Environment
) -> None:
    settings = AudioSettings(kind="simulated")
    sim = SimulatedRoom(load_room("bedroom"), settings, RoomConditions(seed=1))
    environment.fill(sim, Corpus.open(tiny_corpus), "ann", np.random.default_rng(2))
    heard = np.concatenate([sim.exchange(SILENCE) for _ in range(900)])
    level = microphone_dbspl(level_dbfs(heard), settings)
    assert level == pytest.approx(environment.noise_dbspl, abs=1.5)


def test_people_raise_their_voices_against_noise() -> None:
    levels = [environment.speech_dbspl_1m for environment in Environment]
    assert levels == [60.0, 62.5, 67.5]
