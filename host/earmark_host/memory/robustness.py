"""What a fingerprint still recognises: the same recording, changed in ways that a room or an
attacker changes it.

:func:`pairs` makes pairs of signals, each of a condition; :func:`shares` says which share of
each condition a fingerprint takes for near-duplicates. Two conditions are no duplicates:
:data:`RETAKE` (the same words, said again by the same person) and :data:`DIFFERENT`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
import soxr
from scipy import signal as dsp

from earmark.audio.room_model import LEAD, MIC, RoomModel
from earmark.signal import RATE_HZ, Signal, gain, rms
from earmark_host.bench.corpus import Clip
from earmark_host.memory.peers.peer import F, Peer
from earmark_host.nonce.attacks.codecs import code

Change: TypeAlias = Callable[[Signal, np.random.Generator], Signal]

NOISES_DB = (20, 10, 0)
"""White noise of an attacker, dB below the rms of the clip: from hardly heard to as loud."""

ROOM_NOISES_DB = (20, 10)
"""White noise at the microphone, dB below the rms of the clip there: a quiet and a loud room."""

TRIMS_MS = (100, 250)
"""Cut off the beginning, ms: the range within which the paper's fingerprint was found to lose
everything. Neither is a whole number of the hops in use here (11.6, 16 and 32 ms)."""

SPEEDS_PERCENT = (1, 2, 4)
"""Faster or slower by so much, as a tape: pitch and time together."""

OPUS_KBIT_S = 16
"""Rate of a voice call, kbit/s."""

LOWPASS_HZ = 3400
"""Upper end of a telephone's band, Hz."""

NEAREST_M = 0.5
"""Nearest place of a loudspeaker in a room, m from the microphone: leaves out the device's own."""

RETAKE = "retake"
"""Condition: two takes of the same words by the same person."""

DIFFERENT = "different"
"""Condition: two recordings that have nothing to do with each other."""


class Pair(NamedTuple):
    """Two signals of one condition, 1-D float32 at 16 kHz each."""

    condition: str
    a: Signal
    b: Signal


@dataclass(frozen=True)
class Share:
    """`above` of `pairs` pairs were more alike than the threshold.

    Parameters
    ----------
    above, pairs : numbers of pairs, `pairs` at least 1.
    median : of the similarities.
    """

    above: int
    pairs: int
    median: float

    @property
    def value(self) -> float:
        """Share in [0, 1]."""
        return self.above / self.pairs


def pairs(
    clips: Sequence[Signal],
    rooms: Sequence[RoomModel],
    rng: np.random.Generator,
    retakes: Iterable[tuple[Signal, Signal]] = (),
) -> Iterator[Pair]:
    """Each clip beside each of its changes and beside another clip, then the takes.

    Parameters
    ----------
    clips : at least two different recordings, none silent; longer than the longest trim.
    rooms : drawn from for the changes by a room, together with the place of the loudspeaker;
        may be empty: then those are left out.
    retakes : pairs for the condition :data:`RETAKE`; :func:`takes` finds them in a corpus.
    """
    if len(clips) < 2:
        raise ValueError("at least two clips are needed")
    changes = _changes(rooms)
    for index, clip in enumerate(clips):
        for condition, change in changes.items():
            yield Pair(condition, clip, change(clip, rng))
        step = int(rng.integers(1, len(clips)))
        yield Pair(DIFFERENT, clip, clips[(index + step) % len(clips)])
    for one, other in retakes:
        yield Pair(RETAKE, one, other)


def shares(peer: Peer[F], tau: float, pairs: Iterable[Pair]) -> Mapping[str, Share]:
    """Share of the pairs of each condition that `peer` finds more alike than `tau`."""
    found: dict[str, list[float]] = {}
    last: tuple[Signal, F] | None = None  # a clip stays while its changes pass by
    for condition, a, b in pairs:
        if last is None or last[0] is not a:
            last = (a, peer.fingerprint(a))
        found.setdefault(condition, []).append(peer.similarity(last[1], peer.fingerprint(b)))
    return {
        condition: Share(sum(v > tau for v in values), len(values), float(np.median(values)))
        for condition, values in found.items()
    }


def takes(clips: Iterable[Clip]) -> list[tuple[Clip, Clip]]:
    """Two takes of the same words by the same person, one pair for each person and words.

    Only clips that name their speaker, and their text or at least their label.
    """
    said: dict[tuple[str, str], list[Clip]] = {}
    for clip in clips:
        words = clip.text or clip.label
        if clip.speaker and words:
            said.setdefault((clip.speaker, words), []).append(clip)
    return [(found[0], found[1]) for _, found in sorted(said.items()) if len(found) > 1]


def add_noise(signal: Signal, rng: np.random.Generator, snr_db: float) -> Signal:
    """`signal` and white noise `snr_db` below its rms; made quieter where it would clip."""
    level = rms(signal) * gain(-snr_db)
    noisy = signal + level * rng.standard_normal(signal.size).astype(np.float32)
    return np.asarray(noisy / max(1.0, float(np.max(np.abs(noisy)))), np.float32)


def in_room(signal: Signal, room: RoomModel, source: str) -> Signal:
    """What the microphone hears of `source`: as long as `signal`, time of flight included."""
    wet = dsp.oaconvolve(signal, room.responses[source, MIC])
    return np.asarray(wet[LEAD : LEAD + signal.size], np.float32)


def change_speed(signal: Signal, percent: float) -> Signal:
    """`signal` faster by `percent` (negative: slower), pitch and time together."""
    return np.asarray(soxr.resample(signal, RATE_HZ * (1.0 + percent / 100.0), RATE_HZ), np.float32)


def _changes(rooms: Sequence[RoomModel]) -> dict[str, Change]:
    changes: dict[str, Change] = {}
    for db in NOISES_DB:
        changes[f"noise_{db}db"] = partial(add_noise, snr_db=db)
    for db in ROOM_NOISES_DB if rooms else ():
        changes[f"room_{db}db"] = partial(_anywhere, rooms=rooms, snr_db=db)
    for ms in TRIMS_MS:
        changes[f"trim_{ms}ms"] = partial(_trimmed, ms=ms)
    for percent in SPEEDS_PERCENT:
        changes[f"speed_{percent}pc"] = partial(_either_way, percent=percent)
    changes[f"opus_{OPUS_KBIT_S}kbit"] = _coded
    changes[f"lowpass_{LOWPASS_HZ}hz"] = _dulled
    return changes


def _anywhere(
    signal: Signal, rng: np.random.Generator, rooms: Sequence[RoomModel], snr_db: float
) -> Signal:
    room = rooms[int(rng.integers(len(rooms)))]
    far = [source for source in room.sources if room.distance_m(source) >= NEAREST_M]
    return add_noise(in_room(signal, room, far[int(rng.integers(len(far)))]), rng, snr_db)


def _trimmed(signal: Signal, rng: np.random.Generator, ms: int) -> Signal:
    del rng
    return signal[RATE_HZ * ms // 1000 :]


def _either_way(signal: Signal, rng: np.random.Generator, percent: float) -> Signal:
    return change_speed(signal, percent if rng.random() < 0.5 else -percent)


def _coded(signal: Signal, rng: np.random.Generator) -> Signal:
    del rng
    return code(signal, "opus", OPUS_KBIT_S).signal


def _dulled(signal: Signal, rng: np.random.Generator) -> Signal:
    del rng
    low = dsp.butter(6, LOWPASS_HZ, fs=RATE_HZ, output="sos")
    return np.asarray(dsp.sosfilt(low, signal), np.float32)
