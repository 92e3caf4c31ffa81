"""The sessions of ``bench nonce``, a few of each kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("pyroomacoustics")

from earmark.config import Config
from earmark_host.bench.nonce.remembered import EARLIER, earlier, memory
from earmark_host.bench.nonce.sessions import (
    FULL,
    QUICK,
    Live,
    LiveResult,
    Missing,
    Victim,
    VictimResult,
    Without,
    hold,
    pieces,
)
from earmark_host.bench.nonce.setup import NOW_S, Setup
from earmark_host.bench.room_pool import Order, compute
from earmark_host.bench.stage import Environment


@pytest.fixture(scope="module")
def setup(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Setup:
    room = compute(Order(tmp_path_factory.mktemp("rooms"), 3, 0))
    return Setup(tiny_corpus, (room,), 3, Config())


@pytest.fixture(scope="module")
def attacked(setup: Setup) -> VictimResult:
    held = hold(setup, Victim(40.0, False, 0, ledgers=(EARLIER, 10)))
    assert isinstance(held, VictimResult)
    return held


def test_the_full_plan_is_large_enough_for_its_claims() -> None:
    asked = pieces(FULL)
    assert sum(isinstance(each, Without) for each in asked) >= 2000
    live = [each for each in asked if isinstance(each, Live)]
    for environment in Environment:
        assert sum(each.environment is environment for each in live) >= 300
    for level in (40.0, 50.0):
        victims = [
            each
            for each in asked
            if isinstance(each, Victim) and each.level_dbspl_1m == level and not each.word
        ]
        assert len(victims) >= 300
    sizes = [each.ledgers for each in asked if isinstance(each, Victim) and len(each.ledgers) > 1]
    assert all(set(some) == {10, 1000, 100_000} for some in sizes)
    assert 3 * len(sizes) >= 40
    assert {type(each) for each in pieces(QUICK)} == {Live, Without, Victim}


def test_a_person_is_let_in(setup: Setup) -> None:
    held = hold(setup, Live(Environment.QUIET, 1.0, 1, foreign=2))
    assert isinstance(held, LiveResult)
    assert held.judged.nonce_passed
    assert not held.judged.found
    assert held.own_clocks
    assert (held.foreign_finds, held.foreign) == (0, 2)


@pytest.mark.parametrize("missing", Missing)
def test_nobody_is_let_in_without_the_nonce(setup: Setup, missing: Missing) -> None:
    held = hold(setup, Without(missing, 0))
    assert not held.judged.allowed
    assert not held.judged.nonce_passed


def test_a_replay_is_found_and_named(attacked: VictimResult) -> None:
    assert [each.recorder for each in attacked.replays] == ["r1", "r2", "r3"]
    near = attacked.replays[2]
    assert near.judged.found
    assert not near.judged.allowed
    assert near.session_named
    assert near.time_error_s == pytest.approx(0.0, abs=0.3)
    assert near.old_nonce_s > 1.0


def test_a_larger_ledger_changes_nothing(attacked: VictimResult) -> None:
    for replay in attacked.replays:
        assert [each.issued for each in replay.counted] == [10, EARLIER]
        assert len({each.found for each in replay.counted}) == 1


def test_a_session_is_the_same_again(setup: Setup) -> None:
    once, again = (hold(setup, Live(Environment.QUIET, 1.0, 0)) for _ in range(2))
    assert replace(again.judged, cpu_s=0.0) == replace(once.judged, cpu_s=0.0)
    assert replace(again, judged=once.judged) == once


def test_the_ledger_is_of_the_waveform(setup: Setup) -> None:
    issues = earlier(setup, 20)
    assert len({issue.payload for issue in issues}) == 20
    assert [issue.issued_at for issue in issues] == sorted(
        (issue.issued_at for issue in issues), reverse=True
    )
    codes = memory(setup, issues, NOW_S)
    assert list(codes.tones) == []
    assert [len(list(codes.coded(bank))) for bank in codes.banks] == [20, 0]
    nonce = setup.config.nonce.model_copy(update={"waveform": "bfsk"})
    hopping = replace(setup, config=setup.config.model_copy(update={"nonce": nonce}))
    tones = memory(hopping, earlier(hopping, 20), NOW_S)
    assert len(list(tones.tones)) == 20
    assert list(tones.banks) == []
