"""Clips heard across rooms, to train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.audio.room_model import LEAD
from earmark.signal import RATE_HZ
from earmark_host.speaker import reverb
from earmark_host.speaker.clips import Cache, Clip
from earmark_host.speaker.reverb import Rooms


def clip(folder: Path, name: str = "a") -> Clip:
    path = folder / f"{name}.wav"
    signal = np.zeros(RATE_HZ, np.float32)
    signal[4000:6000] = 0.3 * np.sin(np.arange(2000) * 0.3)
    soundfile.write(path, signal, RATE_HZ, subtype="PCM_16")
    return Clip("somebody", "", path)


def direct(echo: float = 0.0) -> np.ndarray:
    response = np.zeros(LEAD + 3001, np.float32)
    response[LEAD] = 1.0
    response[LEAD + 3000] = echo
    return response


def test_a_room_adds_its_echo_and_keeps_place_and_level(tmp_path: Path) -> None:
    one, cache = clip(tmp_path), Cache()
    dry = cache.samples(one).astype(float)
    wet = Rooms((direct(0.5),), cache).samples(one).astype(float)
    assert wet.shape == dry.shape
    assert np.sqrt(np.mean(wet**2)) == pytest.approx(np.sqrt(np.mean(dry**2)), rel=0.05)
    shifted = np.roll(dry, 3000)
    similar = np.corrcoef(wet - dry * (wet @ dry) / (dry @ dry), shifted)[0, 1]
    assert similar > 0.6


def test_a_clip_is_always_heard_alike_and_two_are_not(tmp_path: Path) -> None:
    one, other = clip(tmp_path), clip(tmp_path, "b")
    rooms = Rooms((direct(), direct(0.5)), Cache())
    again = Rooms((direct(), direct(0.5)), Cache())
    np.testing.assert_array_equal(rooms.samples(one), again.samples(one))
    assert (rooms.samples(one) != rooms.samples(other)).any()
    assert (rooms.samples(one) != rooms.samples(one, take=1)).any()
    np.testing.assert_array_equal(rooms.samples(one, take=1), again.samples(one, take=1))


def test_rooms_are_computed_alike_for_a_seed() -> None:
    first, again = (Rooms.computed(Cache(), 3, rooms=1).responses for _ in range(2))
    assert 1 <= len(first) <= len(reverb.TALKERS)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
