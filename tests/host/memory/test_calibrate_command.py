"""The command makes a table that the device reads, from one fold only, the same each time."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

from earmark.errors import AudioError, EarmarkError
from earmark.memory import CarrierKind, PaperSettings, Thresholds
from earmark.signal import RATE_HZ
from earmark_host.bench.corpus import Clip
from earmark_host.memory import calibrate_run
from earmark_host.memory.calibrate_command import calibrate, show, write
from earmark_host.memory.calibrate_run import NOISES, WEIGHTINGS, Plan, run
from earmark_host.memory.fold import Fold, fold

WORDS = ("go", "up", "left", "right", "one", "two")
SMALL = Plan(80, {"speech": 1, "music": 1}, 300, 8, 5, 400, 60, 1)

SOME_NOISES = (None, 50.0)

Row = tuple[str, str, str, str]


class Here:
    """Does the pieces in this process, the last one first."""

    def __init__(self, count: int, console: Console) -> None:
        pass

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(
        self, title: str, function: Callable[[object], object], pieces: list[object]
    ) -> list[object]:
        return [function(piece) for piece in reversed(pieces)][::-1]


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """Little audio, no processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibrate_run, "QUICK", SMALL)
        patch.setattr(calibrate_run, "Workers", Here)
        patch.setattr(calibrate_run, "NOISES", SOME_NOISES)
        yield


def people(side: Fold) -> Iterator[str]:
    """Names of people on one side."""
    names = (f"person {number}" for number in count())
    return (name for name in names if fold(Clip("", "speech", name)) == side)


def tunes(side: Fold) -> Iterator[str]:
    """Files of music on one side."""
    letters = (f"{a}{b}" for a in "abcdefghijkl" for b in "abcdefghijkl")
    names = (f"{each}.wav" for each in letters)
    return (name for name in names if fold(Clip(name, "music", "")) == side)


def rows_of(side: Fold, tune_count: int) -> list[Row]:
    named, music = people(side), tunes(side)
    rows: list[Row] = []
    for _ in range(10):
        who = next(named)
        rows += [(f"{who} {n}.wav", "speech", who, "") for n in range(6)]
    for who in (next(named), next(named)):
        rows += [(f"{who} {w} {n}.wav", "command", who, w) for w in WORDS for n in range(2)]
    return rows + [(next(music), "music", "", "") for _ in range(tune_count)]


def manifest(folder: Path, rows: list[Row]) -> None:
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "role", "speaker", "label"])
        writer.writerows(rows)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noises in the place of words; what is held back is listed and is no audio at all."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = rows_of("calibrate", 20)
    held_back = rows_of("held_back", 5)
    manifest(folder, rows + held_back)
    rng = np.random.default_rng(0)
    for path, role, *_ in rows:
        seconds = 10.0 if role == "music" else float(rng.uniform(0.5, 0.7))
        signal = rng.normal(0.0, 0.1, round(seconds * RATE_HZ)).astype(np.float32)
        soundfile.write(folder / path, signal, RATE_HZ)
    for path, *_ in held_back:
        (folder / path).write_bytes(b"nobody may look at this")
    return folder


@pytest.fixture(scope="module")
def table(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command writes, in --quick with even less audio."""
    out = tmp_path_factory.mktemp("out") / "thresholds.json"
    calibrate(data, out, seed=3, quick=True, workers=1)
    return out


def read(path: Path) -> Thresholds:
    return Thresholds.model_validate_json(path.read_text(encoding="utf-8"))


def test_every_setting_of_the_papers_detector_has_a_threshold(table: Path) -> None:
    thresholds = read(table)
    for weights in WEIGHTINGS:
        for noise_db in SOME_NOISES:
            settings = PaperSettings(weights=weights, input_noise_snr_db=noise_db)
            assert set(thresholds.paper_for(settings)) == {"speech", "music"}
            assert any(row["weights"] == weights for row in thresholds.made["paper"]["ci95"])
    assert len(thresholds.paper) == len(WEIGHTINGS) * len(SOME_NOISES)
    assert NOISES == (None, 25.0, 50.0, 75.0)
    assert WEIGHTINGS == ("clip", "raw", "mean", "official")


def test_it_says_how_it_was_made(table: Path, data: Path) -> None:
    made = read(table).made
    assert made["command"] == "earmark-host memory calibrate --quick"
    assert made["seed"] == 3
    assert made["fold"] == "calibrate"
    assert len(made["manifest_sha256"]) == 64
    assert made["duplicates_left_out"] == 0
    assert made["paper"]["speech_clips"] == 80
    assert made["paper"]["speech_owners"] == 12
    assert made["paper"]["music_clips"] == 80
    assert made["paper"]["music_owners"] == 20
    assert made["paper"]["speech_windows"] == 300
    assert made["neighbours"]["people"] == 2
    assert made["neighbours"]["sets_of_takes"] == SMALL.words + SMALL.phrases
    ranges = made["neighbours"]["exceedances"]
    for kind, pairs in made["neighbours"]["pairs"].items():
        assert sum(row["pairs"] for row in ranges if row["pairs_of"] == kind) == pairs


def test_limits_are_above_noise_and_repeats_above_the_limits(table: Path) -> None:
    limits = read(table).neighbours
    assert 0.1 < limits.likeness(30) < 0.7
    assert 0.0 < limits.mean < 0.1
    assert limits.approved > limits.likeness(60)


def test_the_same_seed_gives_the_same_table(table: Path, data: Path, tmp_path: Path) -> None:
    found = run(data, seed=3, quick=True, workers=2, console=Console(file=io.StringIO()))
    write(found.thresholds, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == table.read_bytes()
    out = io.StringIO()
    show(found, Console(file=out, width=140))
    for title in ("thresholds of the papers detector", "pairs above the limit", "second ear"):
        assert title in out.getvalue()


@pytest.mark.parametrize(
    ("missing", "carrier", "there"),
    [("music", "music", 0), ("speech", "speech", 54)],
)
def test_a_small_corpus(
    tmp_path: Path, data: Path, missing: str, carrier: CarrierKind, there: int
) -> None:
    rows = [row for row in rows_of("calibrate", 20) if row[1] != missing]
    if missing == "speech":
        rows += [row for row in rows_of("calibrate", 20) if row[1] == missing][:30]
        for path, role, *_ in rows:
            if role == "music":
                (tmp_path / path).symlink_to(data / path)
    manifest(tmp_path, rows)
    with pytest.raises(EarmarkError, match=rf"has {there} different .*{carrier}.*, 76 fill"):
        calibrate(tmp_path, tmp_path / "t.json", seed=1, quick=True, workers=1)
    assert not (tmp_path / "t.json").exists()


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    for out in (tmp_path, tmp_path / "missing" / "t.json"):
        with pytest.raises(EarmarkError, match="cannot be written"):
            calibrate(tmp_path, out, seed=1, quick=True, workers=1)


def test_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(EarmarkError, match=r"manifest\.csv cannot be read"):
        calibrate(tmp_path, tmp_path / "t.json", seed=1, quick=True, workers=1)


def test_audio_that_cannot_be_decoded(tmp_path: Path) -> None:
    manifest(tmp_path, rows_of("calibrate", 20))
    with pytest.raises(AudioError):
        calibrate(tmp_path, tmp_path / "t.json", seed=1, quick=True, workers=1)
