"""The speaker model: from a recording to an embedding, on the device.

The network hears windows of fixed length. A recording is covered by as few windows as reach over
it, from its first sample to its last, and what the network says to them is averaged: embeddings
and, because the logits are linear in the embedding, logits too.

Before anything is trusted to it, a model must show that it works here: its files are the exported
ones, and to golden recordings it says what it said on the workstation. A runtime that misreads a
file gives no error, only wrong embeddings.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.signal import Signal, active_level_dbfs, gain
from earmark.speaker.frontend import FrontEnd
from earmark.speaker.interpreter import Network
from earmark.speaker.manifest import (
    MAX_BYTES,
    NETWORK,
    NUMBERS,
    REINSTALL,
    Manifest,
    SpeakerModelError,
    read_manifest,
    read_sealed,
)

ID_DIGITS = 16
"""Length of a model's id, hexadecimal digits: 64 bits of its SHA-256. A voiceprint holds it."""

FULL_SCALE = 32768.0
"""16-bit sample values in 1.0."""

LEVELS_DBFS = (-30.0, -18.0)
"""Active level of the speech that the network hears, dBFS: what it was trained on lies mostly
between. A far voice may be 20 dB below at a microphone, under the floor of the front-end."""

MAX_GAIN_DB = 30.0
"""Most that a recording is amplified, dB: beyond, it would be the noise of the microphone."""

UNIT_TOLERANCE = 0.01
"""How far the length of a cohort's embedding may be from 1: float16 rounds it by 0.0005."""


class SpeakerModel:
    """A network with its front-end and cohort; safe to use from many threads.

    Made by :meth:`open`.
    """

    def __init__(
        self, manifest: Manifest, network: Network, identity: str, cohort: NDArray[np.float32]
    ) -> None:
        self._manifest = manifest
        self._network = network
        self._identity = identity
        self._cohort = cohort

    @classmethod
    def open(cls, folder: Path | None = None) -> SpeakerModel:
        """Load the model in `folder`, and test it.

        Parameters
        ----------
        folder : with ``speaker.tflite``, ``speaker.npz`` and ``speaker.json``; None is the model
            that ships with Earmark.

        Raises
        ------
        SpeakerModelError
            A file is missing, damaged or altered, no runtime is installed, or what the network
            says to the golden recordings is not what it should.
        """
        folder = shipped_folder() if folder is None else folder
        manifest = read_manifest(folder)
        content = read_sealed(folder, NETWORK, manifest)
        numbers = _numbers(read_sealed(folder, NUMBERS, manifest), manifest, folder / NUMBERS)
        shape = (manifest.window_frames, manifest.front_end.mels)
        network = Network(content, shape, manifest.embedding, manifest.classes)
        identity = hashlib.sha256(content).hexdigest()[:ID_DIGITS]
        model = cls(manifest, network, identity, numbers.cohort)
        model._test(numbers, folder)
        return model

    @property
    def id(self) -> str:
        """The first 16 hexadecimal digits of the network's SHA-256."""
        return self._identity

    @property
    def name(self) -> str:
        """For people."""
        return self._manifest.name

    @property
    def front_end(self) -> FrontEnd:
        """What the network hears."""
        return self._manifest.front_end

    @property
    def window_samples(self) -> int:
        """What the network hears at once, samples."""
        return self._manifest.window_samples

    @property
    def cohort(self) -> NDArray[np.float32]:
        """Unit embeddings of people who live nowhere near, shape (people, E); read-only."""
        return self._cohort

    @property
    def decision(self) -> Mapping[str, Any]:
        """The constants of the decision that were calibrated for this model."""
        return MappingProxyType(self._manifest.decision)

    def outputs(self, signal: Signal) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What the network says to a recording, on average over its windows.

        Parameters
        ----------
        signal : shape (n,), n >= 1, float32 in [-1, 1] at 16 kHz.

        Returns
        -------
        embedding : shape (E,); its length says nothing.
        logits : shape (classes,), of the people that it was trained on.

        Raises
        ------
        ValueError
            `signal` is empty, not one-dimensional, or not finite.
        """
        return hear(self._network, self.front_end, self.window_samples, signal)

    def embed(self, signal: Signal) -> NDArray[np.float32]:
        """The embedding of a recording, shape (E,), of length 1: compare by the dot product.

        The recording is brought to a level at which the network works (:func:`levelled`). Zero
        instead, which is like nobody, in case that the network says nothing at all. `signal` and
        errors as for :meth:`outputs`.
        """
        return _unit(self.outputs(levelled(signal))[0])

    def _test(self, numbers: _Numbers, folder: Path) -> None:
        """Compare with what was said on the workstation."""
        golden = zip(numbers.signal, numbers.embedding, numbers.logits, strict=True)
        for count, (signal, embedding, logits) in enumerate(golden, 1):
            heard, said = self.outputs(signal.astype(np.float32) / np.float32(FULL_SCALE))
            cosine = float(_unit(heard) @ _unit(embedding))
            # A cosine that is not a number is none that reaches the limit.
            if cosine >= self._manifest.tolerance_cosine and said.argmax() == logits.argmax():
                continue
            raise SpeakerModelError(
                f"the speaker model in {folder} does not work here: to golden recording {count} of "
                f"{len(numbers.signal)} its embedding has cosine {cosine:.4f} to the right one "
                f"(at least {self._manifest.tolerance_cosine}) and its top person is "
                f"{said.argmax()} (right: {logits.argmax()})",
                "install the runtime that Earmark's packages name; should it be that one, export "
                "the model again: earmark-host speaker export",
            )


def shipped_folder() -> Path:
    """Where the model that ships is: in the installed package, or in the checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "models"
    return installed if installed.is_dir() else package.parents[1] / "models"


