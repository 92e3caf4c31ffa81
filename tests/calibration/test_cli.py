"""The command line: options, exit codes, one line for a failure; and what a screen shows."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from earmark import __version__
from earmark.config import load
from earmark.doctor import Found, Grade
from earmark.errors import EarmarkError
from earmark_calibration import cli, report
from earmark_calibration import run as running
from earmark_calibration.declared import Band, Declared
from earmark_calibration.live import Screen
from earmark_calibration.measure import Progress
from earmark_calibration.record import (
    Change,
    Device,
    Fault,
    FaultKind,
    Measurement,
    Profile,
    Record,
)
from earmark_calibration.run import Done, Wish
from earmark_calibration.settings import apply

NOISE = Declared("noise", "dB", "Of the room.", Band(None, 50.0), too_high="close the window")


def record(value: float = 30.0, *, applied: bool = False, faults: tuple[Fault, ...] = ()) -> Record:
    return Record(
        device=Device(serial="0001", program_version="1"),
        when=datetime(2026, 11, 22, tzinfo=UTC),
        measurements=(Measurement.of(NOISE.take(value)),),
        faults=faults,
        settings=(Change(key="nonce.level_dbspl_1m", before=40.0, after=36.0),),
        applied=applied,
    )


class Fake:
    """A calibration that ends at once, as it is told to."""

    wish: Wish
    ends: Any = None

    def __init__(self, config: object, wish: Wish, *_: object) -> None:
        Fake.wish = wish

    def run(self) -> Done:
        if isinstance(Fake.ends, BaseException):
            raise Fake.ends
        assert isinstance(Fake.ends, Done)
        return Fake.ends


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[Fake]:
    monkeypatch.setattr(running, "Calibration", Fake)
    return Fake


def done(found: Record, tmp_path: Path) -> Done:
    return Done(found, report.Written(tmp_path / "a.html", tmp_path / "a.json"), found.applied)


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(cli.app, list(arguments))


def test_the_exit_codes(fake: type[Fake], tmp_path: Path) -> None:
    main = tmp_path / "earmark.yaml"
    main.write_text("audio:\n  kind: simulated\n")
    out = ["--config", str(main), "--out", str(tmp_path / "out")]
    fake.ends = done(record(applied=True), tmp_path)
    assert invoke(*out, "--yes").exit_code == 0
    fake.ends = done(record(), tmp_path)
    assert invoke(*out, "--dry-run").exit_code == 0
    assert invoke(*out).exit_code == cli.NOT_AGREED == 3
    fake.ends = done(record(70.0), tmp_path)
    assert invoke(*out, "--yes").exit_code == cli.FAILS == 1
    fake.ends = KeyboardInterrupt()
    ended = invoke(*out, "--yes")
    assert ended.exit_code == cli.INTERRUPTED == 130
    assert "--resume" in ended.output


def test_a_preflight_that_stops_it_is_one_line_with_what_to_do(
    fake: type[Fake], tmp_path: Path
) -> None:
    stopped = Found("mute", Grade.FAIL, "the microphone is switched off", "earmark unmute")
    fake.ends = Done(None, None, False, [stopped])
    ended = invoke("--simulated", "--out", str(tmp_path))
    assert isinstance(ended.exception, EarmarkError)
    assert "earmark unmute" in str(ended.exception)


def test_json_is_all_that_is_printed(fake: type[Fake], tmp_path: Path) -> None:
    found = record()
    fake.ends = done(found, tmp_path)
    ended = invoke("--simulated", "--json", "--out", str(tmp_path))
    assert ended.exit_code == 0
    assert Record.model_validate(json.loads(ended.stdout)) == found


def test_what_is_asked_for_arrives(fake: type[Fake], tmp_path: Path) -> None:
    fake.ends = done(record(), tmp_path)
    invoke(
        *("--simulated", "--profile", "payment", "--by", "Jo", "--meter-dbspl", "41.5"),
        *("--raw", str(tmp_path / "raw"), "--serial", "77", "--out", str(tmp_path)),
    )
    wish = fake.wish
    assert wish.profile is Profile.PAYMENT
    assert (wish.by, wish.meter_dbspl, wish.serial) == ("Jo", 41.5, "77")
    assert wish.raw == tmp_path / "raw"
    assert wish.dry  # there are no settings of a simulated room to write to
    for kind, dry in (("sounddevice", True), ("simulated", False)):
        main = tmp_path / f"{kind}.yaml"
        main.write_text(f"audio:\n  kind: {kind}\n")
        invoke("--simulated", "--config", str(main), "--out", str(tmp_path))
        assert fake.wish.dry == dry
    invoke("--simulated", "--out", str(tmp_path))
    assert fake.wish.raw is None


def test_reports_are_named_with_their_folder(
    fake: type[Fake], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--resume and whoever copies them off the device have to find them."""
    monkeypatch.chdir(tmp_path)
    fake.ends = done(record(), tmp_path)
    invoke("--simulated")
    assert fake.wish.out == tmp_path / "earmark-calibration"


