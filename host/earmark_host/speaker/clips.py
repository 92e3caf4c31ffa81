"""Who says what in a corpus, and which clips are for training and which for testing.

Two layouts are read: a folder with a ``manifest.csv`` (:class:`~earmark_host.bench.corpus.Corpus`)
and LibriSpeech's own folders, ``SPEAKER/CHAPTER/SPEAKER-CHAPTER-0000.flac``, at any depth.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from earmark.errors import AudioError, EarmarkError
from earmark.signal import RATE_HZ, Signal
from earmark_host.bench.corpus import MANIFEST, Corpus

MAX_CLIP_S = 120.0
"""Longest clip that is decoded, s; the rest of a longer file is left out."""

SCALE = 32768.0
"""Full scale of 16-bit audio, which is what is kept and what the device hears."""

LEAST = 15
"""Utterances that a person needs to be one of the classes: 12 to train on and 3 to test with."""

TEST_SHARE = 0.2
"""Share of a person's utterances that are for testing."""

TEST_LEAST = 3
"""Fewest utterances of a person that are for testing."""

MOST_TEST_SHARE = 0.5
"""Whole sessions are held back for testing only while they are no more than this share of a
person's utterances; a person for whom that cannot be is split by utterance."""

CACHE_BYTES = 2 * 1024**3
"""Memory for decoded clips, bytes: 18 hours of 16-bit audio at 16 kHz."""

_LIBRISPEECH = re.compile(r"(\d+)-(\d+)-\d{4}")
"""Stem of a LibriSpeech file: speaker, chapter, utterance."""

Disjoint: TypeAlias = Literal["session", "utterance"]


@dataclass(frozen=True)
class Clip:
    """One utterance, not yet decoded.

    Parameters
    ----------
    person : who speaks, unique in the corpus.
    session : which sitting it is from, unique for that person; LibriSpeech's chapter. "" where
        the corpus does not tell sittings apart.
    path : of the file.
    speed : how much faster it is played; pitch and formants go with it, as on a tape.
    """

    person: str
    session: str
    path: Path
    speed: float = 1.0

    @property
    def key(self) -> str:
        """Names the clip whatever the folder is called: person, session and file name."""
        return f"{self.person}/{self.session}/{self.path.name}"

    def played(self, speed: float) -> Clip:
        """The clip at another speed: the voice of somebody else, who is named after both."""
        return replace(self, person=played(self.person, speed), speed=speed)


def played(person: str, speed: float) -> str:
    """Name of the voice that a person has on a tape that runs at another speed."""
    return f"{person} x{speed:g}"


@dataclass(frozen=True)
class Split:
    """Which clips are for training and which for testing; :func:`split` makes it.

    Attributes
    ----------
    train, test : clips of `people`; no clip is in both.
    people : the classes, sorted; a label is a place in it.
    by_session : the people whose test clips are from sittings that are not trained on.
    held_out : people with enough utterances who were kept out of everything.
    """

    train: tuple[Clip, ...]
    test: tuple[Clip, ...]
    people: tuple[str, ...]
    by_session: tuple[str, ...]
    held_out: tuple[str, ...] = ()

    @property
    def disjoint(self) -> Disjoint:
        """What training and test clips have not in common, for everyone."""
        return "session" if self.by_session == self.people else "utterance"

    @property
    def labels(self) -> Mapping[str, int]:
        """Class of each person."""
        return {person: label for label, person in enumerate(self.people)}

    def facts(self) -> dict[str, Any]:
        """What a report or a checkpoint says about it: JSON values."""
        return {
            "people": len(self.people),
            "train": len(self.train),
            "test": len(self.test),
            "disjoint": self.disjoint,
            "by_session": list(self.by_session),
            "held_out": list(self.held_out),
            "test_clips": [clip.key for clip in self.test],
        }


def people(
    folder: Path, background: bool = False, commands: bool = False
) -> dict[str, tuple[Clip, ...]]:
    """Read whose clips there are in `folder`, by name, both people and clips sorted.

    Parameters
    ----------
    folder : of a corpus with a manifest, or of LibriSpeech.
    background : also those of the role ``background`` (of a manifest).
    commands : also those of the role ``command`` (of a manifest).

    Raises
    ------
    EarmarkError
        There is no corpus there, or its manifest is malformed.
    """
    if (folder / MANIFEST).exists():
        found = _of_manifest(folder, background, commands)
    else:
        found = _of_librispeech(folder)
    if not found:
        raise EarmarkError(
            f"{folder} has no clips with a speaker",
            f"give a folder with a {MANIFEST} that names speakers, or LibriSpeech's own folders "
            "(SPEAKER/CHAPTER/*.flac)",
        )
    by: dict[str, list[Clip]] = {}
    for clip in found:
        by.setdefault(clip.person, []).append(clip)
    return {
        person: tuple(sorted(by[person], key=lambda clip: (clip.key, str(clip.path))))
        for person in sorted(by)
    }


def load(clip: Clip) -> Signal:
    """Decode a clip as the device hears it, in 16 bits: at most :data:`MAX_CLIP_S`.

    Raises
    ------
    AudioError
        The file is missing, cannot be decoded, is silent or not finite, or is not 16 kHz mono.
    """
    return np.asarray(decode(clip) / np.float32(SCALE), np.float32)


