"""The keyword model on words that are chirps."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")

from earmark.errors import EarmarkError
from earmark.signal import RATE_HZ, Signal
from earmark_host.memory.victims import OTHER
from earmark_host.memory.victims.keyword import KeywordModel, train

WORDS = {"up": (500.0, 2500.0), "down": (2500.0, 500.0)}


def word(label: str, rng: np.random.Generator) -> Signal:
    first, last = WORDS[label]
    t = np.arange(RATE_HZ // 2) / RATE_HZ
    sweep = np.sin(2 * np.pi * (first * t + (last - first) * t**2) * rng.uniform(0.95, 1.05))
    return (sweep * np.hanning(t.size) * rng.uniform(0.1, 0.5)).astype(np.float32)


def something_else(rng: np.random.Generator) -> Signal:
    return (0.1 * rng.standard_normal(RATE_HZ)).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> KeywordModel:
    rng = np.random.default_rng(1)
    clips = [(word(label, rng), label, f"person{n}") for n in range(12) for label in WORDS]
    clips += [(something_else(rng), OTHER, f"noise{n}") for n in range(12)]
    return train(clips, 1)


def test_words_of_people_not_trained_on_are_heard(model: KeywordModel) -> None:
    assert model.labels == ("down", "up", OTHER)
    assert model.held_out_n >= 2
    assert model.accuracy >= 0.75
    rng = np.random.default_rng(2)
    for label in WORDS:
        scores = model.scores(word(label, rng))
        assert scores.shape == (3,)
        assert np.exp(scores).max() <= 1.0
        assert model.labels[int(np.argmax(scores[:2]))] == label


def test_the_word_may_stand_anywhere_and_at_any_level(model: KeywordModel) -> None:
    rng = np.random.default_rng(3)
    late = np.concatenate([1e-4 * something_else(rng), word("up", rng), 1e-4 * something_else(rng)])
    for gain in (1.0, 0.01):
        assert np.argmax(model.scores(gain * late.astype(np.float32))[:2]) == 1


@pytest.mark.parametrize("bad", [np.zeros((2, 8), np.float32), np.zeros(0, np.float32)])
def test_what_is_no_signal(model: KeywordModel, bad: Signal) -> None:
    with pytest.raises(ValueError, match="1-D signal"):
        model.scores(bad)
    with pytest.raises(ValueError, match="not finite"):
        model.scores(np.full(1_000, np.nan, np.float32))


def test_too_little_to_train_on() -> None:
    rng = np.random.default_rng(4)
    with pytest.raises(EarmarkError, match="two words and something else"):
        train([(word("up", rng), "up", "a"), (something_else(rng), OTHER, "b")], 1)
