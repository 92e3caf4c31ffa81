"""The one network that TensorFlow Lite runs here, from log-mel frames to what it says."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from earmark.speaker.frontend import LogMel
from earmark.speaker.manifest import REINSTALL, SpeakerModelError
from earmark.tflite import load_runtime

THREADS = 1
"""Threads of the interpreter: on a small network more cost more than they bring, and the other
cores of a Pi are busy with audio."""


IDENTIFIER = b"TFL3"
"""Bytes 4 to 7 of a ``.tflite`` file (the identifier of its FlatBuffers schema)."""


class Interpreter(Protocol):
    """What is used of TensorFlow Lite's interpreter. It is not safe to use from two threads."""

    def allocate_tensors(self) -> None: ...
    def get_input_details(self) -> list[dict[str, Any]]: ...
    def get_output_details(self) -> list[dict[str, Any]]: ...
    def set_tensor(self, tensor_index: int, value: NDArray[Any]) -> None: ...
    def invoke(self) -> None: ...
    def get_tensor(self, tensor_index: int) -> NDArray[Any]: ...


def load(content: bytes) -> Interpreter:
    """An interpreter of a ``.tflite`` file's `content`, its tensors allocated.

    The runtime believes every offset in the file: one that was cut or altered may take the whole
    process down. So make sure before that the file is the one that was exported.

    Raises
    ------
    SpeakerModelError
        No runtime is installed, or it does not accept the file.
    """
    interpreter = _runtime()
    if content[4:8] != IDENTIFIER:
        raise SpeakerModelError("the speaker model is no TensorFlow Lite file", REINSTALL)
    try:
        loaded = interpreter(model_content=content, num_threads=THREADS)
        loaded.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise SpeakerModelError(
            f"TensorFlow Lite does not accept the speaker model ({error})", REINSTALL
        ) from error
    return cast(Interpreter, loaded)


def _runtime() -> Any:
    """The class ``Interpreter`` of the runtime that works here."""
    found, faults = load_runtime()
    if found is None:
        raise SpeakerModelError(
            f"no runtime for the speaker model is installed ({faults})",
            "install tflite-runtime==2.14.0 (Python 3.11) or ai-edge-litert (3.12 and later)",
        )
    return found


class Network:
    """A network from log-mel frames to an embedding and logits; safe to use from many threads.

    Parameters
    ----------
    content : of a ``.tflite`` file with one input (1, frames, mels), float32 or int8, and two
        outputs, float32 or int8, that are told apart by their sizes.
    shape : frames and mels.
    embedding, classes : sizes of the two outputs; not equal.

    Raises
    ------
    SpeakerModelError
        The file is no such network, or there is no runtime.
    """

    def __init__(
        self, content: bytes, shape: tuple[int, int], embedding: int, classes: int
    ) -> None:
        self._interpreter = load(content)
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        wanted = (1, *shape)
        if [tuple(tensor["shape"]) for tensor in inputs] != [wanted]:
            raise _unlike("input", [wanted], inputs)
        by_size = {int(np.prod(tensor["shape"])): tensor for tensor in outputs}
        if len(outputs) != 2 or set(by_size) != {embedding, classes}:
            raise _unlike("outputs", [(1, embedding), (1, classes)], outputs)
        for tensor in (*inputs, *outputs):
            _check_type(tensor)
        self._shape = shape
        self._input = inputs[0]
        self._embedding = by_size[embedding]
        self._logits = by_size[classes]
        self._lock = threading.Lock()

    def run(self, features: LogMel) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Embedding, shape (embedding,), and logits, shape (classes,), of one window.

        Parameters
        ----------
        features : shape (frames, mels), dB.

        Raises
        ------
        ValueError
            `features` has another shape or is not finite.
        """
        if features.shape != self._shape:
            raise ValueError(f"features have shape {features.shape}, must have {self._shape}")
        if not np.isfinite(features).all():
            raise ValueError("features are not finite")
        given = _quantised(features[np.newaxis], self._input)
        # Over all three steps: another thread's window must not come between them.
        with self._lock:
            self._interpreter.set_tensor(self._input["index"], given)
            self._interpreter.invoke()
            raw = [
                self._interpreter.get_tensor(tensor["index"])
                for tensor in (self._embedding, self._logits)
            ]
        return _dequantised(raw[0], self._embedding), _dequantised(raw[1], self._logits)


def _check_type(tensor: dict[str, Any]) -> None:
    """Only float32, and int8 with a scale."""
    kind, scale = tensor["dtype"], tensor["quantization"][0]
    if kind is np.float32 or (kind is np.int8 and scale > 0.0):
        return
    raise SpeakerModelError(
        f"the speaker model's tensor {tensor['name']} is {np.dtype(kind)} with scale {scale}, "
        "must be float32, or int8 with a scale",
        REINSTALL,
    )


def _quantised(values: NDArray[np.float32], tensor: dict[str, Any]) -> NDArray[Any]:
    if tensor["dtype"] is np.float32:
        return values
    scale, zero = tensor["quantization"]
    whole = np.rint(values / np.float32(scale)) + np.float32(zero)
    quantised: NDArray[np.int8] = np.clip(whole, -128.0, 127.0).astype(np.int8)
    return quantised


def _dequantised(raw: NDArray[Any], tensor: dict[str, Any]) -> NDArray[np.float32]:
    values = raw.reshape(-1).astype(np.float32)
    if tensor["dtype"] is np.float32:
        return values
    scale, zero = tensor["quantization"]
    return (values - np.float32(zero)) * np.float32(scale)


def _unlike(
    what: str, wanted: list[tuple[int, ...]], found: Sequence[dict[str, Any]]
) -> SpeakerModelError:
    shapes = ", ".join(str(tuple(map(int, tensor["shape"]))) for tensor in found)
    return SpeakerModelError(
        f"the speaker model's {what}: {shapes or 'none'}; its manifest says "
        f"{', '.join(map(str, wanted))}",
        REINSTALL,
    )