def decode(clip: Clip) -> NDArray[np.int16]:
    """Decode a clip to 16-bit samples; raises like :func:`load`."""
    try:
        with soundfile.SoundFile(clip.path) as stream:
            if stream.samplerate != RATE_HZ or stream.channels != 1:
                raise AudioError(
                    f"{clip.path} has {stream.samplerate} Hz and {stream.channels} channels",
                    f"convert the corpus to {RATE_HZ} Hz mono",
                )
            # As integers, libsndfile would not scale what is stored as floating point.
            signal = stream.read(round(MAX_CLIP_S * RATE_HZ), dtype="float32")
    except (OSError, soundfile.SoundFileError) as error:
        raise AudioError(
            f"{clip.path} cannot be decoded ({error})", "mend the file or take it out"
        ) from error
    if not np.isfinite(signal).all():
        raise AudioError(f"{clip.path} is not finite", "take it out of the corpus")
    samples: NDArray[np.int16] = np.clip(np.round(signal * SCALE), -SCALE, SCALE - 1.0).astype(
        np.int16
    )
    if not samples.any():
        raise AudioError(f"{clip.path} is silent", "take it out of the corpus")
    if clip.speed != 1.0:
        faster = soxr.resample(samples, RATE_HZ * clip.speed, RATE_HZ)
        return np.asarray(faster, np.int16)
    return samples


class Cache:
    """Decoded clips, kept in memory as 16-bit samples while there is room.

    Parameters
    ----------
    limit : memory for samples, bytes. Clips beyond it are decoded each time they are asked for.
    """

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._left = limit
        self._kept: dict[tuple[Path, float], NDArray[np.int16]] = {}

    def samples(self, clip: Clip) -> NDArray[np.int16]:
        """The clip's 16-bit samples, not to be written to; raises like :func:`load`."""
        kept = self._kept.get((clip.path, clip.speed))
        if kept is not None:
            return kept
        samples = decode(clip)
        if samples.nbytes <= self._left:
            self._left -= samples.nbytes
            samples.flags.writeable = False
            self._kept[clip.path, clip.speed] = samples
        return samples


def split(
    clips: Mapping[str, Sequence[Clip]],
    least: int = LEAST,
    seed: int = 0,
    hold_out: int = 0,
    most: int | None = None,
) -> Split:
    """Divide the clips of everyone who has enough of them; the same corpus gives the same split.

    A fifth of a person's clips, at least three, are for testing. Where a person has several
    sessions these are whole ones that are not trained on; else, single utterances.
    The order is that of hashes, so that it depends neither on the folder nor on the order of files.

    Parameters
    ----------
    clips : of :func:`people`.
    least : utterances a person needs.
    seed : another seed, another split.
    hold_out : so many of the people with enough utterances are neither trained nor tested on.
    most : no more people than this are trained on (for a learning curve).

    Raises
    ------
    EarmarkError
        Fewer than two people are left.
    """
    enough = sorted(
        (person for person, own in clips.items() if len(own) >= least),
        key=lambda person: _hash(seed, person),
    )
    chosen = sorted(enough[hold_out:][:most])
    if len(chosen) < 2:
        raise EarmarkError(
            f"the corpus has {len(enough)} people with at least {least} utterances, of whom "
            f"{len(chosen)} can be trained on",
            "add clips, ask for fewer utterances a person with --least, or hold fewer people out",
        )
    train: list[Clip] = []
    test: list[Clip] = []
    by_session: list[str] = []
    for person in chosen:
        held = _whole_sessions(clips[person], seed)
        if held:
            by_session.append(person)
        else:
            held = _utterances(clips[person], seed)
        test += [clip for clip in clips[person] if clip in held]
        train += [clip for clip in clips[person] if clip not in held]
    return Split(
        train=tuple(train),
        test=tuple(test),
        people=tuple(chosen),
        by_session=tuple(by_session),
        held_out=tuple(sorted(enough[:hold_out])),
    )


def _whole_sessions(clips: Sequence[Clip], seed: int) -> set[Clip]:
    """Sessions held back for testing; empty where no choice of them is of a fit size."""
    sessions: dict[str, list[Clip]] = {}
    for clip in clips:
        sessions.setdefault(clip.session, []).append(clip)
    held: set[Clip] = set()
    for name in sorted(sessions, key=lambda name: _hash(seed, clips[0].person, name)):
        if len(held) >= max(TEST_LEAST, TEST_SHARE * len(clips)):
            break
        if len(held) + len(sessions[name]) <= MOST_TEST_SHARE * len(clips):
            held.update(sessions[name])
    return held if len(held) >= TEST_LEAST else set()


def _utterances(clips: Sequence[Clip], seed: int) -> set[Clip]:
    count = max(TEST_LEAST, round(TEST_SHARE * len(clips)))
    return set(sorted(clips, key=lambda clip: _hash(seed, clip.key))[:count])


def _hash(seed: int, *names: str) -> bytes:
    return hashlib.sha256("/".join([str(seed), *names]).encode()).digest()


def _session(path: Path) -> str:
    match = _LIBRISPEECH.fullmatch(path.stem)
    return match[2] if match else ""


def _of_manifest(folder: Path, background: bool, commands: bool) -> list[Clip]:
    corpus = Corpus.open(folder)
    roles = ["speech", *["background"] * background, *["command"] * commands]
    return [
        Clip(clip.speaker, _session(Path(clip.path)), folder / clip.path)
        for role in roles
        if corpus.has(role)
        for clip in corpus.role(role)
        if clip.speaker
    ]


def _of_librispeech(folder: Path) -> list[Clip]:
    found = []
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent) / name
            match = _LIBRISPEECH.fullmatch(path.stem)
            if path.suffix == ".flac" and match and path.parent.parent.name == match[1]:
                found.append(Clip(match[1], match[2], path))
    return found
