"""What an export needs beside the network: windows to find ranges, golden signals, a cohort."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from earmark.errors import EarmarkError
from earmark.signal import RATE_HZ, Signal
from earmark.speaker import FrontEnd, levelled
from earmark.speaker.decision import LEAST_COHORT
from earmark_host.speaker.checkpoint import Trained
from earmark_host.speaker.clips import SCALE, Cache, Clip

Outputs: TypeAlias = Callable[[Signal], tuple[NDArray[np.float32], NDArray[np.float32]]]
"""A recording's mean embedding and mean logits."""

GAIN_DB = 10.0
"""Windows are made louder or softer by up to this, dB, as in training."""

GOLDEN = 4
"""Golden signals: what each takes is taken at every start of a device."""

CANDIDATES = 16
"""Signals of which the golden ones are chosen."""

FORMANTS_HZ = ((700.0, 1220.0, 2600.0), (300.0, 2300.0, 3000.0), (350.0, 800.0, 2400.0))
"""Resonances of the vowels in "father", "see" and "too" (Peterson and Barney 1952, rounded)."""

BANDWIDTH_HZ = 90.0
"""Width of a resonance."""


def training_clips(
    trained: Trained, clips: Mapping[str, Sequence[Clip]]
) -> dict[str, tuple[Clip, ...]]:
    """The clips of each class that it was trained on, of all that a corpus has.

    Raises
    ------
    EarmarkError
        A class has none: it is another corpus.
    """
    held_back = set(trained.split.get("test_clips", ()))
    found = {
        person: tuple(clip for clip in clips.get(person, ()) if clip.key not in held_back)
        for person in trained.people
    }
    missing = [person for person, own in found.items() if not own]
    if missing:
        raise EarmarkError(
            f"the corpus has no clips of {len(missing)} of the {len(found)} people whom the "
            f"network was trained on, such as {missing[0]}",
            "give the corpus that it was trained on with --data",
        )
    return found


def windows(
    clips: Mapping[str, Sequence[Clip]],
    front_end: FrontEnd,
    frames: int,
    count: int,
    cache: Cache,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Windows of many people, loud and quiet, as log-mel frames: shape (count, frames, mels), dB.

    Everyone is heard once before anyone is heard again.
    """
    names = list(clips)
    order: list[str] = []
    while len(order) < count:
        order += [names[k] for k in rng.permutation(len(names))]
    size = front_end.samples(frames)
    found = []
    for person in order[:count]:
        clip = clips[person][rng.integers(len(clips[person]))]
        samples = cache.samples(clip)
        samples = np.tile(samples, -(-size // samples.size))
        start = int(rng.integers(max(1, samples.size - size + 1)))
        window = samples[start : start + size].astype(np.float32) / np.float32(SCALE)
        loudest = max(float(np.abs(window).max()), 1.0 / SCALE)
        gain = min(10.0 ** (rng.uniform(-GAIN_DB, GAIN_DB) / 20.0), 1.0 / loudest)
        found.append(front_end.log_mel(window * np.float32(gain)))
    return np.stack(found)


def golden(samples: int, outputs: Outputs) -> NDArray[np.int16]:
    """Signals to test a model with at each start, shape (:data:`GOLDEN`, samples).

    Nobody's voice: buzzes through resonances that glide, in a little noise. Of
    :data:`CANDIDATES` those are taken whose top person is farthest ahead of the next, so that
    another processor's rounding does not change who it is.
    """
    made = [synthetic(samples, np.random.default_rng(number)) for number in range(CANDIDATES)]

    def lead(signal: NDArray[np.int16]) -> float:
        logits = np.sort(outputs(signal.astype(np.float32) / np.float32(SCALE))[1])
        return float((logits[-1] - logits[-2]) / max(float(np.ptp(logits)), 1e-9))

    return np.stack(sorted(made, key=lead, reverse=True)[:GOLDEN])


def synthetic(samples: int, rng: np.random.Generator) -> NDArray[np.int16]:
    """A signal somewhat like a voice: no recording, the same for the same generator."""
    time_s = np.arange(samples) / RATE_HZ
    pitch_hz = rng.uniform(90.0, 260.0) * np.exp2(
        0.2 * np.sin(2.0 * np.pi * rng.uniform(0.5, 2.0) * time_s)
    )
    phase = np.cumsum(pitch_hz) / RATE_HZ
    voice = np.diff(np.floor(phase), prepend=0.0) + 0.02 * rng.standard_normal(samples)
    # Vowels one after the other, each through its resonances.
    parts = np.array_split(voice, int(rng.integers(4, 9)))
    size = rng.uniform(0.85, 1.2)
    spoken = []
    for part in parts:
        for formant_hz in FORMANTS_HZ[rng.integers(len(FORMANTS_HZ))]:
            radius = np.exp(-np.pi * BANDWIDTH_HZ / RATE_HZ)
            angle = 2.0 * np.pi * size * formant_hz / RATE_HZ
            part = lfilter([1.0], [1.0, -2.0 * radius * np.cos(angle), radius**2], part)  # noqa: PLW2901
        spoken.append(part * 10.0 ** (rng.uniform(-12.0, 0.0) / 20.0) / np.abs(part).max())
    signal = np.concatenate(spoken) * 10.0 ** (rng.uniform(-18.0, -3.0) / 20.0)
    return np.asarray(np.rint(signal * (SCALE - 1.0)), np.int16)


def strangers(
    trained: Trained, clips: Mapping[str, Sequence[Clip]], least: int = LEAST_COHORT
) -> tuple[Clip, ...]:
    """A clip of each person whom nobody at home is: those with a single clip, never trained on.

    They cannot serve a test of who is who, so that nothing is lost to it. Where they are too few,
    those whom the network was trained on make up for them, although it tells them apart better.

    Parameters
    ----------
    clips : of everyone in the corpus.
    least : how many there have to be, before others are taken.
    """
    heard = {*trained.people, *trained.split.get("extra_people", ())}
    found = [own[0] for person, own in clips.items() if len(own) == 1 and person not in heard]
    if len(found) < least:
        found += [own[0] for own in training_clips(trained, clips).values()]
    return tuple(found)


def cohort(
    clips: Sequence[Clip], samples: Callable[[Clip], NDArray[np.int16]], outputs: Outputs
) -> NDArray[np.float16]:
    """Unit embeddings, shape (clips, E), of single commands as a device makes them.

    Parameters
    ----------
    clips : one of each person.
    samples : what of a clip is heard: in a room, as commands are.
    outputs : of the network.
    """
    rows = [_unit(outputs(levelled(samples(clip) / np.float32(SCALE)))[0]) for clip in clips]
    return np.stack(rows).astype(np.float16)


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return vector / np.float32(max(float(np.linalg.norm(vector)), 1e-12))
