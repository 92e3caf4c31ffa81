"""Every attack by its stable name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Protocol

import numpy as np

from earmark.signal import Signal
from earmark_host.memory.attacks import genetic, nes, simba, square
from earmark_host.memory.attacks.basis import Cells
from earmark_host.memory.attacks.oars import OarsSettings, oars
from earmark_host.memory.attacks.probe import Outcome
from earmark_host.memory.oracle import Oracle


class Run(Protocol):
    """One run of an attack."""

    def __call__(
        self, carrier: Signal, target: int, oracle: Oracle, rng: np.random.Generator
    ) -> Outcome:
        """Look for a perturbation of `carrier` that is heard as `target`.

        Parameters
        ----------
        carrier : 1-D float32 in [-1, 1] at 16 kHz, 512 samples or more, not silent.
        target : index of a label in the oracle's scores.
        oracle : the device.
        rng : everything random; the same one and the same answers give the same queries.

        Raises
        ------
        ValueError
            The carrier is too short, silent or not 1-D.
        """
        ...


@dataclass(frozen=True)
class Attack:
    """One attack that crafts a command from single answers.

    Parameters
    ----------
    name : stable, a key in reports.
    about : what it does, one line.
    run : one run, with the default settings.
    """

    name: str
    about: str
    run: Run


_ALL: tuple[Attack, ...] = (
    Attack("nes", "gradient from pairs of opposite proposals (Ilyas et al. 2018)", nes.nes),
    Attack(
        "nes_noise",
        "the same with noise instead of changes of the carrier",
        partial(nes.nes, settings=nes.NesSettings(cells=Cells(kind="noise"))),
    ),
    Attack("simba", "one direction after the other (Guo et al. 2019)", simba.simba),
    Attack("square", "random patches at the bound (Andriushchenko et al. 2020)", square.square),
    Attack("genetic", "a population, crossed and mutated (Taori et al. 2019)", genetic.genetic),
    Attack("oars_nes", "nes, kept as far apart as the verdicts demand (Feng et al. 2023)", oars),
    Attack(
        "oars_simba",
        "simba, kept as far apart as the verdicts demand",
        partial(oars, settings=OarsSettings(partial(simba.search, settings=simba.DEFAULT))),
    ),
    Attack(
        "oars_square",
        "square, kept as far apart as the verdicts demand",
        partial(oars, settings=OarsSettings(partial(square.search, settings=square.DEFAULT))),
    ),
)

ATTACKS: Mapping[str, Attack] = MappingProxyType({attack.name: attack for attack in _ALL})
"""Attacks by name, in the order of a report's rows."""
