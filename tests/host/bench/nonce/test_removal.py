"""The removal attacks of ``bench nonce``, one victim and few attacks."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyroomacoustics")

from earmark.config import Config
from earmark.nonce import NonceSettings
from earmark_host.bench.nonce import removal
from earmark_host.bench.nonce.removal import (
    ALONE_S,
    FULL,
    NEAR,
    QUICK,
    Attacked,
    Plan,
    Replay,
    Victim,
    hold,
    pieces,
    slot_starts,
)
from earmark_host.bench.nonce.removal_figures import figures
from earmark_host.bench.nonce.setup import NOW_S, Setup
from earmark_host.bench.nonce.take import perform
from earmark_host.bench.room_pool import Order, compute
from earmark_host.nonce.attacks import ATTACKS


@pytest.fixture(scope="module")
def setup(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Setup:
    room = compute(Order(tmp_path_factory.mktemp("rooms"), 3, 0))
    return Setup(tiny_corpus, (room,), 3, Config())


@pytest.fixture(scope="module")
def attacked(setup: Setup) -> Attacked:
    with pytest.MonkeyPatch.context() as patch:
        few = {name: ATTACKS[name] for name in ("none", "reference_trained")}
        patch.setattr(removal, "ATTACKS", few)
        return hold(setup, Victim("r1", 0, silent=(1, 6), in_use=(2,)))


def replay(attacked: Attacked, name: str) -> Replay:
    return next(each for each in attacked.replays if each.attack == name)


def test_every_attack_is_replayed_once(attacked: Attacked) -> None:
    assert [each.attack for each in attacked.replays] == [
        "control",
        "none",
        "reference_trained",
        "learned_oracle_timing_1",
        "learned_oracle_timing_6",
        "learned_in_use_oracle_timing_2",
    ]
    assert all(each.about for each in attacked.replays)
    pickle.loads(pickle.dumps(attacked))


def test_a_plain_replay_is_found_and_what_never_had_a_nonce_is_not(attacked: Attacked) -> None:
    plain, control = replay(attacked, "none"), replay(attacked, "control")
    assert plain.found
    assert not plain.allowed
    assert plain.reason in {"replay", "interference"}
    assert not control.found
    assert control.stoi == pytest.approx(1.0, abs=1e-6)
    assert plain.stoi is not None
    assert plain.stoi < 1.0
    assert plain.evidence > 10.0 + control.evidence


def test_what_is_learnt_takes_evidence_away(attacked: Attacked) -> None:
    plain, learnt = replay(attacked, "none"), replay(attacked, "learned_oracle_timing_6")
    assert learnt.evidence < 0.5 * plain.evidence
    assert learnt.stoi is not None
    assert plain.stoi is not None
    assert learnt.stoi > plain.stoi


def test_the_slots_are_where_they_are_said_to_be(setup: Setup) -> None:
    scene = removal._scene(setup, Victim("r1", 1))
    rng = np.random.default_rng(1)
    silent, take = removal._alone(setup, scene, rng)
    starts = slot_starts(silent, NEAR, take.slots)
    report = take.carrier.verify(take.recorded[NEAR], take.played_at_s, take.slots)
    assert starts[0] == pytest.approx(report.offset_s * 16_000, abs=16.0)
    # The receiver takes small differences for none.
    clock_ppm = (4096.0 / np.mean(np.diff(starts)) - 1.0) * 1e6
    assert clock_ppm == pytest.approx(report.drift_ppm, abs=60.0)
    whole_s = take.recorded[NEAR].size / 16_000
    assert removal._alone_from_s(silent) + ALONE_S <= whole_s


def test_the_twin_without_nonce_differs_by_the_nonce_alone(setup: Setup) -> None:
    scene = removal._scene(setup, Victim("r1", 0))
    carrier = setup.source().draw(np.random.default_rng(2).bytes, NOW_S)
    args = (scene, carrier, setup.corpus, setup.config.audio)
    take, muted = perform(*args), perform(*args, muted=True)
    nonce = take.recorded["r1"] - muted.recorded["r1"]
    sets_in = round(slot_starts(scene, "r1", 1)[0])
    assert not nonce[: sets_in - 200].any()
    assert nonce[sets_in + 200 :].any()


def test_tones_have_no_codes_to_learn(setup: Setup) -> None:
    tones = Config(nonce=NonceSettings(waveform="bfsk", level_dbspl_1m=50.0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(removal, "ATTACKS", {"none": ATTACKS["none"]})
        held = hold(Setup(setup.data, setup.rooms, setup.seed, tones), Victim("r1", 0, silent=(1,)))
    assert [each.attack for each in held.replays] == ["control", "none"]
    assert held.replays[1].found


def test_the_plans() -> None:
    asked = pieces(FULL)
    assert sum(each.recorder == "r1" for each in asked) >= 30
    assert sum(each.recorder == "r2" for each in asked) >= 12
    assert asked[0].silent == (1, 3, 10, 30)
    assert not asked[-1].silent
    assert len(pieces(QUICK)) == 2


def made(recorder: str, attack: str, found: bool, stoi: float | None) -> Attacked:
    one = Replay(
        attack, "about", found, False, not found, "replay" if found else "fresh", 9.0, stoi
    )
    return Attacked(Victim(recorder, 0), (one,))


def test_the_figures_are_shares_of_the_first_recorder_and_rows_of_all() -> None:
    plan = Plan("t", (("r1", 3), ("r2", 1)), 0, (), ())
    results = [
        made("r1", "none", True, 0.9),
        made("r1", "none", True, 0.8),
        made("r1", "none", False, None),
        made("r2", "none", False, 0.7),
    ]
    metrics, tables = figures(results, plan, 1)
    detect, stoi = metrics
    assert (detect.name, detect.value, detect.n) == ("removal_none_detect", 2 / 3, 3)
    assert (stoi.name, stoi.value, stoi.n) == ("removal_none_stoi", pytest.approx(0.85), 2)
    rows = tables["removal"]
    assert [row["recorder"] for row in rows] == ["r1", "r2"]
    assert rows[0]["not_allowed_share"] == pytest.approx(2 / 3)
    assert rows[0]["reasons"] == "fresh 1, replay 2"
    assert rows[1]["detect_share"] == 0.0
    assert figures([], plan, 1) == ([], {})
