"""The ASR proxy: another satellite's pipeline gets the text of what Earmark allowed, or nothing.

Somebody else's satellite may run beside Earmark, in the same room or on the same microphone, with
Home Assistant between it and its recogniser. Put this proxy in the recogniser's place, and that
pipeline is guarded, too. What it sends to be transcribed is **thrown away unheard**: a replay
could be in it, and the nonce is. The request stands for the question whether somebody just gave a
command here. When Earmark's own session of that moment ends in ALLOW, Earmark's own recording,
without the nonce, goes to the recogniser behind, and the text comes back as the answer. Else
the answer is an ``error`` and an empty transcript, which Home Assistant takes for silence (it
passes ``error`` over and waits for a transcript, so both are sent).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import AsrModel, AsrProgram, Attribution, Describe, Info
from wyoming.ping import Ping

import earmark
from earmark.errors import ForwardError
from earmark.forward.command import Command
from earmark.forward.device import Device
from earmark.forward.wyoming.asr import Recogniser
from earmark.forward.wyoming.connection import Connection
from earmark.forward.wyoming.framing import Fault, ProtocolError, pong
from earmark.forward.wyoming.listener import Handle, Listener, Server
from earmark.forward.wyoming.meeting import nearest
from earmark.forward.wyoming.sound import spoken

_log = logging.getLogger(__name__)

IDLE_S = 20.0
"""Silence of a peer after which it counts as gone, s: longer than it may have to wait for us."""

MAX_REQUEST_S = 60.0
"""Longest audio of a request, s: four times Home Assistant's own limit of a command."""

MAX_LANGUAGE_CHARS = 16
"""Longest name of a language that is passed on; `zh-Hant-TW` has 10."""

REFUSAL = (
    Error(text="no command was verified", code="not-verified"),
    Transcript(text=""),
)
"""The answer where nothing was allowed."""


def proxy_info(device: Device, language: str) -> Info:
    """What Home Assistant is told of this recogniser."""
    made_by = Attribution(name="Earmark", url="")
    model = AsrModel(
        name="earmark",
        attribution=made_by,
        installed=True,
        description="transcribes what Earmark allowed",
        version=earmark.__version__,
        languages=[language],
    )
    program = AsrProgram(
        name=device.name,
        attribution=made_by,
        installed=True,
        description="Earmark in front of a recogniser",
        version=earmark.__version__,
        models=[model],
    )
    return Info(asr=[program])


class _Request:
    """Somebody wants to know what was just said."""

    def __init__(self, started_unix_s: float, started_s: float, language: str | None) -> None:
        future = asyncio.get_running_loop().create_future
        self.started_unix_s = started_unix_s
        self.started_s = started_s
        self.language = language
        self.taken: asyncio.Future[None] = future()
        """Done when a command has been found for it."""
        self.transcript: asyncio.Future[Transcript] = future()
        """What that command said; cancelled when that could not be found out."""
        self.answered: asyncio.Future[None] = future()
        """Done when the transcript was sent; cancelled when who asked is gone."""

    def give_up(self) -> None:
        """Whatever of it is not done will never be."""
        for future in (self.taken, self.transcript, self.answered):
            future.cancel()


