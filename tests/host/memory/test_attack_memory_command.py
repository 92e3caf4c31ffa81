"""The command saves what the device heard, and says who would have noticed."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from earmark.demo.clips import ClipKind, load_clips
from earmark.errors import EarmarkError
from earmark.signal import RATE_HZ, Signal
from earmark_host.memory import attack_memory_command
from earmark_host.memory.attack_memory_command import attack_memory
from earmark_host.memory.save import load
from earmark_host.memory.staging import Scene
from earmark_host.memory.victims import OTHER


class Ears:
    """Hears nothing, and after so many looks at a carrier or a query both words in turn."""

    name = "ears"
    labels = ("go", "stop", OTHER)

    def __init__(self, patience: int) -> None:
        self.patience = patience

    def scores(self, signal: Signal) -> NDArray[np.float64]:
        del signal
        self.patience -= 1
        if self.patience >= 0:
            return np.array([-2.0, -3.0, -1.0])
        return np.array([-1.0, -2.0, -3.0]) if self.patience % 2 else np.array([-2.0, -1.0, -3.0])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A corpus with one sentence by bob, who is held back."""
    folder = tmp_path / "data"
    folder.mkdir()
    sentence = load_clips().all(ClipKind.COMMAND)[0].signal
    noise = np.random.default_rng(0).normal(0, 0.05, RATE_HZ).astype(np.float32)
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "role", "speaker", "label"])
        for path, role, who, signal in (
            ("a.wav", "speech", "bob", sentence),
            ("b.wav", "command", "ann", sentence),
            ("c.wav", "noise", "", noise),
        ):
            soundfile.write(folder / path, signal, RATE_HZ)
            rows.writerow([path, role, who, "go" if role == "command" else ""])
    return folder


def run(
    data: Path,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    patience: int = 9,
    *,
    defended: bool = False,
    queries: int = 12,
    attack: str = "simba",
) -> list[str]:
    ears = Ears(patience)
    monkeypatch.setattr(attack_memory_command, "victim", lambda *_: ears)
    scene = Scene("keyword", "speech", "digital")
    return attack_memory(data, out, scene, attack, queries, 1, defended)


def test_a_stream_is_saved_with_its_win_and_what_the_detector_would_say(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = run(data, tmp_path / "out", monkeypatch)
    saved = load(tmp_path / "out")
    assert saved.won_at == 8
    assert len(saved.queries) == 9
    assert saved.facts["gated"] is False
    assert saved.facts["target"] in ("go", "stop")
    assert lines[1:] == [
        "won at query 9, 9 queries",
        "the detector would have withheld 4 of them, the first at query 6 (copies)",
    ]
    assert "simba on ears, a.wav as " in lines[0]


def test_a_defended_device_answers_five_times(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = run(data, tmp_path / "out", monkeypatch, defended=True)
    saved = load(tmp_path / "out")
    assert saved.won_at is None
    assert saved.facts["gated"] is True
    assert lines[1:] == [
        "not won, 12 queries",
        "the detector withheld 7 of them, the first at query 6 (copies)",
    ]


def test_a_win_before_any_alarm_is_told(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(data, tmp_path / "out", monkeypatch, patience=3)[1:] == [
        "won at query 3, 3 queries",
        "the detector would have withheld none of them",
    ]


def test_what_cannot_be_done_is_said_before_the_work(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with pytest.raises(EarmarkError, match=r"simbo.*simba.*--attack"):
        run(data, out, monkeypatch, attack="simbo")
    for queries in (0, 10_001):
        with pytest.raises(EarmarkError, match="--queries"):
            run(data, out, monkeypatch, queries=queries)
    assert not out.exists()
    with pytest.raises(EarmarkError, match="no empty folder"):
        run(data, data, monkeypatch)
