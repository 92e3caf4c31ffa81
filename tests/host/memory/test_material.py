"""Clips are sorted by who says what, and decoded when they are needed."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.audio import RoomModel, load_room
from earmark.errors import AudioError, EarmarkError
from earmark.signal import RATE_HZ
from earmark_host.bench.corpus import Clip, Corpus
from earmark_host.memory.fold import fold
from earmark_host.memory.material import Material

COLUMNS = ["path", "role", "speaker", "label", "extra"]
ROOM = load_room("bedroom")

ROWS = [
    *(
        (f"s/{person}_{n}.wav", "speech", person, "m", f"age={age};x=1")
        for person, age in (("ann", 7), ("bob", 12), ("cy", 13))
        for n in range(2)
    ),
    ("s/nobody.wav", "speech", "", "", ""),
    ("s/dee.wav", "speech", "dee", "f", ""),
    *(
        (f"c/{who}_{word}_{n}.wav", "command", who, word, "")
        for who in ("ann", "eve")
        for word in ("go", "up")
        for n in range(2)
    ),
    ("c/unnamed.wav", "command", "", "go", ""),
    ("c/once.wav", "command", "eve", "five", ""),
    ("w/1.wav", "wakeword", "", "alexa", ""),
    ("w/2.wav", "wakeword", "", "alexa", ""),
    ("w/3.wav", "wakeword", "", "", ""),
    ("b/1.wav", "background", "zoe", "m", ""),
    ("m/1.wav", "music", "", "music", ""),
    ("n/1.wav", "noise", "", "rain", ""),
]


def corpus(folder: Path, rows: list[tuple[str, ...]], columns: list[str] = COLUMNS) -> Corpus:
    """A corpus whose files need not be there."""
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(row[: len(columns)] for row in rows)
    return Corpus.open(folder)


@pytest.fixture
def material(tmp_path: Path) -> Material:
    return Material.of(corpus(tmp_path, ROWS), None, [ROOM])


def paths(clips: object) -> list[str]:
    assert isinstance(clips, (list, tuple))
    return [clip.path for clip in clips]


def test_sentences_are_those_of_named_people(material: Material) -> None:
    assert {name: len(takes) for name, takes in material.sentences.items()} == {
        "ann": 2,
        "bob": 2,
        "cy": 2,
        "dee": 1,
    }


def test_commands_are_found_by_label_and_person(material: Material) -> None:
    assert paths(material.commands["go"]["eve"]) == ["c/eve_go_0.wav", "c/eve_go_1.wav"]
    assert set(material.commands) == {"go", "up", "five"}
    assert set(material.commands["go"]) == {"ann", "eve"}
    assert {name: len(takes) for name, takes in material.commanders.items()} == {"ann": 4, "eve": 5}


def test_a_phrase_has_all_takes_by_anybody_and_two_at_least(material: Material) -> None:
    takes = {label: len(takes) for label, takes in material.phrases.items()}
    assert takes == {"go": 5, "up": 4, "alexa": 2}


def test_children_are_twelve_at_most(material: Material) -> None:
    assert material.ages == {"ann": 7, "bob": 12, "cy": 13}
    assert set(material.children) == {"ann", "bob"}


def test_what_a_television_and_a_room_need(material: Material) -> None:
    assert paths(material.background) == ["b/1.wav"]
    assert paths(material.music) == ["m/1.wav"]
    assert paths(material.noises) == ["n/1.wav"]


def test_a_side_has_its_own_clips_only_and_both_have_all(tmp_path: Path) -> None:
    rows = [(f"{n}_{i}.wav", "speech", f"person {n}", "", "") for n in range(40) for i in range(2)]
    whole = corpus(tmp_path, rows)
    sides = {side: Material.of(whole, side, [ROOM]) for side in ("calibrate", "held_back")}
    for side, part in sides.items():
        assert all(fold(clip) == side for takes in part.sentences.values() for clip in takes)
    assert len(sides["calibrate"].sentences) + len(sides["held_back"].sentences) == 40


def test_everything_but_speech_may_be_missing(tmp_path: Path) -> None:
    rows = [row for row in ROWS if row[1] == "speech"]
    few = Material.of(corpus(tmp_path, rows, ["path", "role", "speaker"]), None, [ROOM])
    assert len(few.sentences) == 4
    for empty in (few.commands, few.phrases, few.ages, few.children):
        assert empty == {}
    for none in (few.background, few.music, few.noises):
        assert len(none) == 0


def test_without_a_named_speaker_there_is_no_household(tmp_path: Path) -> None:
    rows = [row for row in ROWS if row[1] != "speech" or not row[2]]
    with pytest.raises(EarmarkError, match="no sentences by named people"):
        Material.of(corpus(tmp_path, rows), None, [ROOM])


def test_a_side_without_people_is_named(tmp_path: Path) -> None:
    rows = [("a.wav", "speech", "ann", "", "")]
    whole = corpus(tmp_path, rows)
    other = "calibrate" if fold(Clip("a.wav", "speech", "ann")) == "held_back" else "held_back"
    with pytest.raises(EarmarkError, match=other):
        Material.of(whole, other, [ROOM])


def test_a_room_needs_people_and_a_television(tmp_path: Path) -> None:
    whole = corpus(tmp_path, ROWS)
    with pytest.raises(EarmarkError, match="need a room"):
        Material.of(whole, None, [])
    for missing in ("television", "attacker", "person"):
        kept = {
            pair: response
            for pair, response in ROOM.responses.items()
            if not pair[0].startswith(missing)
        }
        room = RoomModel("bare", ROOM.rt60_s, ROOM.size_m, ROOM.positions, kept)
        with pytest.raises(EarmarkError, match="'bare' has only the places"):
            Material.of(whole, None, [ROOM, room])


def test_sentences_are_trimmed_and_commands_are_whole(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    loud = rng.normal(0.0, 0.1, 8 * RATE_HZ).astype(np.float32)
    quiet = np.zeros(RATE_HZ, np.float32)
    padded = np.concatenate([quiet, loud[:RATE_HZ], quiet])
    rows = [
        ("short.wav", "speech", "ann", "", ""),
        ("long.wav", "speech", "ann", "", ""),
        ("go.wav", "command", "ann", "go", ""),
        ("tv.wav", "background", "", "", ""),
        ("song.wav", "music", "", "", ""),
    ]
    for name, signal in [
        ("short", padded),
        ("long", loud),
        ("go", padded),
        ("tv", padded),
        ("song", loud),
    ]:
        soundfile.write(tmp_path / f"{name}.wav", signal, RATE_HZ)
    material = Material.of(corpus(tmp_path, rows), None, [ROOM])
    short, long = (material.load(clip) for clip in material.sentences["ann"])
    assert short.size / RATE_HZ == pytest.approx(1.08, abs=0.03)
    assert 5.0 < long.size / RATE_HZ <= 6.0
    assert material.load(material.commands["go"]["ann"][0]).size == padded.size
    assert material.load(material.background[0]).size == short.size
    assert material.load(material.music[0]).size == loud.size
    assert short.dtype == np.float32


def test_a_clip_is_decoded_once_and_cannot_be_changed(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0.0, 0.1, RATE_HZ).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", noise, RATE_HZ)
    material = Material.of(corpus(tmp_path, [("a.wav", "speech", "ann", "", "")]), None, [ROOM])
    clip = material.sentences["ann"][0]
    first = material.load(clip)
    (tmp_path / "a.wav").unlink()
    assert material.load(clip) is first
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0.0


def test_nothing_is_decoded_before_it_is_asked_for(material: Material) -> None:
    # The fixture's files do not exist.
    with pytest.raises(AudioError, match="cannot be decoded"):
        material.load(material.music[0])
