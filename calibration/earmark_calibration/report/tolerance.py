"""By how much two runs may differ before it means something.

Where the tool's accuracy decides, it is twice that: either run may be off, in opposite directions.
Where the home decides (its noise changes by the hour), it is what a home does by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The larger of `absolute`, in the measurement's unit, and `relative`, a share of the value."""

    absolute: float = 0.0
    relative: float = 0.0

    def of(self, *values: float) -> float:
        """For a change between `values`, in their unit."""
        return max(self.absolute, self.relative * max(abs(value) for value in values))


BY_NAME: Mapping[str, Tolerance] = {
    # A living room by day and by night; a fridge that runs or not.
    "noise_level": Tolerance(6.0),
    "noise_dbspl": Tolerance(6.0),
    "noise_swing": Tolerance(6.0),
    "over_ambient_db": Tolerance(6.0),
    "canceller_depth": Tolerance(6.0),  # ends at the noise of the room, so moves with it
    # A stream starts at any block of 20 ms of a sound server.
    "delay": Tolerance(0.02),
    "delay_samples": Tolerance(960.0),  # the same at 48 kHz
    "delay_jitter": Tolerance(5.0, 0.5),  # µs; a spread of few values is itself a rough figure
    "rt60": Tolerance(relative=0.3),  # known within 15 %
    "upper_edge": Tolerance(relative=0.3),  # told in thirds of octaves, 26 %
    "distortion": Tolerance(0.5, 0.5),  # %; changes with the level that the room lets through
    # Shares of some 80 trials near 1 and near 0, each known within 5 %.
    "stale_detection": Tolerance(0.07),
    "false_rejects": Tolerance(0.07),
    # Counts among a dozen that were played.
    "played_stale_missed": Tolerance(2.0),
    "played_current_refused": Tolerance(2.0),
}
"""What is known of single measurements."""

BY_UNIT: Mapping[str, Tolerance] = {
    "dB": Tolerance(2.0),  # responses are known within 1 dB
    "dBFS": Tolerance(1.0),  # noise within 0.5 dB
    "dB SPL": Tolerance(1.0),
    "phon": Tolerance(2.0),  # a step of loudness that is just heard
    "ppm": Tolerance(10.0),  # drift within 5 ppm
    "Hz": Tolerance(1.0),  # shifts within 0.5 Hz
}
"""For the other measurements: twice what the tool promises."""

OTHERWISE = Tolerance(relative=0.1)
"""Of what nothing is known: a tenth."""


def tolerance(name: str, unit: str) -> Tolerance:
    """The tolerance of a measurement."""
    return BY_NAME.get(name) or BY_UNIT.get(unit) or OTHERWISE
