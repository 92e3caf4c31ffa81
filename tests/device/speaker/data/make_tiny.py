"""Makes the tiny model of these tests. See README.md beside it.

Run by hand: ``python make_tiny.py``, with tensorflow-cpu 2.21 beside Earmark.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from earmark.speaker import FrontEnd

HERE = Path(__file__).resolve().parent
FRONT_END = FrontEnd(64, 64, 32, 6, 100.0, 7500.0, 0.0, 3e-4)
FRAMES, CHANNELS, EMBEDDING, CLASSES = 16, 12, 8, 5
WINDOW = FRONT_END.samples(FRAMES)


class Tiny(tf.Module):
    """One convolution, maximum over time, embedding, logits; weights drawn, not trained."""

    def __init__(self, random: np.random.Generator) -> None:
        super().__init__()

        def drawn(*shape: int) -> tf.Tensor:
            spread = np.sqrt(2.0 / np.prod(shape[:-1]))
            return tf.constant(random.normal(0.0, spread, shape).astype(np.float32))

        self.kernel = drawn(3, FRONT_END.mels, CHANNELS)
        self.embed = drawn(CHANNELS, EMBEDDING)
        self.head = drawn(EMBEDDING, CLASSES)
        self.mean = tf.zeros(EMBEDDING)

    def centre(self, examples: NDArray[np.float32]) -> None:
        """Take out what all sounds have in common, so that they differ in their top person."""
        windows = [FRONT_END.log_mel(sound[:WINDOW])[np.newaxis] for sound in examples]
        self.mean = tf.reduce_mean([self.embedding(window) for window in windows], axis=0)

    def embedding(self, features: tf.Tensor) -> tf.Tensor:
        """Shape (1, EMBEDDING)."""
        hidden = tf.nn.relu(tf.nn.conv1d((features + 20.0) / 10.0, self.kernel, 1, "VALID"))
        return tf.reduce_max(hidden, axis=1) @ self.embed - self.mean

    @tf.function(input_signature=[tf.TensorSpec([1, FRAMES, FRONT_END.mels], tf.float32)])
    def __call__(self, features: tf.Tensor) -> dict[str, tf.Tensor]:
        embedding = self.embedding(features)
        return {"embedding": embedding, "logits": embedding @ self.head}


def sounds(random: np.random.Generator, count: int) -> NDArray[np.float32]:
    """Harmonic sounds with noise, shape (count, 1.5 windows)."""
    time = np.arange(WINDOW * 3 // 2) / 16_000
    made = []
    for _ in range(count):
        pitch, tilt = random.uniform(100.0, 800.0), random.uniform(0.2, 2.0)
        sound = sum(
            np.sin(2.0 * np.pi * pitch * k * time + random.uniform(0.0, 6.0)) * k**-tilt
            for k in range(1, int(7500.0 / pitch))
        )
        sound = sound / np.abs(sound).max() * random.uniform(0.05, 0.5)
        made.append(sound + 1e-3 * random.standard_normal(time.size))
    return np.stack(made).astype(np.float32)


def converted(model: Tiny, examples: NDArray[np.float32], whole: bool) -> bytes:
    """Static int8; `whole`: its input and outputs too."""
    function = model.__call__.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [FRONT_END.log_mel(sound[:WINDOW])[np.newaxis]] for sound in examples
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if whole:
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def said(content: bytes, signal: NDArray[np.int16]) -> tuple[list[float], list[float]]:
    """Embedding and logits of one recording, by TensorFlow's own interpreter."""
    interpreter = tf.lite.Interpreter(model_content=content)
    runner = interpreter.get_signature_runner()
    given = runner.get_input_details()["features"]["quantization"]
    totals: dict[str, NDArray[np.float64]] = {}
    starts = (0, signal.size - WINDOW)  # one and a half windows: two
    for start in starts:
        heard = signal[start : start + WINDOW].astype(np.float32) / 32768.0
        whole = np.rint(FRONT_END.log_mel(heard) / given[0]) + given[1]
        answer = runner(features=np.clip(whole, -128, 127).astype(np.int8)[np.newaxis])
        for name, value in answer.items():
            scale, zero = runner.get_output_details()[name]["quantization"]
            real = (value.astype(np.float64)[0] - zero) * scale
            totals[name] = totals.get(name, 0.0) + real / len(starts)
    return list(totals["embedding"]), list(totals["logits"])


def main() -> None:
    """Write the files."""
    random = np.random.default_rng(0)
    model = Tiny(random)
    examples = sounds(random, 64)
    model.centre(examples)
    content = converted(model, examples, True)
    golden = np.round(sounds(random, 4) * 32767.0).astype(np.int16)
    answers = [said(content, signal) for signal in golden]
    cohort = random.standard_normal((20, EMBEDDING))
    cohort /= np.linalg.norm(cohort, axis=1, keepdims=True)
    (HERE / "tiny").mkdir(exist_ok=True)
    (HERE / "tiny/speaker.tflite").write_bytes(content)
    np.savez_compressed(
        HERE / "tiny/speaker.npz",
        signal=golden,
        embedding=np.array([embedding for embedding, _ in answers], np.float32),
        logits=np.array([logits for _, logits in answers], np.float32),
        cohort=cohort.astype(np.float16),
    )
    sums = {
        name: hashlib.sha256((HERE / "tiny" / name).read_bytes()).hexdigest()
        for name in ("speaker.tflite", "speaker.npz")
    }
    manifest = {
        "format": 1,
        "name": "tiny",
        "created": "2026-01-01",
        "front_end": asdict(FRONT_END),
        "window_frames": FRAMES,
        "embedding": EMBEDDING,
        "classes": CLASSES,
        "sha256": sums,
        "tolerance_cosine": 0.999,
        "decision": {"tests_only": 1.5},
    }
    (HERE / "tiny/speaker.json").write_text(json.dumps(manifest, indent=2) + "\n")
    (HERE / "float_ends.tflite").write_bytes(converted(model, examples, False))


if __name__ == "__main__":
    main()
