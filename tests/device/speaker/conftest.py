"""A whole model of a few kB, to be used or spoilt."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earmark.speaker import SpeakerModel

DATA = Path(__file__).resolve().parent / "data"


class ModelFolder:
    """A copy of the tiny model that can be changed, with SHA-256 sums that agree or not."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def manifest(self) -> dict[str, Any]:
        return json.loads((self.path / "speaker.json").read_text())

    def declare(self, **changes: object) -> None:
        """Change keys of the manifest."""
        (self.path / "speaker.json").write_text(json.dumps(self.manifest | changes))

    def put(self, name: str, content: bytes) -> None:
        """Replace a file, and its sum in the manifest: as an export would."""
        (self.path / name).write_bytes(content)
        self.declare(sha256=self.manifest["sha256"] | {name: hashlib.sha256(content).hexdigest()})

    @property
    def numbers(self) -> dict[str, np.ndarray]:
        with np.load(self.path / "speaker.npz") as found:
            return dict(found)

    def count(self, **changes: np.ndarray | None) -> None:
        """Change arrays of the numbers (None: leave it out), and the sum."""
        arrays = {k: v for k, v in (self.numbers | changes).items() if v is not None}
        file = io.BytesIO()
        np.savez(file, **arrays)
        self.put("speaker.npz", file.getvalue())


@pytest.fixture
def model_folder(tmp_path: Path) -> ModelFolder:
    """A folder with the tiny model, to be spoilt."""
    shutil.copytree(DATA / "tiny", tmp_path / "model")
    return ModelFolder(tmp_path / "model")


@pytest.fixture(scope="session")
def tiny_model() -> SpeakerModel:
    """The tiny model: windows of 544 samples, 8 dimensions, 5 people."""
    return SpeakerModel.open(DATA / "tiny")


@pytest.fixture(scope="session")
def speaker_data() -> Path:
    """The folder of the tests' data."""
    return DATA
