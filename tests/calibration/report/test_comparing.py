"""Two reports: what counts as a change, and what two runs differ by themselves."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from tests.calibration.report import samples

from earmark.nonce import NonceSettings
from earmark_calibration.measure.catalogue import Catalogue
from earmark_calibration.record import Change, Curve, CurveKind, Estimate, Record
from earmark_calibration.report import compare, comparing
from earmark_calibration.report.comparing import CURVES, Difference, Status, What
from earmark_calibration.report.tolerance import BY_NAME, BY_UNIT, OTHERWISE, tolerance


def only(first: Record, second: Record, what: What, name: str) -> Difference:
    (found,) = [d for d in compare(first, second).differences if (d.what, d.name) == (what, name)]
    return found


def changed(**update: Any) -> Record:
    return samples.good().model_copy(update=update)


@pytest.mark.parametrize("name", samples.ALL)
def test_a_report_does_not_differ_from_itself(name: str) -> None:
    record = samples.ALL[name]()
    found = compare(record, record)
    assert not found.differs
    assert {each.status for each in found.differences} == {Status.SAME}
    assert comparing.as_text(found).endswith("are the same or within tolerance.")


@pytest.mark.parametrize(
    ("name", "value", "status", "note"),
    [
        ("rt60", 0.50, Status.WITHIN, ""),  # 19 %: each run is within 15 %
        ("rt60", 0.65, Status.BEYOND, "pass -> marginal"),
        ("noise_level", 38.0, Status.WITHIN, ""),  # the home by itself
        ("noise_level", 46.0, Status.BEYOND, "pass -> marginal"),
        ("clock_drift", -7.0, Status.WITHIN, ""),
        ("clock_drift", 13.0, Status.BEYOND, ""),
        ("peak_level", -15.1, Status.WITHIN, ""),
        ("peak_level", -15.3, Status.BEYOND, ""),
        ("rt60", None, Status.GONE, "pass -> fail"),
    ],
)
def test_measurements(name: str, value: float | None, status: Status, note: str) -> None:
    second = changed(measurements=samples.measurements(**{name: value}))
    found = only(samples.good(), second, What.MEASUREMENT, name)
    assert (found.status, found.note, found.after) == (status, note, value)
    back = only(second, samples.good(), What.MEASUREMENT, name)
    assert back.status is (Status.NEW if status is Status.GONE else status)


def test_crossing_a_limit_within_the_tolerance_is_told_and_does_not_count() -> None:
    first = changed(measurements=samples.measurements(noise_level=44.8))
    second = changed(measurements=samples.measurements(noise_level=45.2))
    found = only(first, second, What.MEASUREMENT, "noise_level")
    assert found.note == "pass -> marginal"
    assert not compare(first, second).differs


def test_other_limits_and_other_units_are_told() -> None:
    first = samples.good()
    rest = first.measurements[1:]
    wider = first.measurements[0].model_copy(update={"pass_high": -1.0})
    found = only(first, changed(measurements=(wider, *rest)), What.MEASUREMENT, "peak_level")
    assert (found.status, found.note) == (Status.SAME, "the limits changed")
    other = wider.model_copy(update={"unit": "V"})
    found = only(first, changed(measurements=(other, *rest)), What.MEASUREMENT, "peak_level")
    assert found.status is Status.CHANGED
    assert "two units" in found.note


def test_a_new_measurement_is_told() -> None:
    first = changed(measurements=samples.good().measurements[1:])
    found = only(first, samples.good(), What.MEASUREMENT, "peak_level")
    assert (found.status, found.before, found.after) == (Status.NEW, None, -14.2)


def response(hole_db: float, low: float = 100.0, unit: str = "dB") -> Curve:
    f = np.geomspace(low, 8000.0, 120)
    y = -hole_db * np.exp(-((np.log2(f / 2400) / 0.12) ** 2))
    return samples.curve("response", CurveKind.RESPONSE, "r", f"frequency/Hz/level/{unit}", f, y)


def test_curves_are_compared_where_both_were_measured() -> None:
    """At other points, too: the second one has them elsewhere."""
    first, second = changed(curves=(response(0.0),)), changed(curves=(response(6.0, low=150.0),))
    found = only(first, second, What.CURVE, "response")
    assert found.status is Status.BEYOND
    assert found.change == pytest.approx(-6.0, abs=0.5)  # the hole's tip lies between points
    assert "largest at 2 373\u00a0Hz; 5 of 97" in found.note.replace("\u202f", " ")
    same = only(first, changed(curves=(response(1.5),)), What.CURVE, "response")
    assert same.status is Status.WITHIN


def test_curves_apart_or_in_other_units() -> None:
    first = changed(curves=(response(0.0),))
    elsewhere = response(0.0).model_copy(update={"x": tuple(x + 1e5 for x in response(0.0).x)})
    assert not any(
        d.what is What.CURVE for d in compare(first, changed(curves=(elsewhere,))).differences
    )
    unit = only(first, changed(curves=(response(0.0, unit="dB SPL"),)), What.CURVE, "response")
    assert "two units" in unit.note
    empty = response(0.0).model_copy(update={"y": (None,) * 120})
    assert not compare(first, changed(curves=(empty,))).differs


def test_kinds_that_follow_chance_are_not_compared_point_by_point() -> None:
    assert set(CURVES) < set(CurveKind)
    names = {d.name for d in compare(samples.good(), samples.marginal()).differences}
    assert "response" in names
    assert "impulse" not in names


def test_shares_differ_when_their_intervals_are_apart() -> None:
    first = samples.good()

    def with_frr(value: float, low: float, high: float) -> Record:
        frr = Estimate(value=value, low=low, high=high, n=100)
        threshold = first.thresholds[0].model_copy(update={"frr": frr})
        return changed(thresholds=(threshold, *first.thresholds[1:]))

    near, far = with_frr(0.008, 0.002, 0.03), with_frr(0.08, 0.03, 0.15)
    assert only(first, near, What.THRESHOLD, "nonce.accept FRR").status is Status.WITHIN
    assert only(first, far, What.THRESHOLD, "nonce.accept FRR").status is Status.BEYOND
    none = first.thresholds[0].model_copy(update={"frr": None})
    gone = changed(thresholds=(none, *first.thresholds[1:]))
    assert only(first, gone, What.THRESHOLD, "nonce.accept FRR").status is Status.GONE


def test_settings_faults_and_the_device() -> None:
    first, second = samples.good(), samples.broken()
    assert only(first, second, What.DEVICE, "serial").status is Status.CHANGED
    assert only(first, second, What.DEVICE, "program_version").status is Status.SAME
    assert only(first, second, What.FAULT, "microphone_clips").status is Status.NEW
    assert only(second, first, What.FAULT, "microphone_clips").status is Status.GONE
    louder = changed(settings=(Change(key="nonce.level_dbspl_1m", before=36.0, after=40.0),))
    found = only(first, louder, What.SETTING, "nonce.level_dbspl_1m")
    assert (found.status, found.before, found.after) == (Status.CHANGED, 36.0, 40.0)
    new = changed(settings=(Change(key="memory.on", before=True, after=False),))
    found = only(first, new, What.SETTING, "memory.on")
    assert (found.before, found.after) == (True, False)


def test_every_status_and_kind_of_difference_comes_up() -> None:
    found = [
        *compare(samples.good(), samples.broken()).differences,
        *compare(samples.broken(), samples.marginal()).differences,
        *compare(
            samples.good(), changed(measurements=samples.measurements(rt60=0.45), settings=())
        ).differences,
        *compare(samples.good(), samples.marginal()).differences,
    ]
    assert {each.what for each in found} == set(What)
    assert {each.status for each in found} == set(Status)


def test_the_text_has_what_counts_and_all_when_asked() -> None:
    found = compare(samples.good(), samples.marginal())
    text = comparing.as_text(found)
    assert "! rt60: 0.42 s -> 0.81 s (+0.39 s); beyond tolerance of 0.243 s; pass" in text
    assert "clock_drift" not in text
    assert "clock_drift: 2.3 ppm -> 2.3 ppm" in comparing.as_text(found, everything=True)
    counting = sum(each.status.counts for each in found.differences)
    assert sum(line.startswith("  ! ") for line in text.splitlines()) == counting
    assert f"{counting} differ" in text


def test_an_earlier_second_is_pointed_out() -> None:
    earlier = samples.measured("a", day=-3.0)
    assert "The second is the earlier" in comparing.as_text(compare(samples.measured("a"), earlier))


def test_the_json_has_everything() -> None:
    found = compare(samples.good(), samples.broken())
    body = json.loads(comparing.as_json(found))
    assert body["schema"] == comparing.SCHEMA
    assert body["differs"] is True
    assert len(body["differences"]) == len(found.differences)
    row = next(d for d in body["differences"] if d["name"] == "clock_drift")
    assert (row["what"], row["status"], row["before"], row["after"]) == (
        "measurement",
        "beyond tolerance",
        2.3,
        512.0,
    )


def test_tolerances() -> None:
    assert all(each.absolute >= 0 and each.relative >= 0 for each in BY_NAME.values())
    assert tolerance("rt60", "s").of(0.5, 0.4) == pytest.approx(0.15)
    assert tolerance("anything", "ppm") is BY_UNIT["ppm"]
    assert tolerance("anything", "furlong") is OTHERWISE
    assert OTHERWISE.of(-20.0, 5.0) == pytest.approx(2.0)


def test_what_is_known_of_a_measurement_is_of_one_that_exists() -> None:
    """A name that is misspelt here, or renamed there, would get another tolerance in silence."""
    declared = [getattr(Catalogue.of(NonceSettings()), each.name) for each in fields(Catalogue)]
    assert all(tolerance(one.name, one.unit) is not OTHERWISE for one in declared)
    chosen = {"over_ambient_db", "stale_detection", "false_rejects"}
    played = {"played_stale_missed", "played_current_refused"}
    assert set(BY_NAME) <= {one.name for one in declared} | chosen | played
