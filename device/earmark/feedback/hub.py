"""One announcement to everything that tells it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from earmark.feedback.earcons import earcon
from earmark.feedback.journal import Journal
from earmark.feedback.lights import LightPattern, light
from earmark.feedback.settings import FeedbackSettings
from earmark.gate import Announcement, Verdict, announcement
from earmark.signal import Signal

_log = logging.getLogger(__name__)


class Feedback(Protocol):
    """A way to tell the room. It is given the announcement and cannot know more."""

    def announce(self, told: Announcement) -> None:
        """Tell it, without waiting until it has been told."""
        ...


class Earcons:
    """Tells by sound.

    Parameters
    ----------
    settings : which announcements have a sound.
    level_dbfs : level of the sounds, dBFS rms: `earcon_level_dbspl_1m` less what the
        loudspeaker gives for 0 dBFS, worked out by the caller, who knows the loudspeaker.
    play : queues a sound for the loudspeaker and returns at once.
    """

    def __init__(
        self, settings: FeedbackSettings, level_dbfs: float, play: Callable[[Signal], None]
    ) -> None:
        # Made beforehand, all together 0.3 MB: nothing is computed when it is time to speak.
        self._sounds = {
            each: earcon(each, level_dbfs)
            for each in Announcement
            if settings.earcons and each not in settings.silent
        }
        self._play = play

    def announce(self, told: Announcement) -> None:
        """Play the sound of `told`, if it has one."""
        sound = self._sounds.get(told)
        if sound is not None:
            self._play(sound)


class Lights:
    """Tells by light.

    Parameters
    ----------
    settings : whether lights are shown.
    show : takes a pattern and returns at once.
    """

    def __init__(self, settings: FeedbackSettings, show: Callable[[LightPattern], None]) -> None:
        self._settings = settings
        self._show = show

    def announce(self, told: Announcement) -> None:
        """Show the pattern of `told`."""
        if self._settings.lights:
            self._show(light(told))


class FeedbackHub:
    """Fans announcements out, and writes the journal.

    An outlet that fails is logged and does not keep the others from telling.

    Parameters
    ----------
    outlets : the ways to tell the room.
    journal : where the reason goes in full.
    """

    def __init__(self, outlets: Sequence[Feedback], journal: Journal) -> None:
        self._outlets = tuple(outlets)
        self._journal = journal

    def announce(self, told: Announcement) -> None:
        """Tell something that follows from no verdict: woken, muted, offline, locked."""
        self._tell(told)
        self._guarded(partial(self._journal.announced, told))

    def verdict(
        self, session: str, verdict: Verdict, told: Announcement | None = None
    ) -> Announcement:
        """Tell a verdict, and write it down in full.

        Parameters
        ----------
        session : identifier of the session.
        verdict : what the gate decided.
        told : what to tell instead of the verdict's own announcement, such as
            ``COULD_NOT_VERIFY`` when the session has no further tries to give.

        Returns
        -------
        Announcement
            What the room was told.
        """
        told = announcement(verdict) if told is None else told
        self._tell(told)
        self._guarded(partial(self._journal.verdict, session, verdict, told))
        return told

    def _tell(self, told: Announcement) -> None:
        for outlet in self._outlets:
            self._guarded(partial(outlet.announce, told))

    @staticmethod
    def _guarded(tell: Callable[[], None]) -> None:
        try:
            tell()
        except Exception as error:
            _log.error("feedback failed: %s", type(error).__name__)
