"""Many reports: who stands out, who drifts, and how often that is a false alarm."""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np
import pytest
from scipy import stats
from tests.calibration.report import samples

from earmark_calibration.declared import Outcome
from earmark_calibration.record import Record
from earmark_calibration.report import fleet, fleet_page, fleets
from earmark_calibration.report.fleets import (
    DRIFT_P,
    FALSE_OUTLIERS,
    MIN_DEVICES,
    MIN_REPORTS,
    MOST_TEXT_ROWS,
    Entry,
    Fleet,
    Unread,
    Why,
    far,
    robust_sigma,
)


def of(records: Iterable[Record]) -> Fleet:
    return fleet(Entry.of(record, f"{n}.json") for n, record in enumerate(records))


def found(many: Fleet) -> set[tuple[str, Why, str]]:
    return {(each.serial, each.why, each.name) for unit in many.units for each in unit.findings}


def levels(*values: float) -> list[Record]:
    return [samples.measured(f"d{n}", peak_level=value) for n, value in enumerate(values)]


def test_what_is_odd_is_found_and_nothing_else() -> None:
    many = of(samples.many())
    assert found(many) == {
        ("EM-2026-00419", Why.OUTLIER, "peak_level"),
        ("EM-2026-00419", Why.OUTLIER, "clock_drift"),
        ("EM-2026-00419", Why.OUTLIER, "canceller_depth"),
        ("EM-2026-00503", Why.OUTLIER, "peak_level"),
        ("EM-2026-00503", Why.DRIFT, "peak_level"),
        ("EM-2026-00507", Why.OUTLIER, "clock_drift"),
        ("EM-2026-00512", Why.OUTLIER, "rt60"),
        ("EM-2026-00512", Why.STEP, "rt60"),
    }
    assert [unit.serial for unit in many.units[:2]] == ["EM-2026-00419", "EM-2026-00512"]
    assert many.units[0].newest.outcome is Outcome.FAIL


def test_an_outlier_is_told_however_many_others_there_are() -> None:
    spread = [-14.0, -15.5, -13.2, -14.8, -14.1, -13.6, -15.0, -14.3, -13.9]
    assert found(of(levels(*spread))) == set()
    assert found(of(levels(*spread, -49.0))) == {("d9", Why.OUTLIER, "peak_level")}
    # Three odd ones of twelve do not hide each other, as they would with a mean.
    hidden = found(of(levels(*spread, -49.0, -49.5, -48.0)))
    assert {serial for serial, _, _ in hidden} == {"d9", "d10", "d11"}


def test_few_devices_accuse_nobody() -> None:
    few = [-14.0] * (MIN_DEVICES - 2) + [-60.0]
    assert found(of(levels(*few))) == set()
    assert found(of(levels(*few, -14.0))) == {(f"d{len(few) - 1}", Why.OUTLIER, "peak_level")}


def test_devices_that_are_all_alike_may_differ_within_the_tolerance() -> None:
    """The median absolute deviation is 0 then, and anything would be far from it."""
    assert found(of(levels(*[-14.0] * 20, -14.9))) == set()
    assert found(of(levels(*[-14.0] * 20, -15.2))) == {("d20", Why.OUTLIER, "peak_level")}


@pytest.mark.parametrize("n", [MIN_DEVICES, 12, 20, 50, 300])
def test_a_sound_fleet_is_seldom_accused(n: int) -> None:
    """Of simulated fleets of normal values, about `FALSE_OUTLIERS` have one outlier or more."""
    trials = 2000
    values = np.random.default_rng(n).normal(size=(trials, n))
    accused = sum(
        np.max(np.abs(row - np.median(row))) > far(n) * robust_sigma(row) for row in values
    )
    # Not above what 2,000 trials show of the 1.2 % that simulations of 20,000 gave at most.
    assert accused <= stats.binom.isf(1e-4, trials, 1.2 * FALSE_OUTLIERS)
    shifted = values[0].copy()
    shifted[0] += 1.5 * far(n)
    assert abs(shifted[0] - np.median(shifted)) > far(n) * robust_sigma(shifted)


def months(*values: float | None) -> list[Record]:
    return [samples.measured("d", 30.0 * n, peak_level=value) for n, value in enumerate(values)]


def test_a_drift_is_told_with_its_rate_and_when_it_leaves_its_limits() -> None:
    falling = [-14.0 - 1.2 * n + (0.2 if n % 2 else 0.0) for n in range(8)]
    (unit,) = of(months(*falling)).units
    (drift,) = unit.findings
    assert drift.why is Why.DRIFT
    assert drift.per_day == pytest.approx(-1.2 / 30, rel=0.1)
    assert drift.away == pytest.approx(-8.4, rel=0.1)
    # The marginal band ends at -50.
    assert drift.days_left == pytest.approx((50 + falling[-1]) / (1.2 / 30), rel=0.1)
    assert "falls by 1.2\u00a0dB in 30 days" in fleets.told(drift).replace("1.20", "1.2")


def test_one_odd_run_is_no_drift_and_does_not_bend_one() -> None:
    steady = [-14.0, -14.1, -30.0, -14.05, -13.95, -14.0, -14.1, -14.02]
    assert found(of(months(*steady))) == set()
    falling = [-14.0 - 1.2 * n for n in range(12)]
    falling[1] = -40.0
    (unit,) = of(months(*falling)).units
    (drift,) = unit.findings
    assert (drift.why, drift.per_day) == (Why.DRIFT, pytest.approx(-1.2 / 30, rel=0.15))


