"""The ASR client: an allowed command goes to a recogniser, and with its text to what comes next."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from wyoming.asr import Transcribe, Transcript
from wyoming.error import Error

from earmark.errors import ForwardError
from earmark.forward.command import Command
from earmark.forward.wyoming.address import Address
from earmark.forward.wyoming.connection import (
    RETRY_FIRST_S,
    RETRY_MAX_S,
    Connection,
    LoopThread,
    connect,
)
from earmark.forward.wyoming.framing import ProtocolError, code_of, text_of
from earmark.forward.wyoming.sound import spoken

MAX_TEXT_CHARS = 4096
"""Longest transcript, characters: a minute of fast speech has 1,500. The rest is cut off."""

MAX_OTHER_EVENTS = 1000
"""Most events before the transcript: a recogniser that streams sends one for each word."""

NEXT_S = 0.5
"""Part of the hand-over's time that is left for what comes next, s: a folder needs 10 ms."""

Next = Callable[[Command, float], None]
"""Takes a command with its text, and has so many seconds. Raises ForwardError."""


@dataclass(frozen=True)
class Recogniser:
    """A Wyoming ASR service.

    Parameters
    ----------
    address : where it is.
    tls : context for a ``tls`` address.
    language, model : what it is asked for; None leaves it to the recogniser.
    keep_s : how long a connection is tried for, s.
    """

    address: Address
    tls: ssl.SSLContext | None = None
    language: str | None = None
    model: str | None = None
    keep_s: float = 1.5

    async def transcribe(self, audio: list[bytes], language: str | None = None) -> str:
        """What is said in `audio`, at most ``MAX_TEXT_CHARS`` characters; "" for nothing.

        A connection that fails is tried again: nothing has happened by then that a second
        try could do twice. The caller limits the time of the whole.

        Parameters
        ----------
        audio : the events of :func:`~earmark.forward.wyoming.sound.spoken`.
        language : in place of the recogniser's own.

        Raises
        ------
        ForwardError
            It cannot be reached, or refused.
        """
        now = asyncio.get_running_loop().time
        until, pause_s = now() + self.keep_s, RETRY_FIRST_S
        while True:
            try:
                return await self._ask(audio, language)
            except OSError as error:
                if now() + pause_s > until:
                    raise self._unreachable(error) from error
            except ProtocolError as error:
                raise ForwardError(
                    f"the recogniser at {self.address} does not keep to Wyoming ({error})",
                    "correct forward.wyoming.uri, or mend or replace the recogniser",
                ) from error
            await asyncio.sleep(pause_s)
            pause_s = min(RETRY_MAX_S, 2.0 * pause_s)

    async def _ask(self, audio: list[bytes], language: str | None) -> str:
        connection = await connect(self.address, self.tls)
        try:
            request = Transcribe(name=self.model, language=language or self.language)
            await connection.write(request)
            for event in audio:
                await connection.send(event)
            return await self._answer(connection)
        finally:
            connection.close()

    async def _answer(self, connection: Connection) -> str:
        for _ in range(MAX_OTHER_EVENTS):
            event = await connection.read()
            if event is None:
                raise ConnectionResetError("it ended the connection without a transcript")
            if Transcript.is_type(event.type):
                return text_of(event, "text", MAX_TEXT_CHARS)
            if Error.is_type(event.type):
                raise ForwardError(
                    f"the recogniser at {self.address} refused a command{code_of(event)}",
                    "look into its log",
                )
        raise ForwardError(
            f"the recogniser at {self.address} sends no transcript", "look into its log"
        )

    def _unreachable(self, error: OSError) -> ForwardError:
        why = error.strerror or str(error) or type(error).__name__
        return ForwardError(
            f"the recogniser at {self.address} cannot be reached ({why})",
            "start it, or correct forward.wyoming.uri",
        )


class AsrForwarder:
    """Sends each command to a recogniser and hands it on with what was understood.

    A command in which nothing was understood is handed on with the text "".

    Parameters
    ----------
    recogniser : the service.
    then : what the command is handed to.
    close_next : closes that.
    timeout_s : longest hand-over of all, s, at least twice ``NEXT_S``.
    """

    def __init__(
        self,
        recogniser: Recogniser,
        then: Next,
        close_next: Callable[[], None],
        timeout_s: float,
    ) -> None:
        self._recogniser = recogniser
        self._then = then
        self._close_next = close_next
        self._timeout_s = timeout_s
        self._thread = LoopThread("earmark-asr")

    def send(self, command: Command) -> None:
        """Have `command` transcribed and hand it on; see :meth:`Forwarder.send`."""
        until = time.monotonic() + self._timeout_s
        left_s, audio = self._timeout_s - NEXT_S, list(spoken(command.audio))
        try:
            text = self._thread.call(self._recogniser.transcribe(audio), left_s)
        except TimeoutError:
            raise ForwardError(
                f"the recogniser at {self._recogniser.address} did not answer within {left_s:g} s",
                "make it faster, or raise forward.timeout_s and session.forward_s",
            ) from None
        self._then(replace(command, text=text), max(NEXT_S, until - time.monotonic()))

    def close(self) -> None:
        """Stop the thread and close what comes next."""
        self._thread.close()
        self._close_next()
