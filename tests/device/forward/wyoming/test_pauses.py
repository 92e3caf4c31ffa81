"""Pauses that are cut short, and all else that is not."""

from __future__ import annotations

import numpy as np
import pytest

from earmark.forward.wyoming.pauses import (
    ALL_PAUSES_S,
    FADE_S,
    LEAST_PAUSE_S,
    PAUSE_S,
    shorten_pauses,
)
from earmark.signal import BLOCK, RATE_HZ, Signal, gain


def noise(seconds: float, dbfs: float, seed: int = 0) -> Signal:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(round(seconds * RATE_HZ)) * gain(dbfs)).astype(np.float32)


def command(*stretches: tuple[float, bool], room_dbfs: float = -70.0) -> Signal:
    """Stretches of (seconds, whether somebody speaks)."""
    parts = [noise(s, -25.0 if speaks else room_dbfs, i) for i, (s, speaks) in enumerate(stretches)]
    return np.concatenate(parts)


def seconds(audio: Signal) -> float:
    return audio.size / RATE_HZ


def pauses_s(audio: Signal, below_dbfs: float = -50.0) -> list[float]:
    blocks = audio[: audio.size // BLOCK * BLOCK].reshape(-1, BLOCK)
    quiet = np.sqrt(np.mean(blocks.astype(np.float64) ** 2, axis=1)) < gain(below_dbfs)
    edges = np.flatnonzero(np.diff(quiet.astype(int), prepend=0, append=0)).reshape(-1, 2)
    return [float(b - a) * BLOCK / RATE_HZ for a, b in edges]


@pytest.mark.parametrize("room_dbfs", [-120.0, -70.0, -50.0])
def test_a_long_pause_is_cut_to_its_limit_and_the_words_stay(room_dbfs: float) -> None:
    audio = command((0.8, True), (1.5, False), (0.6, True), room_dbfs=room_dbfs)
    short = shorten_pauses(audio)
    assert seconds(short) == pytest.approx(0.8 + PAUSE_S + 0.6, abs=0.03)
    first, last = round(0.8 * RATE_HZ), round(0.6 * RATE_HZ)
    np.testing.assert_array_equal(short[:first], audio[:first])
    np.testing.assert_array_equal(short[-last:], audio[-last:])


def test_silence_before_and_after_is_cut_too() -> None:
    audio = command((1.0, False), (0.8, True), (1.21, False))
    short = shorten_pauses(audio)
    assert seconds(short) == pytest.approx(0.8 + 2 * PAUSE_S, abs=0.03)
    at = round(PAUSE_S * RATE_HZ)
    np.testing.assert_array_equal(short[at : at + 100], audio[RATE_HZ : RATE_HZ + 100])


def test_many_pauses_share_what_home_assistant_allows() -> None:
    words = [(0.5, True), (0.6, False)] * 5 + [(0.5, True)]
    short = shorten_pauses(command(*words))
    assert sum(pauses_s(short)) <= ALL_PAUSES_S + 0.02
    assert seconds(short) == pytest.approx(6 * 0.5 + ALL_PAUSES_S - 5 * FADE_S, abs=0.05)


def test_no_pause_is_cut_shorter_than_its_least() -> None:
    words = [(0.3, True), (0.3, False)] * 20 + [(0.3, True)]
    short = shorten_pauses(command(*words))
    assert min(pauses_s(short)) >= LEAST_PAUSE_S - FADE_S - BLOCK / RATE_HZ
    assert seconds(short) >= 21 * 0.3 + 20 * (LEAST_PAUSE_S - FADE_S)


def test_a_stop_consonant_is_no_pause() -> None:
    audio = command(*[(0.3, True), (0.1, False)] * 10, (0.3, True))
    assert shorten_pauses(audio) is audio


@pytest.mark.parametrize("audio", [noise(2.0, -30.0), np.zeros(RATE_HZ, np.float32)])
def test_without_a_pause_and_without_speech_nothing_is_cut(audio: Signal) -> None:
    assert shorten_pauses(audio) is audio


@pytest.mark.parametrize("size", [1, BLOCK - 1, BLOCK, BLOCK + 1])
def test_the_shortest_commands(size: int) -> None:
    audio = noise(1.0, -30.0)[:size]
    assert shorten_pauses(audio).size == size


def test_speech_hardly_over_the_noise_is_never_cut() -> None:
    audio = command((0.8, True), (1.5, False), (0.6, True), room_dbfs=-31.0)
    assert shorten_pauses(audio) is audio


def test_a_cut_does_not_click() -> None:
    audio = command((0.8, True), (1.5, False), (0.6, True), room_dbfs=-60.0)
    # A slow wave under the pause: joined bluntly it would jump.
    hum = 0.002 * np.sin(2 * np.pi * 20.3 * np.arange(audio.size) / RATE_HZ)
    short = shorten_pauses((audio + hum).astype(np.float32))
    pause = short[round(0.82 * RATE_HZ) : round(0.97 * RATE_HZ)]
    steps = np.abs(np.diff(pause))
    assert steps.max() < 8 * np.median(steps)


@pytest.mark.parametrize("seed", range(30))
def test_it_only_ever_gets_shorter_and_keeps_every_word(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [(float(rng.uniform(0.02, 1.2)), bool(i % 2)) for i in range(rng.integers(1, 12))]
    audio = command(*parts)
    before = audio.copy()
    short = shorten_pauses(audio)
    assert short.size <= audio.size
    assert short.dtype == np.float32
    np.testing.assert_array_equal(audio, before)
    spoken_s = sum(s for s, speaks in parts if speaks)
    assert seconds(short) >= spoken_s - 0.04 * len(parts)
    assert np.abs(short).max() == pytest.approx(np.abs(audio).max())
