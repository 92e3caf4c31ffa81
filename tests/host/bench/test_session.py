"""``bench session`` end to end on a tiny corpus, with very few sessions."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

pytest.importorskip("pyroomacoustics")

from earmark.config import Config
from earmark.nonce import Ledger
from earmark_host import cli
from earmark_host.bench import Report, share_columns
from earmark_host.bench.session import FULL, QUICK, Part, Plan, run
from earmark_host.bench.stage import Environment
from earmark_host.bench.trials import (
    CLOCK_S,
    REMEMBERED,
    Attack,
    Live,
    Setup,
    Unprotected,
    write_remembered,
)

TINY = Plan(
    "tiny",
    rooms=1,
    live=1,
    no_nonce=1,
    victims=1,
    environments=(Environment.QUIET,),
    distances_m=(1.0,),
    levels_dbspl_1m=(50.0,),
)
"""One live session, three without the nonce, one recorded and replayed three times."""


def held(corpus: Path, workers: int) -> Report:
    console = Console(file=io.StringIO())
    return run(corpus, TINY, seed=6, config=Config(), workers=workers, console=console)


@pytest.fixture(scope="module")
def report(tiny_corpus: Path) -> Report:
    return held(tiny_corpus, 1)


def test_every_part_is_measured(report: Report) -> None:
    assert [metric.name for metric in report.metrics] == [
        "live_frr",
        "live_frr_quiet",
        "live_nonce_failures",
        "live_stale_alarms",
        "ber",
        "no_nonce_accepts",
        "replay_accept_r1_50",
        "replay_accept_r2_50",
        "replay_accept_r3_50",
        "decision_cpu_ms_p50",
        "decision_cpu_ms_p99",
    ]
    assert report.metric("live_frr").n == 1
    assert report.metric("no_nonce_accepts").n == 3
    assert report.metric("decision_cpu_ms_p50").n >= 5
    assert report.conditions["sessions"] == 8
    # The A-weighting is -3.2 dB at 0.5 kHz, 1.3 at 2.5 and -0.6 at 7: of pink noise 0.5 in all.
    nonce = report.conditions["nonce"]
    assert nonce["level_dba_1m"] == pytest.approx(nonce["level_dbspl_1m"] + 0.5, abs=0.5)
    assert report.data["people"] == 2
    assert report.tables["live_refused"] == []


def test_a_person_is_let_in_and_nobody_else(report: Report) -> None:
    assert report.metric("live_frr").value == 0.0
    assert report.metric("ber").value == 0.0
    assert report.metric("no_nonce_accepts").value == 0.0
    kinds = {row["kind"]: row["reasons"] for row in report.tables["no_nonce"]}
    assert kinds["silence"] == "nonce_absent 1"
    assert kinds["other_device"] == "nonce_absent 1"
    for row in report.tables["replay"]:
        assert row["accept_share"] == 0.0
        assert row["recognised_share"] == 1.0
    # A second of codes is too little to tell a thousand sessions apart, at some of the recorders.
    assert any(row["named_rightly_share"] == 1.0 for row in report.tables["replay"])


def test_the_number_of_processes_changes_nothing(report: Report, tiny_corpus: Path) -> None:
    other = held(tiny_corpus, 2)
    figures = [
        [metric for metric in each.metrics if "cpu" not in metric.name] for each in (report, other)
    ]
    assert figures[0] == figures[1]
    assert report.tables == other.tables


def test_the_full_plan_is_large_enough_for_its_claims() -> None:
    pieces = FULL.pieces()
    assert sum(isinstance(piece, Unprotected) for piece in pieces) >= 300
    assert sum(isinstance(piece, Live) for piece in pieces) == 450
    assert sum(isinstance(piece, Attack) for piece in pieces) == 300
    assert {type(piece) for piece in QUICK.pieces()} == {Live, Unprotected, Attack}
    only_live = Plan("x", 1, 1, 1, 1, parts=(Part.LIVE,))
    assert {type(piece) for piece in only_live.pieces()} == {Live}


@pytest.mark.parametrize("waveform", ["spread", "bfsk"])
def test_the_ledger_is_full_before_the_first_session(tmp_path: Path, waveform: str) -> None:
    config = Config.model_validate({"nonce": {"waveform": waveform}})
    path = tmp_path / "ledger.sqlite"
    setup = Setup(tmp_path, tmp_path, path, (), 1, config)
    write_remembered(setup, path)
    with Ledger.open(path, config.ledger) as ledger:
        issues = ledger.recent(2 * REMEMBERED)
        tones = ledger.tones(2 * REMEMBERED)
        coded = [
            issue
            for key in setup.keys().remembered(CLOCK_S)
            for issue in ledger.coded(key.secret_id, key.epoch)
        ]
    assert len({issue.payload for issue in issues}) == REMEMBERED
    assert (len(coded), len(tones)) == (
        (REMEMBERED, 0) if waveform == "spread" else (0, REMEMBERED)
    )
    played_s = [(issue.slots or 0) * (0.256 if waveform == "spread" else 0.05) for issue in issues]
    assert 1.8 < min(played_s) < max(played_s) < 8.2
    # The whole of it is what a session searches or names among.
    assert config.ledger.keep_imported >= REMEMBERED == config.nonce.bfsk.search_count


def test_households_have_keys_of_their_own(tmp_path: Path) -> None:
    setup = Setup(tmp_path, tmp_path, tmp_path, (), 1, Config())
    own, again, other = (setup.keys(name).current(0.0) for name in ("own", "own", "another"))
    assert own == again
    assert own.secret_id != other.secret_id


def test_a_share_of_nothing_is_not_a_number() -> None:
    assert share_columns(0, 0)["share"] is None


# -- failures on the command line -----------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "manifest.csv cannot be read"),
        (["--nonce-level", "90"], "--nonce-level 90: "),
    ],
)
def test_a_failure_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    message: str,
) -> None:
    report = tmp_path / "report.json"
    command = ["bench", "session", "--data", str(tmp_path), "--json", str(report), *options]
    monkeypatch.setattr(sys, "argv", ["earmark-host", *command])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not report.exists()
