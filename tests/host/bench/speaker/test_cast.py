"""Who is in the bench: nobody is tested with what a model was trained on."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.host.bench.speaker.toys import NAMES, held_back

from earmark_host.bench.speaker.cast import (
    ENROLLED,
    Trained,
    acquaintances,
    by_group,
    chosen,
    everybody,
    strangers,
)


def test_acquaintances_are_tested_with_held_back_clips_alone(hums: Path) -> None:
    corpus, _ = everybody(hums)
    kept = held_back(hums, 3)
    found = acquaintances(corpus, hums, Trained(NAMES[:3], kept))
    assert [person.name for person in found] == list(NAMES[:3])
    for person in found:
        assert {clip.key for clip in person.test} <= kept
        assert not {clip.key for clip in person.enrol} & kept
        assert {clip.session for clip in person.test} == {"101"}


def test_of_another_corpus_nobody_is_an_acquaintance(hums: Path) -> None:
    """The same names with none of the held back clips: all may have been trained on."""
    corpus, _ = everybody(hums)
    assert acquaintances(corpus, hums, Trained(NAMES, frozenset({"10/9/x.flac"}))) == ()


def test_strangers_are_those_whom_nobody_has_heard(hums: Path) -> None:
    corpus, _ = everybody(hums)
    found = strangers(corpus, hums, set(NAMES[:4]))
    assert [person.name for person in found] == list(NAMES[4:])
    for person in found:
        assert len(person.enrol) == ENROLLED
        assert not set(person.enrol) & set(person.test)
    assert strangers(corpus, hums, (), least_tests=4) == ()  # 8 clips: 3 are left


def test_strangers_are_tested_in_another_sitting_where_there_is_one(tmp_path: Path) -> None:
    rows = [(f"set/7-{100 + n // 6}-{n:04d}.flac", "speech", "ann") for n in range(12)]
    _write(tmp_path, rows)
    (person,) = strangers(everybody(tmp_path)[0], tmp_path, ())
    sittings = [{clip.session for clip in some} for some in (person.enrol, person.test)]
    assert [len(some) for some in sittings] == [1, 1]
    assert sittings[0].isdisjoint(sittings[1])
    assert person.group == "set"


def test_who_says_only_words_is_kept_apart(tmp_path: Path) -> None:
    rows = [
        ("a.wav", "speech", "ann"),
        ("b.wav", "command", "ann"),
        ("c.wav", "command", "bob"),
        ("d.wav", "background", "cy"),
    ]
    _write(tmp_path, rows)
    sentences, words = everybody(tmp_path)
    assert {name: len(own) for name, own in sentences.items()} == {"ann": 1}
    assert list(words) == ["bob"]


def test_people_alone_in_their_recordings_are_no_group(hums: Path) -> None:
    corpus, _ = everybody(hums)
    assert by_group(strangers(corpus, hums, set(NAMES[1:]))) == {}
    assert list(by_group(strangers(corpus, hums, ()))) == ["dev-clean"]


@pytest.mark.parametrize(("most", "count"), [(None, 6), (2, 2), (9, 6)])
def test_so_many_are_drawn(hums: Path, most: int | None, count: int) -> None:
    cast = strangers(everybody(hums)[0], hums, ())
    some = chosen(cast, most, np.random.default_rng(1))
    assert len(set(some)) == count
    assert some == chosen(cast, most, np.random.default_rng(1))


def _write(folder: Path, rows: list[tuple[str, str, str]]) -> None:
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "role", "speaker"), *rows])
    for path, *_ in rows:
        (folder / path).parent.mkdir(exist_ok=True)
        soundfile.write(folder / path, np.full(100, 0.1, np.float32), 16_000)
