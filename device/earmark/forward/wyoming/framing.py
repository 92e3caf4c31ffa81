"""Wyoming's bytes: a JSON line, then data (JSON) and payload of the lengths that it announces.

The `wyoming` package gives the events and their names. It does not read from the network here:
it believes any length that a peer announces, and 300 MB under an announced 4 GB cost 300 MB.
:class:`Decoder` refuses a length before it stores a byte of what follows, and whatever the
bytes are, it answers with events or with :class:`ProtocolError` and nothing else. No I/O here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from enum import Enum
from typing import Any, NoReturn

from wyoming.event import Event, Eventable
from wyoming.ping import Pong

MAX_LINE_BYTES = 16 * 1024
"""Longest header line. Real ones have 100 bytes; old peers put their data there, 1 kB."""

MAX_DATA_BYTES = 64 * 1024
"""Longest data. A transcript of a minute has 1 kB, the info of a server with many voices 50 kB."""

MAX_PAYLOAD_BYTES = 256 * 1024
"""Longest payload. Home Assistant sends 2 kB, and 1 s of 48 kHz, 16 bits, stereo has 192 kB."""

MAX_TYPE_CHARS = 64
"""Longest name of an event; the longest one that is known has 22 characters."""

MAX_PING_CHARS = 200
"""Longest text of a ping that is returned; Home Assistant sends none."""

_CODE = re.compile(r"[A-Za-z0-9_.-]{1,40}")


class Fault(Enum):
    """What a peer did wrong."""

    LINE_TOO_LONG = "the header line is too long"
    DATA_TOO_LONG = "the data are too long"
    PAYLOAD_TOO_LONG = "the payload is too long"
    NOT_JSON = "the header or the data are no JSON object"
    BAD_LENGTH = "a length is no whole number of 0 or more"
    BAD_TYPE = "the event has no usable type"
    BAD_FIELD = "a field of the event is missing or of the wrong kind"
    OUT_OF_PLACE = "the event does not belong here"
    TAKEN = "another peer gets the commands already"
    SLOW = "an event did not come, or was not taken, in time"
    CUT_OFF = "the connection ended within an event"


class ProtocolError(Exception):
    """A peer broke the protocol or its limits. Its connection is closed; it may come back.

    Parameters
    ----------
    fault : what it did. Nothing that it sent is repeated: that may be what somebody said.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.value)
        self.fault = fault


class Decoder:
    """Turns bytes into events. Holds at most one unfinished event and what was fed last."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._searched = 0  # so far there is no newline: a slow line is not searched twice
        self._header: dict[str, Any] | None = None
        self._data_bytes = 0
        self._payload_bytes = 0

    @property
    def unfinished(self) -> bool:
        """Whether a part of an event has come."""
        return bool(self._bytes) or self._header is not None

    def feed(self, data: bytes) -> None:
        """Take what came; then ask for events with :meth:`next` until there is none."""
        self._bytes += data

    def next(self) -> Event | None:
        """The next whole event, None when more bytes are needed.

        Raises
        ------
        ProtocolError
            This is not Wyoming, or too long. The decoder is of no further use.
        """
        if self._header is None and not self._read_header():
            return None
        assert self._header is not None
        if len(self._bytes) < self._data_bytes + self._payload_bytes:
            return None
        header, self._header = self._header, None
        values = header.get("data")
        if not isinstance(values, dict):
            values = {}  # null or missing: older peers write both
        if self._data_bytes:
            values = values | _object(bytes(self._bytes[: self._data_bytes]))
        end = self._data_bytes + self._payload_bytes
        payload = bytes(self._bytes[self._data_bytes : end]) if self._payload_bytes else None
        del self._bytes[:end]
        return Event(type=header["type"], data=values, payload=payload)

    def _read_header(self) -> bool:
        end = self._bytes.find(b"\n", self._searched, MAX_LINE_BYTES)
        if end < 0:
            if len(self._bytes) >= MAX_LINE_BYTES:
                raise ProtocolError(Fault.LINE_TOO_LONG)
            self._searched = len(self._bytes)
            return False
        self._searched = 0
        header = _object(bytes(self._bytes[:end]))
        del self._bytes[: end + 1]
        kind = header.get("type")
        if not isinstance(kind, str) or not 0 < len(kind) <= MAX_TYPE_CHARS:
            raise ProtocolError(Fault.BAD_TYPE)
        self._data_bytes = _length(header, "data_length", MAX_DATA_BYTES, Fault.DATA_TOO_LONG)
        self._payload_bytes = _length(
            header, "payload_length", MAX_PAYLOAD_BYTES, Fault.PAYLOAD_TOO_LONG
        )
        self._header = header
        return True


def encode(events: Iterable[Event | Eventable]) -> bytes:
    """Write events down.

    Data are always sent, also when they are empty: older peers fail on a missing key. All is
    ASCII, so that no text whatever can fail to be encoded.
    """
    return b"".join(
        _encoded(event.event() if isinstance(event, Eventable) else event) for event in events
    )


def _encoded(event: Event) -> bytes:
    header: dict[str, Any] = {"type": event.type}
    data = json.dumps(event.data).encode() if event.data else b""
    if data:
        header["data_length"] = len(data)
    else:
        header["data"] = {}
    if event.payload:
        header["payload_length"] = len(event.payload)
    return json.dumps(header).encode() + b"\n" + data + (event.payload or b"")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):  # a thousand brackets nest deeper than the parser may
        raise ProtocolError(Fault.NOT_JSON) from None
    if not isinstance(value, dict):
        raise ProtocolError(Fault.NOT_JSON)
    return value


def _length(header: dict[str, Any], key: str, most: int, fault: Fault) -> int:
    value = header.get(key)
    if value is None:
        return 0
    if type(value) is not int or value < 0:  # a bool is an int, too
        raise ProtocolError(Fault.BAD_LENGTH)
    if value > most:
        raise ProtocolError(fault)
    return value


# Fields of what a peer sent


def text_of(event: Event, key: str, most_chars: int) -> str:
    """The text in a field, at most `most_chars` long, fit to be written as UTF-8.

    Raises
    ------
    ProtocolError
        There is no such field, or it is no text.
    """
    value = event.data.get(key)
    if not isinstance(value, str):
        raise ProtocolError(Fault.BAD_FIELD)
    # JSON may carry half a surrogate pair, which no file can.
    return value[:most_chars].encode(errors="replace").decode()


def number_of(event: Event, key: str, least: int, most: int) -> int:
    """The whole number in a field.

    Raises
    ------
    ProtocolError
        There is no such field, or it is no whole number from `least` to `most`.
    """
    value = event.data.get(key)
    if type(value) is not int or not least <= value <= most:
        raise ProtocolError(Fault.BAD_FIELD)
    return value


def code_of(event: Event) -> str:
    """The code of an ``error`` event, in brackets; "" when it has none.

    Its text is not repeated: that may be what somebody said.
    """
    code = event.data.get("code")
    return f" ({code})" if isinstance(code, str) and _CODE.fullmatch(code) else ""


def pong(ping: Event) -> Pong:
    """The answer to a ``ping``."""
    text = ping.data.get("text")
    return Pong(text[:MAX_PING_CHARS] if isinstance(text, str) else None)
