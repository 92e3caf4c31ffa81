"""The check on the voice: is it one of the household's?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from earmark.gate.evidence import Evidence
from earmark.gate.finding import Finding, Outcome, Reason, Verdict
from earmark.signal import RATE_HZ, Signal
from earmark.speaker import Cohort, Criterion, Person, Roster, SpeakerSettings

GUEST = "guest"
"""Who spoke, where that is nobody's business or nobody that is enrolled. No id is this word."""


class Embedder(Protocol):
    """What the check needs of a speaker model."""

    @property
    def id(self) -> str:
        """Of the model; voiceprints of another one mean nothing to it."""
        ...

    @property
    def cohort(self) -> NDArray[np.float32]:
        """Embeddings of people who live nowhere near, shape (people, E)."""
        ...

    @property
    def decision(self) -> Mapping[str, Any]:
        """Constants that were calibrated for the model: `margin`."""
        ...

    def embed(self, signal: Signal) -> NDArray[np.float32]:
        """The embedding of a recording, shape (E,)."""
        ...


class SpeakerCheck:
    """Does one of the household speak, or a guest who may?

    The score is the likeness with the nearest voiceprint, standard deviations of the cohort; it
    is 0.0 when there was nothing to compare. The detail holds `person`, the id of who spoke or
    :data:`GUEST`, and after a comparison `threshold`, from which a score is believed. Never a
    name, never a voiceprint.

    When every voiceprint is of another model, nobody can be told from anybody: nobody may command
    then until somebody has enrolled again. An update must not open the door.

    Parameters
    ----------
    model : makes the embeddings.
    people : gives those who are enrolled, as of now.
    settings : who may command, how sure to be, and how much speech it takes.

    Raises
    ------
    EarmarkError
        The people cannot be read.
    ValueError
        The model's cohort is none, or its margin.
    """

    name = "speaker"

    def __init__(
        self, model: Embedder, people: Callable[[], tuple[Person, ...]], settings: SpeakerSettings
    ) -> None:
        self._model = model
        self._people = people
        self._settings = settings
        self._cohort = Cohort(model.cohort)
        self._criterion = Criterion.calibrated(settings.far_target, model.decision)
        self._known: tuple[Person, ...] = people()
        self._compared_with = self._made(self._known)

    @property
    def roster(self) -> Roster:
        """Those at home, ready to be compared; made anew when somebody has come or gone.

        Raises
        ------
        EarmarkError
            The people cannot be read.
        """
        people = self._people()
        if people is not self._known:
            self._known, self._compared_with = people, self._made(people)
        return self._compared_with

    def named(self, identifier: str) -> str | None:
        """The name of the person with this id, of those that were compared last."""
        return next((one.name for one in self._known if one.id == identifier), None)

    def _made(self, people: tuple[Person, ...]) -> Roster:
        return Roster(people, self._cohort, self._model.id, self._criterion)

    def examine(self, evidence: Evidence) -> Finding:
        """Return ``FRESH``, ``STRANGER``, ``SPEAKER_UNDETERMINED`` or ``NO_SPEECH``.

        Raises
        ------
        EarmarkError
            The people cannot be read.
        ValueError
            The recording is not finite, or the model has nothing to say about it.
        """
        if evidence.speech is None:
            # Nobody spoke, so nobody may.
            return Finding(self.name, Outcome.FAILED, Reason.NO_SPEECH, 0.0)
        roster = self.roster
        guests = self._settings.guests
        nobody = not roster.people and not roster.stale
        if guests == "until_enrolled" and nobody:
            return self._passed(GUEST)
        speech = evidence.within_speech(evidence.cleaned)
        if roster.people and speech.size >= self._settings.least_speech_s * RATE_HZ:
            return self._compared(roster, speech)
        if guests == "always":
            return self._passed(GUEST)
        if nobody:
            return Finding(self.name, Outcome.FAILED, Reason.STRANGER, 0.0)
        return Finding(self.name, Outcome.UNDETERMINED, Reason.SPEAKER_UNDETERMINED, 0.0)

    def _compared(self, roster: Roster, speech: Signal) -> Finding:
        match = roster.identify(self._model.embed(speech))
        limit: dict[str, object] = {"threshold": match.threshold}
        if match.person is not None:
            return self._passed(match.person.id, match.score, limit)
        if self._settings.guests == "always":
            return self._passed(GUEST, match.score, limit)
        return Finding(self.name, Outcome.FAILED, Reason.STRANGER, match.score, limit)

    def _passed(
        self, person: str, score: float = 0.0, limit: Mapping[str, object] | None = None
    ) -> Finding:
        detail = {"person": person, **(limit or {})}
        return Finding(self.name, Outcome.PASSED, Reason.FRESH, score, detail)


def speaker_of(verdict: Verdict) -> str | None:
    """The id of the person who spoke, by the check; None for a guest, or when nobody checked."""
    for finding in verdict.findings:
        if finding.check == SpeakerCheck.name and finding.outcome is Outcome.PASSED:
            person = finding.detail.get("person")
            return person if isinstance(person, str) and person != GUEST else None
    return None
