"""A tiny corpus out of the recordings that ship with the product."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.demo.clips import ClipKind, load_clips
from earmark.signal import RATE_HZ, Signal


def write_corpus(folder: Path, clips: list[tuple[str, str, str, Signal]]) -> Path:
    """Write clips given as (path, role, speaker, signal), with their manifest."""
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "role", "category", "speaker", "label"])
        for path, role, speaker, signal in clips:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(folder / path, signal, RATE_HZ)
            # A label as in "wakeword:alexa" is part of the role here.
            name, _, label = role.partition(":")
            rows.writerow([path, name, "tiny", speaker, label])
    return folder


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people with a sentence each, and something of every role; folders say nothing."""
    shipped = load_clips()
    sentences = shipped.all(ClipKind.COMMAND)[:2]
    rng = np.random.default_rng(0)
    music = np.sin(2 * np.pi * 330.0 * np.arange(RATE_HZ) / RATE_HZ).astype(np.float32)
    return write_corpus(
        tmp_path_factory.mktemp("corpus"),
        [
            ("music/a.wav", "speech", "ann", sentences[0].signal[: 3 * RATE_HZ]),
            ("music/b.wav", "command", "bob", sentences[1].signal[: 3 * RATE_HZ]),
            ("speech/c.wav", "music", "", music),
            ("d.wav", "noise", "", rng.normal(0, 0.05, RATE_HZ).astype(np.float32)),
            ("e.wav", "background", "cy", shipped.all(ClipKind.TELEVISION)[0].signal),
        ],
    )
