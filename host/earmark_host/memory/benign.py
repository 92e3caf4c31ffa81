"""What benign audio gives the query memory to compare: scores, likenesses and means, no limits.

All of it is people's own recordings, heard in rooms as a device hears them. What a household may
do that is nearest to an attack is measured here: the same person, the same phrase, another take.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from earmark.errors import EarmarkError
from earmark.memory import CarrierKind, NeighboursSettings
from earmark.memory.entries import MAX_EXEMPLARS
from earmark.memory.neighbours import Fingerprint, fingerprint, likeness
from earmark.memory.neighbours.second_ear import SecondEar
from earmark.memory.paper import PaperFingerprint, with_input_noise
from earmark.memory.paper import fingerprint as paper_fingerprint
from earmark.signal import RATE_HZ, Signal
from earmark_host.bench.corpus import Clip
from earmark_host.bench.speech import spoken
from earmark_host.memory.fold import owner
from earmark_host.memory.hearing import Ear
from earmark_host.memory.households import household, plan, repeats
from earmark_host.memory.material import PERSON, Material
from earmark_host.memory.random_streams import heard, recordings
from earmark_host.memory.scripts import RepeatKind, one_of, shuffled

WORDS = (2, 3, 4, 5, 6)
"""Words of a phrase that is put together of takes: about 1 to 4 s, as commands have."""

GAP_S = (0.0, 0.06)
"""Silence between two words of a phrase, s. Nobody keeps the rhythm of a whole sentence to within
a frame of 16 ms; a wider range would keep takes farther apart than people do."""

WORD_HEARINGS = 3
"""How often each take of a single word is heard: other noise, the same place."""

REPEATS = 24
"""Hearings of one repeated recording: :data:`MAX_EXEMPLARS` are kept, the others compared."""

Noises: TypeAlias = Sequence[float | None]


@dataclass(frozen=True, eq=False)
class Pool:
    """Recordings that were heard once each, as the paper's detector keeps them.

    Parameters
    ----------
    owners : whose each is, a person or a tune.
    fingerprints : by the level of the input noise, dB, in the order of `owners`.
    """

    owners: list[str]
    fingerprints: dict[float | None, list[PaperFingerprint]]


def pool(
    material: Material, carrier: CarrierKind, most: int, noises: Noises, rng: np.random.Generator
) -> Pool:
    """Hear at most `most` recordings of a class in random order, each once."""
    heard_once = Pool([], {noise_db: [] for noise_db in noises})
    for clip, start_s in recordings(material, carrier, rng)[:most]:
        signal = heard(material, clip, start_s, rng)
        heard_once.owners.append(owner(clip))
        for noise_db, marks in heard_once.fingerprints.items():
            noisy = signal if noise_db is None else with_input_noise(signal, noise_db, rng)
            marks.append(paper_fingerprint(noisy))
    return heard_once


@dataclass(frozen=True, eq=False)
class Pairs:
    """Different recordings, compared as the neighbours detector does.

    Parameters
    ----------
    peaks : shape (n,), of the smaller fingerprint.
    likeness : shape (n,), the highest at any speed that the detector looks at.
    """

    peaks: NDArray[np.intp]
    likeness: NDArray[np.float64]

    @classmethod
    def of(cls, pairs: Sequence[tuple[Fingerprint, Fingerprint]]) -> Pairs:
        """Compare; pairs with fewer peaks than the detector looks at are left out."""
        settings = NeighboursSettings()
        enough = [each for each in pairs if min(map(len, each)) >= settings.min_peaks]
        alike = [alike_at_any_speed(*each, settings.speeds_percent) for each in enough]
        peaks = [min(map(len, each)) for each in enough]
        return cls(np.array(peaks, np.intp), np.array(alike, np.float64))

    @classmethod
    def join(cls, parts: Sequence[Pairs]) -> Pairs:
        """All pairs of all parts."""
        return cls(
            np.concatenate([part.peaks for part in parts]),
            np.concatenate([part.likeness for part in parts]),
        )


def alike_at_any_speed(new: Fingerprint, old: Fingerprint, speeds: Sequence[float]) -> float:
    """The highest likeness at the speed of `new` itself and at each of `speeds`, %.

    At least what the detector finds: at other speeds it looks at the best candidates only.
    """
    back = (new.at_speed(1.0 / (1.0 + speed / 100.0)) for speed in speeds)
    return max(likeness(each, old) for each in (new, *back))


@dataclass(frozen=True)
class TakeSet:
    """Takes of one phrase by one person.

    Parameters
    ----------
    person : who.
    words : for each word of the phrase its takes.
    """

    person: str
    words: tuple[tuple[Clip, ...], ...]


def word_sets(material: Material) -> list[TakeSet]:
    """Each command of each person with two takes or more."""
    return [
        TakeSet(person, (tuple(takes),))
        for by_person in material.commands.values()
        for person, takes in by_person.items()
        if len(takes) > 1
    ]


def phrase_sets(material: Material, count: int, rng: np.random.Generator) -> list[TakeSet]:
    """`count` phrases of two to six different words, each by one person who said all of them.

    Raises
    ------
    EarmarkError
        Nobody has two takes each of enough words.
    """
    people: dict[str, list[tuple[Clip, ...]]] = {}
    for each in word_sets(material):
        people.setdefault(each.person, []).append(each.words[0])
    able = {name: words for name, words in people.items() if len(words) >= max(WORDS)}
    if not able:
        raise EarmarkError(
            f"nobody in the corpus has two takes each of {max(WORDS)} commands",
            "add people with several takes of several words (role command, speaker and label)",
        )
    names = list(able)
    sets = []
    for index in range(count):
        person = one_of(names, rng)
        words = shuffled(able[person], rng)[: WORDS[index % len(WORDS)]]
        sets.append(TakeSet(person, tuple(tuple(shuffled(takes, rng)) for takes in words)))
    return sets


def takes(material: Material, each: TakeSet, rng: np.random.Generator) -> tuple[Pairs, Pairs]:
    """All pairs of takes of one set: dry, without the silence around them, and heard in a room.

    No recording is in both takes of a pair. All takes of a set are heard from the same place of
    one room; level, noise and the moment at which it begins are drawn anew.
    """
    count = min(map(len, each.words))
    dry = [_said([word[index] for word in each.words], material, rng) for index in range(count)]
    prints = [fingerprint(signal) for signal in dry]
    ear = Ear(one_of(material.rooms, rng))
    place = one_of([name for name in ear.room.sources if name.startswith(PERSON)], rng)

    def hear(signal: Signal) -> Fingerprint:
        noise = material.load(one_of(material.noises, rng)) if material.noises else None
        return fingerprint(ear.hear(signal, place, rng, noise=noise))

    hearings = WORD_HEARINGS if len(each.words) == 1 else 1
    rendered = [[hear(signal) for _ in range(hearings)] for signal in dry]
    return (
        Pairs.of(list(combinations(prints, 2))),
        Pairs.of([(a, b) for one, two in combinations(rendered, 2) for a in one for b in two]),
    )


def _said(words: Sequence[Clip], material: Material, rng: np.random.Generator) -> Signal:
    parts: list[Signal] = []
    for clip in words:
        signal = material.load(clip)
        parts += [spoken(signal, signal.size / RATE_HZ), _silence(rng)]
    return np.concatenate(parts[:-1])


def _silence(rng: np.random.Generator) -> Signal:
    return np.zeros(round(rng.uniform(*GAP_S) * RATE_HZ), np.float32)


def others(material: Material, count: int, rng: np.random.Generator) -> Iterator[tuple[str, Pairs]]:
    """`count` random pairs each of what is no repetition by one person, all heard in rooms:

    one phrase by different people (of wake words, whose speakers are not named, different takes),
    and any two different sentences.
    """
    phrases = [list(clips) for clips in material.phrases.values()]
    sentences = [clip for clips in material.sentences.values() for clip in clips]
    marks: dict[Clip, Fingerprint] = {}

    def mark(clip: Clip) -> Fingerprint:
        if clip not in marks:
            marks[clip] = fingerprint(heard(material, clip, 0.0, rng))
        return marks[clip]

    def drawn(groups: Sequence[Sequence[Clip]], n: int) -> list[tuple[Fingerprint, Fingerprint]]:
        sizes = np.array([len(group) ** 2 for group in groups], np.float64)
        chosen = rng.choice(len(groups), size=n, p=sizes / sizes.sum())
        pairs = []
        for index in chosen:
            one, two = (groups[index][i] for i in rng.permutation(len(groups[index]))[:2])
            if not one.speaker or one.speaker != two.speaker or one.role == "speech":
                pairs.append((mark(one), mark(two)))
        return pairs

    if phrases:
        yield "same_phrase_others", Pairs.of(drawn(phrases, count))
    yield "different_sentences", Pairs.of(drawn([sentences], count))


def household_means(
    material: Material, queries: int, depth: int, rng: np.random.Generator
) -> dict[str, list[float]]:
    """What the second ear says to households of all kinds with `queries` queries, by kind.

    Each household has a memory of its own, as deep as the device's; the first queries of each,
    to which the ear says nothing, are left out. The device also leaves out near-copies, of which
    a household has next to none: what is heard here is at least as high.
    """
    means: dict[str, list[float]] = {}
    least = NeighboursSettings().min_peaks
    for kind, length in plan(material, rng, queries):
        ear = SecondEar(depth)
        for number, query in enumerate(household(kind, material, rng, length).queries):
            mark = fingerprint(query.signal)
            if len(mark) < least:
                continue
            mean = ear.mean(mark)
            if mean is not None:
                means.setdefault(kind, []).append(mean)
            ear.add(number, mark)
    return means


def repeat_likenesses(
    kind: RepeatKind, material: Material, rng: np.random.Generator
) -> NDArray[np.float64]:
    """The likeness of one repeated recording to the first hearings of it, which are kept.

    Shape (REPEATS - MAX_EXEMPLARS,): of each later hearing that with the most alike of them.
    """
    marks = [fingerprint(each.signal) for each in repeats(kind, material, rng, REPEATS).queries]
    speeds = NeighboursSettings().speeds_percent
    kept, later = marks[:MAX_EXEMPLARS], marks[MAX_EXEMPLARS:]
    return np.array([max(alike_at_any_speed(a, b, speeds) for b in kept) for a in later])
