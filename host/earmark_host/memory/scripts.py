"""Who says what, when, in a household that means no harm: the clips of its queries in order.

Nobody says the same recording twice: the very same file again is no human repetition, so a script
uses each file once (checked in :func:`script`). A corpus has few takes of one command by one
person (usually four), so where a habit goes on for longer, another person takes over.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Literal, TypeAlias, TypeVar

import numpy as np

from earmark.errors import EarmarkError
from earmark_host.bench.corpus import Clip
from earmark_host.memory.fold import owner
from earmark_host.memory.material import LOUDSPEAKER, TELEVISION, Material

_T = TypeVar("_T")

Kind: TypeAlias = Literal[
    "mixed",
    "same_phrase",
    "same_person_daily",
    "routine",
    "children",
    "television",
    "guest_house",
    "music",
]
"""What a household is like:

``mixed``: three people or more with their own sentences and commands.
``same_phrase``: one phrase and nothing else, by everybody who says it.
``same_person_daily``: one command, once a day.
``routine``: a handful of commands in the same order every day.
``children``: children only.
``television``: as mixed, with a television behind every command, which wakes the device itself
now and then.
``guest_house``: as mixed, with as many people as it takes to fill the largest memory.
``music``: songs wake the device, each time another one.
"""

RepeatKind: TypeAlias = Literal["advertisement", "routine_playback"]
"""Which machine plays one recording over and over:

``advertisement``: the television.
``routine_playback``: an automation with an announcement, every day, from another loudspeaker.
"""

PEOPLE = 3
"""Least number of people in a family; more come in until there is enough to say."""

LEAST_TAKES = 4
"""Least number of recordings of a person in a family: who was recorded once fills no week."""

HANDFUL = 5
"""Phrases of a routine: lights, heating, radio, news, door."""

MISFIRE_SHARE = 1 / 3
"""Share of a television household's queries that the television said, the wake word misfiring."""

SONG_SHARE = 0.5
"""Share of the commands with a song behind them, as long as there is one that was not heard yet;
behind the others somebody talks."""

GAP_S = 2_700.0
"""Mean time between two queries, s: some twenty on a waking day."""

DAY_S = 86_400.0
"""One day, s."""

WOBBLE_S = 1_200.0
"""How much later than at its earliest a daily habit begins at most, s."""

PAUSE_S = 30.0
"""Time between two phrases of a routine, s."""


@dataclass(frozen=True)
class Said:
    """One query before it sounds.

    Parameters
    ----------
    clip : what is said or played.
    at_s : when, s from the beginning of the stream.
    place : where in the room; "" is wherever the speaker happens to be.
    behind : what the television plays meanwhile.
    """

    clip: Clip
    at_s: float
    place: str = ""
    behind: Clip | None = None


def script(kind: Kind, material: Material, rng: np.random.Generator, queries: int) -> list[Said]:
    """The queries of a household.

    Parameters
    ----------
    queries : how many, 1 to :func:`longest`. For ``same_phrase`` the phrase with the fewest takes
        that suffice is taken, so that asking for as many as a phrase has gives all of them.

    Raises
    ------
    EarmarkError
        The corpus has too little for it; the message says how much there is.
    ValueError
        `queries` is below 1.
    """
    if queries < 1:
        raise ValueError(f"queries is {queries}, must be at least 1")
    there = longest(kind, material)
    if queries > there:
        raise EarmarkError(
            f"the corpus has recordings for {there} queries of a household of the kind {kind!r}, "
            f"{queries} are asked for",
            "ask for fewer, or add clips: of speech and command with a speaker, of command and "
            "wakeword with a label, background, music, children with age=.. in extra",
        )
    said = _KINDS[kind][0](material, rng, queries)
    _check_nothing_twice(said)
    return said


def longest(kind: Kind, material: Material) -> int:
    """How many queries a household of that kind can have; 0 where the corpus lacks it."""
    return _KINDS[kind][1](material)


