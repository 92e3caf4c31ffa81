"""TensorFlow's file says what the float network says, in int8 throughout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.host.speaker.export.conftest import PEOPLE
from tests.host.speaker.export.nets import SHAPES, lived, voices

from earmark.errors import EarmarkError
from earmark.speaker import Network
from earmark.speaker.interpreter import load
from earmark_host.speaker.export import convert
from earmark_host.speaker.export.fold import fold, outputs


@pytest.mark.parametrize("name", SHAPES)
def test_int8_is_near_to_float(files: dict[str, bytes], name: str) -> None:
    net = lived(SHAPES[name], PEOPLE)
    plain = fold(net)
    with torch.no_grad():
        features = net.front(voices(30, net.shape.window_samples, 9)).transpose(1, 2)
        wanted = outputs(plain, features)
    runner = Network(files[name], (plain.frames, plain.mels), plain.dimensions, PEOPLE)
    for place in range(2):
        found = np.stack([runner.run(window)[place] for window in features.numpy()])
        like = torch.cosine_similarity(torch.from_numpy(found), wanted[place])
        assert like.mean() > 0.995


@pytest.mark.parametrize("name", SHAPES)
def test_between_its_ends_all_is_int8(files: dict[str, bytes], name: str) -> None:
    file: Any = load(files[name])
    tensors = {tensor["index"]: tensor for tensor in file.get_tensor_details()}
    operations = file._get_ops_details()
    for operation in operations:
        if operation["op_name"] not in {"QUANTIZE", "DEQUANTIZE"}:
            assert tensors[operation["outputs"][0]]["dtype"] is np.int8
    ends = [op["op_name"] for op in operations if op["op_name"].endswith("QUANTIZE")]
    assert ends == ["QUANTIZE", "DEQUANTIZE", "DEQUANTIZE"]
    # A linear layer with a scale for each output is misread by older runtimes.
    assert "FULLY_CONNECTED" not in {operation["op_name"] for operation in operations}


def test_windows_of_another_shape_are_refused() -> None:
    plain = fold(lived(SHAPES["device"], PEOPLE))
    with pytest.raises(ValueError, match="representative has shape"):
        convert.to_tflite(plain, np.zeros((2, 5, plain.mels), np.float32))


def test_without_tensorflow_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = fold(lived(SHAPES["device"], PEOPLE))
    monkeypatch.setattr(convert.sys, "executable", "/bin/false")
    with pytest.raises(EarmarkError, match=r"earmark\[training\]"):
        convert.to_tflite(plain, np.zeros((2, plain.frames, plain.mels), np.float32))
