"""The satellite: Home Assistant connects to this device and gets the commands that are allowed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from wyoming.event import Event, Eventable
from wyoming.info import Attribution, Info, Satellite
from wyoming.pipeline import PipelineStage, RunPipeline
from wyoming.snd import Played
from wyoming.wake import Detection

import earmark
from earmark.errors import ForwardError
from earmark.forward.command import Command
from earmark.forward.device import Device
from earmark.forward.wyoming import machine as m
from earmark.forward.wyoming.answer import Answer
from earmark.forward.wyoming.connection import Connection
from earmark.forward.wyoming.framing import Fault, ProtocolError, encode
from earmark.forward.wyoming.listener import Handle, Listener, Server
from earmark.forward.wyoming.sound import spoken
from earmark.signal import Signal

_log = logging.getLogger(__name__)

IDLE_S = 10.0
"""Silence of a peer after which it counts as gone, s. Home Assistant pings every 2 s and is gone
for 5 s at most before it gives up itself."""


def satellite_info(device: Device) -> Info:
    """What Home Assistant is told of this device."""
    return Info(
        satellite=Satellite(
            name=device.name,
            attribution=Attribution(name="Earmark", url=""),
            installed=True,
            description="Earmark: forwards only what was spoken here and now",
            version=earmark.__version__,
            area=device.place or None,
            has_vad=True,  # what is forwarded is complete
            supports_trigger=False,  # only a wake word that was heard here starts a session
        )
    )


def opening(command: Command, device: Device, answers: bool) -> list[Event | Eventable]:
    """The events before the audio of a command.

    Who spoke goes into ``detection.speaker``, which the protocol has for it. A pipeline without
    text-to-speech cannot run to that stage, and Home Assistant then says nothing at all, so
    without `answers` it ends one stage earlier.
    """
    wake_word = device.wake_word or None
    end = PipelineStage.TTS if answers else PipelineStage.HANDLE
    return [
        Detection(name=wake_word, speaker=command.person),
        RunPipeline(start_stage=PipelineStage.ASR, end_stage=end, wake_word_name=wake_word),
    ]


class _Link:
    """One connection of a peer."""

    def __init__(
        self,
        connection: Connection,
        peer: str,
        info: Info,
        speak: Callable[[Signal], None] | None,
    ) -> None:
        self.connection = connection
        self.peer = peer
        self.machine = m.SatelliteMachine(info)
        self._speak = speak
        self._outcome: asyncio.Future[None] | None = None
        self._answer: Answer | None = None
        self._playing: asyncio.Task[None] | None = None

    def begin(self) -> asyncio.Future[None]:
        """A command is about to be sent; the future is done when it arrived, or fails."""
        self.machine.command()
        self.silence()
        self._outcome = asyncio.get_running_loop().create_future()
        return self._outcome

    def settle(self, why: str | None) -> None:
        """The command that is under way has arrived, or, for a reason, has not."""
        outcome, self._outcome = self._outcome, None
        if outcome is None or outcome.done():
            return
        if why is None:
            outcome.set_result(None)
        else:
            outcome.set_exception(
                ForwardError(f"Home Assistant did not take a command: {why}", "look into its log")
            )

    def answer(self, output: m.AnswerStarts | m.AnswerSounds | m.AnswerEnds) -> None:
        """Carry on with the spoken answer."""
        if isinstance(output, m.AnswerStarts):
            self.silence()
            self._answer = Answer(output.form, self._speak)
            self._playing = asyncio.create_task(self._play(self._answer))
        elif self._answer is not None and isinstance(output, m.AnswerSounds):
            self._answer.feed(output.event)
        elif self._answer is not None:
            self._answer.end()

    def silence(self) -> None:
        """Break an answer off: somebody speaks again, or the peer is gone."""
        if self._playing is not None:
            self._playing.cancel()
        self._playing = self._answer = None

    async def _play(self, answer: Answer) -> None:
        try:
            await answer.play()
        except Exception as error:  # of `speak`: an answer is not worth the link
            _log.error("an answer was not played: %s", type(error).__name__)
        with contextlib.suppress(OSError, ProtocolError):
            await self.connection.write(Played())


class SatelliteForwarder:
    """Sends commands to the Home Assistant that is connected.

    Parameters
    ----------
    listener : makes the listener, given what serves a peer.
    device : what peers are told.
    speak : plays a piece of an answer, called on the link's thread; None where there is none.
    timeout_s : longest hand-over, s.
    keep_s : how long of it a command is kept while nobody is connected, s.
    answers : whether spoken answers are asked for.
    announce : announces the service, given its port.
    """

    def __init__(
        self,
        listener: Callable[[Handle], Listener],
        device: Device,
        speak: Callable[[Signal], None] | None,
        timeout_s: float,
        keep_s: float,
        answers: bool = True,
        announce: Callable[[int], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self._device = device
        self._info = satellite_info(device)
        self._speak = speak
        self._timeout_s = timeout_s
        self._keep_s = keep_s
        self._answers = answers
        self._link: _Link | None = None
        self._changed = asyncio.Event()
        self._one = asyncio.Lock()
        self._server = Server("earmark-satellite", listener(self._serve), announce)

    @property
    def port(self) -> int:
        """The port that peers connect to."""
        return self._server.port

    @property
    def phase(self) -> m.Phase | None:
        """Where the link to Home Assistant is; None when it is not connected."""
        link = self._link
        return None if link is None else link.machine.phase

    def send(self, command: Command) -> None:
        """Send `command` in one burst; it has arrived when its transcript comes.

        When that does not come in time, the connection is closed, which makes Home Assistant
        give the command up: the person is told that it failed, so it must not be carried out.
        """
        head = encode(opening(command, self._device, self._answers))
        body = list(spoken(command.audio))
        try:
            self._server.call(self._deliver([head, *body]), self._timeout_s)
        except TimeoutError:
            raise ForwardError(
                f"Home Assistant did not take a command within {self._timeout_s:g} s",
                "look into its log; if its speech recognition is slow, raise forward.timeout_s"
                " and session.forward_s; if its pipeline has no text-to-speech, set"
                " forward.wyoming.answers to false",
            ) from None

    def close(self) -> None:
        """Disconnect everybody. Twice is harmless."""
        self._server.close()

    async def _deliver(self, data: list[bytes]) -> None:
        async with asyncio.timeout(self._timeout_s), self._one:
            link = await self._ready()
            outcome = link.begin()
            try:
                for event in data:
                    if outcome.done():
                        break  # it heard the end of the command before we did
                    await link.connection.send(event)
                await outcome
            except (OSError, ProtocolError) as error:
                raise ForwardError(
                    "the connection to Home Assistant broke within a command",
                    "check the network; say it again",
                ) from error
            finally:
                outcome.cancel()
                if link.machine.phase is m.Phase.RUNNING:
                    link.connection.close()

    async def _ready(self) -> _Link:
        """The link that takes a command, waited for as long as one is kept."""
        try:
            async with asyncio.timeout(self._keep_s):
                while self._link is None or self._link.machine.phase is not m.Phase.READY:
                    self._changed.clear()
                    await self._changed.wait()
                return self._link
        except TimeoutError:
            pass
        if self._link is not None:
            raise ForwardError(
                "Home Assistant has muted this device, or is not ready for commands",
                "unmute it there",
            )
        raise ForwardError(
            "Home Assistant is not connected",
            "add this device there (Wyoming protocol, with its address and port), and Home"
            " Assistant's address to forward.wyoming.peers",
        )

    async def _serve(self, connection: Connection, peer: str) -> None:
        link = _Link(connection, peer, self._info, self._speak)
        try:
            while (event := await connection.read(IDLE_S)) is not None:
                for output in link.machine.received(event):
                    await self._carry_out(link, output)
        finally:
            link.settle("the connection broke")
            link.silence()
            if self._link is link:
                self._link = None
                _log.info("forward: Home Assistant (%s) is gone", peer)
            self._changed.set()

    async def _carry_out(self, link: _Link, output: m.Output) -> None:
        match output:
            case m.Send(event):
                await link.connection.write(event)
            case m.Serves(on):
                if on:
                    self._admit(link)
                self._changed.set()
            case m.Arrived():
                link.settle(None)
            case m.Failed(why):
                link.settle(why)
            case m.AnswerStarts() | m.AnswerSounds() | m.AnswerEnds():
                link.answer(output)

    def _admit(self, link: _Link) -> None:
        """Let `link` be the one that gets the commands.

        The same machine may come back before we noticed that it was gone; another one may not
        take over from one that is there. Home Assistant, unmuted, comes back and still reads where
        it was: a reset there would be an error in its log. With a command under way it must be.
        """
        old = self._link
        if old is not None and old is not link:
            if old.peer != link.peer:
                raise ProtocolError(Fault.TAKEN)
            if old.machine.phase is m.Phase.RUNNING:
                old.connection.close()
            else:
                old.connection.end()
        if old is not link:
            _log.info("forward: Home Assistant (%s) is connected", link.peer)
        self._link = link
