"""Households become streams that a device hears, and a plan of them is as large as asked for."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import soundfile

from earmark.audio import load_room
from earmark.errors import EarmarkError
from earmark.signal import RATE_HZ, Signal
from earmark_host.bench.corpus import Clip, Corpus
from earmark_host.memory import households
from earmark_host.memory.hearing import Ear
from earmark_host.memory.households import LENGTHS, SHORTEST, household, plan, repeats
from earmark_host.memory.material import Material
from earmark_host.memory.scripts import Kind, RepeatKind, longest

ROOMS = [load_room("bedroom"), load_room("kitchen")]


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Short noises in the place of words: each file another one."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    rows = [
        *((f"s{p}_{n}.wav", "speech", f"reader {p}", "", "age=8") for p in range(8) for n in "123"),
        *((f"t{p}_{n}.wav", "speech", f"reader {p}", "", "") for p in range(8) for n in "12"),
        *(
            (f"c{p}_{w}_{n}.wav", "command", f"user {p}", w, "")
            for p in range(4)
            for w in ("go", "up")
            for n in "123"
        ),
        *((f"b{n}.wav", "background", "", "", "") for n in range(4)),
        *((f"{name}.wav", "music", "", "", "") for name in ("aria", "blues")),
        ("n.wav", "noise", "", "rain", ""),
    ]
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "role", "speaker", "label", "extra"])
        writer.writerows(rows)
    for path, role, *_ in rows:
        seconds = 8.0 if role == "music" else float(rng.uniform(0.2, 0.5))
        signal = rng.normal(0.0, 0.1, round(seconds * RATE_HZ)).astype(np.float32)
        soundfile.write(folder / path, signal, RATE_HZ)
    return Material.of(Corpus.open(folder), None, ROOMS)


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_sounds(material: Material, kind: Kind) -> None:
    queries = min(6, longest(kind, material))
    stream = household(kind, material, rng(), queries)
    assert stream.name == kind
    assert stream.carrier == ("music" if kind == "music" else "speech")
    assert stream.won_at is None
    assert len(stream.queries) == stream.facts["clips"] == queries
    for query in stream.queries:
        assert query.signal.dtype == np.float32
        assert query.signal.any()
        assert np.isfinite(query.signal).all()
        assert not query.fake
    again = household(kind, material, rng(), queries)
    np.testing.assert_array_equal(again.queries[-1].signal, stream.queries[-1].signal)
    assert again.facts == stream.facts


def test_facts_say_what_a_stream_rests_on(material: Material) -> None:
    facts = household("same_phrase", material, rng(), 12).facts
    assert facts["clips"] == 12
    assert facts["named_people"] == 4
    assert facts["labels"] in (["go"], ["up"])
    assert facts["room"] in ("bedroom", "kitchen")
    assert household("children", material, rng(), 5).facts["labels"] == []


@pytest.mark.parametrize("kind", get_args(RepeatKind))
def test_a_machine_is_heard_with_other_noise_each_time(
    material: Material, kind: RepeatKind
) -> None:
    stream = repeats(kind, material, rng(), 5)
    assert stream.name == kind
    assert stream.facts["clips"] == 1
    assert len({query.signal.tobytes() for query in stream.queries}) == 5


class Heard:
    """Notes what an ear is asked to hear."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.dry: list[Signal] = []
        self.places: list[str] = []
        self.behind: list[Signal | None] = []
        self.noises: list[Signal | None] = []
        monkeypatch.setattr(Ear, "hear", self._hear)

    def _hear(
        self,
        dry: Signal,
        place: str,
        rng: np.random.Generator,
        *,
        behind: Signal | None = None,
        noise: Signal | None = None,
    ) -> Signal:
        self.dry.append(dry)
        self.places.append(place)
        self.behind.append(behind)
        self.noises.append(noise)
        return dry


def places_of(speaker: str, material: Material, heard: Heard) -> list[int]:
    """How often somebody is where, of 400 times; the most frequent place first."""
    song = material.music[0]
    said = [households.Said(Clip(song.path, "music", speaker), 0.0) for _ in range(400)]
    heard.places.clear()
    households._heard("mixed", material, rng(), said)
    return [count for _, count in Counter(heard.places).most_common()]