def test_the_version_is_that_of_the_device_part() -> None:
    ended = invoke("--version")
    assert (ended.exit_code, ended.stdout) == (0, f"earmark-calibrate {__version__}\n")


def test_an_unknown_profile_is_refused(tmp_path: Path) -> None:
    ended = invoke("--simulated", "--profile", "loud", "--out", str(tmp_path))
    assert "quiet, normal or payment" in str(ended.exception)


def test_resume_without_a_run_is_refused(tmp_path: Path) -> None:
    ended = invoke("--simulated", "--resume", "--out", str(tmp_path))
    assert "no run was interrupted" in str(ended.exception)


def test_undo_and_show(tmp_path: Path) -> None:
    main = tmp_path / "earmark.yaml"
    main.write_text("device:\n  name: kitchen\n")
    assert invoke("show", "--config", str(main)).exit_code == 1
    apply(
        main,
        {"nonce.level_dbspl_1m": 36.0},
        who="Jo",
        when=datetime(2026, 11, 22, tzinfo=UTC),
        profile=Profile.QUIET,
        report_sha256="cd" * 32,
    )
    shown = invoke("show", "--config", str(main))
    assert shown.exit_code == 0
    assert "Jo" in shown.stdout
    assert "nonce.level_dbspl_1m: 40.0 -> 36.0" in shown.stdout
    asked = CliRunner().invoke(cli.app, ["undo", "--config", str(main)], input="n\n")
    assert asked.exit_code == 1
    assert load(main).nonce.level_dbspl_1m == 36.0
    assert invoke("undo", "--config", str(main), "--yes").exit_code == 0
    assert load(main).nonce.level_dbspl_1m == 40.0


@pytest.mark.parametrize("command", ["undo", "show", "prove", "compare", "fleet", "page"])
def test_every_command_says_what_it_is_for(command: str) -> None:
    ended = invoke(command, "--help")
    assert ended.exit_code == 0
    assert len(ended.stdout.splitlines()) > 4


def test_a_failure_of_the_program_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "earmark_calibration.cli"]
    ended = subprocess.run(
        [*command, "--config", str(tmp_path / "none.yaml")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("earmark-calibrate: ")


def test_the_screen_says_everything_in_words() -> None:
    out = io.StringIO()
    screen = Screen(Console(file=out, width=160), yes=True)
    with screen:
        screen.phase("measure")
        screen.meter(Progress("sweep", 1.0, 10.0, -30.0, -20.0, False))
        screen.worked("replays", 0.5)
        screen.found([Found("mute", Grade.FAIL, "the microphone is off", "earmark unmute")])
        assert screen.agree(record())
        fault = Fault(kind=FaultKind.MICROPHONE_CLIPS, advice="turn the gain down by 6 dB")
        screen.summary(record(70.0, faults=(fault,)))
    shown = out.getvalue()
    for words in (
        "please be quiet",
        "FAIL  mute",
        "earmark unmute",
        "nonce.level_dbspl_1m",
        "close the window",
        "turn the gain down by 6 dB",
    ):
        assert words in shown


def test_the_level_meter_moves_and_says_when_it_clips() -> None:
    out = io.StringIO()
    console = Console(file=out, width=120, force_terminal=True)
    with Screen(console, yes=True) as screen:
        screen.meter(Progress("sweep", 1.0, 10.0, -70.0, -60.0, False))
        screen._live.refresh()  # type: ignore[union-attr]
        low = out.getvalue().count("#")
        screen.meter(Progress("sweep", 2.0, 10.0, -10.0, 0.0, True))
        screen._live.refresh()  # type: ignore[union-attr]
    assert out.getvalue().count("#") > low + 20
    assert "CLIPS" in out.getvalue()
    quiet = io.StringIO()
    with Screen(Console(file=quiet), yes=True, quiet=True) as screen:
        screen.phase("measure")
        screen.summary(record())
    assert quiet.getvalue() == ""
