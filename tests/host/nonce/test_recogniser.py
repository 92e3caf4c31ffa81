"""The recogniser hears what was said, errs with noise, and its errors are counted rightly."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest

from earmark.demo.clips import Clip, ClipKind, load_clips
from earmark.errors import EarmarkError
from earmark.signal import RATE_HZ, Signal
from earmark_host.nonce.recogniser import (
    LONGEST_S,
    Recogniser,
    WordErrors,
    wer_increase,
    word_errors,
    words_of,
)

NONE = WordErrors(0, 0, 0, 0)


def text_of(clip: Clip) -> str:
    assert clip.text is not None
    return clip.text


@pytest.fixture(scope="module")
def sentences() -> list[Clip]:
    return [clip for clip in load_clips().all(ClipKind.COMMAND) if clip.text]


@pytest.fixture(scope="module")
def heard(sentences: list[Clip]) -> Recogniser:
    return Recogniser.for_sentences([text_of(clip) for clip in sentences])


def errors(recogniser: Recogniser, clips: list[Clip], snr_db: float | None = None) -> WordErrors:
    rng = np.random.default_rng(0)
    total = NONE
    for clip in clips:
        signal = clip.signal
        if snr_db is not None:
            scale = np.sqrt(np.mean(signal.astype(np.float64) ** 2)) * 10.0 ** (-snr_db / 20.0)
            signal = (signal + scale * rng.standard_normal(signal.size)).astype(np.float32)
        total += word_errors(text_of(clip), recogniser.transcribe(signal))
    return total


def test_sentences_are_heard_and_noise_costs_words(
    heard: Recogniser, sentences: list[Clip]
) -> None:
    known = [clip for clip in sentences if text_of(clip) in heard.texts]
    clean, noisy = errors(heard, known), errors(heard, known, snr_db=0.0)
    assert clean.words > 30
    assert clean.rate < 0.15
    assert noisy.rate > clean.rate + 0.1


def test_single_words_are_heard_out_of_a_list() -> None:
    clips = [clip for clip in load_clips().all(ClipKind.WORD) if clip.text]
    recogniser = Recogniser.for_words([text_of(clip) for clip in clips])
    assert sorted(recogniser.texts) == sorted({text_of(clip) for clip in clips})
    said = [recogniser.transcribe(clip.signal) for clip in clips]
    assert all(word == "" or word in recogniser.texts for word in said)
    right = sum(word == text_of(clip) for word, clip in zip(said, clips, strict=True))
    assert right >= 0.7 * len(clips)


def test_nothing_of_an_utterance_is_kept_for_the_next(
    heard: Recogniser, sentences: list[Clip]
) -> None:
    first, second = (clip.signal for clip in sentences[:2])
    once = heard.transcribe(first)
    heard.transcribe(second * np.float32(0.1))
    assert heard.transcribe(first) == once


def test_only_word_pairs_of_the_texts_are_heard(sentences: list[Clip]) -> None:
    texts = ["turn on the light", "turn off the music"]
    recogniser = Recogniser.for_sentences(texts)
    pairs = {pair for text in texts for pair in itertools.pairwise(text.split())}
    for clip in sentences[:3]:
        words = recogniser.transcribe(clip.signal).split()
        assert set(itertools.pairwise(words)) <= pairs
        assert not words or (words[0], words[-1]) in {
            ("turn", "light"),
            ("turn", "music"),
        }


def test_texts_with_unknown_words_are_skipped_and_named() -> None:
    recogniser = Recogniser.for_sentences(["Turn on the LIGHT!", "ask the flumboggler", "at 7"])
    assert recogniser.texts == ("Turn on the LIGHT!",)
    assert recogniser.skipped == ("ask the flumboggler", "at 7")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don\N{RIGHT SINGLE QUOTATION MARK}t STOP, now!", ("don't", "stop", "now")),
        ("well-known 'quoted' dogs'", ("well", "known", "quoted", "dogs")),
        ("  ", ()),
    ],
)
def test_words_are_compared_without_case_and_punctuation(text: str, words: tuple[str, ...]) -> None:
    assert words_of(text) == words


@pytest.mark.parametrize(
    ("said", "heard", "counts"),
    [
        ("turn on the light", "turn on the light", (0, 0, 0, 4)),
        ("turn on the light", "turn off the light", (1, 0, 0, 4)),
        ("turn on the light", "turn the light", (0, 1, 0, 4)),
        ("turn on the light", "turn on on the light", (0, 0, 1, 4)),
        ("turn on the light", "", (0, 4, 0, 4)),
        ("go", "up up go down", (0, 0, 3, 1)),
        ("a b c d", "b c d e", (0, 1, 1, 4)),  # 2 edits, where word by word all 4 differ
        ("", "go", (0, 0, 1, 0)),
    ],
)
def test_edits_are_counted(said: str, heard: str, counts: tuple[int, int, int, int]) -> None:
    assert word_errors(said, heard) == WordErrors(*counts)


def test_errors_are_pooled_over_words_not_utterances() -> None:
    both = word_errors("go", "up") + word_errors("one two three four", "one two three four")
    assert both.errors == 1
    assert both.rate == pytest.approx(1 / 5)


def test_the_increase_is_paired() -> None:
    # Half of the utterances are hard either way; one in 20 gets a word worse.
    said = ["one two three four five"] * 200
    without = ["" if k % 2 else said[k] for k in range(200)]
    with_it = [("one two three four" if k % 20 == 0 else text) for k, text in enumerate(without)]
    points, (low, high) = wer_increase(said, with_it, without, np.random.default_rng(0))
    assert points == pytest.approx(100.0 * 10 / 1000)
    assert 0.0 < low < points < high
    assert high - low < 1.5  # unpaired it would be some 20
    back, _ = wer_increase(said, without, with_it, np.random.default_rng(0))
    assert back == pytest.approx(-points)


def test_no_difference_leaves_what_so_few_utterances_can_say() -> None:
    said = ["go up", "go down", "go left", "go right"]
    points, (low, high) = wer_increase(said, said, said, np.random.default_rng(0))
    assert points == 0.0
    assert high == pytest.approx(60.2, abs=0.1)  # 1 - 0.025 ** (1 / 4)
    assert low == -high


# -- failures -------------------------------------------------------------------------------


def test_texts_that_cannot_be_spoken_are_refused() -> None:
    with pytest.raises(EarmarkError, match=r"none of the 2 texts .*English"):
        Recogniser.for_sentences(["flumboggler", ""])
    with pytest.raises(EarmarkError, match=r"'turn on' is not one word.*for_sentences"):
        Recogniser.for_words(["go", "turn on"])


@pytest.mark.parametrize(
    "signal",
    [
        np.zeros(0, np.float32),
        np.zeros((2, RATE_HZ), np.float32),
        np.full(RATE_HZ, np.nan, np.float32),
        np.zeros(round(LONGEST_S * RATE_HZ) + 1, np.float32),
    ],
    ids=["empty", "two channels", "not finite", "too long"],
)
def test_what_is_no_utterance_is_refused(heard: Recogniser, signal: Signal) -> None:
    with pytest.raises(ValueError, match="signal"):
        heard.transcribe(signal)


def test_silence_has_no_words_or_known_ones(heard: Recogniser) -> None:
    known = {word for text in heard.texts for word in words_of(text)}
    assert set(heard.transcribe(np.zeros(RATE_HZ, np.float32)).split()) <= known


def test_without_words_there_is_no_rate() -> None:
    with pytest.raises(ValueError, match="no word"):
        _ = NONE.rate


def test_an_increase_needs_words_in_every_reference() -> None:
    rng = np.random.default_rng(0)
    for said in ([], [""]):
        with pytest.raises(ValueError, match="needs a word"):
            wer_increase(said, said, said, rng)
    with pytest.raises(ValueError, match="zip"):
        wer_increase(["go"], ["go", "up"], ["go"], rng)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(EarmarkError, match=r"pocketsphinx does not load .*earmark\[host\]"):
        Recogniser.for_words(["go"])
