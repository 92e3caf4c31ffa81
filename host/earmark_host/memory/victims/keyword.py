"""A keyword model: one of a few words in a second of sound, or something else.

A perceptron with two hidden layers on the features of :mod:`~earmark_host.memory.victims._mel`,
trained in seconds on a folder of clips. Each epoch sees each word anew: moved, slower or faster,
with a longer or shorter vocal tract (VTLP, Jaitly and Hinton, ICML workshop 2013), through
another microphone and with another background, all done on the mel bands, where it costs little.
The weights are averaged over the second half of the epochs (Izmailov et al., UAI 2018). Half of
what it sees is none of the words, so that a carrier of speech or music is at first
heard as :data:`~earmark_host.memory.victims.OTHER` and an attack has to earn its word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from earmark.errors import EarmarkError
from earmark.signal import RATE_HZ, Signal
from earmark_host.memory.victims._mel import (
    BANDS,
    FRAMES,
    Bands,
    Windows,
    features,
    mel_power,
)
from earmark_host.memory.victims.victim import OTHER

Labelled: TypeAlias = tuple[Signal, str, str]
"""A clip: its signal, the word or :data:`OTHER`, who speaks (or what sounds)."""

HIDDEN = (512, 256)
"""Units of the hidden layers: half as many leave 2 points of accuracy behind, a single layer of
256 six."""

EPOCHS = 80
"""How often each word is seen: 15 s of training for 850 of them."""

DECAY = 0.1
"""L2 penalty of the weights: with 1.0 the held-out accuracy is 2 points lower."""

JITTER = 0.5
"""Standard deviation of the noise on the features, whose root mean square is about 1."""

BATCH = 64
"""Windows per step."""

HELD_OUT = 0.2
"""Share of the speakers that the model does not see, to measure it on."""

MOVED = 7.0
"""A word is off the middle of its window by up to this, frames: 140 ms; of three windows that are
100 ms apart the outer ones are off by up to 150 ms."""

STRETCHED = 0.15
"""A word is up to this share slower or faster: the spread of speaking rates."""

WARPED = 0.10
"""Frequencies are up to this share higher or lower: the spread of adult vocal tracts."""

COLOURED_DB = 2.0
"""Standard deviation of the gain at four frequencies, dB: microphones differ by as much."""

SNR_DB = (5.0, 40.0)
"""Word over background, dB: a busy kitchen to a studio."""

STEP = 5
"""Distance of two scored windows, frames: 100 ms."""

SMOOTHED = 3
"""Windows over which log-probabilities are averaged (Chen, Parada and Heigold, ICASSP 2014): one
window of a sentence mostly looks like a word, and only a third of held-out sentences are heard as
OTHER; with three in a row nearly 90 %."""

MARGIN_FRAMES = 12
"""Silence around a query, frames: 240 ms, so that a word at its edge can be in the middle."""

LONGEST_S = 30.0
"""Longest query, s: a command is never longer."""


class KeywordModel:
    """A trained keyword model; :func:`train` makes one.

    Attributes
    ----------
    labels : the words in alphabetical order, and then :data:`OTHER`.
    name : "keyword".
    accuracy : share of held-out clips of words, of people not trained on, heard rightly.
    held_out_n : how many clips that is.
    other_accuracy : share of held-out clips of something else heard as OTHER.
    other_n : how many clips that is; 0 (and accuracy 0) where none were held out.
    held_out : the speakers not trained on: the fair choice for carriers and for tests.
    """

    name = "keyword"

    def __init__(self, network: Any, labels: tuple[str, ...], held: Sequence[Labelled]) -> None:
        self.labels = labels
        # The classes of scikit-learn are the labels sorted; ours end with OTHER.
        self._order = [list(network.classes_).index(label) for label in labels]
        self._network = network
        self.held_out = frozenset(speaker for _, _, speaker in held)
        right = [(label, self._hears(signal) == label) for signal, label, _ in held]
        words = [hit for label, hit in right if label != OTHER]
        others = [hit for label, hit in right if label == OTHER]
        self.held_out_n, self.other_n = len(words), len(others)
        self.accuracy = sum(words) / max(1, len(words))
        self.other_accuracy = sum(others) / max(1, len(others))

    def scores(self, signal: Signal) -> NDArray[np.float64]:
        """Log-probability of each label in the second that is most likely one of the words.

        A window of 1 s slides over the signal in steps of 100 ms; the three in a row in which
        OTHER is least likely count, by the mean of their log-probabilities.

        Parameters
        ----------
        signal : 1-D float32 at 16 kHz, up to 30 s; its level does not matter.

        Raises
        ------
        ValueError
            It is not 1-D, empty, too long or not finite.
        """
        if signal.ndim != 1 or not 0 < signal.size <= LONGEST_S * RATE_HZ:
            raise ValueError(f"a 1-D signal of at most {LONGEST_S:g} s, not {signal.shape}")
        if not np.isfinite(signal).all():
            raise ValueError("the signal is not finite")
        bands = np.pad(mel_power(signal), ((MARGIN_FRAMES, MARGIN_FRAMES), (0, 0)))
        if len(bands) < FRAMES:
            bands = np.pad(bands, ((0, FRAMES - len(bands)), (0, 0)))
        starts = np.arange(0, len(bands) - FRAMES + 1, STEP)
        windows = bands[starts[:, None] + np.arange(FRAMES)]
        chances = self._network.predict_log_proba(features(windows))[:, self._order]
        smooth = sliding_window_view(chances, min(SMOOTHED, len(chances)), axis=0).mean(axis=-1)
        best = smooth[np.argmin(smooth[:, -1])]
        return np.asarray(best, np.float64)

    def _hears(self, signal: Signal) -> str:
        return self.labels[int(np.argmax(self.scores(signal)))]


def train(clips: Sequence[Labelled], seed: int) -> KeywordModel:
    """Train a model; the same clips and seed give the same model.

    Parameters
    ----------
    clips : words, and clips of :data:`OTHER`: speech, music and noise, the more the better.
    seed : of everything random.

    Raises
    ------
    EarmarkError
        There are fewer than two words, no clips of something else, or too few speakers to hold
        some out; or the package scikit-learn is missing.
    """
    words = sorted({label for _, label, _ in clips if label != OTHER})
    if len(words) < 2 or not any(label == OTHER for _, label, _ in clips):
        raise EarmarkError(
            f"a keyword model needs two words and something else, not {words}",
            f"give clips of more words, and clips with the label {OTHER!r}",
        )
    rng = np.random.default_rng(seed)
    seen, held = _split(clips, rng)
    if {label for _, label, _ in seen} != {*words, OTHER}:
        raise EarmarkError(
            "too few speakers to train on some and hold out others", "give clips of more people"
        )
    spoken = _Bank.of([clip for clip in seen if clip[1] != OTHER])
    other = _Bank.of([clip for clip in seen if clip[1] == OTHER])
    network = _network(seed)
    classes = sorted([*words, OTHER])
    weights: list[list[NDArray[np.float64]]] = []
    for epoch in range(EPOCHS):
        said = np.arange(len(spoken.labels))
        heard = rng.integers(len(other.labels), size=said.size)
        windows = np.concatenate(
            [_varied(spoken, said, other, rng), _varied(other, heard, other, rng)]
        )
        labels = np.array([spoken.labels[i] for i in said] + [OTHER] * heard.size)
        shown = features(windows)
        shown += JITTER * rng.standard_normal(shown.shape, dtype=np.float32)
        network.partial_fit(shown, labels, classes=classes)
        if epoch >= EPOCHS // 2:
            weights.append([layer.copy() for layer in network.coefs_ + network.intercepts_])
    averages = [np.mean(layers, axis=0) for layers in zip(*weights, strict=True)]
    network.coefs_ = averages[: len(network.coefs_)]
    network.intercepts_ = averages[len(network.coefs_) :]
    return KeywordModel(network, (*words, OTHER), held)


def _split(
    clips: Sequence[Labelled], rng: np.random.Generator
) -> tuple[list[Labelled], list[Labelled]]:
    """The clips to train on and the clips of held-out speakers."""
    speakers = sorted({speaker for _, _, speaker in clips})
    count = round(HELD_OUT * len(speakers))
    out = {speakers[i] for i in rng.permutation(len(speakers))[:count]}
    seen = [clip for clip in clips if clip[2] not in out]
    return seen, [clip for clip in clips if clip[2] in out]


@dataclass(frozen=True, eq=False)
class _Bank:
    """Mel power of many clips, one after the other.

    `starts` and `sizes` say where a clip lies, in frames; `middles` where its sound does.
    """

    power: Bands
    labels: tuple[str, ...]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    middles: NDArray[np.float64]

    @classmethod
    def of(cls, clips: Sequence[Labelled]) -> _Bank:
        parts = [mel_power(signal) for signal, _, _ in clips]
        sizes = np.array([len(part) for part in parts])
        starts = np.cumsum(sizes) - sizes
        middles = np.array([_middle(part) for part in parts])
        labels = tuple(label for _, label, _ in clips)
        return cls(np.concatenate(parts), labels, starts, sizes, middles)

    def cut(
        self, which: NDArray[np.int64], middles: NDArray[np.float64], paces: NDArray[np.float64]
    ) -> Windows:
        """A window around `middles` of each clip `which`, `paces` times as fast.

        Beyond the ends of a clip there is silence.
        """
        at = middles[:, None] + (np.arange(FRAMES) - FRAMES / 2) * paces[:, None]
        inside = (at >= 0.0) & (at <= self.sizes[which, None] - 1.0)
        at = np.where(inside, at, 0.0)
        whole = np.minimum(at.astype(np.int64), np.maximum(self.sizes[which, None] - 2, 0))
        share = (at - whole)[..., None].astype(np.float32)
        low = self.starts[which, None] + whole
        high = np.minimum(low + 1, len(self.power) - 1)
        between = self.power[low] * (1.0 - share) + self.power[high] * share
        return np.asarray(between * inside[..., None], np.float32)


def _middle(power: Bands) -> float:
    """Where the sound of a clip is, frames: the mean of its frames within 20 dB of the loudest.

    All above 5 % of the loudest count alike, or the vowel would be the middle of the word.
    """
    energy = power.sum(axis=1, dtype=np.float64)
    energy = np.where(energy < 0.01 * energy.max(), 0.0, np.minimum(energy, 0.05 * energy.max()))
    total = float(energy.sum())
    return float(energy @ np.arange(energy.size)) / total if total > 0.0 else energy.size / 2


def _varied(
    bank: _Bank, which: NDArray[np.int64], noises: _Bank, rng: np.random.Generator
) -> Windows:
    """A window of each clip `which` as it might also have sounded."""
    count = which.size
    paces = rng.uniform(1.0 - STRETCHED, 1.0 + STRETCHED, count)
    if bank is noises:  # something else has no middle
        middles = rng.uniform(0.0, 1.0, count) * (bank.sizes[which] - 1.0)
    else:
        middles = bank.middles[which] + rng.uniform(-MOVED, MOVED, count)
    windows = bank.cut(which, middles, paces) @ _WARPS[rng.integers(len(_WARPS), size=count)]
    windows = windows + _backgrounds(windows, noises, rng)
    knots = np.linspace(0, BANDS - 1, 4)
    curves_db = [np.interp(np.arange(BANDS), knots, rng.normal(0.0, COLOURED_DB, 4)) for _ in which]
    return np.asarray(windows * 10.0 ** (np.array(curves_db)[:, None] / 10.0), np.float32)


def _backgrounds(windows: Windows, noises: _Bank, rng: np.random.Generator) -> Windows:
    """For each window noise: one half from clips, the other half hiss."""
    count = len(windows)
    which = rng.integers(len(noises.labels), size=count)
    middles = rng.uniform(0.0, 1.0, count) * (noises.sizes[which] - 1.0)
    real = noises.cut(which, middles, np.ones(count))
    hiss = rng.chisquare(8.0, windows.shape).astype(np.float32)
    noise = np.where(rng.random(count)[:, None, None] < 0.5, real, hiss)
    below = 10.0 ** (-rng.uniform(*SNR_DB, count) / 10.0)
    power = windows.mean(axis=(1, 2)) / (noise.mean(axis=(1, 2)) + 1e-12)
    return np.asarray(noise * (below * power)[:, None, None], np.float32)


def _warp(factor: float) -> NDArray[np.float32]:
    """Matrix (BANDS, BANDS) that moves the power of band i to i * factor."""
    source = np.clip(np.arange(BANDS) / factor, 0.0, BANDS - 1.0)
    matrix = [np.interp(source, np.arange(BANDS), row) for row in np.eye(BANDS)]
    return np.asarray(matrix, np.float32)


def _network(seed: int) -> Any:
    try:
        from sklearn.neural_network import MLPClassifier  # noqa: PLC0415 - takes a second
    except ImportError as error:
        raise EarmarkError(
            f"the keyword model cannot be trained ({error})",
            "install Earmark with its host packages: pip install 'earmark[host]'",
        ) from error
    return MLPClassifier(HIDDEN, alpha=DECAY, batch_size=BATCH, random_state=seed)


_WARPS = np.stack([_warp(factor) for factor in np.linspace(1.0 - WARPED, 1.0 + WARPED, 21)])
