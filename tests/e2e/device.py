"""`earmark run` as a process of its own, in the virtual room."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import yaml
from tests.e2e.room import CARD, VirtualRoom
from tests.e2e.server import favour

from earmark.control import Request, ask
from earmark.signal import RATE_HZ, Signal

LISTENS = "audio stream 1 has started"
"""The line of the log from which on the wake word is heard."""

START_S = 120.0
"""Longest start, s: 3 measured, 20 on a machine with other work for all its cores."""

ANSWER_S = 30.0
"""Longest wait for what a device does about something, s: a verdict takes 1."""


class Device:
    """A daemon with settings, state and log of its own.

    Parameters
    ----------
    room : where it stands.
    folder : for its settings and state; it may be used again by a later device.
    settings : sections over those that every device here has.
    """

    def __init__(
        self, room: VirtualRoom, folder: Path, settings: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self.folder = folder
        self._file = folder / "earmark.yaml"
        self._log = folder / "earmark.log"
        self._control = folder / "control.sock"
        self.environment = {
            **room.device_environment,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        self.argv = [sys.executable, "-m", "earmark.cli", "run", "--config", str(self._file)]
        self._file.write_text(yaml.safe_dump(tree(folder, settings)))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens: its stream runs."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self.argv,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        favour(self._process.pid)
        self.wait_for(lambda: LISTENS in self.log, "the device to listen", START_S)

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """All that it has logged so far, without what its libraries print."""
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        return "\n".join(line for line in text.splitlines() if re.match(r"\d{4}-", line))

    def verdicts(self) -> list[str]:
        """`decision/reason` of each verdict so far."""
        return ["/".join(found) for found in re.findall(r"decision=(\w+) reason=(\w+)", self.log)]

    def commands(self) -> list[tuple[dict[str, Any], Signal]]:
        """Everything that was forwarded, with its audio (16 kHz)."""
        index = self.folder / "commands" / "commands.jsonl"
        lines = index.read_text().splitlines() if index.exists() else []
        found = []
        for line in lines:
            entry = json.loads(line)
            audio, rate_hz = soundfile.read(index.parent / entry["file"], dtype="float32")
            assert rate_hz == RATE_HZ
            found.append((entry, np.asarray(audio, dtype=np.float32)))
        return found

    def wait_for(self, ready: Callable[[], bool], what: str, longest_s: float = ANSWER_S) -> None:
        """Wait until `ready`, as long as the process runs."""
        until = time.monotonic() + longest_s
        while not ready():
            assert self.running, f"the device ended while we waited for {what}:\n{self.tail()}"
            assert time.monotonic() < until, f"waited for {what}:\n{self.tail()}"
            time.sleep(0.05)

    def command(self, *words: str) -> str:
        """What a command of `earmark`, such as ``mute``, prints about this device."""
        done = subprocess.run(
            [sys.executable, "-m", "earmark.cli", *words, "--config", str(self._file)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=ANSWER_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ask(self, request: Request) -> dict[str, Any]:
        """What it answers at its control socket."""
        return ask(self._control, request)

    def status(self) -> dict[str, Any]:
        """How it is, as it says itself."""
        return dict(self.ask(Request.STATUS)["status"])

    def terminate(self) -> tuple[int, float]:
        """Ask it to end (SIGTERM); its exit status, and how long it took, s."""
        assert self._process is not None
        began = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(20.0), time.monotonic() - began

    def kill(self) -> None:
        """End it as a power cut does. Killing twice is harmless."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def tail(self) -> str:
        """The end of its log, of its libraries too."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-25:])


def tree(folder: Path, settings: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Everything in `folder`, guests allowed: nobody enrols here."""
    tree: dict[str, dict[str, Any]] = {
        "device": {"name": "e2e", "room": "virtual room"},
        "audio": {"device": CARD},
        "ledger": {"path": str(folder / "ledger.sqlite")},
        "keys": {"path": str(folder / "keys.json")},
        "memory": {"folder": str(folder / "memory")},
        "control": {"path": str(folder / "control.sock"), "mute_file": str(folder / "muted")},
        "forward": {"kind": "folder", "folder": str(folder / "commands")},
        "gate": {"required": ["signal", "nonce", "stale", "memory"]},
    }
    for name, section in settings.items():
        tree[name] = {**tree.get(name, {}), **section}
    return tree
