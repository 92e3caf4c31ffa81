"""The speaker model that ships: it opens, it is small, and it knows a resident from a stranger."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from earmark.demo import chosen, run_demo
from earmark.speaker import DEVICE, Cohort, SpeakerModel

MAX_BYTES = 400_000
"""Largest network on a device, bytes."""


@pytest.fixture(scope="module")
def shipped() -> SpeakerModel:
    return SpeakerModel.open()


def test_it_hears_what_the_device_makes_of_a_recording(shipped: SpeakerModel) -> None:
    assert shipped.front_end == DEVICE
    assert shipped.window_samples == 33_024


def test_it_is_small(shipped: SpeakerModel) -> None:
    file = Path(__file__).parents[2] / "models" / "speaker.tflite"
    assert file.stat().st_size <= MAX_BYTES


def test_its_cohort_can_set_a_limit_of_one_in_a_hundred(shipped: SpeakerModel) -> None:
    assert len(Cohort(shipped.cohort)) >= 99
    # Strangers to one another: nobody is in it twice.
    cosines = shipped.cohort @ shipped.cohort.T - np.eye(len(shipped.cohort))
    assert cosines.max() < 0.999


def test_it_knows_a_resident_from_a_stranger(tmp_path: Path) -> None:
    """From the enrolment on, through the simulated kitchen, with the real file."""
    report = tmp_path / "report.json"
    code = run_demo(
        chosen(("enrol", "live", "stranger")),
        out=tmp_path,
        json_file=report,
        console=Console(file=io.StringIO()),
    )
    ends = [(one["scene"], one["verdict"], one["reason"]) for one in json.loads(report.read_text())]
    assert ends == [
        ("enrol", "allow", "fresh"),
        ("live", "allow", "fresh"),
        ("stranger", "retry", "stranger"),
    ]
    assert code == 0
