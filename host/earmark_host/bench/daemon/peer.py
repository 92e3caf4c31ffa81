"""A satellite of others on the same audio: wyoming-satellite with wyoming-microwakeword.

Both are Python, as Earmark is, and the wake word's model is the same. They are somebody's own
environment; nothing of Earmark is imported there. The bench plays Home Assistant's part: it
connects, says `run-satellite`, and the satellite sends what it hears to the wake word.
"""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Self

from earmark.errors import EarmarkError
from earmark_host.bench.daemon import process

START_S = 60.0
"""Longest start, s: 2 measured."""

STOP_S = 5.0
"""Longest stop of one of its processes, s."""

WORD = "alexa"
"""Earmark's wake word, which the peer has too."""

_MICROPHONE = """
import sys, time, wave
with wave.open(sys.argv[1]) as file:
    due, out = time.monotonic(), sys.stdout.buffer
    while True:
        block = file.readframes(1024)
        if len(block) < 2048:
            file.rewind()
            continue
        out.write(block)
        out.flush()
        due += 0.064
        time.sleep(max(0.0, due - time.monotonic()))
"""
"""Its microphone: a file in real time, in pieces of 64 ms as its own default is."""

_VERSIONS = """
from importlib.metadata import version
print(", ".join(f"{n} {version(n)}" for n in ("wyoming-satellite", "wyoming-microwakeword")))
"""


class Peer:
    """The two processes, to be used in a ``with`` block.

    Parameters
    ----------
    python : interpreter of their environment.
    wav : what its microphone hears, 16 kHz, 16 bits.
    folder : for its sockets and logs.

    Raises
    ------
    EarmarkError
        They are not installed there, or do not start.
    """

    def __init__(self, python: Path, wav: Path, folder: Path) -> None:
        self._python = str(python)
        self._folder = folder
        self._wav = wav
        self._running: list[subprocess.Popen[bytes]] = []
        self._server: socket.socket | None = None
        self._over = threading.Event()
        self.woken = 0
        """How often it took the wake word to have been said."""
        done = subprocess.run(
            [self._python, "-c", _VERSIONS], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise EarmarkError(
                f"{python} has no wyoming-satellite with wyoming-microwakeword",
                "install both into an environment of their own and name its interpreter",
            )
        self.versions = done.stdout.strip()

    def __enter__(self) -> Self:
        wake, satellite = self._folder / "wake.sock", self._folder / "peer.sock"
        microphone = shlex.join([self._python, "-c", _MICROPHONE, str(self._wav)])
        try:
            self._launch("wake", "wyoming_microwakeword", "--uri", f"unix://{wake}")
            self._connected(wake).close()
            self._launch(
                "satellite",
                "wyoming_satellite",
                *("--uri", f"unix://{satellite}", "--no-zeroconf", "--name", "peer"),
                *("--mic-command", microphone, "--snd-command", "cat"),
                *("--wake-uri", f"unix://{wake}", "--wake-word-name", WORD),
            )
            self._server = self._connected(satellite)
            self._server.sendall(b'{"type": "run-satellite", "data": {}}\n')
            threading.Thread(target=self._listen, args=(self._server,), daemon=True).start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    @property
    def pids(self) -> list[int]:
        """Its processes, with what stands in for `arecord`: Earmark's card counts as well."""
        return [pid for one in self._running for pid in process.descendants(one.pid)]

    def _launch(self, name: str, module: str, *options: str) -> None:
        with (self._folder / f"peer-{name}.log").open("wb") as log:
            self._running.append(
                subprocess.Popen(
                    [self._python, "-m", module, *options],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
                )
            )
        process.favour(self._running[-1].pid)

    def _connected(self, path: Path) -> socket.socket:
        until = time.monotonic() + START_S
        while True:
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                client.connect(str(path))
            except OSError:
                client.close()
                ended = any(one.poll() is not None for one in self._running)
                if ended or time.monotonic() > until:
                    raise EarmarkError(
                        "the peer does not start", f"see {self._folder}/peer-*.log"
                    ) from None
                time.sleep(0.1)
            else:
                return client

    def _listen(self, server: socket.socket) -> None:
        """Answer as Home Assistant does: an empty transcript ends what a false alarm began."""
        try:
            with server.makefile("rb") as lines:
                for line in lines:
                    if b'"type": "detection"' in line or b'"type":"detection"' in line:
                        self.woken += 1
                        server.sendall(b'{"type": "transcript", "data": {"text": ""}}\n')
        except OSError:
            return

    def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        for one in reversed(self._running):
            below = process.descendants(one.pid)
            process.end(one, STOP_S)
            for pid in below[1:]:
                _end_orphan(pid)


def _end_orphan(pid: int) -> None:
    """End a process that its parent has left behind."""
    try:
        os.kill(pid, 15)
    except OSError:
        return
