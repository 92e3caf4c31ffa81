"""A query has the levels, the begin and the length that were drawn for it."""

from __future__ import annotations

import numpy as np
import pytest

from earmark.audio import load_room
from earmark.signal import RATE_HZ, Signal, active_level_dbfs, level_dbfs
from earmark_host.memory import hearing
from earmark_host.memory.hearing import Ear

ROOM = load_room("bedroom")


def noise(seconds: float, level: float = 0.1, seed: int = 0) -> Signal:
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal(round(seconds * RATE_HZ))).astype(np.float32)


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.fixture
def fixed(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nothing drawn: 60 dB SPL, a begin at 0.2 s, 20 dB over noise, 6 dB over the television."""
    monkeypatch.setattr(hearing, "SPEECH_DBSPL_1M", (60.0, 60.0))
    monkeypatch.setattr(hearing, "LEAD_S", (0.2, 0.2))
    monkeypatch.setattr(hearing, "SNR_DB", (20.0, 20.0))
    monkeypatch.setattr(hearing, "BEHIND_DB", (6.0, 6.0))
    return monkeypatch


def test_a_query_begins_and_ends_with_noise_only(fixed: pytest.MonkeyPatch) -> None:
    heard = Ear(ROOM).hear(noise(1.0), "person_1m", rng())
    assert heard.size == round((0.2 + 1.0 + hearing.TAIL_S) * RATE_HZ)
    assert heard.dtype == np.float32
    before = level_dbfs(heard[: round(0.2 * RATE_HZ)])
    during = level_dbfs(heard[round(0.3 * RATE_HZ) : RATE_HZ])
    assert during - before == pytest.approx(20.0, abs=2.0)
    # It begins as soon as sound has come 1 m far.
    begins = round(0.21 * RATE_HZ)
    assert level_dbfs(heard[begins : begins + 320]) > before + 10.0


@pytest.mark.parametrize("loudness", [0.001, 0.3])
def test_the_level_is_that_of_the_voice_and_not_of_the_recording(
    fixed: pytest.MonkeyPatch, loudness: float
) -> None:
    fixed.setattr(hearing, "SNR_DB", (60.0, 60.0))
    heard = Ear(ROOM).hear(noise(1.0, loudness), "person_1m", rng())
    # 60 dB SPL at 1 m are -49 dBFS on a microphone of 109; the room adds some 3 dB.
    assert -50.0 < active_level_dbfs(heard) < -43.0


def test_who_is_farther_away_is_heard_less(fixed: pytest.MonkeyPatch) -> None:
    fixed.setattr(hearing, "SNR_DB", (60.0, 60.0))
    ear = Ear(ROOM)
    near, far = (
        active_level_dbfs(ear.hear(noise(1.0), place, rng()))
        for place in ("person_0.5m", "person_4m")
    )
    assert near > far + 5.0


def test_the_television_behind_is_heard_all_the_time_as_loud_as_drawn(
    fixed: pytest.MonkeyPatch,
) -> None:
    fixed.setattr(hearing, "SNR_DB", (60.0, 60.0))
    dry, behind = noise(1.0), noise(3.0, 0.7, seed=1)
    ear = Ear(ROOM)
    alone = ear.hear(dry, "person_2m", rng())
    both = ear.hear(dry, "person_2m", rng(), behind=behind)
    assert both.size == alone.size
    lead = slice(round(0.05 * RATE_HZ), round(0.2 * RATE_HZ))
    assert active_level_dbfs(alone) - level_dbfs(both[lead]) == pytest.approx(6.0, abs=1.5)


def test_a_television_that_falls_silent_leaves_the_end_clear(fixed: pytest.MonkeyPatch) -> None:
    dry = noise(2.0)
    short = Ear(ROOM).hear(dry, "person_2m", rng(), behind=noise(0.1, seed=1))
    assert short.size == round(2.4 * RATE_HZ)


def test_a_recorded_noise_is_looped_and_scaled(fixed: pytest.MonkeyPatch) -> None:
    hum = np.sin(2 * np.pi * 1000.0 * np.arange(1600) / RATE_HZ).astype(np.float32)
    heard = Ear(ROOM).hear(noise(1.0), "person_1m", rng(), noise=hum)
    lead = heard[:3200]
    spectrum = np.abs(np.fft.rfft(lead))
    assert int(np.argmax(spectrum)) == 200
    assert active_level_dbfs(heard) - level_dbfs(lead) == pytest.approx(20.0, abs=1.5)


def test_a_recorded_noise_begins_anywhere() -> None:
    ramp = np.linspace(0.5, 1.0, 5 * RATE_HZ, dtype=np.float32)
    drawn = rng()
    assert len({float(hearing._looped(ramp, 100, drawn)[0]) for _ in range(5)}) == 5


def test_a_silent_stretch_of_noise_is_replaced(fixed: pytest.MonkeyPatch) -> None:
    heard = Ear(ROOM).hear(noise(1.0), "person_1m", rng(), noise=np.zeros(5_000, np.float32))
    assert np.isfinite(heard).all()
    assert heard[:3200].any()


def test_the_noise_falls_by_three_decibels_an_octave() -> None:
    pink = hearing._pink(1 << 17, rng())
    power = np.abs(np.fft.rfft(pink)) ** 2
    low, high = power[1000:2000].sum(), power[8000:16000].sum()
    # Octaves of pink noise are equally strong.
    assert 10.0 * np.log10(low / high) == pytest.approx(0.0, abs=0.5)


def test_no_two_queries_are_the_same_and_the_seed_repeats_them() -> None:
    ear, dry = Ear(ROOM), noise(0.5)
    drawn = rng()
    first, second = (ear.hear(dry, "person_1m", drawn) for _ in range(2))
    assert first.size != second.size
    np.testing.assert_array_equal(first, Ear(ROOM).hear(dry, "person_1m", rng()))


def test_the_recording_is_left_as_it_is() -> None:
    dry, behind, floor = noise(0.5), noise(0.5, seed=1), noise(0.3, seed=2)
    for signal in (dry, behind, floor):
        signal.setflags(write=False)
    Ear(ROOM).hear(dry, "person_1m", rng(), behind=behind, noise=floor)


def test_what_is_cut_from_a_response_is_too_weak_to_matter() -> None:
    response = ROOM.responses["person_4m", "mic"]
    cut = hearing._shortened(response)
    assert cut.size < 0.8 * response.size
    assert 1e-5 < np.sum(response[cut.size :] ** 2) / np.sum(response**2) <= 1.01e-4
