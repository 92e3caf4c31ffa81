"""What the nonce leaves in a forwarded command: for a recogniser, a listener, a voice, a meter.

A command is given twice, to the sample the same: with the nonce, which is then taken out exactly as
the device's judge does, and with the loudspeaker muted. Whatever differs is the nonce's doing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

import numpy as np
import soundfile
from scipy import signal as sps

from earmark.audio.room_model import MIC
from earmark.nonce import clean
from earmark.signal import RATE_HZ, Signal, active_level_dbfs, gain, rms
from earmark_host.bench.corpus import Clip, draw
from earmark_host.bench.nonce.setup import LONGEST_S, NOW_S, Setup
from earmark_host.bench.nonce.take import (
    REACTION_S,
    Scene,
    Take,
    draw_hardware,
    perform,
    whole_nonce_s,
)
from earmark_host.bench.speech import spoken
from earmark_host.bench.stage import SPEECH_DBSPL_1M, Environment
from earmark_host.nonce.quality import stoi
from earmark_host.nonce.recogniser import Recogniser, words_of
from earmark_host.nonce.voice import SHORTEST_S, Voice, similarity

NEEDS = ("speech",)
"""Roles of the corpus without which this cannot be run."""

LONGEST_SENTENCE_S = 8.0
"""Longest clip whose words are counted, s. It is said whole: a cut text is another text."""

GRAMMAR = 100
"""Sentences in one grammar: the fewer, the fewer errors there are to compare; the more, the
slower."""

LISTENED_DBFS = -26.0
"""Active level at which the recogniser gets a command, dBFS: that of recorded speech."""

AROUND_S = 0.1
"""Added on both sides of the speech before the voice is looked at, s."""


class Kind(Enum):
    """What is said."""

    SENTENCE = "sentence"
    WORD = "word"


@dataclass(frozen=True)
class Command:
    """A command to be given twice.

    Parameters
    ----------
    level_dbspl_1m : of the nonce; None for the device's default.
    own_clocks : loudspeaker and microphone have clocks of their own.
    """

    kind: Kind
    distance_m: float
    own_clocks: bool
    index: int
    level_dbspl_1m: float | None = None


@dataclass(frozen=True)
class Plan:
    """How many commands.

    Parameters
    ----------
    name : goes into the report.
    sentences, words : at the nonce's default level, over all `distances_m` and both kinds of
        clocks.
    louder : sentences at `louder_dbspl_1m`, for how deep the canceller goes.
    """

    name: str
    sentences: int
    words: int
    louder: int
    louder_dbspl_1m: float = 50.0
    distances_m: tuple[float, ...] = (1.0, 3.0)


FULL = Plan("full", sentences=200, words=80, louder=30)
"""310 commands, 280 of them with their words counted."""

QUICK = Plan("quick", sentences=4, words=4, louder=2)
"""10 commands."""


def pieces(plan: Plan) -> list[Command]:
    """Every command; those that take longest first."""
    asked: list[Command] = []
    for kind, count, level in (
        (Kind.SENTENCE, plan.sentences, None),
        (Kind.SENTENCE, plan.louder, plan.louder_dbspl_1m),
        (Kind.WORD, plan.words, None),
    ):
        for index in range(count):
            distance_m = plan.distances_m[index % len(plan.distances_m)]
            own_clocks = index // len(plan.distances_m) % 2 == 1
            asked.append(Command(kind, distance_m, own_clocks, index, level))
    return asked


@dataclass(frozen=True)
class Forwarded:
    """What a command came to.

    Parameters
    ----------
    level_dbspl_1m : of the nonce.
    text, with_nonce, without_nonce : what was said, and what the recogniser made of the forwarded
        command and of the one without nonce; None where it was not asked.
    stoi : of the forwarded command against the one without; None where there is too little
        speech.
    voice : likeness of the voice in the two; None for words.
    other_voice : the same of two other clips of the person, in the same room; None where there
        are none.
    suppression_db : how deep the canceller says that it went.
    residual_db : what is left of the nonce, relative to it, at the microphone while it plays.
    """

    asked: Command
    level_dbspl_1m: float
    text: str | None
    with_nonce: str | None
    without_nonce: str | None
    stoi: float | None
    voice: float | None
    other_voice: float | None
    suppression_db: float
    residual_db: float


def hold(setup: Setup, piece: Command) -> Forwarded:
    """Give the command twice and compare."""
    level = piece.level_dbspl_1m or setup.config.nonce.level_dbspl_1m
    cell = f"quality {piece.kind.value} {level:g}"
    rng = setup.rng(cell, piece.index)
    clip, said = _said(setup, piece, rng)
    source = f"person_{piece.distance_m:g}m"
    scene = Scene(
        room=setup.room(rng, source),
        said=said,
        source=source,
        level_dbspl_1m=SPEECH_DBSPL_1M,
        begin_s=float(rng.uniform(*REACTION_S)),
        environment=Environment.QUIET,
        person=clip.speaker,
        hardware=draw_hardware(rng, piece.own_clocks),
        nonce_dbspl_1m=level,
        seed=int(rng.integers(2**31)),
    )
    carrier = setup.source().draw(rng.bytes, NOW_S)
    least_s = whole_nonce_s(carrier, scene.hardware)

    def held(muted: bool) -> Take:
        return perform(
            scene, carrier, setup.corpus, setup.config.audio, muted=muted, least_s=least_s
        )

    take, muted = held(False), held(True).recording
    report = carrier.verify(take.recording, take.played_at_s, take.slots)
    cleaned = clean(
        take.recording, take.played, take.played_at_s, report, carrier, setup.config.nonce
    )
    heard = (cleaned.signal, muted)
    with_nonce, without_nonce = _words(setup, piece, clip, heard) or (None, None)
    return Forwarded(
        asked=piece,
        level_dbspl_1m=level,
        text=None if with_nonce is None else clip.text,
        with_nonce=with_nonce,
        without_nonce=without_nonce,
        stoi=_stoi(muted, cleaned.signal),
        voice=_likeness([_within(each, take.speech) for each in heard]) if _long(piece) else None,
        other_voice=_others(setup, scene, clip, rng) if _long(piece) else None,
        suppression_db=cleaned.suppression_db,
        residual_db=_residual_db(take, muted, cleaned.signal),
    )


# -- what is said ---------------------------------------------------------------------------


def _said(setup: Setup, piece: Command, rng: np.random.Generator) -> tuple[Clip, Signal]:
    """The clip and what is said in it: of those whose words are known, each in its turn."""
    known = _known(setup, piece.kind)
    if known:
        clip = known[piece.index % len(known)]
        return clip, spoken(setup.corpus.load(clip), LONGEST_SENTENCE_S)
    if piece.kind is Kind.WORD and setup.corpus.has("command"):
        clip = draw(setup.corpus.role("command"), rng)
        return clip, spoken(setup.corpus.load(clip), LONGEST_S)
    _, clip, said = setup.sentence(rng)
    return clip, said


@lru_cache(maxsize=4)
def _known(setup: Setup, kind: Kind) -> tuple[Clip, ...]:
    """Clips whose text the recogniser can be asked for, in an order of the run's own."""
    role = "speech" if kind is Kind.SENTENCE else "command"
    clips = setup.corpus.role(role) if setup.corpus.has(role) else ()
    clips = [clip for clip in clips if clip.speaker and words_of(clip.text)]
    if kind is Kind.WORD:
        clips = [clip for clip in clips if len(words_of(clip.text)) == 1]
    clips = [clip for clip in clips if _seconds(setup, clip) <= LONGEST_SENTENCE_S]
    if not clips:
        return ()
    in_dictionary = set(Recogniser.for_sentences([clip.text for clip in clips]).texts)
    clips = [clip for clip in clips if clip.text in in_dictionary]
    order = setup.rng(f"quality {kind.value}", 0).permutation(len(clips))
    return tuple(clips[k] for k in order)


