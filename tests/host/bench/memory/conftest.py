"""A small corpus of noises in the place of words, music and people: each file another one."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.memory import MemorySettings
from earmark.signal import RATE_HZ
from earmark_host.bench.memory.setup import Setup


@pytest.fixture(scope="session")
def village(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Readers with sentences, users with takes of two words, songs, noise, television."""
    folder = tmp_path_factory.mktemp("village")
    rng = np.random.default_rng(0)
    rows = [
        *((f"s{p}_{n}.wav", "speech", f"reader {p}", "") for p in range(12) for n in range(8)),
        *(
            (f"c{p}_{word}_{n}.wav", "command", f"user {p}", word)
            for p in range(8)
            for word in ("go", "up")
            for n in range(3)
        ),
        *((f"b{n}.wav", "background", "", "") for n in range(4)),
        *((f"{name}.wav", "music", "", "") for name in ("aria", "blues", "canon", "dirge")),
        ("n.wav", "noise", "", ""),
        ("m.wav", "noise", "", ""),
    ]
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "role", "speaker", "label"])
        writer.writerows(rows)
    for path, role, *_ in rows:
        seconds = 6.0 if role == "music" else float(rng.uniform(0.4, 0.7))
        signal = rng.normal(0.0, 0.1, round(seconds * RATE_HZ)).astype(np.float32)
        soundfile.write(folder / path, signal, RATE_HZ)
    return folder


@pytest.fixture
def setup(village: Path) -> Setup:
    return Setup(village, 5, None, MemorySettings(folder=None))
