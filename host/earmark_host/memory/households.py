"""Households that mean no harm, as the streams of queries that their devices hear.

People's real recordings (:mod:`earmark_host.memory.scripts` says whose), said in a room: every
query has its own place, level, noise and begin. Within a household each file is heard once.
Another household may use it again, in another room; so the queries of a plan are more than the
recordings they rest on, and each stream's facts say how many those are. Noises may come back
within a household: a dishwasher does, and it is 15 dB below the query or less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from earmark.errors import EarmarkError
from earmark.signal import RATE_HZ, Signal
from earmark_host.bench.corpus import Clip
from earmark_host.memory.hearing import Ear
from earmark_host.memory.material import LONGEST_S, PERSON, Material
from earmark_host.memory.scripts import (
    Kind,
    RepeatKind,
    Said,
    longest,
    one_of,
    repeated,
    script,
    shuffled,
)
from earmark_host.memory.stream import Query, Stream

USUAL_SHARE = 0.5
"""Share of the queries that a person says at the usual place at least: by the stove, on the
sofa."""

SHORTEST = 10
"""Least queries of a household in a plan: five of a kind must have the chance to come together."""

SAME_PHRASE_SHARE = 0.3
"""Share of a plan's queries in households of a single phrase, the hardest ones."""

LENGTHS: Mapping[Kind, tuple[int, int]] = {
    "mixed": (80, 120),
    "television": (150, 400),
    "children": (60, 80),
    "routine": (80, 200),
    "same_person_daily": (50, 100),
    "guest_house": (1_100, 1_200),
}
"""Queries of a household in a plan, least and most: three to six people have 80 to 120 recordings
where most have 16 or 36, and the guest house fills a memory of 1,000 and goes on."""

ONCE = frozenset({"guest_house"})
"""Kinds of which a plan has one at most: one guest house has half of all recordings."""


def household(kind: Kind, material: Material, rng: np.random.Generator, queries: int) -> Stream:
    """A benign household.

    Parameters
    ----------
    kind : what it is like.
    material : of which fold and in which rooms.
    rng : draws people, phrases, order, room, places, levels and noises.
    queries : how many, 1 to :func:`~earmark_host.memory.scripts.longest`.

    Raises
    ------
    EarmarkError
        The corpus has too little for it.
    ValueError
        `queries` is below 1.
    """
    return _heard(kind, material, rng, script(kind, material, rng, queries))


def repeats(kind: RepeatKind, material: Material, rng: np.random.Generator, queries: int) -> Stream:
    """A machine that plays one recording over and over, each time with another noise and level.

    It is benign, and yet a detector of repetition must notice it, unless the owner has approved
    the recording.

    Raises
    ------
    ValueError
        `queries` is below 1.
    """
    return _heard(kind, material, rng, repeated(kind, material, rng, queries))


def plan(material: Material, rng: np.random.Generator, total: int) -> list[tuple[Kind, int]]:
    """Which households to make for at least `total` queries, and how many queries each has.

    :data:`SAME_PHRASE_SHARE` of them are in households of a single phrase, as long as each phrase
    has takes; when all phrases have had their turn, they come again, in other households. The
    rest goes to the kinds of :data:`LENGTHS` in turn, the guest house once. A kind that the
    corpus has no recordings for is left out: a report should say how many queries each kind had.

    Raises
    ------
    EarmarkError
        No kind of household has :data:`SHORTEST` queries.
    """
    phrases = [n for n in map(len, material.phrases.values()) if n >= SHORTEST]
    others: list[Kind] = [kind for kind in LENGTHS if longest(kind, material) >= SHORTEST]
    if not phrases and not others:
        raise EarmarkError(
            f"the corpus has no household with {SHORTEST} queries",
            "add people (role speech) with some 16 clips each, or takes of one phrase",
        )
    households: list[tuple[Kind, int]] = []
    left = float(total)
    while phrases and left > (total * (1.0 - SAME_PHRASE_SHARE) if others else 0.0):
        turn = len(households) % len(phrases)
        if turn == 0:
            phrases = shuffled(phrases, rng)
        households.append(("same_phrase", phrases[turn]))
        left -= phrases[turn]
    while left > 0.0:
        kind = others.pop(0)
        if kind not in ONCE:
            others.append(kind)
        low, high = LENGTHS[kind]
        length = min(int(rng.integers(low, high + 1)), longest(kind, material))
        households.append((kind, length))
        left -= length
    return households


def _heard(
    kind: Kind | RepeatKind, material: Material, rng: np.random.Generator, said: Sequence[Said]
) -> Stream:
    """Let it sound in one room."""
    ear = Ear(one_of(material.rooms, rng))
    places = [name for name in ear.room.sources if name.startswith(PERSON)]
    usual: dict[str, str] = {}
    queries: list[Query] = []
    for each in said:
        place = each.place or one_of(places, rng)
        speaker = each.clip.speaker
        if not each.place and speaker and rng.random() < USUAL_SHARE:
            place = usual.setdefault(speaker, place)
        signal = ear.hear(
            _sound(material, each.clip, rng),
            place,
            rng,
            behind=_sound(material, each.behind, rng) if each.behind else None,
            noise=material.load(one_of(material.noises, rng)) if material.noises else None,
        )
        queries.append(Query(signal, each.at_s))
    clips = {each.clip for each in said}
    facts: dict[str, object] = {
        "clips": len(clips),
        "named_people": len({clip.speaker for clip in clips if clip.speaker}),
        "labels": sorted({clip.label for clip in clips if clip.role in ("command", "wakeword")}),
        "room": ear.room.name,
    }
    return Stream(kind, "music" if kind == "music" else "speech", queries, facts=facts)


def _sound(material: Material, clip: Clip, rng: np.random.Generator) -> Signal:
    """What is heard of a clip: of a song, LONGEST_S from a drawn moment on."""
    signal = material.load(clip)
    over = signal.size - round(LONGEST_S * RATE_HZ)
    if clip.role != "music" or over <= 0:
        return signal
    start = int(rng.integers(over + 1))
    return signal[start : signal.size - over + start]
