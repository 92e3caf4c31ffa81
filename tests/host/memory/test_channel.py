"""What the device hears of what is sent."""

from __future__ import annotations

import numpy as np
import pytest

from earmark.audio import load_room
from earmark.signal import RATE_HZ, Signal, active_level_dbfs, rms
from earmark_host.memory.channel import MAX_DELAY_S, MIC_DBFS, digital, over_the_air

ROOM = load_room("living_room")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.fixture
def sent(rng: np.random.Generator) -> Signal:
    return (0.1 * rng.standard_normal(RATE_HZ)).astype(np.float32)


def test_a_cable_changes_nothing_but_clips(sent: Signal, rng: np.random.Generator) -> None:
    assert np.array_equal(digital()(sent, rng), sent)
    assert digital()(100.0 * sent, rng).max() == 1.0


def test_over_the_air_it_has_the_nominal_level_an_echo_and_a_delay(
    sent: Signal, rng: np.random.Generator
) -> None:
    heard = over_the_air(ROOM, "person_2m", "white", 40.0)(sent, rng)
    assert heard.dtype == np.float32
    assert active_level_dbfs(heard) == pytest.approx(MIC_DBFS, abs=1.0)
    assert heard.size > sent.size + 0.05 * RATE_HZ
    assert heard.size < sent.size + (MAX_DELAY_S + 1.0) * RATE_HZ


def test_the_noise_lies_as_far_below_as_asked(rng: np.random.Generator) -> None:
    quiet = np.zeros(RATE_HZ, np.float32)
    quiet[: RATE_HZ // 4] = 0.1 * rng.standard_normal(RATE_HZ // 4)
    last = slice(int(0.85 * RATE_HZ), RATE_HZ)  # the echo has died away
    levels = {
        snr_db: 20.0
        * np.log10(rms(over_the_air(ROOM, "person_1m", "white", snr_db)(quiet, rng)[last]))
        for snr_db in (10.0, 20.0)
    }
    assert levels[10.0] == pytest.approx(MIC_DBFS - 10.0, abs=1.0)
    assert levels[20.0] == pytest.approx(MIC_DBFS - 20.0, abs=1.0)


def test_each_hearing_is_another_and_the_same_draw_the_same(sent: Signal) -> None:
    channel = over_the_air(ROOM, "attacker", "pink", 20.0, clock_ppm=100.0)
    one, other = (channel(sent, np.random.default_rng(seed)) for seed in (1, 2))
    again = channel(sent, np.random.default_rng(1))
    assert np.array_equal(one, again)
    assert one.size != other.size or not np.array_equal(one, other)


def test_what_cannot_be(sent: Signal) -> None:
    with pytest.raises(ValueError, match="no position 'roof'"):
        over_the_air(ROOM, "roof", "white", 20.0)
    with pytest.raises(ValueError, match="silent"):
        over_the_air(ROOM, "attacker", np.zeros(RATE_HZ, np.float32), 20.0)
    with pytest.raises(ValueError, match="clock_ppm"):
        over_the_air(ROOM, "attacker", sent, 20.0, clock_ppm=600.0)
