"""An attack set up on a corpus: recogniser, carrier, way through the air, target.

The recognisers have heard no carrier: their words are the corpus' commands, by everybody, and
what they learn to leave alone are sentences, music and noises of one fold
(:mod:`earmark_host.memory.fold`); carriers are sentences and music of the other one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from earmark.audio.room_model import LOUDSPEAKER
from earmark.errors import EarmarkError
from earmark.memory import CarrierKind, MemorySettings, Thresholds, carrier
from earmark.memory.neighbours import Neighbours, NeighboursDetector, fingerprint
from earmark.signal import BLOCK, RATE_HZ, Signal
from earmark_host.bench.corpus import Clip, Corpus
from earmark_host.memory.attacks import ATTACKS
from earmark_host.memory.channel import Channel, Noise, digital, over_the_air
from earmark_host.memory.fold import fold
from earmark_host.memory.material import Material
from earmark_host.memory.oracle import DeviceOracle
from earmark_host.memory.scripts import one_of, shuffled
from earmark_host.memory.simulated import INTERVAL_S
from earmark_host.memory.stream import Stream
from earmark_host.memory.victims import OTHER, Victim
from earmark_host.memory.victims.keyword import KeywordModel, Labelled, train
from earmark_host.memory.victims.sphinx import SphinxModel

VictimName: TypeAlias = Literal["keyword", "sphinx"]
"""The keyword model, trained here, and pocketsphinx with a grammar."""

ChannelName: TypeAlias = Literal["digital", "ota20", "ota10"]
"""A cable, or over the air with a noise 20 or 10 dB below the query."""

SNR_DB: dict[ChannelName, float] = {"ota20": 20.0, "ota10": 10.0}
"""Query over noise, dB."""

CARRIER_S = (1.5, 4.0)
"""Shortest and longest carrier, s: the paper's sentences and pieces of music have 4."""

CLOCK_PPM = 100.0
"""The attacker's clock is off by up to this, ppm: what a cheap crystal has."""

RECORDED_SHARE = 0.5
"""Share of attacks over the air with a recorded noise, which comes and goes, where there is one;
the others have steady pink noise."""

OTHERS: dict[str, int] = {"speech": 500, "background": 90, "music": 70, "noise": 150}
"""Clips that are no command, by role, that the keyword model learns from at most."""

OTHER_S = 10.0
"""Longest piece of such a clip that it learns from, s."""

SILENT_DBFS = -60.0
"""Softer carriers are none, dBFS (rms): the rests and fades in a piece of music."""


@dataclass(frozen=True)
class Scene:
    """Who is attacked, with what, through what."""

    victim: VictimName
    carrier: CarrierKind
    channel: ChannelName


@dataclass(frozen=True, eq=False)
class Attempt:
    """One attack about to begin.

    Parameters
    ----------
    scene : what was wanted.
    victim : the recogniser.
    carrier : shape (n,), float32 at 16 kHz; the victim does not hear the target in it.
    channel : what is between it and the microphone.
    target : the label that the attacker wants.
    clip : what the carrier was cut from.
    """

    scene: Scene
    victim: Victim
    carrier: Signal
    channel: Channel
    target: str
    clip: Clip

    def run(
        self,
        attack: str,
        queries: int,
        rng: np.random.Generator,
        gate: Callable[[Signal, float], bool] | None = None,
    ) -> Stream:
        """Attack until it wins or the queries are spent; all as the device heard it.

        Parameters
        ----------
        attack : name in ``ATTACKS``.
        queries : most queries.
        gate : see :class:`DeviceOracle`; None: an undefended device.
        """
        oracle = DeviceOracle(
            self.victim,
            self.channel,
            gate,
            target=self.target,
            budget=queries,
            seconds_per_query=INTERVAL_S,
            rng=rng,
        )
        target = self.victim.labels.index(self.target)
        ATTACKS[attack].run(self.carrier, target, oracle, rng)
        facts = {"attack": attack, "carrier": self.clip.path}
        return oracle.stream(attack, self.scene.carrier, facts)


class Gate:
    """The default detector in front of a recogniser.

    Attributes
    ----------
    found : what it said to each query so far.
    """

    def __init__(self, settings: MemorySettings, table: Thresholds) -> None:
        self._detector = NeighboursDetector(settings.neighbours, table.neighbours)
        self.found: list[Neighbours] = []

    def __call__(self, heard: Signal, at_s: float) -> bool:
        """Whether a query must be withheld, heard `at_s` after the first one."""
        number = len(self.found)
        found, _ = self._detector.examine(number, fingerprint(heard), carrier(heard), at_s)
        self.found.append(found)
        return found.alarm


