"""The record: what it keeps, what it refuses, and that it comes back as it was."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from pydantic import ValidationError

from earmark.errors import ConfigError
from earmark_calibration import record as module
from earmark_calibration.declared import Band, Declared, Outcome
from earmark_calibration.record import (
    Change,
    Choice,
    Curve,
    CurveKind,
    Device,
    Estimate,
    Fault,
    FaultKind,
    Measurement,
    Option,
    Played,
    Profile,
    Record,
    Threshold,
    read_record,
    utc,
)

DELAY = Declared("delay", "s", "The way.", Band(0.0, 0.4), Band(0.0, 0.5), "wait", "use ALSA")


def example() -> Record:
    share = Estimate(value=0.01, low=0.0, high=0.03, n=300)
    option = Option(
        parameters={"nonce.level_dbspl_1m": 40.0, "nonce.waveform": "spread"},
        false_rejects=share,
        stale_detection=Estimate(value=0.99, low=0.9, high=1.0),
        played_current=Played(n=20, failures=0),
        loudness_phon=31.5,
    )
    return Record(
        device=Device(serial="e-1", program_version="1", settings_sha256="0" * 64),
        when=datetime(2026, 3, 1, 12, tzinfo=UTC),
        profile=Profile.PAYMENT,
        measurements=(Measurement.of(DELAY.take(0.45)),),
        curves=(
            Curve(
                name="response",
                kind=CurveKind.RESPONSE,
                title="Response",
                x_name="Frequency",
                x_unit="Hz",
                y_name="Level",
                y_unit="dB",
                x=(100.0, 200.0),
                y=(-3.0, None),
            ),
        ),
        choice=Choice(before=option, after=option, sentence="It was good already."),
        thresholds=(Threshold(name="speaker.threshold", value=0.5, frr=share),),
        settings=(Change(key="nonce.payload_bits", before=32, after=40),),
    )


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(example().to_json())
    assert read_record(path) == example()
    kept = json.loads(path.read_text())
    assert kept["schema"] == "earmark-calibration/1"
    assert kept["settings"][0]["after"] == 40
    assert isinstance(kept["settings"][0]["after"], int)


def test_a_measurement_carries_its_limits_and_its_outcome() -> None:
    taken = Measurement.of(DELAY.take(0.45))
    assert (taken.pass_high, taken.marginal_high) == (0.4, 0.5)
    assert (taken.outcome, taken.advice) == (Outcome.MARGINAL, "use ALSA")
    plain = Measurement.of(Declared("a", "", "A.", Band(high=1.0), too_high="less").take(None))
    assert (plain.value, plain.marginal_high, plain.outcome) == (None, 1.0, Outcome.FAIL)


def test_a_fault_fails_the_whole() -> None:
    record = example()
    assert record.outcome is Outcome.MARGINAL
    fault = Fault(kind=FaultKind.CLOCK_DRIFT, advice="use one card")
    assert record.model_copy(update={"faults": (fault,)}).outcome is Outcome.FAIL


def test_it_is_asked_by_name_and_kind() -> None:
    record = example()
    found = record.measurement("delay")
    assert found is not None
    assert found.value == 0.45
    assert record.measurement("drift") is None
    assert [curve.name for curve in record.curves_of(CurveKind.RESPONSE)] == ["response"]
    assert record.curves_of(CurveKind.SCORES) == ()


def spoiled(**changes: object) -> str:
    return json.dumps({**json.loads(example().to_json()), **changes})


CURVE = json.loads(example().to_json())["curves"][0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        spoiled(schema="earmark-calibration/2"),
        spoiled(extra=1),
        spoiled(when="2026-03-01T12:00:00"),
        spoiled(curves=[{**CURVE, "x": [1.0]}]),
        spoiled(curves=[CURVE, CURVE]),
        spoiled(curves=[{**CURVE, "x": [0.0] * 9000, "y": [0.0] * 9000}]),
        spoiled(measurements=[{"name": "Has Spaces"}]),
        spoiled(thresholds=[{"name": "a", "value": 1, "frr": {"value": 1, "low": 0, "high": 0.5}}]),
        spoiled(device={"serial": "x" * 2000, "program_version": "1"}),
        spoiled().replace("0.45", "NaN"),
    ],
)
def test_a_report_that_is_not_one_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match="is not earmark-calibration/1"):
        read_record(path)


def test_a_missing_or_huge_report_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_record(tmp_path / "none.json")
    path = tmp_path / "report.json"
    path.write_text(example().to_json())
    monkeypatch.setattr(module, "MAX_REPORT_BYTES", 100)
    with pytest.raises(ConfigError, match="larger"):
        read_record(path)


def test_more_failures_than_trials_are_refused() -> None:
    with pytest.raises(ValidationError):
        Played(n=3, failures=4)


def test_time_is_kept_in_utc_and_whole_seconds() -> None:
    local = datetime(2026, 3, 1, 13, 0, 0, 999, tzinfo=timezone(timedelta(hours=1)))
    assert utc(local) == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert utc(local).utcoffset() == timedelta(0)
