"""A stream comes back as it was saved, or with a clear error."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from earmark.errors import EarmarkError
from earmark.signal import RATE_HZ
from earmark_host.memory.save import INDEX, LONGEST_S, MAX_QUERIES, load, save
from earmark_host.memory.stream import Query, Stream


def stream(count: int = 3) -> Stream:
    rng = np.random.default_rng(1)
    queries = [
        Query(
            rng.uniform(-0.9, 0.9, 1600 + n).astype(np.float32),
            at_s=1.5 * n,
            fake=n == 1,
            snr_db=None if n == 0 else 30.25 - n,
        )
        for n in range(count)
    ]
    return Stream("nes", "speech", queries, 2, {"victim": "words", "simulated": False})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "streams" / "nes"
    save(stream(), path)
    return path


def test_a_stream_comes_back(folder: Path) -> None:
    before, after = stream(), load(folder)
    assert (after.name, after.carrier, after.won_at) == ("nes", "speech", 2)
    assert after.facts == before.facts
    assert len(after.queries) == 3
    for old, new in zip(before.queries, after.queries, strict=True):
        assert (new.at_s, new.fake, new.snr_db) == (old.at_s, old.fake, old.snr_db)
        assert new.signal.dtype == np.float32
        np.testing.assert_allclose(new.signal, old.signal, atol=1 / 32768)


def test_the_files_are_what_the_index_says(folder: Path) -> None:
    index = json.loads((folder / INDEX).read_text())
    assert sorted(p.name for p in folder.iterdir()) == [
        "0001.flac",
        "0002.flac",
        "0003.flac",
        INDEX,
    ]
    for row in index["queries"]:
        path = folder / row["file"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == row["sha256"]
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (RATE_HZ, 1, "PCM_16")


def test_a_stream_that_nobody_won_comes_back(tmp_path: Path) -> None:
    save(Stream("cs", "music", stream().queries), tmp_path / "cs")
    after = load(tmp_path / "cs")
    assert (after.won_at, after.facts, after.carrier) == (None, {}, "music")


def test_nothing_is_written_over(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(EarmarkError, match="not empty"):
        save(stream(1), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    save(stream(), tmp_path)
    assert len(load(tmp_path).queries) == 3


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EarmarkError, match="cannot be written"):
        save(stream(), tmp_path / "file")


@pytest.mark.parametrize("size", [0, round(LONGEST_S * RATE_HZ) + 1])
def test_a_query_of_a_wrong_length_leaves_no_index(size: int, tmp_path: Path) -> None:
    queries = [*stream().queries, Query(np.zeros(size, np.float32), 9.0)]
    with pytest.raises(EarmarkError, match="query 4 is"):
        save(Stream("x", "speech", queries), tmp_path / "x")
    assert not (tmp_path / "x" / INDEX).exists()


@pytest.mark.parametrize("count", [0, MAX_QUERIES + 1])
def test_a_stream_of_a_wrong_length_is_refused(count: int, tmp_path: Path) -> None:
    query = Query(np.zeros(8, np.float32), 0.0)
    with pytest.raises(EarmarkError, match="cannot be saved"):
        save(Stream("x", "speech", [query] * count), tmp_path / "x")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("fact", [float("nan"), np.float32(1.0)])
def test_facts_that_json_cannot_hold_are_refused_before_anything_is_written(
    fact: object, tmp_path: Path
) -> None:
    with pytest.raises((TypeError, ValueError)):
        save(Stream("x", "speech", stream().queries, None, {"fact": fact}), tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_folder_without_an_index_is_refused(folder: Path) -> None:
    (folder / INDEX).unlink()
    with pytest.raises(EarmarkError, match=r"stream\.json cannot be read"):
        load(folder)


def set_row(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda index: index["queries"][1].update({key: value})


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda index: index.update(earmark_stream=2), "earmark_stream"),
        (lambda index: index.update(carrier="noise"), "carrier"),
        (lambda index: index.update(won_at=3), "won_at is 3 of 3"),
        (lambda index: index.update(won_at=-1), "won_at"),
        (lambda index: index.update(more=1), "more"),
        (lambda index: index.pop("facts"), "facts"),
        (lambda index: index.update(queries=[]), "queries"),
        (lambda index: index.update(queries=index["queries"] * (MAX_QUERIES // 3 + 1)), "queries"),
        (set_row("file", "../0001.flac"), "queries.1.file"),
        (set_row("file", "0001.flac\n"), "queries.1.file"),
        (set_row("file", "0009.flac"), r"0009\.flac is missing"),
        (set_row("sha256", "abc"), "queries.1.sha256"),
        (set_row("at_s", float("inf")), "queries.1.at_s"),
        (set_row("at_s", -1.0), "at_s falls"),
        (set_row("fake", "no"), "queries.1.fake"),
        (set_row("snr_db", float("nan")), "queries.1.snr_db"),
    ],
)
def test_a_damaged_index_is_refused(
    damage: Callable[[dict[str, Any]], None], says: str, folder: Path
) -> None:
    index = json.loads((folder / INDEX).read_text())
    damage(index)
    (folder / INDEX).write_text(json.dumps(index))
    with pytest.raises(EarmarkError, match=says):
        load(folder)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[]", b" " * (8 * 1024 * 1024 + 1)])
def test_what_is_no_index_is_refused(data: bytes, folder: Path) -> None:
    (folder / INDEX).write_bytes(data)
    with pytest.raises(EarmarkError, match=r"stream\.json"):
        load(folder)


def test_changed_audio_is_noticed_when_it_is_read(folder: Path) -> None:
    path = folder / "0002.flac"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    after = load(folder)
    after.queries[0]
    with pytest.raises(EarmarkError, match=r"0002\.flac is not the file that was saved"):
        after.queries[1]


def replace_audio(folder: Path, data: bytes) -> None:
    """Put other audio in, with the right checksum in the index."""
    (folder / "0002.flac").write_bytes(data)
    index = json.loads((folder / INDEX).read_text())
    index["queries"][1]["sha256"] = hashlib.sha256(data).hexdigest()
    (folder / INDEX).write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("shape", "rate_hz", "says"),
    [
        ((800,), 8000, "16000 Hz mono"),
        ((800, 2), RATE_HZ, "16000 Hz mono"),
        ((round(LONGEST_S * RATE_HZ) + 1,), RATE_HZ, "longer than 30 s"),
    ],
)
def test_audio_of_another_kind_is_refused(
    shape: tuple[int, ...], rate_hz: int, says: str, folder: Path, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "other.flac", np.zeros(shape), rate_hz)
    replace_audio(folder, (tmp_path / "other.flac").read_bytes())
    with pytest.raises(EarmarkError, match=says):
        load(folder).queries[1]


@pytest.mark.parametrize(
    ("data", "says"), [(b"no audio", "cannot be decoded"), (bytes(2**21 + 1), "is larger than")]
)
def test_what_is_no_audio_is_refused(data: bytes, says: str, folder: Path) -> None:
    replace_audio(folder, data)
    with pytest.raises(EarmarkError, match=says):
        load(folder).queries[1]
