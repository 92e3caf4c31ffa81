"""CPU times: what is made of them. How long things take is not tested."""

from __future__ import annotations

import pytest

from earmark_host.bench.nonce.cpu import (
    COMMANDS_S,
    FULL,
    GGWAVE,
    HEADLINE_S,
    Spent,
    figures,
    pieces,
)


def spent(command_s: float, verdict_s: float, own_clocks: bool = False) -> Spent:
    ggwave = ((GGWAVE, 0.01), ("other", 0.03))
    return Spent(command_s, command_s + 1.0, own_clocks, verdict_s, 0.01, 0.02, 0.03, ggwave)


def test_the_headline_is_the_median_at_three_seconds() -> None:
    three = (spent(3.0, 0.1), spent(3.0, 0.2, True), spent(3.0, 0.3))
    metrics, tables = figures([three, (spent(1.5, 0.05),)], FULL, seed=1)
    by_name = {metric.name: metric for metric in metrics}
    assert by_name["verify_cpu_ms_3s"].value == pytest.approx(200.0)
    assert by_name["verify_cpu_ms_3s"].n == 3
    assert by_name["ggwave_cpu_ms_3s"].value == pytest.approx(10.0)
    assert [row["command_s"] for row in tables["cpu_by_length"]] == [1.5, 3.0]
    assert tables["cpu_by_length"][0]["ms_per_s_of_audio"] == pytest.approx(20.0)
    assert [row["n"] for row in tables["cpu_by_clock"]] == [2, 1]
    assert {row["mode"] for row in tables["cpu_ggwave"]} == {GGWAVE, "other"}


def test_every_length_is_measured_the_headline_often_enough() -> None:
    asked = {piece.seconds: piece.count for piece in pieces(FULL)}
    assert set(asked) == set(COMMANDS_S)
    assert asked[HEADLINE_S] >= 20