def _seconds(setup: Setup, clip: Clip) -> float:
    try:
        info = soundfile.info(str(setup.corpus.folder / clip.path))
    except (OSError, soundfile.SoundFileError):
        return 0.0  # loading it says what is wrong
    return float(info.frames) / float(info.samplerate)


# -- what is compared -----------------------------------------------------------------------


def _words(
    setup: Setup, piece: Command, clip: Clip, heard: tuple[Signal, Signal]
) -> tuple[str, str] | None:
    """What the recogniser makes of both; None where the text or the level is not asked about."""
    known = _known(setup, piece.kind)
    if not known or piece.level_dbspl_1m is not None:
        return None
    groups = max(1, round(len(known) / GRAMMAR)) if piece.kind is Kind.SENTENCE else 1
    group = piece.index % len(known) * groups // len(known)
    recogniser = _recogniser(setup, piece.kind, group, groups)
    louder = np.float32(gain(LISTENED_DBFS - active_level_dbfs(heard[1])))
    with_nonce, without = (recogniser.transcribe(each * louder) for each in heard)
    return with_nonce, without


@lru_cache(maxsize=4)
def _recogniser(setup: Setup, kind: Kind, group: int, groups: int) -> Recogniser:
    """The grammar of one of so many groups of the clips."""
    known = _known(setup, kind)
    mine = [clip.text for k, clip in enumerate(known) if k * groups // len(known) == group]
    return Recogniser.for_words(mine) if kind is Kind.WORD else Recogniser.for_sentences(mine)


def _stoi(without: Signal, forwarded: Signal) -> float | None:
    try:
        return stoi(without, forwarded)
    except ValueError:  # a short word
        return None


def _long(piece: Command) -> bool:
    """A single word says too little about its speaker."""
    return piece.kind is Kind.SENTENCE


def _within(signal: Signal, speech: tuple[float, float]) -> Signal:
    first = max(0, round((speech[0] - AROUND_S) * RATE_HZ))
    return signal[first : round((speech[1] + AROUND_S) * RATE_HZ)]


def _likeness(two: Sequence[Signal]) -> float | None:
    if any(each.size < SHORTEST_S * RATE_HZ for each in two):
        return None
    voice = _voice()
    return similarity(*(voice.embed(each) for each in two))


def _others(setup: Setup, scene: Scene, clip: Clip, rng: np.random.Generator) -> float | None:
    """Likeness of two other clips of the same person, said in the same place."""
    others = [each for each in setup.corpus.people.get(clip.speaker, ()) if each != clip]
    if len(others) < 2:
        return None
    response = scene.room.open().responses[scene.source, MIC]
    chosen = (others[k] for k in rng.choice(len(others), 2, replace=False))
    said = (spoken(setup.corpus.load(each), LONGEST_SENTENCE_S) for each in chosen)
    return _likeness([sps.oaconvolve(each, response).astype(np.float32) for each in said])


@lru_cache(maxsize=1)
def _voice() -> Voice:
    return Voice()


def _residual_db(take: Take, muted: Signal, cleaned: Signal) -> float:
    """Level of what is left of the nonce, relative to that of the nonce, from when it sets in."""
    nonce, left = take.recording - muted, cleaned - muted
    first = round(take.played_at_s * RATE_HZ)
    return 20.0 * float(np.log10((rms(left[first:]) + 1e-12) / (rms(nonce[first:]) + 1e-12)))
