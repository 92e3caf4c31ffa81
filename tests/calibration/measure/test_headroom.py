"""Steps of level into a microphone that clips where it is told to."""

from __future__ import annotations

import numpy as np
import pytest

from earmark.signal import RATE_HZ, gain
from earmark_calibration.measure.headroom import TAIL_S, Headroom, read_headroom, steps

LEVELS = (-51.0, -41.0, -31.0, -21.0)
DELAY_S = 0.1


def heard(gain_db: float) -> Headroom:
    played = np.concatenate([steps(LEVELS), np.zeros(round(TAIL_S * RATE_HZ), np.float32)])
    late = np.roll(played, round(DELAY_S * RATE_HZ)) * gain(gain_db)
    return read_headroom(np.asarray(np.clip(late, -1.0, 1.0), np.float32), LEVELS, DELAY_S)


PEAK_DBFS = -21.0 + 3.01
"""Of the loudest step as it is played: that of a sine of its level."""


@pytest.mark.parametrize("gain_db", [-20.0, 0.0, 10.0, 17.0])
def test_below_full_scale_it_is_what_is_left(gain_db: float) -> None:
    found = heard(gain_db)
    assert not any(found.clipped)
    assert found.headroom_db == pytest.approx(-(PEAK_DBFS + gain_db), abs=0.2)


@pytest.mark.parametrize(("gain_db", "clipped"), [(20.0, 1), (26.0, 1), (35.0, 2), (45.0, 3)])
def test_above_it_is_known_from_the_steps_that_did_not_clip(gain_db: float, clipped: int) -> None:
    found = heard(gain_db)
    assert sum(found.clipped) == clipped
    assert found.headroom_db == pytest.approx(-(PEAK_DBFS + gain_db), abs=0.2)
    assert not found.at_least


def test_if_all_steps_clip_it_is_at_least_their_range() -> None:
    found = heard(60.0)
    assert all(found.clipped)
    assert found.at_least
    assert found.headroom_db == -30.0
