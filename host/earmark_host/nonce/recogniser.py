"""Words: what a speech recogniser makes of a forwarded command, and its word error rate.

The recogniser is PocketSphinx (Huggins-Daines et al., ICASSP 2006) with the English model inside
its package. It is weak, on purpose: a recogniser that hears everything would not notice what a
canceller leaves. Its grammar is closed, made of the texts that are spoken: a word may begin,
follow or end where it does so in one of the texts (a word-pair grammar, as in Price et al., The
DARPA 1000-word Resource Management database, ICASSP 1988).

Measured on read English (348 sentences of 14 LibriSpeech speakers; 96 more hold words that the
dictionary lacks), a grammar for each 100 sentences: 1.0 to 3.5 % of the words wrong as recorded
or with pink noise at 30 dB, 15 and 10 % with white and pink noise at 20 dB, about half at 10 dB.
In the simulated living room at 1 m, a grammar for each 40 sentences, 160 utterances (1,834
words): 3.9 %, and white noise at 40, 30, 25 and 20 dB below the speech adds -0.4, 1.2, 4.1 and
9.4 points, the paired interval of the first being 1.9 points wide. A grammar that chooses between
whole sentences makes no error at all on clean speech and then loses whole sentences; a free loop
over the words of one sentence makes 23 %.

What a recording holds counts as well: the pauses of MP3 files are digitally silent, the
recogniser puts words there, and a little noise takes them away. Compare like with like.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from earmark.errors import EarmarkError
from earmark.signal import RATE_HZ, Signal

LONGEST_S = 120.0
"""Longest signal that is transcribed, s: the recogniser keeps all of its features in memory."""

RESAMPLES = 2000
"""Bootstrap resamples: the ends of a 95 % interval then move by about 1 % of its width."""

TAIL = 0.025
"""Chance beyond each end of an interval: 95 % two-sided."""

_GRAMMAR = "closed"

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
"""A word of a text: letters and digits, with apostrophes inside."""


@dataclass(frozen=True)
class WordErrors:
    """Edits that turn what was said into what was heard; add them up over utterances.

    Parameters
    ----------
    substitutions, deletions, insertions : edits of a shortest edit path.
    words : words that were said.
    """

    substitutions: int
    deletions: int
    insertions: int
    words: int

    @property
    def errors(self) -> int:
        """All edits."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Word error rate: edits per word said; above 1 with many insertions.

        Raises
        ------
        ValueError
            No word was said.
        """
        if self.words == 0:
            raise ValueError("no word was said: there is no error rate")
        return self.errors / self.words

    def __add__(self, other: WordErrors) -> WordErrors:
        return WordErrors(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.words + other.words,
        )


class Recogniser:
    """PocketSphinx with a closed grammar; :meth:`for_words` or :meth:`for_sentences` make one.

    An utterance is transcribed on its own: nothing of the one before is kept, so that the same
    signal always gives the same words.

    Attributes
    ----------
    texts : texts that the grammar is made of, as they were given.
    skipped : texts that were left out, because of a word that the dictionary does not have.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._decoder = _decoder()
        known = [text for text in texts if self._knows(text)]
        self.texts = tuple(known)
        self.skipped = tuple(text for text in texts if text not in set(known))
        if not known:
            raise EarmarkError(
                f"none of the {len(texts)} texts consists of words of the dictionary",
                "give English texts without digits",
            )
        end, arcs = _word_pairs([words_of(text) for text in known])
        self._decoder.add_fsg(_GRAMMAR, self._decoder.create_fsg(_GRAMMAR, 0, end, arcs))
        self._decoder.activate_search(_GRAMMAR)

    @classmethod
    def for_words(cls, words: Sequence[str]) -> Recogniser:
        """One of `words` an utterance, all alike.

        Measured on the 9 words of Google Speech Commands: 9 % of 140 clips wrong, each of
        another person; 20 % of 906 clips of 26 people, who range from 3 to 64 %.

        Raises
        ------
        EarmarkError
            One of them is not a single word, none is in the dictionary, or the package
            pocketsphinx is missing.
        """
        for word in words:
            if len(words_of(word)) != 1:
                raise EarmarkError(f"{word!r} is not one word", "use for_sentences")
        return cls(list(dict.fromkeys(words)))

    @classmethod
    def for_sentences(cls, texts: Sequence[str]) -> Recogniser:
        """Sentences out of the word pairs of `texts`.

        The more texts, the more errors and the more work: 40 sentences of 10 words take 0.04 s
        of CPU per second of audio, 100 of 15 words 0.1 s, 350 take 0.7 s, and noise makes that
        several times as much. Make one for every 40 utterances or so.

        Raises
        ------
        EarmarkError
            None consists of words of the dictionary, or the package pocketsphinx is missing.
        """
        return cls(texts)

    def transcribe(self, signal: Signal) -> str:
        """What was said, in lower case; "" when nothing fits the grammar.

        Parameters
        ----------
        signal : 1-D at 16 kHz; what is beyond [-1, 1] is clipped, as a converter does.

        Raises
        ------
        ValueError
            It is not 1-D and finite, or empty or longer than 120 s.
        """
        if signal.ndim != 1 or not 0 < signal.size <= LONGEST_S * RATE_HZ:
            raise ValueError(f"a 1-D signal of at most {LONGEST_S:g} s, not {signal.shape}")
        if not np.isfinite(signal).all():
            raise ValueError("the signal is not finite")
        pcm = np.round(np.clip(signal, -1.0, 1.0) * 32767.0).astype(np.int16)
        self._decoder.start_utt()
        # All at once: the cepstral mean is that of this utterance, not of those before it.
        self._decoder.process_raw(pcm.tobytes(), full_utt=True)
        self._decoder.end_utt()
        found = self._decoder.hyp()
        return "" if found is None else str(found.hypstr)

    def _knows(self, text: str) -> bool:
        words = words_of(text)
        return bool(words) and all(self._decoder.lookup_word(word) for word in words)


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text as they are counted: lower case, without punctuation."""
    return tuple(_WORD.findall(text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")))


def word_errors(reference: str, hypothesis: str) -> WordErrors:
    """Errors of `hypothesis`, by the least number of edits (Levenshtein 1966), each costing 1.

    Among paths of the same length the one with the most substitutions counts.
    """
    said, heard = words_of(reference), words_of(hypothesis)
    # Row by row; each cell is (edits, substitutions, deletions, insertions).
    row = [(j, 0, 0, j) for j in range(len(heard) + 1)]
    for i, word in enumerate(said, 1):
        above, row = row, [(i, 0, i, 0)]
        for j, other in enumerate(heard, 1):
            n, s, d, k = above[j - 1]
            wrong = int(word != other)
            change = (n + wrong, s + wrong, d, k)
            n, s, d, k = above[j]
            drop = (n + 1, s, d + 1, k)
            n, s, d, k = row[j - 1]
            insert = (n + 1, s, d, k + 1)
            row.append(min(change, drop, insert, key=lambda cell: (cell[0], -cell[1])))
    _, substitutions, deletions, insertions = row[-1]
    return WordErrors(substitutions, deletions, insertions, len(said))


def wer_increase(
    references: Sequence[str],
    with_hyp: Sequence[str],
    without_hyp: Sequence[str],
    rng: np.random.Generator,
) -> tuple[float, tuple[float, float]]:
    """By how much the word error rate grows, percentage points, with its 95 % interval.

    A paired bootstrap: utterances are drawn again, each with both of its transcripts, so that
    what is hard in an utterance cancels (Bisani and Ney, ICASSP 2004). Where no utterance has
    another number of errors, every resample says 0, and nothing is learnt from them: the exact
    upper limit of the share of utterances that differ stands in, each with all of its words.

    Parameters
    ----------
    references : what was said, for each utterance.
    with_hyp, without_hyp : what was heard with, and without, the thing whose cost is asked for.
    rng : draws the utterances.

    Returns
    -------
    Points, above 0 where `with_hyp` is worse, and (low, high).

    Raises
    ------
    ValueError
        The lists are empty or not equally long, or a reference has no words.
    """
    worse = [word_errors(*pair).errors for pair in zip(references, with_hyp, strict=True)]
    plain = [word_errors(*pair) for pair in zip(references, without_hyp, strict=True)]
    words = np.array([one.words for one in plain], np.float64)
    if words.size == 0 or not words.all():
        raise ValueError("every reference needs a word, and there must be one")
    grown = np.array(worse, np.float64) - np.array([one.errors for one in plain], np.float64)
    points = 100.0 * float(grown.sum() / words.sum())
    if not grown.any():
        most = 100.0 * (1.0 - TAIL ** (1.0 / words.size))
        return points, (-most, most)
    drawn = rng.integers(0, words.size, (RESAMPLES, words.size))
    resampled = 100.0 * grown[drawn].sum(axis=1) / words[drawn].sum(axis=1)
    low, high = np.quantile(resampled, (TAIL, 1.0 - TAIL))
    return points, (float(low), float(high))


def _word_pairs(texts: Sequence[Sequence[str]]) -> tuple[int, list[tuple[Any, ...]]]:
    """The end state and the arcs (from, to, probability, word) of a word-pair grammar.

    State 0 is the start, one state is "after this word" for each word, the last one the end;
    the arc into it has no word. The probabilities are how often a word follows another.
    """
    after = {word: state for state, word in enumerate(sorted({w for t in texts for w in t}), 1)}
    end = len(after) + 1
    follows: defaultdict[int, Counter[str | None]] = defaultdict(Counter)
    for text in texts:
        state = 0
        for word in text:
            follows[state][word] += 1
            state = after[word]
        follows[state][None] += 1
    arcs: list[tuple[Any, ...]] = []
    for state, nexts in follows.items():
        whole = nexts.total()
        for follower, count in nexts.items():
            if follower is None:
                arcs.append((state, end, count / whole))
            else:
                arcs.append((state, after[follower], count / whole, follower))
    return end, arcs


def _decoder() -> Any:
    try:
        # Here, not above: only this bench needs the package.
        from pocketsphinx import Config, Decoder  # noqa: PLC0415
    except (ImportError, OSError) as error:
        raise EarmarkError(
            f"the recogniser pocketsphinx does not load ({error})",
            "install Earmark with its host packages: pip install 'earmark[host]'",
        ) from error
    # lm None: the closed grammar takes its place. It logs every word to stderr otherwise.
    return Decoder(Config(lm=None, samprate=RATE_HZ, loglevel="FATAL"))
