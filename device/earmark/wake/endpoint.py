"""Start and end of speech by microVAD (K. Ahrendt), inside pymicro-vad, and by level.

The detector gives one probability every 10 ms, over the last 0.76 s: it rises about 0.45 s
after speech has started and falls about 0.5 s after it has stopped, at any level from -20
to -60 dBFS. Five things are added here; what comes of them all is measured by
``earmark-host bench wake`` and, beside a television, by ``bench session``.

- The level. The person who gave the wake word is near; a television is farther. Speech that
  is ``drop_db`` quieter than what was said so far does not keep the command open, and the
  end is noticed without the detector's half second.
- The room. What it sounded like before the wake word (:meth:`MicroEndpointer.overhear`) says
  how loud the television is: whoever is no louder than that does not keep the command open
  either, as far as the person is louder.
- Patience. A television may get louder than it was. In a noisy room a command that lasts
  unusually long must therefore be spoken louder and louder to be kept open.
- Doubt. The detector's window is longer than a single word, so it passes over one word in ten.
  When something has just stood out of the room by ``rise_db``, a probability of ``doubt`` is
  enough. A dog that barks after the wake word is then taken for a command more often.
- Priming. A new detector says nothing for 0.76 s and misses single words that come at once.
  It hears that much faint noise before each command.
"""

from __future__ import annotations

from collections import deque
from math import exp, log10

import numpy as np

from earmark.errors import EarmarkError
from earmark.signal import BLOCK, BLOCK_S, FLOOR_DBFS, Signal, gain, level_dbfs
from earmark.wake.detector import SpeechSpan
from earmark.wake.pcm import pcm16
from earmark.wake.settings import EndpointSettings

