"""The runtime is found or named, the network's ends are checked, and threads take turns."""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from earmark.speaker import Network, SpeakerModelError
from earmark.speaker import interpreter as module
from earmark.tflite import RUNTIMES

SHAPE = (16, 6)
SIZES = (8, 5)


def features(seed: int) -> np.ndarray:
    """About what the front-end gives: -35 to 10 dB."""
    return np.random.default_rng(seed).uniform(-35.0, 10.0, SHAPE).astype(np.float32)


@pytest.fixture
def content(speaker_data) -> bytes:
    return (speaker_data / "tiny/speaker.tflite").read_bytes()


@pytest.fixture
def float_ends(speaker_data) -> bytes:
    return (speaker_data / "float_ends.tflite").read_bytes()


@pytest.fixture
def network(content: bytes) -> Network:
    return Network(content, SHAPE, *SIZES)


def test_int8_ends_are_scaled_as_float_ends_are(network: Network, float_ends: bytes) -> None:
    """The same network, once with the runtime's own scaling."""
    other = Network(float_ends, SHAPE, *SIZES)
    for seed in range(20):
        for ours, theirs in zip(
            network.run(features(seed)), other.run(features(seed)), strict=True
        ):
            assert ours.dtype == np.float32
            # A value halfway between two steps may be rounded to either.
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=0.1)


def test_the_outputs_are_told_apart_by_size(network: Network) -> None:
    embedding, logits = network.run(features(0))
    assert (embedding.shape, logits.shape) == ((8,), (5,))


def test_levels_out_of_range_are_clipped_not_wrapped(network: Network) -> None:
    loud = network.run(np.full(SHAPE, 100.0, np.float32))[0]
    louder = network.run(np.full(SHAPE, 5000.0, np.float32))[0]
    np.testing.assert_array_equal(loud, louder)


@pytest.mark.parametrize("wrong", [np.zeros((15, 6)), np.zeros((6, 16)), np.full(SHAPE, np.nan)])
def test_wrong_features_are_refused(network: Network, wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="features"):
        network.run(wrong.astype(np.float32))


@pytest.mark.parametrize(
    ("shape", "embedding", "classes"),
    [((16, 7), 8, 5), ((15, 6), 8, 5), (SHAPE, 9, 5), (SHAPE, 8, 6), (SHAPE, 5, 5)],
)
def test_a_network_that_the_manifest_does_not_describe_is_refused(
    content: bytes, shape: tuple[int, int], embedding: int, classes: int
) -> None:
    with pytest.raises(SpeakerModelError, match="manifest says"):
        Network(content, shape, embedding, classes)


@pytest.mark.parametrize("spoil", [lambda raw: b"", lambda raw: raw[:7], lambda raw: raw[::-1]])
def test_what_is_no_network_is_refused(content: bytes, spoil) -> None:
    with pytest.raises(SpeakerModelError, match="no TensorFlow Lite file") as caught:
        Network(spoil(content), SHAPE, *SIZES)
    assert "export" in caught.value.do


@pytest.mark.parametrize("error", [ValueError, RuntimeError])
def test_what_the_runtime_does_not_accept_is_refused(
    content: bytes, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fail(**_: object) -> None:
        raise error("an operation of the future")

    monkeypatch.setattr(module, "_runtime", lambda: fail)
    with pytest.raises(SpeakerModelError, match=r"does not accept.*of the future") as caught:
        module.load(content)
    assert "export" in caught.value.do


def test_threads_take_turns(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread's window comes between another's input and its outputs."""
    inner = network._interpreter
    inside: list[int] = []
    mixed: list[object] = []

    class Watched:
        def set_tensor(self, index: int, value: np.ndarray) -> None:
            inside.append(threading.get_ident())
            inner.set_tensor(index, value)
            time.sleep(0.001)  # lets the other thread in, if it may

        def invoke(self) -> None:
            mixed.extend(inside[1:])
            inner.invoke()
            time.sleep(0.001)

        def get_tensor(self, index: int) -> np.ndarray:
            mixed.extend(inside[1:])
            raw = inner.get_tensor(index)
            if raw.size == SIZES[1]:
                inside.pop()
            return raw

    alone = [network.run(features(seed))[0] for seed in range(20)]
    monkeypatch.setattr(network, "_interpreter", Watched())
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda seed: network.run(features(seed))[0], range(20)))
    assert mixed == []
    np.testing.assert_array_equal(together, alone)


def forget(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    """As if they were not installed."""
    for name in modules:
        monkeypatch.setitem(sys.modules, name.partition(".")[0], None)
        monkeypatch.setitem(sys.modules, name, None)


def test_without_a_runtime_it_is_said_which_to_install(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(monkeypatch, *RUNTIMES)
    with pytest.raises(SpeakerModelError, match="no runtime") as caught:
        module.load(content)
    for package in ("tflite_runtime", "ai_edge_litert"):
        assert package in caught.value.what
    assert "tflite-runtime==2.14.0" in caught.value.do
    assert "ai-edge-litert" in caught.value.do


class Recorded:
    """A runtime's interpreter that keeps how it was made."""

    def __init__(self, **how: object) -> None:
        self.how = how

    def allocate_tensors(self) -> None:
        pass


def test_either_runtime_does(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    forget(monkeypatch, RUNTIMES[0])
    package = RUNTIMES[1].partition(".")[0]
    monkeypatch.setitem(sys.modules, package, SimpleNamespace())
    monkeypatch.setitem(sys.modules, RUNTIMES[1], SimpleNamespace(Interpreter=Recorded))
    loaded = module.load(content)
    assert isinstance(loaded, Recorded)
    assert loaded.how == {"model_content": content, "num_threads": 1}


def test_the_old_runtime_is_not_tried_beside_numpy_2(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There it imports, and dies when it is used."""
    forget(monkeypatch, RUNTIMES[1])
    monkeypatch.setitem(sys.modules, "tflite_runtime", SimpleNamespace())
    monkeypatch.setitem(sys.modules, RUNTIMES[0], SimpleNamespace(Interpreter=Recorded))
    monkeypatch.setattr(np, "__version__", "1.26.4")
    assert isinstance(module.load(content), Recorded)
    monkeypatch.setattr(np, "__version__", "2.4.6")
    with pytest.raises(SpeakerModelError, match="tflite_runtime needs numpy 1"):
        module.load(content)


@pytest.mark.parametrize(
    ("kind", "scale"), [(np.uint8, 0.1), (np.float16, 0.0), (np.int8, 0.0), (np.int16, 0.1)]
)
def test_other_types_of_tensors_are_refused(kind: type, scale: float) -> None:
    with pytest.raises(SpeakerModelError, match="must be float32, or int8"):
        module._check_type({"name": "x", "dtype": kind, "quantization": (scale, 0)})
