"""Reports as files: where they lie, who may read them, what is refused."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from tests.calibration.report import samples

from earmark.errors import ConfigError, EarmarkError
from earmark_calibration.record import MAX_REPORT_BYTES, SCHEMA
from earmark_calibration.report import page, read, schema, write


@pytest.mark.parametrize("name", samples.ALL)
def test_a_report_comes_back_as_it_was(tmp_path: Path, name: str) -> None:
    record = samples.ALL[name]()
    written = write(record, tmp_path / "new" / "folder")
    assert read(written.json) == record
    assert written.json.name in written.html.read_text(encoding="utf-8")
    assert written.html.with_suffix(".json") == written.json


def test_its_files_are_the_owners_alone_and_named_after_device_and_time(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        written = write(samples.good(), tmp_path)
    finally:
        os.umask(old)
    assert written.json.name == "calibration-EM-2026-00417-20260301T093000Z.json"
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
    write(samples.good(), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("serial", ["../../etc/passwd", "a/b\0c", "...", "é" * 500, "-rf"])
def test_a_serial_cannot_leave_the_folder(tmp_path: Path, serial: str) -> None:
    record = samples.measured(serial)
    written = write(record, tmp_path)
    assert written.json.parent == tmp_path
    assert re.fullmatch(r"calibration-[A-Za-z0-9._-]+", written.json.stem)
    assert read(written.json).device.serial == serial


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(EarmarkError, match="cannot be written"):
        write(samples.good(), file)


def test_a_record_that_breaks_its_rules_is_not_written(tmp_path: Path) -> None:
    good = samples.good()
    twice = good.model_copy(update={"measurements": good.measurements * 2})
    with pytest.raises(ValueError, match="is there twice"):
        write(twice, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_version_is_named(tmp_path: Path) -> None:
    body = json.loads(samples.good().to_json()) | {"schema": "earmark-calibration/7"}
    file = tmp_path / "new.json"
    file.write_text(json.dumps(body))
    with pytest.raises(ConfigError, match=rf"'earmark-calibration/7'.*reads {SCHEMA}"):
        read(file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not earmark-calibration/1"),
        ("[]", "not earmark-calibration/1"),
        ("{}", "not earmark-calibration/1"),
        ('{"schema": 7}', "not earmark-calibration/1"),
        ("[" * 100_000, "not earmark-calibration/1"),
        (" " * (MAX_REPORT_BYTES + 1), "larger than"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said):
        read(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path / "missing.json")


def test_the_page_holds_everything_and_asks_for_nothing() -> None:
    record = samples.good()
    text = page(record, "x.json")
    assert "<script" not in text
    assert not re.search(r"(?:src|href)=|url\(|@import|https?://", text)
    assert record.choice is not None
    for wanted in (
        record.choice.sentence[1:],
        record.device.serial,
        record.device.program_sha256,
        record.device.settings_sha256,
        record.device.speaker_model_sha256,
        "x.json",
        "earmark-calibrate undo",
        "0 of 24 rejected",
        "1 of 24 missed",
        "2\u00a0% (0.2 to 7\u00a0%, of 100)",
        "nonce.spread.band_high_hz",
    ):
        assert wanted is not None
        assert wanted in text
    assert len(text) < 200_000


def test_each_verdict_has_its_colour_and_nothing_measured_is_not_green() -> None:
    for name, outcome in (("good", "pass"), ("marginal", "marginal"), ("broken", "fail")):
        assert f'class="verdict {outcome}"' in page(samples.ALL[name]())
    nothing = samples.good().model_copy(update={"measurements": ()})
    assert 'class="verdict marginal"' in page(nothing)
    assert "Nothing was measured." in page(nothing)


def test_what_was_not_written_needs_no_undoing() -> None:
    text = page(samples.marginal())
    assert "earmark-calibrate undo" not in text
    assert "nothing to undo" in text


def test_the_schema_file_is_that_of_the_record() -> None:
    """Make it anew with ``python -m earmark_calibration.report.schema --write``."""
    assert schema.FILE.read_text(encoding="utf-8") == schema.schema()
    body = json.loads(schema.schema())
    assert body["properties"]["schema"]["const"] == SCHEMA
    version = SCHEMA.rpartition("/")[2]
    assert schema.FILE.name == f"earmark-calibration-{version}.schema.json"
