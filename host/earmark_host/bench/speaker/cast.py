"""Who is in the bench: people whom a model was trained to name, and people whom it never met.

Clips that a model was trained on are never tested with: a checkpoint lists its test clips.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from earmark_host.speaker.clips import Clip, people

ENROLLED = 5
"""Phrases of a new person: what the device asks for."""

Corpus: TypeAlias = Mapping[str, Sequence[Clip]]
"""Clips of each person, as :func:`earmark_host.speaker.clips.people` gives them."""


@dataclass(frozen=True)
class Person:
    """Somebody in the bench.

    Parameters
    ----------
    name : in the corpus.
    group : which recordings they are from, and with whom they can be confused; the first folder
        of their files.
    enrol : what their voiceprint is made of.
    test : what is tested; shares nothing with `enrol`.
    """

    name: str
    group: str
    enrol: tuple[Clip, ...]
    test: tuple[Clip, ...]


@dataclass(frozen=True)
class Trained:
    """Whom a model has heard.

    Parameters
    ----------
    people : those whom it names, in the order of its logits.
    test_clips : :attr:`Clip.key` of those of their clips that it was not trained on.
    heard : everybody whom it heard in training, also those whom it does not name.
    """

    people: tuple[str, ...] = ()
    test_clips: frozenset[str] = frozenset()
    heard: frozenset[str] = frozenset()


def everybody(folder: Path) -> tuple[Corpus, Corpus]:
    """Those who say sentences, and those who say nothing but single words.

    Raises
    ------
    EarmarkError
        There is no corpus there, or nobody in it has a name.
    """
    sentences = people(folder)
    all_of_them = people(folder, commands=True)
    return sentences, {name: own for name, own in all_of_them.items() if name not in sentences}


def acquaintances(corpus: Corpus, folder: Path, trained: Trained) -> tuple[Person, ...]:
    """People whom a model was trained to name, with clips that it was not trained on."""
    known = set(trained.people)
    found = []
    for name, clips in corpus.items():
        test = tuple(clip for clip in clips if clip.key in trained.test_clips)
        enrol = tuple(clip for clip in clips if clip.key not in trained.test_clips)
        if name in known and test and enrol:
            found.append(Person(name, group(clips[0], folder), _shuffled(enrol), _shuffled(test)))
    return tuple(found)


def strangers(
    corpus: Corpus, folder: Path, heard: Collection[str], least_tests: int = 1
) -> tuple[Person, ...]:
    """People whom no model in question ever heard, with clips enough to be enrolled and tested.

    Tested are sittings that they were not enrolled in, where there are several.

    Parameters
    ----------
    heard : whom to leave out.
    least_tests : clips that are left when they are enrolled.
    """
    found = []
    for name, clips in corpus.items():
        if name in heard or len(clips) < ENROLLED + least_tests:
            continue
        ordered = sorted(clips, key=lambda clip: (_hash(name, clip.session), _hash(clip.key)))
        enrol, rest = ordered[:ENROLLED], ordered[ENROLLED:]
        sittings = {clip.session for clip in enrol}
        apart = [clip for clip in rest if clip.session not in sittings]
        test = _shuffled(apart if len(apart) >= least_tests else rest)
        found.append(Person(name, group(clips[0], folder), tuple(enrol), test))
    return tuple(found)


def group(clip: Clip, folder: Path) -> str:
    """The first folder of its path below that of the corpus: a name for a row of a table."""
    below = clip.path.relative_to(folder).parts
    return below[0] if len(below) > 1 else folder.resolve().name


def chosen(cast: Sequence[Person], most: int | None, rng: np.random.Generator) -> list[Person]:
    """At most so many of them, drawn."""
    if most is None or len(cast) <= most:
        return list(cast)
    order = rng.permutation(len(cast))[:most]
    return [cast[place] for place in sorted(order)]


def by_group(cast: Iterable[Person]) -> dict[str, list[Person]]:
    """Groups of at least two people."""
    groups: dict[str, list[Person]] = {}
    for person in cast:
        groups.setdefault(person.group, []).append(person)
    return {name: some for name, some in sorted(groups.items()) if len(some) > 1}


def _shuffled(clips: Iterable[Clip]) -> tuple[Clip, ...]:
    """In an order that says nothing, the same for the same corpus wherever it lies."""
    return tuple(sorted(clips, key=lambda clip: _hash(clip.key)))


def _hash(*names: str) -> bytes:
    return hashlib.sha256("/".join(names).encode()).digest()