def attempt(scene: Scene, victim: Victim, material: Material, rng: np.random.Generator) -> Attempt:
    """Draw carrier, place in a room, noise and target.

    The target is none that the victim hears in the carrier: that would need no attack.

    Raises
    ------
    EarmarkError
        The corpus has no carrier of that kind.
    """
    channel = channel_for(scene.channel, material, rng)
    for clip in shuffled(carriers(scene.carrier, material), rng):
        sound = _cut(material.load(clip), rng)
        if sound is not None:
            hears = victim.labels[int(np.argmax(victim.scores(channel(sound, rng))))]
            others = [label for label in victim.labels if label not in (OTHER, hears)]
            return Attempt(scene, victim, sound, channel, one_of(others, rng), clip)
    raise EarmarkError(
        f"the corpus has no carrier ({scene.carrier}) in the fold 'held_back'",
        f"add sentences or music, {CARRIER_S[0]:g} s or longer, of other people and tunes",
    )


def carriers(kind: CarrierKind, material: Material) -> list[Clip]:
    """What an attack may start from: no recogniser has heard it."""
    if kind == "music":
        clips = list(material.music)
    else:
        clips = [clip for group in material.sentences.values() for clip in group]
    return [clip for clip in clips if fold(clip) == "held_back"]


@lru_cache(maxsize=2)
def victim(name: VictimName, folder: Path, seed: int, words: int | None = None) -> Victim:
    """A recogniser; the keyword model is trained, once a process.

    Parameters
    ----------
    folder : of the corpus.
    seed : of the training.
    words : most commands to learn from, and a fifth as many clips of each other kind; None: all.

    Raises
    ------
    EarmarkError
        The corpus does not do, or a package is missing.
    """
    corpus = Corpus.open(folder)
    if name == "keyword":
        return keyword(corpus, seed, words)
    return SphinxModel(sorted({clip.label for clip in corpus.role("command") if clip.label}))


def keyword(corpus: Corpus, seed: int, words: int | None = None) -> KeywordModel:
    """The keyword model; see :func:`victim`."""
    rng = np.random.default_rng([seed, *b"keyword"])
    commands = shuffled([clip for clip in corpus.role("command") if clip.label], rng)[:words]
    clips: list[Labelled] = [
        (corpus.load(clip), clip.label, clip.speaker or clip.path) for clip in commands
    ]
    for role, most in OTHERS.items():
        there = corpus.role(role) if corpus.has(role) else ()
        some = shuffled([clip for clip in there if fold(clip) == "calibrate"], rng)
        for clip in some[: most if words is None else min(most, words // 5)]:
            piece = corpus.load(clip)[: round(OTHER_S * RATE_HZ)]
            clips.append((piece, OTHER, clip.speaker or clip.path))
    return train(clips, seed)


def channel_for(name: ChannelName, material: Material, rng: np.random.Generator) -> Channel:
    """Draw a place in a room, a noise and a clock; nothing to draw for a cable."""
    if name == "digital":
        return digital()
    room = one_of(material.rooms, rng)
    place = one_of([source for source in room.sources if source != LOUDSPEAKER], rng)
    noises = [clip for clip in material.noises if material.load(clip).size > 2 * BLOCK]
    noise: Noise = "pink"
    if noises and rng.random() < RECORDED_SHARE:
        noise = material.load(one_of(noises, rng))
    return over_the_air(room, place, noise, SNR_DB[name], rng.uniform(-CLOCK_PPM, CLOCK_PPM))


def _cut(sound: Signal, rng: np.random.Generator) -> Signal | None:
    """A piece of a clip that is as long as a carrier; None where it is too short or too soft."""
    shortest, longest = (round(s * RATE_HZ) for s in CARRIER_S)
    if sound.size < shortest:
        return None
    start = int(rng.integers(max(0, sound.size - longest) + 1))
    piece = sound[start : start + longest]
    level_dbfs = 10.0 * np.log10(float(np.mean(np.square(piece, dtype=np.float64))) + 1e-20)
    return piece if level_dbfs >= SILENT_DBFS else None