def repeated(
    kind: RepeatKind, material: Material, rng: np.random.Generator, queries: int
) -> list[Said]:
    """The queries of a machine: one clip of speech, `queries` times (ValueError: below 1)."""
    if queries < 1:
        raise ValueError(f"queries is {queries}, must be at least 1")
    if kind == "advertisement":
        clip = one_of(material.background or _sentences(material), rng)
        return _spread([clip] * queries, rng, TELEVISION)
    clip = one_of(_sentences(material), rng)
    return [Said(clip, _morning(day, rng), LOUDSPEAKER) for day in range(queries)]


def _mixed(material: Material, rng: np.random.Generator, queries: int) -> list[Said]:
    takes = [clip for clips in _family(material, rng, queries).values() for clip in clips]
    return _spread(shuffled(takes, rng)[:queries], rng)


def _longest_mixed(material: Material) -> int:
    return _total(_settled(_people(material)))


def _only_children(material: Material) -> Material:
    return replace(material, sentences=material.children, commands={})


def _children(material: Material, rng: np.random.Generator, queries: int) -> list[Said]:
    return _mixed(_only_children(material), rng, queries)


def _longest_children(material: Material) -> int:
    return _longest_mixed(_only_children(material))


def _same_phrase(material: Material, rng: np.random.Generator, queries: int) -> list[Said]:
    enough = [takes for takes in material.phrases.values() if len(takes) >= queries]
    fewest = min(map(len, enough))
    takes = one_of([each for each in enough if len(each) == fewest], rng)
    return _spread(shuffled(takes, rng)[:queries], rng)


def _longest_same_phrase(material: Material) -> int:
    return max(map(len, material.phrases.values()), default=0)


def _same_person_daily(material: Material, rng: np.random.Generator, queries: int) -> list[Said]:
    enough = [label for label in material.commands if _days(material, [label]) >= queries]
    return _habit(material, [one_of(enough, rng)], rng)[:queries]


def _longest_daily(material: Material) -> int:
    return max((_days(material, [label]) for label in material.commands), default=0)


def _routine(material: Material, rng: np.random.Generator, queries: int) -> list[Said]:
    labels = shuffled(list(material.commands), rng)[:HANDFUL]
    return _habit(material, labels, rng)[:queries]


def _longest_routine(material: Material) -> int:
    # Whichever phrases are drawn, nobody has fewer takes of them than of all.
    return min(HANDFUL, len(material.commands)) * _days(material, list(material.commands))


def _television(material: Material, rng: np.random.Generator, queries: int) -> list[Said]:
    misfires = round(queries * MISFIRE_SHARE)
    commands = _mixed(material, rng, queries - misfires)
    family = {each.clip.speaker for each in commands}
    others = [clip for clip in _sentences(material) if clip.speaker not in family]
    programme = iter(shuffled([*material.background, *others], rng))
    songs = iter(shuffled(_tunes(material), rng))
    order = shuffled([*commands, *[None] * misfires], rng)
    said: list[Said] = []
    for command, at_s in zip(order, _times(queries, rng), strict=True):
        if command is None:
            said.append(Said(next(programme), at_s, TELEVISION))
        else:
            song = next(songs, None) if rng.random() < SONG_SHARE else None
            said.append(Said(command.clip, at_s, behind=song or next(programme)))
    return said


def _longest_television(material: Material) -> int:
    people = _settled(_people(material))
    # On television is what the family does not say itself. A family has up to one person's takes
    # more than it needs, and those of PEOPLE at least.
    most = max(map(len, people.values()), default=0)
    on_air = len(_sentences(material)) + len(material.background)
    bounds = (
        _total(people),
        math.floor((on_air - most - 1) / (2.0 - MISFIRE_SHARE)),
        on_air - PEOPLE * most,
    )
    return max(0, min(bounds))


def _music(material: Material, rng: np.random.Generator, queries: int) -> list[Said]:
    return _spread(shuffled(_tunes(material), rng)[:queries], rng, TELEVISION)


def _longest_music(material: Material) -> int:
    return len(_tunes(material))


_KINDS: Mapping[
    Kind,
    tuple[Callable[[Material, np.random.Generator, int], list[Said]], Callable[[Material], int]],
] = {
    "mixed": (_mixed, _longest_mixed),
    "same_phrase": (_same_phrase, _longest_same_phrase),
    "same_person_daily": (_same_person_daily, _longest_daily),
    "routine": (_routine, _longest_routine),
    "children": (_children, _longest_children),
    "television": (_television, _longest_television),
    "guest_house": (_mixed, _longest_mixed),
    "music": (_music, _longest_music),
}


