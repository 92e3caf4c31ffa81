"""Sessions without a wake word."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from earmark.signal import BLOCK
from earmark.wake import ButtonWake, ScriptedWake

QUIET = np.zeros(BLOCK, dtype=np.float32)


def test_a_press_is_reported_once() -> None:
    wake = ButtonWake()
    assert not wake.heard(QUIET)
    thread = threading.Thread(target=wake.press)
    thread.start()
    thread.join()
    wake.press()
    assert [wake.heard(QUIET) for _ in range(3)] == [True, False, False]


def test_reset_forgets_a_press() -> None:
    wake = ButtonWake()
    wake.press()
    wake.reset()
    assert not wake.heard(QUIET)


def test_a_script_fires_in_the_block_of_each_time() -> None:
    wake = ScriptedWake([0.05, 0.0, 0.059, 0.02])
    fired = []
    for index in range(5):
        if wake.heard(QUIET):
            fired.append(index)
        wake.reset()  # the script follows the stream
    assert fired == [0, 1, 2]


@pytest.mark.parametrize("time_s", [-0.1, float("nan")])
def test_a_script_refuses_an_impossible_time(time_s: float) -> None:
    with pytest.raises(ValueError, match="times_s"):
        ScriptedWake([1.0, time_s])
