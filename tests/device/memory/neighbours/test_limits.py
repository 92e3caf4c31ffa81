"""From where on two fingerprints are copies."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from earmark.memory.neighbours import NeighboursLimits

FINE = {"floor": 0.1, "slope": 1.8, "mean": 0.03, "approved": 0.6}


@pytest.mark.parametrize(("peaks", "limit"), [(1, 1.9), (4, 1.0), (100, 0.28), (144, 0.25)])
def test_the_limit_falls_with_the_root_of_peaks(peaks: int, limit: float) -> None:
    assert NeighboursLimits.model_validate(FINE).likeness(peaks) == pytest.approx(limit)


@pytest.mark.parametrize(
    "wrong",
    [
        {"floor": -0.1},
        {"floor": 1.1},
        {"slope": -1.0},
        {"slope": 11.0},
        {"mean": 0.0},
        {"approved": 0.0},
        {"approved": 1.1},
        {"floor": float("nan")},
        {"more": 1.0},
    ],
    ids=str,
)
def test_no_limit_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        NeighboursLimits.model_validate(FINE | wrong)
