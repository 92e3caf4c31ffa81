"""The table of thresholds that ships, and what is said of a row that it lacks."""

from __future__ import annotations

import math
from typing import get_args

import pytest
from pydantic import ValidationError

from earmark.errors import ConfigError
from earmark.memory import (
    NeighboursLimits,
    PaperSettings,
    PaperThreshold,
    Thresholds,
    shipped,
)
from earmark.memory.paper.settings import Weighting

ROW = {"weights": "raw", "depth": 75, "input_noise_snr_db": 50.0, "speech": 0.01, "music": 0.02}
LIMITS = NeighboursLimits(floor=0.1, slope=1.8, mean=0.03, approved=0.6)


def table(*rows: dict[str, object]) -> Thresholds:
    paper = tuple(PaperThreshold.model_validate(row) for row in rows)
    return Thresholds(made={}, neighbours=LIMITS, paper=paper)


def test_the_shipped_table_tells_how_it_was_made() -> None:
    found = shipped()
    assert found.made
    assert shipped() is found, "it is read once"
    # Two copies have a limit that they can pass, at every number of peaks that a query may have.
    assert 0.15 < found.neighbours.likeness(200) < found.neighbours.likeness(40) < 0.6
    assert found.neighbours.likeness(10) < 1.0
    assert found.neighbours.likeness(40) < found.neighbours.approved < 1.0
    assert 0.0 < found.neighbours.mean < 0.1


@pytest.mark.parametrize("snr_db", [None, 25.0, 50.0, 75.0])
@pytest.mark.parametrize("weights", get_args(Weighting))
def test_there_are_thresholds_for_every_flag_at_the_default_depth(
    weights: Weighting, snr_db: float | None
) -> None:
    settings = PaperSettings(weights=weights, input_noise_snr_db=snr_db)
    found = shipped().paper_for(settings)
    assert set(found) == {"speech", "music"}
    assert all(math.isfinite(value) and value > 0.0 for value in found.values())
    if weights in ("clip", "mean"):
        assert max(found.values()) < 0.2, "a weighted mean of plain cosines of strangers"


def test_no_row_ships_twice() -> None:
    rows = [(row.weights, row.depth, row.input_noise_snr_db) for row in shipped().paper]
    assert len(set(rows)) == len(rows)


def test_the_row_is_that_of_the_settings() -> None:
    found = table(
        ROW | {"weights": "clip", "speech": 0.3},
        ROW | {"depth": 30, "speech": 0.4},
        ROW | {"input_noise_snr_db": None, "speech": 0.5, "music": 0.6},
        ROW,
    )
    assert found.paper_for(PaperSettings(weights="raw", input_noise_snr_db=50)) == {
        "speech": 0.01,
        "music": 0.02,
    }
    assert found.paper_for(PaperSettings(weights="raw")) == {"speech": 0.5, "music": 0.6}
    assert found.paper_for(PaperSettings(weights="raw", depth=30, input_noise_snr_db=50))[
        "speech"
    ] == pytest.approx(0.4)


@pytest.mark.parametrize(
    "other", [{"weights": "mean"}, {"depth": 74}, {"input_noise_snr_db": 49.0}], ids=str
)
def test_a_row_that_is_missing_is_named_with_what_to_do(other: dict[str, object]) -> None:
    settings = PaperSettings.model_validate(
        {"weights": "raw", "depth": 75, "input_noise_snr_db": 50.0} | other
    )
    assert table(ROW).paper_for(settings.model_copy(update={k: ROW[k] for k in other}))
    with pytest.raises(ConfigError) as caught:
        table(ROW).paper_for(settings)
    told = str(caught.value)
    assert "memory.paper" in told
    for value in (settings.weights, settings.depth, settings.input_noise_snr_db):
        assert str(value) in told
    assert "earmark-host memory calibrate" in told


@pytest.mark.parametrize(
    "wrong",
    [
        {"speech": float("nan")},
        {"music": float("inf")},
        {"weights": "median"},
        {"more": 1},
    ],
    ids=str,
)
def test_no_threshold_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PaperThreshold.model_validate(ROW | wrong)
