"""Clips as a microphone across the room hears them, to train on beside the dry ones."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.signal import oaconvolve

from earmark.audio.room_model import LEAD, MIC
from earmark.signal import Signal
from earmark_host.speaker.clips import CACHE_BYTES, SCALE, Cache, Clip

ROOMS = 24
"""Random rooms whose responses are drawn from; each takes a second or two to compute."""

TAKES = 3
"""Rooms that each clip is heard in, at one distance and beside one noise each. They are kept, as
to compute one takes as long as a tenth of a step of training."""

TALKERS = ("person_0.5m", "person_1m", "person_2m", "person_3m")
"""From where the clips are heard: the distances at which a command is given."""

NOISE_DB = (15.0, 40.0)
"""Level of the speech over a room's steady noise, dB: from beside a fan to a quiet bedroom."""


@dataclass
class Rooms:
    """Gives each take of a clip one room, one distance and one noise, always the same.

    Parameters
    ----------
    responses : from people to a device's microphone, each (n,).
    cache : of the dry clips.
    limit : memory for the clips as heard, bytes; those beyond it are computed each time.
    """

    responses: tuple[Signal, ...]
    cache: Cache
    limit: int = CACHE_BYTES
    _heard: dict[tuple[str, int], NDArray[np.int16]] = field(default_factory=dict)
    _used: int = 0

    @classmethod
    def computed(
        cls, cache: Cache, seed: int, rooms: int = ROOMS, limit: int = CACHE_BYTES
    ) -> Rooms:
        """Compute random rooms; the same for the same seed."""
        from earmark_host.rooms import compute_room, random_spec  # noqa: PLC0415 - takes a second

        rng = np.random.default_rng((seed, *b"reverb"))
        found: list[Signal] = []
        for index in range(rooms):
            model = compute_room(random_spec(rng), seed * rooms + index)
            found += [model.responses[talker, MIC] for talker in TALKERS if talker in model.sources]
        return cls(tuple(found), cache, limit)

    def samples(self, clip: Clip, take: int = 0) -> NDArray[np.int16]:
        """The clip's samples as heard in the room of that take, as loud as the dry ones."""
        heard = self._heard.get((clip.key, take))
        if heard is not None:
            return heard
        heard = self._hear(clip, take)
        if self._used + heard.nbytes <= self.limit:
            self._used += heard.nbytes
            self._heard[clip.key, take] = heard
        return heard

    def _hear(self, clip: Clip, take: int) -> NDArray[np.int16]:
        dry = self.cache.samples(clip).astype(np.float32) / np.float32(SCALE)
        digest = hashlib.sha256(clip.key.encode()).digest()
        rng = np.random.default_rng([take, *digest])
        response = self.responses[rng.integers(len(self.responses))]
        wet = oaconvolve(dry, response)[LEAD : LEAD + dry.size]
        wet *= _rms(dry) / _rms(wet)
        noise = _pink(dry.size, rng)
        wet += noise * _rms(dry) * 10.0 ** (-rng.uniform(*NOISE_DB) / 20.0)
        return np.asarray(np.round(np.clip(wet, -1.0, 1.0) * (SCALE - 1.0)), np.int16)


def _rms(signal: NDArray[np.float32] | NDArray[np.float64]) -> float:
    return max(float(np.sqrt(np.mean(np.square(signal)))), 1.0 / SCALE)


def _pink(size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise of -3 dB an octave above 50 Hz, of RMS 1: what fans and streets have in common."""
    spectrum = np.fft.rfft(rng.standard_normal(size))
    frequency = np.fft.rfftfreq(size, 1.0 / 16000.0)
    noise = np.fft.irfft(spectrum / np.sqrt(np.maximum(frequency, 50.0)), size)
    return np.asarray(noise / np.sqrt(np.mean(np.square(noise))))
