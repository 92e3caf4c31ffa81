"""Bytes of strangers, into each reader that gets some: what must hold whatever they are.

A target takes bytes, and raises when something other than a refusal comes of them.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import cache
from pathlib import Path

from earmark.config import Config, load
from earmark.control import ControlServer, Request
from earmark.errors import ConfigError, one_line
from earmark.forward.wyoming.framing import (
    MAX_DATA_BYTES,
    MAX_LINE_BYTES,
    MAX_PAYLOAD_BYTES,
    Decoder,
    ProtocolError,
    encode,
)

MAX_MESSAGE = 2_000
"""Longest error, characters: one line of a journal, with the path of a file in it."""

ANSWER_S = 10.0
"""Longest wait for the control socket to answer or hang up, s: it gives a client 2."""


def frames(data: bytes) -> None:
    """Wyoming: events, or a refusal; no more in memory than the limits allow."""
    step = 1 + (data[0] if data else 0)
    decoder = Decoder()
    with contextlib.suppress(ProtocolError):
        for at in range(1, len(data), step):
            decoder.feed(data[at : at + step])
            while (event := decoder.next()) is not None:
                assert isinstance(event.type, str)
                assert encode([event])
    assert len(decoder._bytes) <= MAX_LINE_BYTES + MAX_DATA_BYTES + MAX_PAYLOAD_BYTES + step


def settings(data: bytes) -> None:
    """A file of settings: settings, or an error of one line that says what to do."""
    file = _folder() / "earmark.yaml"
    file.write_bytes(data)
    refused: ConfigError | None = None
    try:
        assert isinstance(load(file), Config)
    except ConfigError as error:
        refused = error
    if refused is not None:
        text = one_line(refused)
        assert refused.do
        assert "\n" not in text
        assert len(text) < MAX_MESSAGE, text


def control(data: bytes) -> None:
    """The control socket: at most one answer, and it serves whoever comes next."""
    path = _served()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(ANSWER_S)
        client.connect(str(path))
        with contextlib.suppress(OSError):  # it may hang up before all is sent
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while piece := client.recv(4096):
                answer += piece
    assert answer.count(b"\n") <= 1
    assert answer == b"" or answer.endswith(b"\n")


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "frames": frames,
    "settings": settings,
    "control": control,
}


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="earmark-fuzz-"))


@cache
def _served() -> Path:
    def answer(request: Request) -> Future[Mapping[str, object]]:
        future: Future[Mapping[str, object]] = Future()
        future.set_result({"status": request.value})
        return future

    path = _folder() / "control.sock"
    _kept.append(ControlServer(path, answer))
    return path


_kept: list[ControlServer] = []
"""Served until the process ends."""