def level_gain_db(signal: Signal) -> float:
    """What brings the speech in `signal`, shape (n,), to the nearest of :data:`LEVELS_DBFS`, dB;
    0 for a level between them."""
    level = active_level_dbfs(signal)
    wanted = min(max(level, LEVELS_DBFS[0]), LEVELS_DBFS[1])
    return min(wanted - level, MAX_GAIN_DB)


def hear(
    network: Network, front_end: FrontEnd, window: int, signal: Signal
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """:meth:`SpeakerModel.outputs` of a network that is not yet a model; `window` in samples."""
    said = [network.run(front_end.log_mel(each)) for each in cover(signal, window)]
    embedding = np.mean([embedding for embedding, _ in said], axis=0, dtype=np.float32)
    return embedding, np.mean([logits for _, logits in said], axis=0, dtype=np.float32)


def levelled(signal: Signal) -> Signal:
    """`signal`, shape (n,), at a level at which the network works, cut off at full scale.

    Raises
    ------
    ValueError
        It is empty, not one-dimensional, or not finite.
    """
    if signal.ndim != 1 or signal.size == 0 or not np.isfinite(signal).all():
        raise ValueError(f"a recording is finite and has shape (n,), n >= 1, not {signal.shape}")
    amplified = signal * np.float32(gain(level_gain_db(signal)))
    return np.clip(amplified, -1.0, 1.0).astype(np.float32)


def window_starts(samples: int, window: int) -> tuple[int, ...]:
    """Where the windows over a recording start, samples.

    As few as cover it, at equal distances, the first at its beginning, the last at its end.

    Parameters
    ----------
    samples : of the recording, at least `window`.
    window : length of a window, samples.
    """
    count = -(-samples // window)
    return tuple(round(k * (samples - window) / max(1, count - 1)) for k in range(count))


def cover(signal: Signal, window: int) -> NDArray[np.float32]:
    """The windows over a recording, shape (windows, window).

    A recording that is shorter than a window is said again from its beginning until it fills one.

    Parameters
    ----------
    signal : shape (n,), n >= 1.
    window : length of a window, samples.

    Raises
    ------
    ValueError
        `signal` is empty or not one-dimensional.
    """
    if signal.ndim != 1 or signal.size == 0:
        raise ValueError(f"a recording has shape (n,), n >= 1, not {signal.shape}")
    if signal.size < window:
        signal = np.tile(signal, -(-window // signal.size))[:window]
    return np.stack([signal[at : at + window] for at in window_starts(signal.size, window)])


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(vector)
    return vector / length if length > 0.0 else np.zeros_like(vector)


@dataclass(frozen=True)
class _Numbers:
    """The content of ``speaker.npz``."""

    signal: NDArray[np.int16]
    """Golden recordings, shape (n, samples), n >= 1."""
    embedding: NDArray[np.float32]
    """What the network says to them, shape (n, E)."""
    logits: NDArray[np.float32]
    """Shape (n, classes)."""
    cohort: NDArray[np.float32]
    """Shape (people, E)."""


def _numbers(raw: bytes, manifest: Manifest, path: Path) -> _Numbers:
    """`raw` as numbers that fit the manifest (SpeakerModelError)."""
    try:
        found = _arrays(raw)
        numbers = _Numbers(
            _array(found, "signal", "int16", None),
            _array(found, "embedding", "float32", manifest.embedding),
            _array(found, "logits", "float32", manifest.classes),
            _array(found, "cohort", "float16", manifest.embedding).astype(np.float32),
        )
        if not numbers.signal.shape[0] == len(numbers.embedding) == len(numbers.logits):
            raise ValueError("signal, embedding and logits have not the same number of rows")
        lengths = np.linalg.norm(numbers.cohort, axis=1, keepdims=True)
        if np.abs(lengths - 1.0).max() > UNIT_TOLERANCE:
            raise ValueError("cohort is not of unit embeddings")
    except (
        zipfile.BadZipFile,
        zlib.error,
        ValueError,
        KeyError,
        EOFError,
        OSError,
        RuntimeError,  # an encrypted or unknown kind of archive
    ) as error:
        raise SpeakerModelError(f"{path} is damaged ({error})", REINSTALL) from error
    numbers.cohort[:] /= lengths
    numbers.cohort.setflags(write=False)
    return numbers


def _arrays(raw: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file, none larger than its bytes: a header may claim anything."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > MAX_BYTES[NUMBERS]:
            raise ValueError(f"unpacks to more than {MAX_BYTES[NUMBERS]} bytes")
        return {member.filename: _npy(archive.read(member)) for member in members}


def _npy(raw: bytes) -> NDArray[Any]:
    layout: Any = np.lib.format  # has type hints in numpy 2 only
    file = io.BytesIO(raw)
    if layout.read_magic(file) != (1, 0):
        raise ValueError("an array of another version than 1.0")
    shape, fortran, dtype = layout.read_array_header_1_0(file)
    if dtype.hasobject:
        raise ValueError("an array of objects")
    flat = np.frombuffer(raw, dtype, offset=file.tell())
    return flat.reshape(shape, order="F" if fortran else "C")


def _array(
    found: dict[str, NDArray[Any]], name: str, dtype: str, columns: int | None
) -> NDArray[Any]:
    """The array `name`, if it has rows, the right type and number of columns, and is finite."""
    array = found[f"{name}.npy"]
    wide = array.shape[1] if array.ndim == 2 else 0
    if array.dtype != dtype or array.size == 0 or wide == 0 or wide != (columns or wide):
        raise ValueError(
            f"{name} is {array.dtype} of shape {array.shape}, must be {dtype} of shape "
            f"(n, {columns or 'samples'})"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name} is not finite")
    return array