class ProxyForwarder:
    """Answers requests to transcribe with the text of commands that were allowed.

    Parameters
    ----------
    listener : makes the listener, given what serves a peer.
    recogniser : the service behind.
    device : what peers are told.
    timeout_s : longest hand-over, s.
    keep_s : how long of it a command waits for a request, s.
    verdict_s : how long a request waits for a command after its audio has ended, s.
    now : the wall clock by which sessions are dated, s.
    announce : announces the service, given its port.
    """

    def __init__(
        self,
        listener: Callable[[Handle], Listener],
        recogniser: Recogniser,
        device: Device,
        timeout_s: float,
        keep_s: float,
        verdict_s: float,
        now: Callable[[], float],
        announce: Callable[[int], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self._recogniser = recogniser
        self._info = proxy_info(device, recogniser.language or "en")
        self._timeout_s = timeout_s
        self._keep_s = keep_s
        self._verdict_s = verdict_s
        self._now = now
        self._requests: list[_Request] = []  # those without a command
        self._asked = asyncio.Event()
        self._server = Server("earmark-proxy", listener(self._serve), announce)

    @property
    def port(self) -> int:
        """The port that peers connect to."""
        return self._server.port

    def send(self, command: Command) -> None:
        """Answer the request of this moment with `command`; see :meth:`Forwarder.send`."""
        audio = list(spoken(command.audio))
        try:
            self._server.call(self._offer(command, audio), self._timeout_s)
        except TimeoutError:
            raise ForwardError(
                f"a command was not transcribed and passed on within {self._timeout_s:g} s",
                "make the recogniser faster, or raise forward.timeout_s and session.forward_s",
            ) from None

    def close(self) -> None:
        """Disconnect everybody. Twice is harmless."""
        self._server.close()

    # -- the command's side ---------------------------------------------------------------

    async def _offer(self, command: Command, audio: list[bytes]) -> None:
        async with asyncio.timeout(self._timeout_s):
            request = await self._request_for(command.woken_unix_s)
            try:
                text = await self._recogniser.transcribe(audio, request.language)
                # The transcript's context is the place for who spoke.
                context = {"speaker": command.person} if command.person else None
                if not request.transcript.done():
                    request.transcript.set_result(Transcript(text, context, request.language))
                await asyncio.wait([request.answered])
                if request.answered.cancelled():
                    raise ForwardError(
                        "who asked for a transcript was gone before it came",
                        "look into Home Assistant's log; raise its time-outs if it has any",
                    )
            finally:
                request.give_up()

    async def _request_for(self, woken_unix_s: float) -> _Request:
        try:
            async with asyncio.timeout(self._keep_s):
                while True:
                    request = nearest(woken_unix_s, self._requests)
                    if request is not None:
                        self._requests.remove(request)
                        request.taken.set_result(None)
                        return request
                    self._asked.clear()
                    await self._asked.wait()
        except TimeoutError:
            raise ForwardError(
                "nobody asked for the transcript of a command",
                "choose this device as the speech-to-text of the pipeline in Home Assistant,"
                " and see that its own satellite hears the same wake word",
            ) from None

    # -- the request's side ---------------------------------------------------------------

    async def _serve(self, connection: Connection, peer: str) -> None:
        request: _Request | None = None
        answering: asyncio.Task[None] | None = None
        loop = asyncio.get_running_loop()
        try:
            while (event := await connection.read(IDLE_S)) is not None:
                if answering is not None and answering.done():
                    request = answering = None
                if Transcribe.is_type(event.type) and answering is None:
                    self._forget(request)
                    request = _Request(self._now(), loop.time(), _language(event))
                    self._requests.append(request)
                    self._asked.set()
                elif AudioStop.is_type(event.type) and request is not None and answering is None:
                    answering = asyncio.create_task(self._answer(connection, request))
                await self._tell(connection, event)
                # Audio is passed over: it was read, and that is all that happens to it.
                if request is not None and loop.time() - request.started_s > MAX_REQUEST_S:
                    raise ProtocolError(Fault.SLOW)
        finally:
            if answering is not None:
                answering.cancel()
            self._forget(request)

    async def _tell(self, connection: Connection, event: Event) -> None:
        if Describe.is_type(event.type):
            await connection.write(self._info)
        elif Ping.is_type(event.type):
            await connection.write(pong(event))

    async def _answer(self, connection: Connection, request: _Request) -> None:
        """Send the transcript when there is one in time, else the refusal."""
        transcript: Transcript | None = None
        await asyncio.wait([request.taken], timeout=self._verdict_s)
        if request.taken.done() and not request.taken.cancelled():
            await asyncio.wait([request.transcript], timeout=self._timeout_s)
            if request.transcript.done() and not request.transcript.cancelled():
                transcript = request.transcript.result()
        try:
            if transcript is None:
                await connection.write(*REFUSAL)
            else:
                await connection.write(transcript)
                if not request.answered.done():
                    request.answered.set_result(None)
        except (OSError, ProtocolError):
            connection.close()  # which the other side of it notices
        finally:
            self._forget(request)

    def _forget(self, request: _Request | None) -> None:
        if request is not None:
            if request in self._requests:
                self._requests.remove(request)
            request.give_up()


def _language(event: Event) -> str | None:
    language = event.data.get("language")
    return language[:MAX_LANGUAGE_CHARS] if isinstance(language, str) else None