def test_people_are_where_they_usually_are_half_the_time(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = places_of("ann", material, Heard(monkeypatch))
    # Half of 400, and a fifth of the other half; the other four places share the rest.
    assert len(counts) == 5
    assert counts[0] == pytest.approx(240, abs=40)
    assert counts[1] < 65


def test_somebody_unnamed_is_everywhere_alike(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = places_of("", material, Heard(monkeypatch))
    assert counts == pytest.approx([80] * 5, abs=35)


def test_a_long_command_is_heard_whole(material: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard(monkeypatch)
    command = Clip(material.music[0].path, "command", "ann", "go")
    households._heard("routine", material, rng(), [households.Said(command, 0.0)])
    assert heard.dry[0].size == 8 * RATE_HZ


def test_a_television_is_heard_from_its_place_and_behind_the_others(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard(monkeypatch)
    household("television", material, rng(), 9)
    for place, behind in zip(heard.places, heard.behind, strict=True):
        assert (place == "television") == (behind is None)
    assert heard.places.count("television") == 3
    assert all(noise is not None for noise in heard.noises)


def test_without_noises_the_ear_makes_its_own(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard(monkeypatch)
    household("mixed", replace(material, noises=()), rng(), 3)
    assert heard.noises == [None] * 3


def test_of_a_song_six_seconds_are_heard_each_time_others(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard(monkeypatch)
    song = material.music[0]
    whole = material.load(song)
    households._heard("music", material, rng(), [households.Said(song, 0.0)] * 20)
    assert {dry.size for dry in heard.dry} == {6 * RATE_HZ}
    assert len({float(dry[0]) for dry in heard.dry}) > 10
    starts = [int(np.flatnonzero(whole == dry[0])[0]) for dry in heard.dry]
    assert max(starts) > RATE_HZ > min(starts)


def wide() -> Material:
    """Clips without files: plans need none."""

    def clips(role: str, speaker: str, label: str, count: int) -> list[Clip]:
        return [Clip(f"{role}/{speaker}/{label}/{n}", role, speaker, label) for n in range(count)]

    people = {f"reader {n}": clips("speech", f"reader {n}", "", 20) for n in range(70)}
    commands = {
        word: {f"user {n}": clips("command", f"user {n}", word, 4) for n in range(15)}
        for word in ("down", "five", "go", "left", "one", "up")
    }
    phrases = {
        word: [clip for takes in by_person.values() for clip in takes]
        for word, by_person in commands.items()
    }
    phrases |= {"alexa": clips("wakeword", "", "alexa", 41), "joke": clips("wakeword", "", "j", 9)}
    ages = {f"reader {n}": 9 for n in range(20)}
    return Material(Corpus(Path(), [], ""), ROOMS, people, commands, phrases, ages)


@pytest.mark.parametrize("total", [1, 300, 5_000, 12_000])
def test_a_plan_is_large_enough_and_can_be_carried_out(total: int) -> None:
    material = wide()
    households = plan(material, rng(), total)
    count = Counter[str]()
    for kind, queries in households:
        count[kind] += queries
        assert SHORTEST <= queries <= longest(kind, material)
    assert total <= count.total() < total + 1_300
    assert count["same_phrase"] >= total / 4


def test_a_plan_has_every_kind_and_one_guest_house() -> None:
    households = plan(wide(), rng(), 5_000)
    kinds = Counter(kind for kind, _ in households)
    assert set(kinds) == {"same_phrase", *LENGTHS}
    assert kinds["guest_house"] == 1
    assert kinds["mixed"] > 2
    for kind, queries in households:
        if kind != "same_phrase":
            assert queries <= LENGTHS[kind][1]


def test_all_phrases_have_their_turn_before_one_comes_again() -> None:
    material = wide()
    # Six phrases with 60 takes and one with 41; nine takes are too few.
    first: set[int] = set()
    for seed in range(5):
        households = plan(material, rng(seed), 4_000)
        lengths = [queries for kind, queries in households if kind == "same_phrase"]
        assert len(lengths) > 14
        for turn in range(0, 14, 7):
            assert sorted(lengths[turn : turn + 7]) == [41, 60, 60, 60, 60, 60, 60]
            first.add(lengths[turn : turn + 7].index(41))
    assert len(first) > 2


def test_a_plan_leaves_out_what_the_corpus_lacks() -> None:
    few = replace(wide(), commands={}, phrases={}, ages={})
    kinds = Counter(kind for kind, _ in plan(few, rng(), 3_000))
    assert set(kinds) == {"mixed", "television", "guest_house"}
    only = replace(wide(), sentences={}, commands={}, ages={})
    households = plan(only, rng(), 500)
    assert {kind for kind, _ in households} == {"same_phrase"}
    assert sum(queries for _, queries in households) >= 500


def test_without_any_household_there_is_no_plan() -> None:
    nothing = replace(wide(), sentences={}, commands={}, phrases={}, ages={})
    with pytest.raises(EarmarkError, match="no household with 10 queries"):
        plan(nothing, rng(), 100)
