"""Enrolment: a few phrases of a person, each good enough, become a voiceprint. Pure.

Phrases are offered one by one; the answer says what was wrong with one and which to say next.
A phrase is refused for what can be heard (too short, clipped, too quiet, too noisy), when it
sounds like somebody who is enrolled, and when it does not fit the others: then the one that
fits least is to be said again, whichever it is, as the first may have been somebody else's.

Nothing is enrolled without the person's consent: its time has no default and is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from earmark.clock import SET_CLOCK_S
from earmark.errors import EarmarkError
from earmark.signal import Signal
from earmark.speaker.decision import (
    Cohort,
    Criterion,
    Rate,
    Reliability,
    Roster,
    leave_one_out,
    limit,
    voiceprint,
)
from earmark.speaker.people import ID_BYTES, MAX_PEOPLE, Person, checked_name, named
from earmark.speaker.settings import EnrolmentSettings

SENTENCES = (
    "Please turn down the light above the kitchen table",
    "What will the weather be like on Thursday morning",
    "Remind me to water the five plants before we go",
    "Play some quiet music in the study until eleven",
    "How long does the bus into the old town take",
    "Put rice, yoghurt and a jar of honey on the list",
)
"""What to say: six sentences of 2.5 s or more, with most sounds of English among them. Any other
words of that length do as well: the model hears who speaks, not what."""

CONSISTENT_FAR = 0.3
"""A phrase does not fit the others when three in ten strangers would fit better. Wide: it is to
notice another person's phrase, not to ask somebody for a phrase again because the model hears
two moods of a voice (with a tenth, a resident of the demo could not enrol)."""

LEAST_TO_COMPARE = 3
"""Phrases from which on they are compared: of two that differ one cannot say which is wrong."""


_MAX_DRAWS = 100
"""Most ids that are drawn for one person: of random ones the first is free."""


class EnrolmentError(EarmarkError):
    """A person cannot be enrolled."""


class Quality(Enum):
    """What became of a phrase."""

    OK = "ok"
    TOO_SHORT = "too_short"
    CLIPPED = "clipped"
    TOO_QUIET = "too_quiet"
    TOO_NOISY = "too_noisy"
    ALREADY_SOMEBODY = "already_somebody"
    INCONSISTENT = "inconsistent"


class Voices(Protocol):
    """What is needed of a speaker model."""

    @property
    def id(self) -> str:
        """Its name; people of another one are not compared."""

    @property
    def cohort(self) -> NDArray[np.float32]:
        """Shape (P, E), unit embeddings of single commands of strangers."""

    def embed(self, signal: Signal) -> NDArray[np.float32]:
        """Shape (E,), the unit embedding of a command; zeros where there is nothing to hear."""


@dataclass(frozen=True, eq=False)
class Phrase:
    """A phrase as it was heard, with what the signal check measured.

    Parameters
    ----------
    signal : the speech alone, nonce taken out.
    speech_s : its length, s.
    speech_dbfs, noise_dbfs : active level of the speech and the noise floor, dBFS.
    clipped_share : share of samples at full scale in the recording, 0 to 1.
    """

    signal: Signal
    speech_s: float
    speech_dbfs: float
    noise_dbfs: float
    clipped_share: float


@dataclass(frozen=True)
class Feedback:
    """The answer to a phrase.

    Parameters
    ----------
    quality : what became of it.
    phrase : number of the phrase that it was, from 1.
    repeat : number of the phrase that is to be said (again); None when all are there. For
        ``INCONSISTENT`` the one that fits the others least.
    somebody : the name of whom it sounds like, for ``ALREADY_SOMEBODY``.
    """

    quality: Quality
    phrase: int
    repeat: int | None = None
    somebody: str | None = None


@dataclass(frozen=True)
class Prompt:
    """What the person is asked to do.

    Parameters
    ----------
    phrase, of : number of the phrase to say, from 1, and how many there are.
    sentence : what to say.
    feedback : on the phrase before; None at the beginning.
    """

    phrase: int
    of: int
    sentence: str
    feedback: Feedback | None


@dataclass(frozen=True, eq=False)
class Enrolled:
    """A person, and how well they are told from others here.

    Parameters
    ----------
    person : to be kept.
    reliability : error rates of this person, with all at home.
    threshold : the limit for everybody, standard deviations of the cohort.
    household_far : how many of the cohort would be taken for anybody at home.
    """

    person: Person
    reliability: Reliability
    threshold: float
    household_far: Rate


class Enrolment:
    """One person being enrolled.

    Parameters
    ----------
    settings : how many phrases, how good.
    voices : the model.
    people : all who are enrolled, of whatever model.
    name : of the person; may be that of somebody of another model, who is then replaced.
    consent_unix_s : when the person agreed, s since 1970. Do not call this without.
    criterion : how sure the device must be.

    Raises
    ------
    EnrolmentError
        Somebody of this model has the name, the device is full, or the clock has not been set.
    PeopleError
        The name is not possible.
    """

    def __init__(
        self,
        settings: EnrolmentSettings,
        voices: Voices,
        people: Sequence[Person],
        name: str,
        consent_unix_s: float,
        criterion: Criterion = Criterion(),  # noqa: B008 - frozen
    ) -> None:
        if not (math.isfinite(consent_unix_s) and consent_unix_s >= SET_CLOCK_S):
            raise EnrolmentError(
                "the clock has not been set", "set it: the time of the consent is kept"
            )
        self._name = checked_name(name)
        same = named(people, self._name)
        if same is not None and same.model_id == voices.id:
            raise EnrolmentError(
                "somebody has that name already",
                "choose another one, or delete that person first: earmark people delete NAME",
            )
        self._others = [person for person in people if person is not same]
        if len(self._others) >= MAX_PEOPLE:
            raise EnrolmentError(f"{MAX_PEOPLE} people are enrolled", "delete somebody first")
        self._settings = settings
        self._voices = voices
        self._consent_unix_s = consent_unix_s
        self._criterion = criterion
        self._cohort = Cohort(voices.cohort)
        self._roster = Roster(self._others, self._cohort, voices.id, criterion)
        self._kept: list[NDArray[np.float32] | None] = [None] * settings.phrases
        self._tries = 0
        self._last: Feedback | None = None

    @property
    def complete(self) -> bool:
        """Whether all phrases are there."""
        return self._next() is None

    @property
    def prompt(self) -> Prompt:
        """What to ask of the person now (ValueError when complete)."""
        at = self._next()
        if at is None:
            raise ValueError("all phrases are there")
        return Prompt(at + 1, len(self._kept), SENTENCES[at], self._last)

    def offer(self, phrase: Phrase) -> Feedback:
        """Take the phrase that :attr:`prompt` asked for, or say why not.

        Raises
        ------
        EnrolmentError
            It was the last of ``max_tries``, and phrases are still missing.
        ValueError
            All phrases are there already.
        """
        at = self._next()
        if at is None:
            raise ValueError("all phrases are there")
        self._tries += 1
        quality, somebody = self._audible(phrase), None
        if quality is Quality.OK:
            quality, somebody = self._taken(at, phrase.signal)
        missing = self._next()
        if missing is not None and self._tries >= self._settings.max_tries:
            good = sum(one is not None for one in self._kept)
            raise EnrolmentError(
                f"of {self._tries} phrases {good} could be used, the last was {quality.value}",
                "try again in a quieter place, 1 m away; or let this person command as a guest "
                "(speaker.guests)",
            )
        self._last = Feedback(quality, at + 1, None if missing is None else missing + 1, somebody)
        return self._last

    def finish(self, now_unix_s: float, entropy: Callable[[int], bytes]) -> Enrolled:
        """The person, when complete.

        Parameters
        ----------
        now_unix_s : the wall clock, s since 1970.
        entropy : gives so many random bytes, for the id.

        Raises
        ------
        ValueError
            Phrases are missing.
        """
        phrases = [one for one in self._kept if one is not None]
        if len(phrases) < len(self._kept):
            raise ValueError("phrases are missing")
        taken = {person.id for person in self._others}
        draws = (entropy(ID_BYTES).hex() for _ in range(_MAX_DRAWS))
        id_ = next((one for one in draws if one not in taken), None)
        if id_ is None:
            raise ValueError("entropy is not random")
        person = Person(
            id_, self._name, self._consent_unix_s, now_unix_s, self._voices.id, np.stack(phrases)
        )
        roster = Roster([*self._others, person], self._cohort, self._voices.id, self._criterion)
        return Enrolled(person, roster.reliability(person), roster.threshold, roster.far)

    def _next(self) -> int | None:
        """The first phrase that is missing, from 0."""
        return next((at for at, one in enumerate(self._kept) if one is None), None)

    def _audible(self, phrase: Phrase) -> Quality:
        limits = self._settings
        measured = (phrase.speech_s, phrase.speech_dbfs, phrase.noise_dbfs, phrase.clipped_share)
        if not (np.isfinite(measured).all() and np.isfinite(phrase.signal).all()):
            raise ValueError("a phrase is not finite")
        if phrase.speech_s < limits.least_speech_s:
            return Quality.TOO_SHORT
        if phrase.clipped_share > limits.max_clipped_share:
            return Quality.CLIPPED
        if phrase.speech_dbfs < limits.least_speech_dbfs:
            return Quality.TOO_QUIET
        if phrase.speech_dbfs - phrase.noise_dbfs < limits.least_snr_db:
            return Quality.TOO_NOISY
        return Quality.OK

    def _taken(self, at: int, signal: Signal) -> tuple[Quality, str | None]:
        """Keep the phrase at `at`, unless it is somebody's; let go of the one that does not fit."""
        embedding = self._voices.embed(signal)
        if not embedding.any():  # nothing in it that the model hears
            return Quality.TOO_QUIET, None
        if self._roster.people:
            found = self._roster.identify(embedding)
            if found.person is not None:
                return Quality.ALREADY_SOMEBODY, found.person.name
        self._kept[at] = embedding
        places = [place for place, one in enumerate(self._kept) if one is not None]
        if len(places) < LEAST_TO_COMPARE:
            return Quality.OK, None
        kept = np.stack([one for one in self._kept if one is not None])
        scores = leave_one_out(kept, self._cohort)
        worst = int(np.argmin(scores))
        others = voiceprint(np.delete(kept, worst, axis=0))
        if scores[worst] >= limit(self._cohort.scores(others), CONSISTENT_FAR):
            return Quality.OK, None
        self._kept[places[worst]] = None
        return Quality.INCONSISTENT, None