_STEP_BYTES = 2 * (BLOCK // 2)
"""10 ms of 16-bit samples: what the detector takes at a time."""

_WINDOW_BLOCKS = 39
"""The detector's window, 0.76 s, and a block more: it speaks from the 77th step on."""

_HISTORY_BLOCKS = 60
"""Levels kept to find where speech started, 1.2 s: the longest lag measured, and a little."""

_RISE_DB = 20.0
"""A start is sought down to this far below the loudest syllable, dB, and at most half way to
the quietest moment: words may start softly, but noise is not a start."""

_SMOOTH_S = 0.1
"""Time constant of the level, s: a syllable; shorter and every consonant is a gap."""

_LEARN_S = 1.0
"""Time constant of the person's level, s: a few words, so that a bang does not set it."""

_UNLEARN_S = 5.0
"""The same downwards, s: longer than a sentence, so that its soft end does not count."""

_OVERHEARD_S = 5.0
"""How much of the room before a command is remembered, s: a few sentences of a television."""

_WAKE_WORD_S = 1.2
"""The last part of it is left out, s: there the person said the wake word."""

_LEAST_OVERHEARD_S = 1.0
"""With less than this of the room, s, nothing is known of it."""

_OVER_ROOM_DB = 3.0
"""A person is this much louder than the room's median level, dB; speech from a television
spends three quarters of its time below that."""

_UNDER_PERSON_DB = 4.0
"""But nothing within this of the person's own level counts as the room, dB: soft syllables."""

_NOISY_DB = 20.0
"""A room whose median level is within this of the person's, dB, may itself keep a command open."""

_PATIENT_S = 5.0
"""In such a room, from this length of a command on, s, the person must speak up more and more:
hardly any command lasts longer (AEOLUS 3.2: 3 s on average), while a television goes on."""

_PATIENCE_DB_S = 1.0
"""How much ``drop_db`` shrinks then, dB per s: to 4 dB after 11 s, before the cap at 15 s."""

_RISE_BLOCKS = 4
"""A rise over the room lasts this many blocks (80 ms, of the smoothed level) before it counts. A
loud click lasts as long once it is smoothed; there the detector's own doubt must do."""

_PRIME_SEED = 0
"""The priming noise is the same each time, so that a run can be repeated."""


class MicroEndpointer:
    """Tells when somebody speaks and when they have stopped; an :class:`Endpointer`.

    Raises
    ------
    EarmarkError
        The package pymicro-vad is missing or does not load.
    """

    def __init__(self, settings: EndpointSettings) -> None:
        try:
            from pymicro_vad import MicroVad  # noqa: PLC0415 - the error below names the remedy
        except (ImportError, OSError) as error:
            raise EarmarkError(
                f"the endpointer cannot run ({error})",
                "reinstall with 'pip install --force-reinstall pymicro-vad' on a 64-bit system",
            ) from error
        self._settings = settings
        self._vad = MicroVad()
        self._overheard: deque[float] = deque(maxlen=round(_OVERHEARD_S / BLOCK_S))
        self._factor = gain(settings.gain_db)
        self._start_blocks = max(1, round(settings.start_s / BLOCK_S))
        self._hangover_blocks = max(1, round(settings.hangover_s / BLOCK_S))
        noise = np.random.default_rng(_PRIME_SEED).standard_normal((_WINDOW_BLOCKS, BLOCK))
        # The prime is what the detector would hear from the room, so it passes the gain too.
        self._prime = [
            pcm16((row * gain(settings.prime_dbfs)).astype(np.float32), self._factor)
            for row in noise
        ]
        self.reset()

    @property
    def span(self) -> SpeechSpan | None:
        """First start and last end of speech since the reset; None before any."""
        if self._first is None:
            return None
        return SpeechSpan(self._first * BLOCK_S, self._last * BLOCK_S)

    def overhear(self, block: Signal) -> None:
        """Learn what the room sounds like from a block outside of a command."""
        self._overheard.append(self._level(block))

    def reset(self) -> None:
        """Forget the past but for the room, before a command starts. Takes about 1 ms."""
        self._room = self._room_level()
        self._overheard.clear()
        self._vad.reset()
        for block in self._prime:
            self._probability(block)
        self._history: deque[float] = deque(maxlen=_HISTORY_BLOCKS)
        self._power: float | None = None
        self._person: float | None = None
        self._fed = 0
        self._above = 0
        self._risen = 0
        self._rose: int | None = None
        self._quiet = 0
        self._speaking = False
        self._first: int | None = None
        self._last = 0

    def feed(self, block: Signal) -> bool:
        """Feed one block; True while the person is taken to be speaking (hangover included)."""
        self._fed += 1
        probability = self._probability(pcm16(block, self._factor))
        level = self._level(block)
        self._history.append(level)
        if self._speaking:
            self._go_on(probability, level)
        else:
            self._wait(probability, level)
        return self._speaking

    def _probability(self, samples: bytes) -> float:
        """The detector's speech probability after 20 ms; -1 while its window fills."""
        self._vad.process_10ms(samples[:_STEP_BYTES])
        return float(self._vad.process_10ms(samples[_STEP_BYTES:]))

    def _level(self, block: Signal) -> float:
        """The level of the last syllable, dBFS."""
        power = 10.0 ** (level_dbfs(block) / 10.0)
        if self._power is None:
            self._power = power
        self._power += (1.0 - exp(-BLOCK_S / _SMOOTH_S)) * (power - self._power)
        return max(FLOOR_DBFS, 10.0 * log10(self._power))

    def _room_level(self) -> float | None:
        """The room's median level before the wake word, dBFS; None when too little was heard."""
        levels = list(self._overheard)[: -round(_WAKE_WORD_S / BLOCK_S)]
        if len(levels) * BLOCK_S < _LEAST_OVERHEARD_S:
            return None
        return float(np.median(levels))

    def _stands_out(self, level: float) -> bool:
        """Whether this is much louder than the room was."""
        return self._room is not None and level >= self._room + self._settings.rise_db

    def _near(self, level: float) -> bool:
        """Whether this may be the person, who spoke at ``_person`` dBFS so far."""
        if self._person is None:
            return True
        drop_db = self._settings.drop_db
        if self._room is None:
            return level >= self._person - drop_db
        drop_db -= _PATIENCE_DB_S * self._overtime_s()
        least = min(self._room + _OVER_ROOM_DB, self._person - _UNDER_PERSON_DB)
        return level >= max(least, self._person - drop_db)

    def _overtime_s(self) -> float:
        """For how long the command has gone on beyond what is usual, in a noisy room, s."""
        if self._room is None or self._person is None or self._first is None:
            return 0.0
        if self._person - self._room >= _NOISY_DB:
            return 0.0
        return max(0.0, (self._fed - self._first) * BLOCK_S - _PATIENT_S)

    def _wait(self, probability: float, level: float) -> None:
        self._risen = self._risen + 1 if self._stands_out(level) else 0
        if self._risen >= _RISE_BLOCKS:
            self._rose = self._fed
        # The detector is slow: what made it doubt may have been up to its window ago.
        rose = self._rose is not None and self._fed - self._rose < _WINDOW_BLOCKS
        needed = self._settings.doubt if rose else self._settings.threshold
        speech = probability >= needed and self._near(level)
        self._above = self._above + 1 if speech else 0
        if self._above < self._start_blocks:
            return
        self._speaking = True
        self._above = 0
        self._quiet = 0
        if self._person is None:
            # The detector lags: the word may be over. Its level and its start are still in the
            # history.
            levels = np.asarray(self._history)
            peak, oldest = float(levels.max()), self._fed - levels.size
            loud = np.flatnonzero(levels >= peak - self._settings.drop_db)
            self._person = 10.0 * log10(float(np.mean(10.0 ** (levels[loud] / 10.0))))
            rise_db = min(_RISE_DB, (peak - float(levels.min())) / 2.0)
            self._first = oldest + int(np.flatnonzero(levels >= peak - rise_db)[0])
            self._last = oldest + int(loud[-1]) + 1
        else:
            self._last = self._fed

    def _go_on(self, probability: float, level: float) -> None:
        needed = self._settings.doubt if self._stands_out(level) else self._settings.release
        if probability >= needed and self._near(level):
            self._quiet = 0
            self._last = self._fed
            self._learn(level)
            return
        self._quiet += 1
        if self._quiet >= self._hangover_blocks:
            self._speaking = False

    def _learn(self, level: float) -> None:
        assert self._person is not None  # set when speech started
        # Slowly down, and in the end not at all: what is softer may be the room, and must not
        # become the measure.
        if level < self._person and self._overtime_s() > 0.0:
            return
        share = 1.0 - exp(-BLOCK_S / (_LEARN_S if level > self._person else _UNLEARN_S))
        power = (1.0 - share) * 10.0 ** (self._person / 10.0) + share * 10.0 ** (level / 10.0)
        self._person = 10.0 * log10(power)
