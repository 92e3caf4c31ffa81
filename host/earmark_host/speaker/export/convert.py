"""From plain convolutions to a ``.tflite`` file: static int8, made by TensorFlow.

TensorFlow converts in a process of its own: once it is loaded, tflite-runtime's interpreter fails
in the same process (``vector::reserve``), and it is half a gigabyte that nothing else needs.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.errors import EarmarkError
from earmark_host.speaker.export.folded import Floats, Folded, Layer

QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "CUDA_VISIBLE_DEVICES": "-1",
}
"""Environment of the converter: no log, the same rounding everywhere, no GPU."""

LONGEST_S = 600.0
"""Longest conversion, s; it takes 10, most of it TensorFlow's start."""


def to_tflite(network: Folded, representative: Floats) -> bytes:
    """A ``.tflite`` file of `network`, all in int8 between its ends, which are float32.

    Weights have a scale for each output channel, activations one for each tensor.

    Parameters
    ----------
    network : what to convert.
    representative : windows of log-mel frames, shape (n, frames, mels), dB. The range of each
        activation over them is what int8 spans: take many people, loud and quiet.

    Raises
    ------
    EarmarkError
        TensorFlow is not installed or refuses the network.
    """
    wanted = (network.frames, network.mels)
    if representative.ndim != 3 or representative.shape[1:] != wanted:
        raise ValueError(f"representative has shape {representative.shape}, must be (n, *{wanted})")
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "given.npz", Path(folder) / "made.tflite"
        given.write_bytes(packed(network, representative))
        command = [sys.executable, "-m", __name__, str(given), str(made)]
        try:
            ended = subprocess.run(
                command,
                env={**os.environ, **QUIET},
                capture_output=True,
                text=True,
                timeout=LONGEST_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise EarmarkError(
                f"TensorFlow did not end within {LONGEST_S:g} s", "give fewer windows"
            ) from error
        if ended.returncode != 0 or not made.is_file():
            last = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise EarmarkError(
                f"TensorFlow did not convert the network ({last})",
                "install the package's extra: pip install 'earmark[training]'",
            )
        return made.read_bytes()


def packed(network: Folded, representative: Floats) -> bytes:
    """A file, numbers only, of what the process of its own is given."""
    arrays: dict[str, NDArray[Any]] = {
        "representative": representative,
        "edge": network.edge,
        "pooling": np.array(network.pooling),
        "layers": np.array(len(network.layers)),
    }
    if network.plane is not None:
        arrays |= {"plane": network.plane, "plane_bias": np.array([network.plane_bias])}
    named = {f"layer{place}": layer for place, layer in enumerate(network.layers)}
    named["head"] = network.head
    if network.embedding is not None:
        named["embedding"] = network.embedding
    for name, layer in named.items():
        arrays |= {
            f"{name}.weight": layer.weight,
            f"{name}.bias": layer.bias,
            f"{name}.how": np.array([layer.relu, layer.pool]),
        }
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def unpacked(path: Path) -> tuple[Folded, Floats]:
    """What :func:`packed` made."""
    with np.load(path, allow_pickle=False) as arrays:

        def layer(name: str) -> Layer:
            relu, pool = arrays[f"{name}.how"]
            return Layer(arrays[f"{name}.weight"], arrays[f"{name}.bias"], bool(relu), int(pool))

        representative: Floats = arrays["representative"]
        network = Folded(
            frames=representative.shape[1],
            mels=representative.shape[2],
            plane=arrays.get("plane"),
            plane_bias=float(arrays["plane_bias"][0]) if "plane" in arrays else 0.0,
            edge=arrays["edge"],
            layers=tuple(layer(f"layer{place}") for place in range(int(arrays["layers"]))),
            pooling=arrays["pooling"].item(),
            embedding=layer("embedding") if "embedding.weight" in arrays else None,
            head=layer("head"),
        )
    return network, representative


def _converted(network: Folded, representative: Floats) -> bytes:
    """Runs in the process of its own."""
    tf: Any = import_module("tensorflow")
    module = tf.Module()
    signature = [tf.TensorSpec((1, network.frames, network.mels), tf.float32, name="features")]
    module.call = tf.function(lambda features: _graph(tf, network, features), signature)
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [module.call.get_concrete_function()], module
    )
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([window[None]] for window in representative)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converted: bytes = converter.convert()
    return converted


def _graph(tf: Any, network: Folded, features: Any) -> dict[str, Any]:
    """The network in TensorFlow's operations: time runs along the width of an image of height 1.

    Linear layers are convolutions of length 1: older runtimes misread a linear layer whose
    outputs have scales of their own.
    """
    frames, mels = network.frames, network.mels
    if network.plane is not None:
        plane = tf.constant(np.ascontiguousarray(network.plane.T)[:, :, None, None])
        features = tf.reshape(features, (1, frames, mels, 1))
        features = tf.nn.conv2d(features, plane, 1, "SAME")
        features = tf.nn.bias_add(features, tf.constant([network.plane_bias], tf.float32))
    hidden = tf.reshape(features, (1, 1, frames, mels))
    for place, layer in enumerate(network.layers):
        padding = "SAME"
        if place == 0 and network.edge.any():
            reach = layer.weight.shape[2] // 2
            edge = tf.constant(np.tile(network.edge, (1, 1, reach, 1)))
            hidden, padding = tf.concat([edge, hidden, edge], 2), "VALID"
        hidden = _convolved(tf, layer, hidden, padding)
    taken = []
    if network.pooling != "mean":
        size = (1, hidden.shape[2])
        taken.append(tf.nn.max_pool2d(hidden, size, size, "VALID"))
    if network.pooling != "max":
        taken.append(tf.reduce_mean(hidden, 2, keepdims=True))
    embedding = taken[0] if len(taken) == 1 else tf.concat(taken, 3)
    if network.embedding is not None:
        embedding = _convolved(tf, network.embedding, embedding, "VALID")
    logits = _convolved(tf, network.head, embedding, "VALID")
    return {
        "embedding": tf.reshape(embedding, (1, network.dimensions)),
        "logits": tf.reshape(logits, (1, network.classes)),
    }


def _convolved(tf: Any, layer: Layer, hidden: Any, padding: str) -> Any:
    weight = tf.constant(np.ascontiguousarray(layer.weight.transpose(2, 1, 0))[None])
    hidden = tf.nn.bias_add(tf.nn.conv2d(hidden, weight, 1, padding), tf.constant(layer.bias))
    hidden = tf.nn.relu(hidden) if layer.relu else hidden
    size = (1, layer.pool)
    return tf.nn.max_pool2d(hidden, size, size, "VALID") if layer.pool > 1 else hidden


def main(paths: Sequence[str]) -> None:
    """Convert files: each path of what :func:`packed` made is followed by that of the result."""
    for given, made in zip(paths[::2], paths[1::2], strict=True):
        Path(made).write_bytes(_converted(*unpacked(Path(given))))


if __name__ == "__main__":
    main(sys.argv[1:])
