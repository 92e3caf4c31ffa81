"""Files that TensorFlow made, once for all tests of the export."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.host.speaker.export.nets import SHAPES, lived, voices

from earmark_host.speaker.export import convert
from earmark_host.speaker.export.fold import fold

PEOPLE = 6


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The ``.tflite`` file of each of SHAPES, :data:`PEOPLE` people; TensorFlow starts once."""
    folder = tmp_path_factory.mktemp("files")
    paths: list[Path] = []
    for name, shape in SHAPES.items():
        net = lived(shape, PEOPLE)
        with torch.no_grad():
            heard = net.front(voices(60, shape.window_samples, 7)).transpose(1, 2).numpy()
        given = folder / f"{name}.npz"
        given.write_bytes(convert.packed(fold(net), heard))
        paths += [given, folder / f"{name}.tflite"]
    subprocess.run(
        [sys.executable, "-m", convert.__name__, *map(str, paths)],
        env={**os.environ, **convert.QUIET},
        check=True,
        capture_output=True,
    )
    return {name: (folder / f"{name}.tflite").read_bytes() for name in SHAPES}
