"""A measurement is declared first: its name, unit, limits and what to do when it is outside.

Then it is taken, and pass, marginal or fail follows from the declaration alone. Nothing that
takes a value may judge it.

    DELAY = Declared("delay", "s", "From playing to recording.", passes=Band(0.0, 0.4), ...)
    DELAY.take(0.13).outcome    # Outcome.PASS
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


class Outcome(StrEnum):
    """What a value means for the installation."""

    PASS = "pass"
    MARGINAL = "marginal"
    """It works; better is worth an attempt."""
    FAIL = "fail"

    @property
    def gravity(self) -> int:
        """0, 1, 2 for pass, marginal, fail."""
        return list(Outcome).index(self)


def worst(outcomes: list[Outcome]) -> Outcome:
    """The gravest of `outcomes`; PASS when there is none."""
    return max(outcomes, key=lambda outcome: outcome.gravity, default=Outcome.PASS)


@dataclass(frozen=True, slots=True)
class Band:
    """From `low` to `high`, both included; None leaves that side open."""

    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        edges = [edge for edge in (self.low, self.high) if edge is not None]
        if not all(math.isfinite(edge) for edge in edges):
            raise ValueError(f"edges {self.low} and {self.high} must be finite, or None")
        if edges != sorted(edges):
            raise ValueError(f"low {self.low} is above high {self.high}")

    def __contains__(self, value: float) -> bool:
        return not self.is_below(value) and not self.is_above(value)

    def holds(self, other: Band) -> bool:
        """Whether `other` lies within this band."""
        low = self.low is None or (other.low is not None and other.low >= self.low)
        high = self.high is None or (other.high is not None and other.high <= self.high)
        return low and high

    def is_below(self, value: float) -> bool:
        """Whether `value` is below the band."""
        return self.low is not None and value < self.low

    def is_above(self, value: float) -> bool:
        """Whether `value` is above the band."""
        return self.high is not None and value > self.high


@dataclass(frozen=True, slots=True)
class Declared:
    """A measurement before it is taken.

    Parameters
    ----------
    name : lower case with underscores; unique in a report, and kept between versions.
    unit : its unit as printed, such as ``ppm``; "" for a pure number.
    doc : what it is and why its limits are these, in one or two sentences.
    passes : the band of values that pass.
    marginal : the wider band of values that are just acceptable; None: outside of `passes` fails.
    too_low, too_high : what the technician should do then, as an instruction.

    Raises
    ------
    ValueError
        A malformed name, a pass band outside the marginal one, or a limit without its advice.
    """

    name: str
    unit: str
    doc: str
    passes: Band
    marginal: Band | None = None
    too_low: str = ""
    too_high: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"name {self.name!r}: lower case, digits and single underscores")
        if not self.doc:
            raise ValueError(f"{self.name} says nothing about itself")
        if self.marginal is not None and not self.marginal.holds(self.passes):
            raise ValueError(f"{self.name}: the pass band must lie within the marginal one")
        for edge, advice in ((self.passes.low, self.too_low), (self.passes.high, self.too_high)):
            if (edge is not None) != bool(advice):
                raise ValueError(f"{self.name}: each limit has advice, and no advice is idle")

    def take(self, value: float | None) -> Taken:
        """Record `value`; None or a value that is not finite says that it could not be measured."""
        finite = value is not None and math.isfinite(value)
        return Taken(self, value if finite else None)


@dataclass(frozen=True, slots=True)
class Taken:
    """A measurement with its value. None could not be measured, which fails."""

    declared: Declared
    value: float | None

    @property
    def outcome(self) -> Outcome:
        """Pass, marginal or fail, by the declaration."""
        if self.value is None:
            return Outcome.FAIL
        if self.value in self.declared.passes:
            return Outcome.PASS
        if self.declared.marginal is not None and self.value in self.declared.marginal:
            return Outcome.MARGINAL
        return Outcome.FAIL

    @property
    def advice(self) -> str:
        """What to do about it; "" when it passes."""
        if self.value is None:
            return "it could not be measured: look at the faults, mend them and measure again"
        if self.declared.passes.is_below(self.value):
            return self.declared.too_low
        if self.declared.passes.is_above(self.value):
            return self.declared.too_high
        return ""