def test_a_steady_change_within_the_tolerance_is_none() -> None:
    assert found(of(months(*[-14.0 - 0.1 * n for n in range(8)]))) == set()


def test_few_reports_give_a_step_at_most() -> None:
    falling = [-14.0 - 2.0 * n for n in range(MIN_REPORTS - 1)]
    assert found(of(months(*falling))) == {("d", Why.STEP, "peak_level")}
    assert found(of(months(-14.0))) == set()
    assert found(of(months(-14.0, -14.5))) == set()


def test_what_was_not_measured_makes_no_finding() -> None:
    (unit,) = of(months(-14.0, None, -14.1, None)).units
    assert unit.findings == ()
    assert unit.stands_out  # it fails: it could not be measured
    (row,) = [row for row in of(months(None)).spreads if row.name == "peak_level"]
    assert (row.n, row.not_measured, row.failing) == (0, 1, 1)


def test_reports_at_one_moment_are_no_drift() -> None:
    same = [samples.measured("d", 0.0, peak_level=-14.0 - n) for n in range(8)]
    assert all(each[1] is not Why.DRIFT for each in found(of(same)))


def test_chance_drifts_less_often_than_said() -> None:
    rng = np.random.default_rng(3)
    trials = 400
    drifting = sum(
        fleets._drift(list(range(12)), rng.normal(size=12).tolist()) is not None
        for _ in range(trials)
    )
    assert drifting <= stats.binom.isf(1e-4, trials, DRIFT_P)


def test_a_report_counts_once_however_often_it_was_copied() -> None:
    record = samples.measured("d")
    many = of([record, record, samples.measured("d", 1.0)])
    assert many.repeated == 1
    assert len(many.units[0].entries) == 2


def test_units_are_not_mixed() -> None:
    """One device's report in another unit is a measurement of its own."""
    record = samples.measured("other")
    level = record.measurements[0].model_copy(update={"unit": "V", "value": 900.0})
    odd = record.model_copy(update={"measurements": (level, *record.measurements[1:])})
    many = of([*levels(*[-14.0] * 12), odd])
    assert found(many) == set()
    units = [(row.unit, row.n) for row in many.spreads if row.name == "peak_level"]
    assert sorted(units) == [("V", 1), ("dBFS", 12)]


def test_the_json_has_all_and_is_strict() -> None:
    many = fleet(
        [Entry.of(r, "x.json") for r in [*samples.many(), *months(None)]],
        [Unread("bad.json", "report bad.json is bad")],
        foreign=2,
    )
    body = json.loads(fleets.as_json(many), parse_constant=pytest.fail)
    assert (body["schema"], body["reports"], body["foreign"]) == (fleets.SCHEMA, 186, 2)
    assert body["unread"] == [{"file": "bad.json", "why": "report bad.json is bad"}]
    first = body["devices"][0]
    assert (first["serial"], first["outcome"], first["values"]["clock_drift"]) == (
        "EM-2026-00419",
        "fail",
        512.0,
    )
    assert {"why": "outlier", "name": "clock_drift"}.items() <= first["findings"][1].items()


def test_the_text_and_the_page_name_who_stands_out() -> None:
    many = of(samples.many())
    for text in (fleets.as_text(many), fleet_page(many)):
        assert "24 devices, 185 reports" in text
        for serial, _, _ in found(many):
            assert serial in text
        assert "falls by 1.1" in text


def test_columns_of_the_text_stand_under_each_other() -> None:
    text = fleets.as_text(of([*levels(-14.0, -13.0), samples.measured("x", peak_level=None)]))
    table = text[text.index("measurement ") :].splitlines()
    assert len({len(line) for line in table}) == 1
    assert len(table) == 1 + len(samples.DECLARED)
    nothing = fleets.as_text(of(months(None)))
    assert any(line.split() == ["peak_level", "not", "measured"] for line in nothing.splitlines())


def test_long_lists_are_cut_and_say_so() -> None:
    records = [samples.measured(f"s{n:04d}") for n in range(MOST_TEXT_ROWS + 30)]
    records[5] = samples.measured("s0005", peak_level=0.0)
    many = of(records)
    for text in (fleets.as_text(many), fleet_page(many).lower()):
        assert "and 30 devices more, of which 0 stand out" in text
        assert "s0005" in text
        assert "s0229" not in text
    assert len(json.loads(fleets.as_json(many))["devices"]) == MOST_TEXT_ROWS + 30


def test_a_sound_fleet_is_quiet() -> None:
    quiet = of(levels(-14.0, -14.2))
    assert not quiet.stands_out
    assert "0 devices stand out" in fleets.as_text(quiet)
    assert "Nothing stands out." in fleet_page(quiet)
    assert fleet([Entry.of(samples.good(), "x")], [Unread("y", "z")]).stands_out


def test_every_kind_of_finding_is_told() -> None:
    said = {
        each.why: fleets.told(each) for unit in of(samples.many()).units for each in unit.findings
    }
    assert set(said) == set(Why)
    assert all("\u00a0" in text for text in said.values())
