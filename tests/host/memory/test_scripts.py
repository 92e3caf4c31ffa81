"""Each kind of household says what it is named for, and nothing twice; no audio is needed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import cast, get_args

import numpy as np
import pytest

from earmark.errors import EarmarkError
from earmark_host.bench.corpus import Clip, Corpus
from earmark_host.memory import scripts
from earmark_host.memory.fold import owner
from earmark_host.memory.material import Material
from earmark_host.memory.scripts import (
    DAY_S,
    HANDFUL,
    PEOPLE,
    Kind,
    RepeatKind,
    Said,
    longest,
    repeated,
    script,
)

KINDS: tuple[Kind, ...] = get_args(Kind)
REPEATS: tuple[RepeatKind, ...] = get_args(RepeatKind)
WORDS = ["down", "five", "go", "left", "one", "right", "up"]


def made(seed: int = 0, most: int = 20) -> Material:
    """Twelve readers, five of them children, six who command, wake words, songs, a television."""
    rng = np.random.default_rng(seed)

    def clips(role: str, speaker: str, label: str, count: int) -> list[Clip]:
        return [Clip(f"{role}/{speaker}/{label}/{n}", role, speaker, label) for n in range(count)]

    sentences = {
        f"reader {n}": clips("speech", f"reader {n}", "", int(rng.integers(1, most)))
        for n in range(12)
    }
    commands = {
        word: {
            # The last two may have one take of a word: too few for a habit.
            f"user {n}": clips("command", f"user {n}", word, int(rng.integers(1 + (n < 4), 5)))
            for n in range(6)
        }
        for word in WORDS
    }
    phrases = {
        word: [clip for takes in by_person.values() for clip in takes]
        for word, by_person in commands.items()
    }
    phrases |= {word: clips("wakeword", "", word, n) for word, n in (("alexa", 31), ("joke", 12))}
    songs = [Clip(f"{name}.opus", "music", "", "music") for name in ("aria", "blues", "chant")]
    return Material(
        cast(Corpus, None),
        (),
        sentences,
        commands,
        phrases,
        {"reader 0": 7, "reader 1": 12, "reader 2": 9, "reader 3": 8, "reader 4": 6, "user 0": 40},
        clips("background", "", "tv", 15),
        [*songs, Clip("again/Aria_2.opus", "music", "", "music")],
    )


MATERIAL = made()


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def speakers(said: list[Said]) -> list[str]:
    return [each.clip.speaker for each in said]


def labels(said: list[Said]) -> list[str]:
    return [each.clip.label for each in said]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(12))
def test_a_household_can_be_as_long_as_promised_and_uses_no_file_twice(
    kind: Kind, seed: int
) -> None:
    material = made(seed, most=4 + 3 * seed)
    most = longest(kind, material)
    for queries in {most, (most + 1) // 2, min(1, most)} - {0}:
        said = script(kind, material, rng(seed), queries)
        assert len(said) == queries
        files = [clip.path for each in said for clip in (each.clip, each.behind) if clip]
        assert len(set(files)) == len(files)
        assert all(one.at_s <= other.at_s for one, other in pairwise(said))
        assert said[0].at_s >= 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_a_household_that_is_too_long_is_refused_with_the_bound(kind: Kind) -> None:
    most = longest(kind, MATERIAL)
    with pytest.raises(EarmarkError, match=rf"for {most} queries .*{kind!r}, {most + 1} are"):
        script(kind, MATERIAL, rng(), most + 1)
    with pytest.raises(ValueError, match="at least 1"):
        script(kind, MATERIAL, rng(), 0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_generator_decides(kind: Kind) -> None:
    queries = min(3, longest(kind, MATERIAL))
    one, same, other = (script(kind, MATERIAL, rng(seed), queries) for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_only_what_needs_the_missing_recordings_is_missing() -> None:
    bare = replace(MATERIAL, commands={}, phrases={}, ages={}, background=(), music=())
    there = {kind for kind in KINDS if longest(kind, bare) > 0}
    assert there == {"mixed", "television", "guest_house"}


def test_a_family_is_three_people_who_read_and_command() -> None:
    said = script("mixed", MATERIAL, rng(), 12)
    assert {clip.role for clip in (each.clip for each in said)} == {"speech", "command"}
    assert len(set(speakers(said))) <= PEOPLE
    # People take turns: not one after the other.
    assert sum(one != other for one, other in pairwise(speakers(said))) > 3


def test_a_family_grows_only_as_far_as_it_must() -> None:
    family = scripts._family(MATERIAL, rng(), 60)
    assert sum(map(len, family.values())) >= 60
    assert sum(map(len, list(family.values())[:-1])) < 60 or len(family) == PEOPLE


def test_who_was_recorded_once_is_in_no_family() -> None:
    lonely = {"once": [Clip("a", "speech", "once")]}
    material = replace(MATERIAL, sentences={**MATERIAL.sentences, **lonely})
    said = script("mixed", material, rng(), longest("mixed", material))
    assert "once" not in speakers(said)


def test_children_are_among_themselves() -> None:
    said = script("children", MATERIAL, rng(), longest("children", MATERIAL))
    assert set(speakers(said)) <= set(MATERIAL.children)
    assert {each.clip.role for each in said} == {"speech"}


@pytest.mark.parametrize(("word", "takes"), [("alexa", 31), ("joke", 12)])
def test_as_many_queries_as_a_phrase_has_takes_are_all_its_takes(word: str, takes: int) -> None:
    bigger = {"big": MATERIAL.phrases["alexa"] * 2}
    phrases = {"alexa": MATERIAL.phrases["alexa"], "joke": MATERIAL.phrases["joke"], **bigger}
    said = script("same_phrase", replace(MATERIAL, phrases=phrases), rng(), takes)
    assert labels(said) == [word] * takes
    assert [each.clip for each in said] != list(MATERIAL.phrases[word])


def test_a_daily_command_is_said_once_a_day_by_one_person_as_long_as_there_are_takes() -> None:
    said = script("same_person_daily", MATERIAL, rng(), longest("same_person_daily", MATERIAL))
    assert len(set(labels(said))) == 1
    assert [int(each.at_s // DAY_S) for each in said] == list(range(len(said)))
    changes = sum(one != other for one, other in pairwise(speakers(said)))
    assert changes == len(set(speakers(said))) - 1
    assert min(Counter(speakers(said)).values()) >= 2


def test_who_has_one_take_has_no_habit() -> None:
    def takes(name: str, count: int) -> list[Clip]:
        return [Clip(f"{name}/{n}", "command", name, "go") for n in range(count)]

    material = replace(
        MATERIAL, commands={"go": {"once": takes("once", 1), "often": takes("often", 4)}}
    )
    assert longest("same_person_daily", material) == 4
    drawn = [script("same_person_daily", material, rng(seed), 4) for seed in range(6)]
    assert {name for said in drawn for name in speakers(said)} == {"often"}
    assert len({tuple(each.clip.path for each in said) for said in drawn}) > 3


def test_a_routine_is_the_same_handful_in_the_same_order_every_day() -> None:
    queries = longest("routine", MATERIAL)
    said = script("routine", MATERIAL, rng(), queries)
    assert queries % HANDFUL == 0
    days = [said[at : at + HANDFUL] for at in range(0, queries, HANDFUL)]
    assert len(set(labels(days[0]))) == HANDFUL
    for number, day in enumerate(days):
        assert labels(day) == labels(days[0])
        assert len(set(speakers(day))) == 1
        assert int(day[0].at_s // DAY_S) == number
        pauses = [other.at_s - one.at_s for one, other in pairwise(day)]
        assert pauses == pytest.approx([scripts.PAUSE_S] * (HANDFUL - 1))


def test_a_television_speaks_behind_each_command_and_wakes_the_device_itself() -> None:
    said = script("television", MATERIAL, rng(), 30)
    misfires = [each for each in said if each.place == "television"]
    commands = [each for each in said if each.place == ""]
    assert (len(misfires), len(commands)) == (10, 20)
    assert all(each.behind is None for each in misfires)
    family = set(speakers(commands))
    on_air = [each.clip for each in misfires] + [each.behind for each in commands]
    assert None not in on_air
    assert not family & {clip.speaker for clip in on_air if clip and clip.speaker}
    assert {clip.role for clip in on_air if clip} == {"speech", "background", "music"}


@pytest.mark.parametrize("people", [1, 2, 3, 4, 5, 6, 12, 30])
def test_a_television_without_songs_never_runs_out_of_others(people: int) -> None:
    names = [f"reader {n}" for n in range(people)]
    sentences = {name: [Clip(f"{name}/{n}", "speech", name) for n in range(10)] for name in names}
    material = Material(cast(Corpus, None), (), sentences)
    most = longest("television", material)
    assert (most > 0) == (people > 3)
    for seed in range(10 if most else 0):
        for queries in (most, max(1, most // 2)):
            assert len(script("television", material, rng(seed), queries)) == queries


def test_every_song_is_another_tune() -> None:
    assert longest("music", MATERIAL) == 3
    said = script("music", MATERIAL, rng(), 3)
    assert len({owner(each.clip) for each in said}) == 3
    assert {each.place for each in said} == {"television"}


def test_a_script_with_a_file_twice_is_a_mistake() -> None:
    clip = Clip("a", "speech", "ann")
    scripts._check_nothing_twice([Said(clip, 0.0), Said(replace(clip, path="b"), 1.0)])
    with pytest.raises(AssertionError, match="twice"):
        scripts._check_nothing_twice([Said(clip, 0.0), Said(clip, 1.0)])
    with pytest.raises(AssertionError, match="twice"):
        scripts._check_nothing_twice([Said(replace(clip, path="b"), 0.0, behind=clip)] * 2)


def test_a_household_that_would_use_a_file_twice_is_stopped() -> None:
    take = MATERIAL.phrases["joke"][0]
    with pytest.raises(AssertionError, match="twice"):
        script("same_phrase", replace(MATERIAL, phrases={"joke": [take, take]}), rng(), 2)


@pytest.mark.parametrize("kind", REPEATS)
def test_a_machine_repeats_one_recording_from_one_place(kind: RepeatKind) -> None:
    said = repeated(kind, MATERIAL, rng(), 8)
    assert len(said) == 8
    assert len({(each.clip, each.place) for each in said}) == 1
    assert said[0].place != ""
    assert len({each.at_s for each in said}) == 8
    with pytest.raises(ValueError, match="at least 1"):
        repeated(kind, MATERIAL, rng(), 0)


def test_an_advertisement_is_a_television_clip_and_an_announcement_comes_daily() -> None:
    assert repeated("advertisement", MATERIAL, rng(), 2)[0].clip.role == "background"
    without = replace(MATERIAL, background=())
    assert repeated("advertisement", without, rng(), 2)[0].clip.role == "speech"
    daily = repeated("routine_playback", MATERIAL, rng(), 5)
    assert [int(each.at_s // DAY_S) for each in daily] == [0, 1, 2, 3, 4]
