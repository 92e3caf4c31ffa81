"""Nobody, and no tune, is on both sides."""

from __future__ import annotations

from earmark_host.bench.corpus import Clip
from earmark_host.memory.fold import fold, owner

PEOPLE = [f"person {number}" for number in range(400)]


def test_a_person_is_on_one_side_with_everything_that_they_say() -> None:
    for person in PEOPLE:
        said = [Clip("a.opus", "speech", person), Clip("b.opus", "command", person, "go")]
        assert len({fold(clip) for clip in said}) == 1


def test_the_sides_are_halves() -> None:
    held_back = sum(fold(Clip("a.opus", "speech", person)) == "held_back" for person in PEOPLE)
    # Four standard deviations of 400 fair coins.
    assert abs(held_back - 200) < 40


def test_the_side_never_changes() -> None:
    # First bytes by sha256sum: 28, 05, 2f, e0. A calibration must hold for the next version's test.
    known = {
        "speaker LS1272": Clip("a.opus", "speech", "LS1272"),
        "speaker LS84": Clip("b.opus", "command", "LS84"),
        "tune calmraceks": Clip("music/calmrace-ks.opus", "music", ""),
        "file wakewords/alexa/10.opus": Clip("wakewords/alexa/10.opus", "wakeword", ""),
    }
    assert [owner(clip) for clip in known.values()] == list(known)
    sides = [fold(clip) for clip in known.values()]
    assert sides == ["calibrate", "held_back", "held_back", "calibrate"]


def test_two_spellings_of_a_tune_are_one_tune() -> None:
    spellings = ["m/Lets_Go_Fishin.opus", "n/Let_s_Go_Fishin_.opus", "lets_go_fishin2.opus"]
    assert {owner(Clip(path, "music", "")) for path in spellings} == {"tune letsgofishin"}


def test_a_tune_without_letters_keeps_its_name() -> None:
    assert owner(Clip("01.opus", "music", "")) != owner(Clip("02.opus", "music", ""))


def test_takes_by_unnamed_people_are_parted_one_by_one() -> None:
    takes = [Clip(f"alexa/{number}.opus", "wakeword", "", "alexa") for number in range(50)]
    assert len({owner(clip) for clip in takes}) == 50
    assert {fold(clip) for clip in takes} == {"calibrate", "held_back"}
