"""A shift of all frequencies by the same number of Hz."""

from __future__ import annotations

import numpy as np

from earmark.filters import analytic
from earmark.signal import RATE_HZ, Signal


def shifted(signals: Signal, by_hz: float, start: int = 0, rate_hz: float = RATE_HZ) -> Signal:
    """`signals` with all frequencies `by_hz` higher, by the analytic signal; as they are for 0.

    Parameters
    ----------
    signals : one along the last axis.
    start : sample at which they begin, counted from where the shift has no phase.
    rate_hz : their sampling rate.
    """
    if by_hz == 0.0:
        return signals
    turn = np.exp(2j * np.pi * by_hz * (start + np.arange(signals.shape[-1])) / rate_hz)
    return np.asarray((analytic(signals) * turn).real, np.float32)
