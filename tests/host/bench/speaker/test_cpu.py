"""CPU times: what is measured and what is made of it. How long things take is not tested."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.host.bench.speaker.toys import Toy

from earmark.signal import RATE_HZ
from earmark_host.bench.speaker.cpu import COMMAND_S, WARM_UP, Plan, Spent, Timed, _command, hold
from earmark_host.bench.speaker.cpu_figures import figures
from earmark_host.bench.speaker.setup import DEVICE, PARENT, Setup

TINY = Plan(commands=3)


def test_everything_that_hears_is_timed_by_turns(real: Setup, model: Path) -> None:
    spent = hold(real, Timed(TINY))
    assert set(spent.by_ear) == {DEVICE, PARENT}
    for times in (*spent.by_ear.values(), spent.front_end):
        assert len(times) == 3
        assert min(times) > 0.0
    assert spent.model_bytes == (model / "speaker.tflite").stat().st_size


def test_each_command_is_as_long_and_somebody_elses(setup: Setup) -> None:
    said = [_command(setup, number) for number in range(WARM_UP + 5)]
    assert {each.size for each in said} == {round(COMMAND_S * RATE_HZ)}
    assert len({each.tobytes() for each in said}) == len(said)


def test_peers_are_told_as_multiples_of_ours() -> None:
    spent = Spent({DEVICE: (0.004, 0.005, 0.009), "campplus": (0.1, 0.1, 0.1)}, (0.001,) * 3, 9_000)
    metrics, tables = figures([spent], TINY, 1)
    by_name = {metric.name: metric for metric in metrics}
    assert by_name["command_cpu_ms"].value == pytest.approx(5.0)
    assert by_name["command_cpu_ms"].ci95 == pytest.approx((4.0, 9.0))
    assert by_name["model_bytes"].value == 9_000
    rows = {row["heard_by"]: row for row in tables["command_cpu"]}
    assert rows["campplus"]["times_ours"] == pytest.approx(20.0)
    assert rows["int8, front-end alone"]["times_ours"] == pytest.approx(0.2)


def test_an_ear_that_is_no_file_has_no_size(setup: Setup) -> None:
    assert isinstance(setup.ear(DEVICE), type(Toy().open()))
    metrics, _ = figures([Spent({DEVICE: (0.1,)}, (), 0)], TINY, 1)
    assert metrics[1].value is None
