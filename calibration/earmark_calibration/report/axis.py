"""Axes of a chart: from values to places, and where the ticks are. Pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
"""Ticks are these times a power of ten apart: what people add up in their heads."""

_PAD = 0.05
"""Free share of the range beyond the outermost value, so that no line runs along an edge."""

_LARGEST, _SMALLEST = 1e12, 1e-12
"""Values beyond are drawn at the edge, and differences below as none: a report from elsewhere
holds any number, and a double runs out beyond 1e308."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps `low`..`high` to `start`..`end`, linearly or by the logarithm.

    Parameters
    ----------
    low, high : the ends of the axis in the unit of the values, low < high; above 0 with `log`.
    start, end : where they are drawn, in the picture's units.
    log : octaves are equally wide, as the ear has it.
    ticks : the values that are marked, ascending.
    """

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    log: bool = False

    def place(self, value: float) -> float:
        """Where `value` is drawn; beyond the axis it lies at its end."""
        held = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(held / self.low) / math.log(self.high / self.low)
        else:
            share = (held - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def linear(
    values: Sequence[float], start: float, end: float, ticks: int = 5, least: float = 0.0
) -> Axis:
    """An axis that holds `values`, between round ticks.

    Parameters
    ----------
    values : finite; none at all makes an axis of 0..1.
    ticks : about how many.
    least : the smallest range: noise in a flat line does not look like mountains.
    """
    held = [min(max(value, -_LARGEST), _LARGEST) for value in values] or [0.0, 1.0]
    low, high = min(held), max(held)
    if high - low < least:
        middle = (low + high) / 2
        low, high = middle - least / 2, middle + least / 2
    # A range that doubles cannot resolve, or none at all.
    if high - low <= max(_SMALLEST, 1e-9 * max(abs(low), abs(high))):
        reach = max(abs(high), 1.0) / 2
        low, high = low - reach, high + reach
    elif low < 0.0 or low > _PAD * (high - low):  # a quantity that starts near 0 starts at 0
        low -= _PAD * (high - low)
    else:
        low = 0.0
    high += _PAD * (high - low)
    step = _step(high - low, ticks)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return Axis(low, high, start, end, tuple(n * step for n in range(first, last + 1)))


def logarithmic(values: Sequence[float], start: float, end: float) -> Axis:
    """A logarithmic axis that holds the positive ones of `values`.

    Ticks are 1, 2 and 5 times the powers of ten, or the powers alone where that is many.
    """
    positive = [min(value, _LARGEST) for value in values if value > _SMALLEST]
    low, high = (min(positive), max(positive)) if positive else (1.0, 10.0)
    if high / low < 2.0:  # less than an octave shows nothing
        low, high = low / 2.0, high * 2.0
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    marks = (1.0, 2.0, 5.0) if len(decades) <= 5 else (1.0,)
    ticks = [mark * 10.0**decade for decade in decades for mark in marks]
    shown = tuple(tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9))
    return Axis(low, high, start, end, shown, log=True)


def _step(span: float, ticks: int) -> float:
    raw = span / max(ticks, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    return next(step * power for step in _STEPS if step * power >= raw * (1 - 1e-9))


def thin(
    x: Sequence[float], y: Sequence[float | None], most: int = 480
) -> list[tuple[float, float | None]]:
    """At most about `most` points that look the same: lowest and highest of each stretch stay.

    Parameters
    ----------
    x, y : as long as each other; a y of None is a gap, and a long one stays one.
    most : of the points that are left.
    """
    points = list(zip(x, y, strict=True))
    if len(points) <= most:
        return points
    size = math.ceil(len(points) / (most / 2))
    kept: list[tuple[float, float | None]] = []
    for at in range(0, len(points), size):
        stretch = range(at, min(at + size, len(points)))
        known = [(value, n) for n in stretch if (value := points[n][1]) is not None]
        if not known:
            kept.append((points[at][0], None))
            continue
        ends = sorted({min(known)[1], max(known)[1]})
        kept.extend(points[n] for n in ends)
    return kept


def runs(points: Sequence[tuple[float, float | None]]) -> list[list[tuple[float, float]]]:
    """The stretches between gaps."""
    found: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if y is None:
            found.append([])
        else:
            found[-1].append((x, y))
    return [run for run in found if run]


def ascends(x: Sequence[float]) -> bool:
    """Whether no value is below the one before it."""
    return all(a <= b for a, b in pairwise(x))
