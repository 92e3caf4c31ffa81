"""A sound card whose microphone hears a file, in the place of `sounddevice`: for measuring.

The daemon is started with this folder first in its PYTHONPATH and imports this module instead. It
loads the real one, PortAudio with it, so that their memory counts; only the stream is another: a
thread calls back every 20 ms as PortAudio's does. The microphone hears the file, which begins
again at its end, and what was played 20 ms before, as from a loudspeaker beside it.

``EARMARK_BENCH_CARD`` names the file: raw 16-bit samples at 48 kHz.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

ECHO = 1.0
"""From the loudspeaker's samples to the microphone's: a nonce of 40 dB SPL at 1 m is 63 at a
microphone 7 cm away, and full scale is 91 dB SPL at 1 m on one side and 109 on the other."""


def _real() -> ModuleType:
    """The module in whose place this is."""
    here = Path(__file__).resolve().parent
    path = [folder for folder in sys.path if Path(folder).resolve() != here]
    spec = importlib.machinery.PathFinder.find_spec("sounddevice", path)
    if spec is None or spec.loader is None:
        raise ImportError("the package sounddevice is not installed")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_sounddevice = _real()
PortAudioError: type[Exception] = _sounddevice.PortAudioError
_exit_handler = _sounddevice._exit_handler
__version__: str = _sounddevice.__version__


def _initialize() -> None:
    """Nothing: no card is looked for."""


def _terminate() -> None:
    """Nothing: no card was opened."""


def query_devices(*_: object) -> list[dict[str, Any]]:
    """The cards: this one."""
    return [{"name": "file", "max_input_channels": 1, "max_output_channels": 1}]


class Stream:
    """One full-duplex stream of one channel."""

    def __init__(
        self, samplerate: int, blocksize: int, callback: Callable[..., None], **_: object
    ) -> None:
        self._period_s = blocksize / samplerate
        self._size = blocksize
        self._callback = callback
        self._file = Path(os.environ["EARMARK_BENCH_CARD"]).open("rb")  # noqa: SIM115 - closed below
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="card", daemon=True)

    def start(self) -> None:
        """Begin to call back."""
        self._thread.start()

    def close(self, ignore_errors: bool = True) -> None:
        """Stop calling back."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        self._file.close()

    def _run(self) -> None:
        recorded = np.zeros((self._size, 1), np.float32)
        played = np.zeros((self._size, 1), np.float32)
        due_s = time.monotonic()
        while not self._over.is_set():
            np.multiply(played, ECHO, out=recorded)
            recorded[:, 0] += self._heard()
            self._callback(recorded, played, self._size, None, None)
            due_s += self._period_s
            self._over.wait(max(0.0, due_s - time.monotonic()))

    def _heard(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        raw = self._file.read(2 * self._size)
        if len(raw) < 2 * self._size:
            self._file.seek(0)
            raw = self._file.read(2 * self._size)
        return np.frombuffer(raw, np.int16).astype(np.float32) / np.float32(32768.0)
