"""PocketSphinx with a grammar of single commands, as a victim.

A decoder searches one path; the scores of the other commands are those of the best paths of the
lattice that it leaves behind (N-best). It has no label for something else: in whatever it hears
it finds the command that fits best, so an attack on it is one command instead of another. Three
models of something else were tried within 150 ms a query, and none tells music from words: a
free loop over the phones (pocketsphinx' allphone search), which scores music below the commands;
the same loop inside the grammar, 0.5 s a query; and keyphrase spotting against pocketsphinx' own
background loop, which hears 45-60 % of the words rightly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.errors import EarmarkError
from earmark.signal import RATE_HZ, Signal

LONGEST_S = 30.0
"""Longest query, s: a command is never longer."""

BEAM = 1e-64
"""Chance, relative to the best path's, below which a path is given up in the search. At
pocketsphinx' own 1e-48 fewer commands have a score, at 1e-200 a third of the words are wrong."""

WORD_BEAM = 1e-48
"""The same at the end of a word; pocketsphinx' own is 1e-28."""

PATHS = 300
"""Most paths of the lattice that are looked at: few commands appear first behind the 100th."""

SCORE_UNIT = 1024.0
"""The decoder keeps log-likelihoods divided by this (2 ** SENSCR_SHIFT, acmod.h)."""

_GRAMMAR = "commands"


class SphinxModel:
    """One of a few words an utterance; it keeps nothing from one to the next.

    Parameters
    ----------
    words : the commands, at least two, each of them a word of the English dictionary.

    Attributes
    ----------
    labels : the words as they were given, each once.
    name : "sphinx".

    Raises
    ------
    EarmarkError
        Fewer than two words, one that the dictionary lacks, or the package is missing.
    """

    name = "sphinx"

    def __init__(self, words: Sequence[str]) -> None:
        self.labels = tuple(dict.fromkeys(words))
        if len(self.labels) < 2:
            raise EarmarkError(f"{self.labels} is no choice", "give two commands or more")
        self._decoder = _decoder()
        unknown = [word for word in self.labels if not self._decoder.lookup_word(word)]
        if unknown:
            raise EarmarkError(
                f"the recogniser's dictionary lacks {', '.join(map(repr, unknown))}",
                "give single English words in lower case",
            )
        arcs = [(0, 1, 1.0 / len(self.labels), word) for word in self.labels]
        self._decoder.add_fsg(_GRAMMAR, self._decoder.create_fsg(_GRAMMAR, 0, 1, arcs))
        self._decoder.activate_search(_GRAMMAR)

    def scores(self, signal: Signal) -> NDArray[np.float64]:
        """Log-likelihood of the best path of each command, nats, less the best command's.

        A command without a path in the lattice has the beam's, or the worst one's that has a
        path: it is at least as unlikely. All are 0 where no command was found.

        Parameters
        ----------
        signal : 1-D float32 at 16 kHz, up to 30 s; what is beyond [-1, 1] is clipped.

        Raises
        ------
        ValueError
            It is not 1-D, empty, too long or not finite.
        """
        if signal.ndim != 1 or not 0 < signal.size <= LONGEST_S * RATE_HZ:
            raise ValueError(f"a 1-D signal of at most {LONGEST_S:g} s, not {signal.shape}")
        if not np.isfinite(signal).all():
            raise ValueError("the signal is not finite")
        found = self._paths(signal)
        if not found:
            return np.zeros(len(self.labels))
        best = max(found.values())
        worst = min(best + math.log(BEAM), *found.values())
        return np.array([found.get(word, worst) - best for word in self.labels])

    def _paths(self, signal: Signal) -> dict[str, float]:
        """Log-likelihood of the best path of each command that has one, nats."""
        pcm = np.round(np.clip(signal, -1.0, 1.0) * 32767.0).astype(np.int16)
        # The cepstral mean outlives an utterance, even one that is given all at once (5.1.1):
        # without this the same signal has other scores after another one.
        self._decoder.reinit_feat()
        self._decoder.start_utt()
        self._decoder.process_raw(pcm.tobytes(), full_utt=True)
        self._decoder.end_utt()
        found: dict[str, float] = {}
        if self._decoder.hyp() is None:
            return found
        for path in islice(self._decoder.nbest(), PATHS):
            # A path of silence alone comes as None, or as an empty text; a likelihood of 0 is
            # one that the package could not express.
            if path is not None and path.hypstr and path.score > 0.0:
                score = SCORE_UNIT * math.log(path.score)
                found[path.hypstr] = max(score, found.get(path.hypstr, score))
        return found


def _decoder() -> Any:
    try:
        from pocketsphinx import Config, Decoder  # noqa: PLC0415 - only who attacks it needs it
    except (ImportError, OSError) as error:
        raise EarmarkError(
            f"the recogniser pocketsphinx does not load ({error})",
            "install Earmark with its host packages: pip install 'earmark[host]'",
        ) from error
    # lm None: the grammar takes its place. It logs every word to stderr otherwise.
    config = Config(
        lm=None, samprate=RATE_HZ, loglevel="FATAL", beam=BEAM, pbeam=BEAM, wbeam=WORD_BEAM
    )
    return Decoder(config)
