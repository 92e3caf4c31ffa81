"""Axes: where values and ticks lie, and what is left of many points."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark_calibration.report.axis import ascends, linear, logarithmic, runs, thin

finite = st.floats(allow_nan=False, allow_infinity=False)


def test_a_linear_axis_has_round_ticks_around_its_values() -> None:
    axis = linear([-18.3, 2.1], 0.0, 100.0)
    assert axis.ticks == (-15.0, -10.0, -5.0, 0.0)
    assert axis.low < -18.3 < 2.1 < axis.high
    assert 0.0 < axis.place(-18.3) < axis.place(0.0) < axis.place(2.1) < 100.0


def test_a_quantity_that_starts_near_nothing_starts_at_nothing() -> None:
    assert linear([0.0, 0.31], 0.0, 1.0).low == 0.0


def test_small_ripples_look_small() -> None:
    axis = linear([-0.1, 0.1], 0.0, 100.0, least=20.0)
    assert axis.high - axis.low >= 20.0


def test_octaves_are_equally_wide() -> None:
    axis = logarithmic([100.0, 8000.0], 0.0, 300.0)
    steps = [axis.place(hz * 2) - axis.place(hz) for hz in (100.0, 400.0, 3000.0)]
    assert steps == pytest.approx([steps[0]] * 3)
    assert axis.ticks == (100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0)


@given(st.lists(finite, max_size=20), st.booleans())
def test_any_numbers_have_an_axis(values: list[float], log: bool) -> None:
    """A report from elsewhere holds any number that a double can."""
    axis = (logarithmic if log else linear)(values, 10.0, 90.0)
    assert all(math.isfinite(tick) for tick in axis.ticks)
    assert len(axis.ticks) <= 40
    assert all(10.0 <= axis.place(value) <= 90.0 for value in values)


def test_what_is_thinned_keeps_its_peaks_and_gaps() -> None:
    x = [float(n) for n in range(10_000)]
    y: list[float | None] = [math.sin(n / 500) for n in range(10_000)]
    y[4321] = 9.0
    y[7000:8000] = [None] * 1000
    kept = thin(x, y, most=400)
    assert len(kept) <= 410
    assert (4321.0, 9.0) in kept
    assert [at for at, _ in kept] == sorted(at for at, _ in kept)
    first, second = runs(kept)
    assert first[-1][0] < 7000
    assert second[0][0] >= 8000


def test_few_points_stay_as_they_are() -> None:
    assert thin([1.0, 2.0], [None, 3.0]) == [(1.0, None), (2.0, 3.0)]


def test_ascends() -> None:
    assert ascends([1.0, 1.0, 2.0])
    assert not ascends([1.0, 3.0, 2.0])
