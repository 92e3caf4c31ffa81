"""Every evasion by its stable name, with its strength in the name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from earmark_host.memory.evasion.base import Materials
from earmark_host.memory.evasion.hiding import with_fakes, with_pauses
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
from earmark_host.memory.stream import Stream

Apply: TypeAlias = Callable[[Stream, Materials, np.random.Generator], Stream]
"""A finished stream, what the attacker has, randomness -> what the device hears instead."""


@dataclass(frozen=True)
class Evasion:
    """One adaptive attacker.

    Parameters
    ----------
    name : stable, a key in reports: what he does, and how strongly.
    about : the same in a sentence, for a table.
    apply : pure; raises EarmarkError where `Materials` lacks what he needs.
    """

    name: str
    about: str
    apply: Apply


def _fakes(percent: int) -> Evasion:
    def apply(stream: Stream, materials: Materials, rng: np.random.Generator) -> Stream:
        return with_fakes(stream, materials.fakes, percent / 100.0, rng)

    return Evasion(f"fakes_{percent}", f"{percent} % of all queries are fakes", apply)


def _noise(snr_db: int) -> Evasion:
    return Evasion(
        f"noise_{snr_db}".replace("-", "minus_"),
        f"own pink noise, fresh in each query, {snr_db} dB below it",
        lambda stream, _, rng: with_own_noise(stream, snr_db, "pink", rng),
    )


def _trim(milliseconds: int) -> Evasion:
    return Evasion(
        f"trim_{milliseconds}ms",
        f"up to {milliseconds} ms cut off each end, up to 0.5 s of silence before",
        lambda stream, _, rng: with_trims(stream, milliseconds / 1000.0, rng),
    )


def _speed(percent: int) -> Evasion:
    return Evasion(
        f"speed_{percent}",
        f"each query at another speed within {percent} %",
        lambda stream, _, rng: with_speed(stream, percent, rng),
    )


def _equaliser(db: int) -> Evasion:
    return Evasion(
        f"eq_{db}db",
        f"a random equaliser in each query, octaves within {db} dB",
        lambda stream, _, rng: with_equaliser(stream, db, rng),
    )


def _reverb(direct_db: int) -> Evasion:
    return Evasion(
        f"reverb_{direct_db}db",
        f"each query in another room of 0.5 s, the direct sound {direct_db} dB over the rest",
        lambda stream, _, rng: with_reverb(stream, 0.5, direct_db, rng),
    )


def _music(snr_db: int) -> Evasion:
    return Evasion(
        f"music_bed_{snr_db}",
        f"another piece of music under each query, {snr_db} dB below it",
        lambda stream, materials, rng: with_music_bed(stream, snr_db, materials.music, rng),
    )


_ALL: tuple[Evasion, ...] = (
    Evasion("none", "the attack as it is", lambda stream, _, __: stream),
    *(_fakes(percent) for percent in (25, 50, 60, 70, 80, 90, 95, 98)),
    *(_noise(snr_db) for snr_db in (30, 20, 10, 5, 0, -5)),
    *(_trim(milliseconds) for milliseconds in (250, 1000)),
    *(_speed(percent) for percent in (1, 2, 4, 8)),
    Evasion(
        "speed_steps_4",
        "speeds of -4, -2, 0, 2 and 4 % in turn",
        lambda stream, _, rng: with_speed(stream, 4.0, rng, step=2.0),
    ),
    *(_equaliser(db) for db in (6, 12)),
    Evasion(
        "gain_20db", "each query up to 20 dB quieter", lambda s, _, rng: with_gain(s, 20.0, rng)
    ),
    Evasion("band", "each query through another band", lambda s, _, rng: with_band_limit(s, rng)),
    *(_reverb(direct_db) for direct_db in (10, 5, 0)),
    *(_music(snr_db) for snr_db in (10, 5, 0)),
    Evasion(
        "pauses_3d",
        "about three days between queries",
        lambda stream, _, rng: with_pauses(stream, 3.0, rng),
    ),
)

EVASIONS: Mapping[str, Evasion] = MappingProxyType({evasion.name: evasion for evasion in _ALL})
"""Evasions by name, in the order of a report's rows."""
