"""What an attacker has, and the form that every attack takes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from enum import Enum
from typing import Protocol

import numpy as np

from earmark.errors import EarmarkError
from earmark.signal import Signal


class Need(Enum):
    """What an attack needs besides the recording; the value is the field of :class:`Loot`."""

    NOISE_ONLY = "noise_only"
    REFERENCE = "reference"
    NOISE_REFERENCE = "noise_reference"
    CLEAN = "clean"


@dataclass(frozen=True, eq=False)
class Loot:
    """What the attacker has. All are 1-D float32 at 16 kHz.

    Parameters
    ----------
    recording : the recording that he wants to use, cut around the command.
    noise_only : recorded by the same recorder with nonce but without speech, of any length.
    reference : a second recorder near the device at the same time, on the same clock, as long
        as `recording`.
    clean : oracle: the same recording without any nonce. No attacker has it.
    wet_nonce : oracle: the nonce alone as recorded.
    noise_reference : what the second recorder heard during `noise_only`, of the same length.

    Raises
    ------
    ValueError
        A signal is empty, not 1-D, not finite, or not as long as its companion.
    """

    recording: Signal
    noise_only: Signal | None
    reference: Signal | None
    clean: Signal
    wet_nonce: Signal
    noise_reference: Signal | None = None

    def __post_init__(self) -> None:
        for part in fields(self):
            name = part.name
            value: Signal | None = getattr(self, name)
            if value is None:
                continue
            if value.ndim != 1 or value.size == 0:
                raise ValueError(f"{name}: a 1-D signal that is not empty, got {value.shape}")
            if not np.all(np.isfinite(value)):
                raise ValueError(f"{name}: not finite")
            companion = self.noise_only if name.startswith("noise") else self.recording
            if companion is not None and value.size != companion.size:
                raise ValueError(f"{name}: {value.size} samples where {companion.size} belong")


class MissingLootError(EarmarkError):
    """An attack needs something that the attacker does not have."""

    def __init__(self, attack: str, need: Need, do: str) -> None:
        super().__init__(f"the attack {attack} needs {need.value}", do)
        self.attack = attack
        self.need = need
        self.do = do

    def __reduce__(self) -> tuple[type[MissingLootError], tuple[str, Need, str]]:  # type: ignore[override]
        """Pickle by the arguments: errors of worker processes arrive as they were raised."""
        return type(self), (self.attack, self.need, self.do)


class Attack(Protocol):
    """One way to treat a recording before it is replayed."""

    @property
    def name(self) -> str:
        """Stable name; part of the metrics ``removal_<name>_detect`` and ``_stoi``."""

    @property
    def about(self) -> str:
        """What it does, one line."""

    @property
    def needs(self) -> tuple[Need, ...]:
        """What it cannot do without."""

    def apply(self, loot: Loot, rng: np.random.Generator) -> Signal:
        """Return the recording as the attacker replays it: float32, perhaps another length.

        Raises
        ------
        MissingLootError
            `loot` lacks what the attack needs.
        """

    def restore(self, processed: Signal, loot: Loot) -> Signal:
        """Undo what :meth:`apply` did to the timing, for a comparison with `loot.clean`."""


class Base(ABC):
    """What the attacks share: the check of what they need, and timing left alone."""

    needs: tuple[Need, ...] = ()

    def __init__(self, name: str, about: str) -> None:
        self.name = name
        self.about = about

    def apply(self, loot: Loot, rng: np.random.Generator) -> Signal:
        """See :meth:`Attack.apply`."""
        for need in self.needs:
            if getattr(loot, need.value) is None:
                raise MissingLootError(self.name, need, f"give the attacker {need.value}")
        return np.ascontiguousarray(self._process(loot, rng), dtype=np.float32)

    def restore(self, processed: Signal, loot: Loot) -> Signal:
        """See :meth:`Attack.restore`."""
        del loot
        return processed

    @abstractmethod
    def _process(self, loot: Loot, rng: np.random.Generator) -> Signal: ...


class Untouched(Base):
    """The recording as it is: what every other attack is compared with."""

    def _process(self, loot: Loot, rng: np.random.Generator) -> Signal:
        del rng
        return loot.recording.copy()
