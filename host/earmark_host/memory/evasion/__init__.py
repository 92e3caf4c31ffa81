"""Adaptive attackers: what is done to a finished stream of queries so that it is not noticed.

Each is pure: stream and randomness in, stream out; the queries are made when they are asked for.
They can be put one after the other. An attacker who uses the verdicts is not here, since his
queries depend on the detector.
"""

from earmark_host.memory.evasion.base import Draw, Materials
from earmark_host.memory.evasion.hiding import with_fakes, with_pauses
from earmark_host.memory.evasion.registry import EVASIONS, Evasion
from earmark_host.memory.evasion.sound import (
    with_band_limit,
    with_equaliser,
    with_gain,
    with_music_bed,
    with_own_noise,
    with_reverb,
    with_speed,
    with_trims,
)

__all__ = [
    "EVASIONS",
    "Draw",
    "Evasion",
    "Materials",
    "with_band_limit",
    "with_equaliser",
    "with_fakes",
    "with_gain",
    "with_music_bed",
    "with_own_noise",
    "with_pauses",
    "with_reverb",
    "with_speed",
    "with_trims",
]
