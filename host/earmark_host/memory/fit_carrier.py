"""Fits the coefficients that tell speech from music (:mod:`earmark.memory.carrier`).

One half of the people and tunes (:mod:`earmark_host.memory.fold`) is fitted on, the other is for
measuring. Each clip counts five times: as it is, with noise, in a room, in a room
with noise, and short. The shipped coefficients are
``fit(examples(corpus, "calibrate", np.random.default_rng(0)))``, rounded to four digits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from earmark.errors import EarmarkError
from earmark.memory.carrier import LONGEST_S, CarrierKind, Coefficients, features, musicness
from earmark.signal import RATE_HZ, Signal, gain, rms
from earmark_host.bench.corpus import Corpus, draw
from earmark_host.memory.fold import Fold, fold
from earmark_host.rooms import read_response

SPOKEN_ROLES = ("speech", "command", "wakeword")
"""Roles of the corpus that are speech."""

MOST_CLIPS = 600
"""Most clips of one role that are used, drawn at random: enough for seven numbers."""

STEP_S = 2.0
"""Distance of the windows that are cut from one tune, s."""

NOISE_DB = 20.0
"""Level of a clip over the noise added to it, dB: a living room with a fan."""

SHORT_S = (0.7, 2.0)
"""Range of lengths of the short variant, s: single words."""

RIDGE = 0.01
"""Weight of the squared coefficients against one example, for features in units of their own
spread: next to nothing, so that the fit stays finite when the classes are separable."""

SMALLEST_SPREAD = 1e-9
"""Least spread that a feature is divided by: one that is the same everywhere tells nothing."""

ROUNDS = 50
"""Most steps of Newton's method; it ends after about ten."""

TOLERANCE = 1e-9
"""Largest step at which the fit has ended."""


@dataclass(frozen=True, eq=False)
class Example:
    """One clip to fit on or to measure with.

    Parameters
    ----------
    kind : what it is.
    condition : ``clean | noise | room | room_noise | short``.
    signal : 16 kHz.
    """

    kind: CarrierKind
    condition: str
    signal: Signal


def examples(corpus: Corpus, side: Fold, rng: np.random.Generator) -> Iterator[Example]:
    """All examples of one fold of a corpus with the roles of speech, music, noise and rir.

    Raises
    ------
    EarmarkError
        A role is missing.
    """
    responses = [read_response(corpus.folder / clip.path) for clip in corpus.role("rir")]
    for role in (*SPOKEN_ROLES, "music"):
        kind: CarrierKind = "music" if role == "music" else "speech"
        clips = [clip for clip in corpus.role(role) if fold(clip) == side]
        for index in rng.permutation(len(clips))[:MOST_CLIPS]:
            for window in _windows(corpus.load(clips[index]), kind):
                noise = corpus.load(draw(corpus.role("noise"), rng))
                response = responses[int(rng.integers(len(responses)))]
                for condition, signal in _variants(window, noise, response, rng):
                    if signal.any():
                        yield Example(kind, condition, signal)


def fit(examples: Iterable[Example]) -> Coefficients:
    """Logistic regression on the features, both classes with the same total weight.

    Parameters
    ----------
    examples : of both kinds, taken one by one; silent ones are left out.

    Raises
    ------
    EarmarkError
        A kind has fewer than two examples that are not silent.
    """
    tables: dict[CarrierKind, list[NDArray[np.float64]]] = {"speech": [], "music": []}
    for example in examples:
        row = features(example.signal)
        if row is not None:
            tables[example.kind].append(row)
    counts = [len(rows) for rows in tables.values()]
    if min(counts) < 2:
        raise EarmarkError(
            "speech and music cannot be told apart by fewer than two clips each",
            "give more clips that are not silent",
        )
    values = np.array(tables["speech"] + tables["music"])
    wanted = np.repeat([0.0, 1.0], counts)
    share = np.repeat(0.5 / np.array(counts), counts)
    centre, spread = values.mean(axis=0), np.maximum(values.std(axis=0), SMALLEST_SPREAD)
    scaled = np.column_stack([(values - centre) / spread, np.ones(len(values))])
    solution = _logistic(scaled, wanted, share)
    weights = solution[:-1] / spread
    return Coefficients(
        tuple(float(weight) for weight in weights), float(solution[-1] - weights @ centre)
    )


def accuracy(
    examples: Iterable[Example], coefficients: Coefficients
) -> dict[tuple[CarrierKind, str], tuple[int, int]]:
    """For each kind and condition, how many examples are told right, and of how many."""
    right: Counter[tuple[CarrierKind, str]] = Counter()
    total: Counter[tuple[CarrierKind, str]] = Counter()
    for example in examples:
        key = (example.kind, example.condition)
        total[key] += 1
        music = musicness(example.signal, coefficients) > 0.0
        right[key] += music == (example.kind == "music")
    return {key: (right[key], total[key]) for key in total}


def _logistic(
    scaled: NDArray[np.float64], wanted: NDArray[np.float64], share: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Newton's method; the last column of `scaled` is ones, its coefficient goes unpunished."""
    ridge = np.full(scaled.shape[1], RIDGE)
    ridge[-1] = 0.0
    solution = np.zeros(scaled.shape[1])
    for _ in range(ROUNDS):
        odds = np.clip(scaled @ solution, -30.0, 30.0)
        music = 1.0 / (1.0 + np.exp(-odds))
        slope = scaled.T @ (share * (music - wanted)) + ridge * solution
        bend = (scaled.T * (share * music * (1.0 - music))) @ scaled + np.diag(ridge)
        step = np.linalg.solve(bend, slope)
        solution -= step
        if np.abs(step).max() < TOLERANCE:
            break
    return solution


def _windows(signal: Signal, kind: CarrierKind) -> Iterator[Signal]:
    """The beginning of a clip of speech; of a tune every window of 4 s that is not silent."""
    length, step = round(LONGEST_S * RATE_HZ), round(STEP_S * RATE_HZ)
    last = signal.size - length if kind == "music" else 0
    for start in range(0, max(1, last + 1), step):
        window = signal[start : start + length]
        if window.any():
            yield window


def _variants(
    signal: Signal, noise: Signal, response: Signal, rng: np.random.Generator
) -> Iterator[tuple[str, Signal]]:
    """The conditions that a clip is tried in, with their names."""
    reverberant = np.asarray(fftconvolve(signal, response), np.float32)
    reverberant = reverberant[: max(signal.size, round(LONGEST_S * RATE_HZ))]
    shorter = min(signal.size, round(rng.uniform(*SHORT_S) * RATE_HZ))
    start = int(rng.integers(signal.size - shorter + 1))
    yield "clean", signal
    yield "noise", _with_noise(signal, noise, rng)
    yield "room", reverberant
    yield "room_noise", _with_noise(reverberant, noise, rng)
    yield "short", signal[start : start + shorter]


def _with_noise(signal: Signal, noise: Signal, rng: np.random.Generator) -> Signal:
    cut = np.resize(np.roll(noise, int(rng.integers(noise.size))), signal.size)
    level = rms(cut)
    factor = rms(signal) * gain(-NOISE_DB) / level if level > 0.0 else 0.0
    return np.asarray(signal + cut * np.float32(factor), np.float32)
