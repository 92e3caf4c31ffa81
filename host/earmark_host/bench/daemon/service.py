"""`earmark run` as it runs on a device, on a card whose microphone hears a file."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import soxr
import yaml

from earmark.errors import EarmarkError
from earmark.signal import RATE_HZ, Signal
from earmark_host.bench.daemon import household, process
from earmark_host.bench.work import THREADS

CARD_HZ = 48_000
"""The card's rate, Hz."""

CARD = Path(__file__).resolve().parent / "card"
"""Where the stand-in for `sounddevice` is."""

LISTENS = "audio stream 1 has started"
"""What the daemon logs when it listens."""

START_S = 120.0
"""Longest start, s: 3 measured."""

STOP_S = 10.0
"""Longest stop, s: it is to take 2."""


def card_file(path: Path, signal: Signal) -> None:
    """Write what the microphone hears (16 kHz), as the card gives it."""
    at_card = soxr.resample(signal, RATE_HZ, CARD_HZ)
    path.write_bytes(np.clip(at_card * 32768.0, -32768, 32767).astype("<i2").tobytes())


class Service:
    """The daemon in a process of its own, to be used in a ``with`` block.

    Parameters
    ----------
    folder : of its household; its log is there, too.
    heard : what its microphone hears, from :func:`card_file`; it begins again at its end.
    sections : settings over those of the household.
    """

    def __init__(self, folder: Path, heard: Path, sections: Mapping[str, Any]) -> None:
        self._settings = folder / "earmark.yaml"
        self._log = folder / "earmark.log"
        tree = household.tree(folder, **{"audio": {"kind": "sounddevice"}, **sections})
        self._settings.write_text(yaml.safe_dump(tree), encoding="utf-8")
        paths = [str(CARD), *(path for path in sys.path if path)]
        kept = {name: value for name, value in os.environ.items() if name not in THREADS}
        self._environ = {
            **kept,
            "PYTHONPATH": os.pathsep.join(paths),
            "EARMARK_BENCH_CARD": str(heard),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it and wait until it listens."""
        argv = [sys.executable, "-m", "earmark.cli", "run", "--config", str(self._settings)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                argv,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        process.favour(self._process.pid)
        try:
            self.wait_for(lambda: LISTENS in self.log, START_S)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None  # started
        return self._process.pid

    @property
    def log(self) -> str:
        """All that it has logged."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    @property
    def verdicts(self) -> int:
        """Verdicts so far."""
        return len(re.findall(r"decision=\w+ reason=\w+", self.log))

    def wait_for(self, ready: Callable[[], bool], longest_s: float) -> bool:
        """Wait until `ready`; whether it came to that.

        Raises
        ------
        EarmarkError
            The daemon has ended.
        """
        until = time.monotonic() + longest_s
        while not ready():
            assert self._process is not None  # started
            if self._process.poll() is not None:
                last = self.log.strip().splitlines()[-1:] or ["without a word"]
                raise EarmarkError(f"the daemon ended: {last[0]}", "run `earmark doctor`")
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        return True

    def _end(self) -> None:
        if self._process is not None:
            process.end(self._process, STOP_S)
