"""The words on the control socket: a line of JSON each way.

A client connects, sends ``{"request": "status"}`` and a newline, reads one line, and is
disconnected. ``{"version": 1, "ok": true, "status": {...}}`` is an answer; ``{"version": 1,
"ok": false, "error": "...", "do": "..."}`` says what went wrong and what to do about it. After
``events`` the answer is followed by one line an event, until the client leaves.

Nothing that was said or played gets here, nor who said it: no audio, transcript or nonce, and no
name of a person.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from typing import Any

from earmark.errors import EarmarkError

VERSION = 1
"""Of the protocol; raised when an older client would misread an answer."""

MAX_REQUEST_BYTES = 1024
"""Longest request with its newline, bytes: thirty times the longest that exists."""

MAX_REPLY_BYTES = 256 * 1024
"""Longest answer that a client takes, bytes; a doctor's report has some 5 kB."""


class Request(Enum):
    """What can be asked."""

    STATUS = "status"
    """How the device is: state, sessions, card, versions."""
    MUTE = "mute"
    """Switch the microphone off, until it is switched on again."""
    UNMUTE = "unmute"
    """Switch the microphone on."""
    DOCTOR = "doctor"
    """Examine the device's files as the service sees them."""
    EVENTS = "events"
    """Tell every announcement, light pattern and change of state from now on."""


class ControlError(EarmarkError):
    """The running daemon cannot be asked, or refused."""


def parsed(line: bytes) -> Request:
    """The request in a line.

    Raises
    ------
    ControlError
        It is none.
    """
    try:
        tree: Any = json.loads(line)
    except (ValueError, RecursionError):
        raise ControlError("the request is no JSON", "send one object on one line") from None
    name = tree.get("request") if isinstance(tree, dict) else None
    if isinstance(name, str) and len(tree) == 1:
        for request in Request:
            if request.value == name:
                return request
    known = ", ".join(request.value for request in Request)
    raise ControlError("there is no such request", f'send {{"request": ...}} with one of {known}')


def answer(**values: object) -> bytes:
    """The line of an answer."""
    return line({"version": VERSION, "ok": True, **values})


def refusal(error: EarmarkError) -> bytes:
    """The line of an answer that something went wrong."""
    return line({"version": VERSION, "ok": False, "error": error.what, "do": error.do})


def line(values: Mapping[str, object]) -> bytes:
    """One line of JSON.

    Raises
    ------
    ValueError, TypeError
        The values cannot be written as JSON.
    """
    return json.dumps(values, allow_nan=False, separators=(",", ":")).encode() + b"\n"
