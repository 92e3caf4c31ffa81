"""What households are made of: the recordings of a corpus, sorted by who says what.

Only the manifest is read at once; a clip is decoded when it is first asked for and then kept
(:data:`KEPT_CLIPS`). A corpus needs people (role ``speech`` with a speaker); whatever else is
missing leaves its list empty, and the households that need it say so.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from earmark.audio import RoomModel
from earmark.errors import EarmarkError
from earmark.signal import Signal
from earmark_host.bench.corpus import MANIFEST, Clip, Corpus
from earmark_host.bench.speech import spoken
from earmark_host.memory.fold import Fold, fold

LONGEST_S = 6.0
"""Longest sentence, s: the rest is cut off. A command to a device is seldom longer."""

CHILD_YEARS = 12
"""Oldest child, years: before the voice breaks."""

KEPT_CLIPS = 1_500
"""Decoded clips that are kept: at 3.1 s (the mean sentence) and 4 bytes a sample, 300 MB."""

TELEVISION = "television"
"""The place of the television in a room."""

LOUDSPEAKER = "attacker"
"""The place of another loudspeaker than the device's, 1 m from it; rooms call it by its worst
use."""

PERSON = "person"
"""The places of people in a room begin with this."""

_AGE = re.compile(r"\bage=(\d{1,3})\b")


@dataclass(frozen=True, eq=False)
class Material:
    """The clips of one fold, sorted; make it with :meth:`of`.

    Parameters
    ----------
    corpus : where they are decoded from.
    rooms : where they are heard; at least one.
    sentences : by person, role ``speech``.
    commands : by label, then by person, role ``command`` with a label and a speaker.
    phrases : all takes of a label by anybody, named or not, roles ``command`` and ``wakeword``;
        at least two takes each.
    ages : years, of the people whose age the manifest tells.
    background : role ``background``, speech on television.
    music, noises : of these roles.
    """

    corpus: Corpus
    rooms: Sequence[RoomModel]
    sentences: Mapping[str, Sequence[Clip]]
    commands: Mapping[str, Mapping[str, Sequence[Clip]]] = field(default_factory=dict)
    phrases: Mapping[str, Sequence[Clip]] = field(default_factory=dict)
    ages: Mapping[str, int] = field(default_factory=dict)
    background: Sequence[Clip] = ()
    music: Sequence[Clip] = ()
    noises: Sequence[Clip] = ()

    @classmethod
    def of(cls, corpus: Corpus, side: Fold | None, rooms: Sequence[RoomModel]) -> Material:
        """Sort the clips of a corpus.

        Parameters
        ----------
        side : only the clips of this fold; None takes all.
        rooms : the rooms of the households, such as the shipped ones.

        Raises
        ------
        EarmarkError
            No sentence by a named person, no room, or a room that lacks a place.
        """
        _check(rooms)

        def clips(role: str) -> list[Clip]:
            there = corpus.role(role) if corpus.has(role) else ()
            return [clip for clip in there if side is None or fold(clip) == side]

        sentences: dict[str, list[Clip]] = {}
        for clip in clips("speech"):
            if clip.speaker:
                sentences.setdefault(clip.speaker, []).append(clip)
        if not sentences:
            raise EarmarkError(
                f"{corpus.folder / MANIFEST} has no sentences by named people"
                + (f" in the fold {side!r}" if side else ""),
                "add clips of the role 'speech' that name their speaker, by 20 people or more",
            )
        commands: dict[str, dict[str, list[Clip]]] = {}
        phrases: dict[str, list[Clip]] = {}
        for clip in (*clips("command"), *clips("wakeword")):
            if clip.label:
                phrases.setdefault(clip.label, []).append(clip)
                if clip.role == "command" and clip.speaker:
                    commands.setdefault(clip.label, {}).setdefault(clip.speaker, []).append(clip)
        return cls(
            corpus,
            rooms,
            sentences,
            commands,
            {label: takes for label, takes in phrases.items() if len(takes) > 1},
            ages_of(corpus.folder),
            clips("background"),
            clips("music"),
            clips("noise"),
        )

    @property
    def children(self) -> Mapping[str, Sequence[Clip]]:
        """Sentences by people of at most :data:`CHILD_YEARS`, by person."""
        return {
            person: takes
            for person, takes in self.sentences.items()
            if self.ages.get(person, CHILD_YEARS + 1) <= CHILD_YEARS
        }

    @property
    def commanders(self) -> Mapping[str, Sequence[Clip]]:
        """All commands of each person, by person."""
        people: dict[str, list[Clip]] = {}
        for by_person in self.commands.values():
            for person, takes in by_person.items():
                people.setdefault(person, []).extend(takes)
        return people

    def load(self, clip: Clip) -> Signal:
        """A clip as it is spoken or played: 1-D float32 at 16 kHz, read-only.

        Sentences lose the silence around them and are cut to :data:`LONGEST_S`; commands, wake
        words, music and noises are whole.

        Raises
        ------
        AudioError
            The file cannot be decoded.
        """
        return _load(self.corpus, clip)


def _check(rooms: Sequence[RoomModel]) -> None:
    if not rooms:
        raise EarmarkError("households need a room", "name one that ships with Earmark")
    for room in rooms:
        people = [name for name in room.sources if name.startswith(PERSON)]
        if not people or not {TELEVISION, LOUDSPEAKER} <= set(room.sources):
            raise EarmarkError(
                f"the room {room.name!r} has only the places {', '.join(room.sources)}",
                f"take one with {TELEVISION}, {LOUDSPEAKER} and a {PERSON}_..m, as those that ship",
            )


def ages_of(folder: Path) -> dict[str, int]:
    """Years of each person whose row in the manifest says ``age=..`` in the column ``extra``."""
    ages: dict[str, int] = {}
    with (folder / MANIFEST).open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            found = _AGE.search(row.get("extra") or "")
            if found:
                ages[row["speaker"]] = int(found[1])
    return ages


@lru_cache(maxsize=KEPT_CLIPS)
def _load(corpus: Corpus, clip: Clip) -> Signal:
    signal = corpus.load(clip)
    if clip.role in ("speech", "background"):
        signal = spoken(signal, LONGEST_S).copy()
    signal.setflags(write=False)
    return signal