def _check_nothing_twice(said: Sequence[Said]) -> None:
    """Refuse a script in which a file is heard twice (AssertionError: a mistake in here)."""
    heard = [clip.path for each in said for clip in (each.clip, each.behind) if clip]
    if len(set(heard)) < len(heard):
        raise AssertionError("a household uses a file twice")


def _family(
    material: Material, rng: np.random.Generator, queries: int
) -> dict[str, Sequence[Clip]]:
    """People with `queries` takes together, every other one with commands where there are any."""
    people, commanders = _settled(_people(material)), material.commanders
    reading = shuffled([name for name in people if name not in commanders], rng)
    commanding = shuffled([name for name in people if name in commanders], rng)
    family: dict[str, Sequence[Clip]] = {}
    for pair in zip_longest(reading, commanding):
        for name in pair:
            if name is not None and (len(family) < PEOPLE or _total(family) < queries):
                family[name] = people[name]
    return family


def _habit(material: Material, labels: Sequence[str], rng: np.random.Generator) -> list[Said]:
    """The phrases `labels` in this order, once a day, by one person after another."""
    said: list[Said] = []
    day = 0
    people = _repeating(material, labels)
    for person in shuffled(list(people), rng):
        takes = [shuffled(material.commands[label][person], rng) for label in labels]
        for _ in range(people[person]):
            begin_s = _morning(day, rng)
            said += [Said(each.pop(), begin_s + i * PAUSE_S) for i, each in enumerate(takes)]
            day += 1
    return said


def _days(material: Material, labels: Sequence[str]) -> int:
    """For how many days the takes of `labels` last."""
    return sum(_repeating(material, labels).values())


def _repeating(material: Material, labels: Sequence[str]) -> dict[str, int]:
    """Who has at least two takes of each of `labels`, and for how many days they last."""
    days: dict[str, int] = {}
    for person in material.commanders:
        takes = [material.commands[label].get(person, ()) for label in labels]
        least = min(map(len, takes))
        if least >= 2:
            days[person] = least
    return days


def _people(material: Material) -> dict[str, Sequence[Clip]]:
    """All that each person says, by person."""
    sentences, commanders = material.sentences, material.commanders
    names = dict.fromkeys([*sentences, *commanders])
    return {name: [*sentences.get(name, ()), *commanders.get(name, ())] for name in names}


def _settled(people: Mapping[str, Sequence[Clip]]) -> dict[str, Sequence[Clip]]:
    return {name: takes for name, takes in people.items() if len(takes) >= LEAST_TAKES}


def _total(people: Mapping[str, Sequence[Clip]]) -> int:
    return sum(map(len, people.values()))


def _sentences(material: Material) -> list[Clip]:
    return [clip for takes in material.sentences.values() for clip in takes]


def _tunes(material: Material) -> list[Clip]:
    """The songs, each tune once."""
    return list({owner(clip): clip for clip in material.music}.values())


def _spread(clips: Sequence[Clip], rng: np.random.Generator, place: str = "") -> list[Said]:
    """`clips` in this order, now and then."""
    times = _times(len(clips), rng)
    return [Said(clip, at_s, place) for clip, at_s in zip(clips, times, strict=True)]


def _times(count: int, rng: np.random.Generator) -> list[float]:
    return [float(at_s) for at_s in np.cumsum(rng.exponential(GAP_S, count))]


def _morning(day: int, rng: np.random.Generator) -> float:
    return day * DAY_S + float(rng.uniform(0.0, WOBBLE_S))


def one_of(items: Sequence[_T], rng: np.random.Generator) -> _T:
    """Draw one of `items`, all alike."""
    return items[int(rng.integers(len(items)))]


def shuffled(items: Sequence[_T], rng: np.random.Generator) -> list[_T]:
    """`items` in a drawn order."""
    return [items[int(index)] for index in rng.permutation(len(items))]
