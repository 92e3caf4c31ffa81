"""The satellite's side of a connection as a state machine: events in, what follows out; no I/O.

Home Assistant connects to the satellite, asks what it is, and says ``run-satellite``: from then
on it is the server, and a command may go to it. Everything that this machine makes us send before
that, and before a command was allowed, is an ``info`` or a ``pong``: the ``detection`` of the wake
word goes out with the allowed command, not when the wake word is heard, so that nobody learns from
the link that somebody spoke.

An ``error`` names no command. One that comes before the peer has begun to ``transcribe`` may be of
the intent or the answer of the command before, if that was not over.

::

    IDLE  -- run-satellite --> READY -- command() --> RUNNING -- transcript --> READY  (Arrived)
      ^--- pause-satellite ------'---------------------------'   error --> READY      (Failed)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, TypeAlias

from wyoming.event import Event, Eventable

from earmark.forward.wyoming.framing import Fault, ProtocolError, code_of, pong
from earmark.forward.wyoming.sound import Form


class Phase(Enum):
    """Where a connection is."""

    IDLE = "idle"
    """The peer has not asked for commands, or has asked for none (muted)."""
    READY = "ready"
    """It waits for a command."""
    RUNNING = "running"
    """It has one; its transcript is waited for."""


@dataclass(frozen=True)
class Send:
    """An event for the peer."""

    event: Event | Eventable


@dataclass(frozen=True)
class Serves:
    """The peer takes commands from now on, or, `on` being False, no longer."""

    on: bool


@dataclass(frozen=True)
class Arrived:
    """The command was understood: its transcript came. The text itself is of no use here."""


@dataclass(frozen=True)
class Failed:
    """The command came to nothing.

    Parameters
    ----------
    why : what happened, fit for a log.
    """

    why: str


@dataclass(frozen=True)
class AnswerStarts:
    """A spoken answer, or an announcement, begins."""

    form: Form


@dataclass(frozen=True)
class AnswerSounds:
    """A piece of it: an ``audio-chunk``."""

    event: Event


@dataclass(frozen=True)
class AnswerEnds:
    """It is complete. ``played`` is due when it has been heard."""


Output: TypeAlias = Send | Serves | Arrived | Failed | AnswerStarts | AnswerSounds | AnswerEnds


class SatelliteMachine:
    """One connection.

    Parameters
    ----------
    info : the answer to ``describe``.
    """

    def __init__(self, info: Event | Eventable) -> None:
        self._info = info
        self._served = False
        self._answering = False
        self._begun = False
        """The peer has begun to transcribe the command."""
        self._trailing = False
        """The command before was understood, and its intent or answer may still fail."""
        self.phase = Phase.IDLE

    def command(self) -> None:
        """A command is about to be sent.

        Raises
        ------
        RuntimeError
            The peer does not wait for one.
        """
        if self.phase is not Phase.READY:
            raise RuntimeError(f"a command in phase {self.phase.value}")
        self.phase = Phase.RUNNING
        self._begun = False

    def received(self, event: Event) -> tuple[Output, ...]:
        """What follows from an event of the peer. Events that mean nothing here are passed over.

        Raises
        ------
        ProtocolError
            The event is malformed or out of place; the connection must be closed.
        """
        react = self._REACTIONS.get(event.type)
        return () if react is None else react(self, event)

    def _describe(self, event: Event) -> tuple[Output, ...]:
        return (Send(self._info),)

    def _ping(self, event: Event) -> tuple[Output, ...]:
        return (Send(pong(event)),)

    def _run(self, event: Event) -> tuple[Output, ...]:
        if self.phase is not Phase.IDLE:
            return ()
        self._served = True
        self.phase = Phase.READY
        return (Serves(True),)

    def _pause(self, event: Event) -> tuple[Output, ...]:
        was, self.phase = self.phase, Phase.IDLE
        if was is Phase.IDLE:
            return ()
        failed = (Failed("it paused this satellite"),) if was is Phase.RUNNING else ()
        return (*failed, Serves(False))

    def _transcribe(self, event: Event) -> tuple[Output, ...]:
        self._begun = True
        return ()

    def _transcript(self, event: Event) -> tuple[Output, ...]:
        if self.phase is not Phase.RUNNING:
            return ()
        self.phase = Phase.READY
        self._trailing = True
        return (Arrived(),)

    def _error(self, event: Event) -> tuple[Output, ...]:
        trailing, self._trailing = self._trailing, False
        if self.phase is not Phase.RUNNING:
            return ()
        if trailing and not self._begun:
            # Told that it failed, the person would say it again, and it be carried out twice.
            # Was it this one's after all, then its transcript is missed in time.
            return ()
        self.phase = Phase.READY
        return (Failed(f"it refused the command{code_of(event)}"),)

    def _audio_start(self, event: Event) -> tuple[Output, ...]:
        if not self._served:  # whoever speaks through the device must be its server
            raise ProtocolError(Fault.OUT_OF_PLACE)
        ends = self._audio_stop(event)
        self._answering = True
        return (*ends, AnswerStarts(Form.of(event)))

    def _audio_chunk(self, event: Event) -> tuple[Output, ...]:
        if not self._answering:
            raise ProtocolError(Fault.OUT_OF_PLACE)
        return (AnswerSounds(event),)

    def _audio_stop(self, event: Event) -> tuple[Output, ...]:
        answering, self._answering = self._answering, False
        self._trailing = self._trailing and not answering  # the answer comes last
        return (AnswerEnds(),) if answering else ()

    _REACTIONS: ClassVar[dict[str, Callable[[SatelliteMachine, Event], tuple[Output, ...]]]] = {
        "describe": _describe,
        "ping": _ping,
        "run-satellite": _run,
        "pause-satellite": _pause,
        "transcribe": _transcribe,
        "transcript": _transcript,
        "error": _error,
        "audio-start": _audio_start,
        "audio-chunk": _audio_chunk,
        "audio-stop": _audio_stop,
    }
    """``voice-started``, ``voice-stopped``, ``synthesize``, ``detect``, timers and
    whatever comes with later versions need no reaction."""
