"""The waveforms and the modems on the same audio."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ggwave")

from earmark.audio import load_room
from earmark.config import Config
from earmark.errors import EarmarkError
from earmark.signal import RATE_HZ, gain, rms
from earmark_host.bench.nonce import peers
from earmark_host.bench.nonce.peers import (
    ACCEPTED,
    BLIND,
    FULL,
    QUICK,
    SENT_S,
    TONES,
    VERIFIED,
    Answer,
    Cell,
    Family,
    Piece,
    Plan,
    hold,
    majority,
    modems,
    pieces,
    steps,
)
from earmark_host.bench.nonce.setup import Setup
from earmark_host.bench.room_pool import Room
from earmark_host.bench.stage import Environment

LOUD = Cell(1.0, Environment.QUIET, 1, ((Family.OURS, (0.0, -90.0)), (Family.GGWAVE, (0.0,))))
"""Everything of ours comes through at 0 dB, and nothing at -90 dB."""


@pytest.fixture(scope="module")
def setup(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Setup:
    """A room that ships with the product, in a file of its own as a bench has them."""
    model = load_room("living_room")
    path = tmp_path_factory.mktemp("rooms") / "room.npz"
    model.save(path)
    room = Room(path, model.sources, model.size_m, model.rt60_s)
    return Setup(tiny_corpus, (room,), 3, Config())


@pytest.fixture(scope="module")
def trial(setup: Setup) -> peers.Trial:
    return hold(setup, Piece(LOUD, 0))


def test_loud_messages_come_through_and_faint_ones_do_not(trial: peers.Trial) -> None:
    answers = {(each.receiver, each.nsr_db): each.answer for each in trial.readings}
    for receiver in (BLIND, VERIFIED, ACCEPTED, TONES):
        assert answers[receiver, 0.0] is Answer.RIGHT
        assert answers[receiver, -90.0] is Answer.NOTHING
    assert answers["ggwave fast, fixed length", 0.0] is Answer.RIGHT


def test_each_family_is_tried_at_its_own_levels(trial: peers.Trial) -> None:
    tried = {(each.receiver, each.nsr_db) for each in trial.readings}
    assert {level for name, level in tried if name.startswith("ggwave")} == {0.0}
    assert not any(name.startswith(("minimodem", "AEOLUS")) for name, _ in tried)


def test_a_trial_is_the_same_again(setup: Setup, trial: peers.Trial) -> None:
    again = hold(setup, Piece(LOUD, 0))
    assert [replace(each, cpu_s=0.0) for each in again.readings] == [
        replace(each, cpu_s=0.0) for each in trial.readings
    ]


@pytest.mark.parametrize(("distance_m", "nsr_db"), [(1.0, 6.0), (4.0, -20.0)])
def test_the_level_is_that_over_the_speech_at_the_microphone(
    setup: Setup, distance_m: float, nsr_db: float
) -> None:
    cell = replace(LOUD, distance_m=distance_m)
    stage = peers._Stage.drawn(setup, cell, np.random.default_rng(1))
    sound = np.sin(np.arange(round(SENT_S * RATE_HZ))).astype(np.float32)
    sent = peers._sent(stage, sound, nsr_db)
    begin = round((peers.LEAD_S + stage.flight_s) * RATE_HZ)
    heard = sent[begin : begin + sound.size]
    assert rms(heard) == pytest.approx(stage.speech_rms * gain(nsr_db), rel=1e-4)
    assert not sent[: round(peers.LEAD_S * RATE_HZ)].any()


def test_noise_of_the_kitchen_is_louder_than_the_rooms_own(setup: Setup) -> None:
    quiet, kitchen = (
        peers._noise(setup, each, RATE_HZ, np.random.default_rng(2))
        for each in (Environment.QUIET, Environment.KITCHEN)
    )
    assert rms(kitchen) > 3.0 * rms(quiet)


def test_every_trial_of_a_plan_is_held_once() -> None:
    for plan in (FULL, QUICK):
        asked = pieces(plan)
        assert len(asked) == len(set(asked)) == sum(cell.trials for cell in plan.cells)
    assert [piece.index for piece in pieces(Plan((replace(LOUD, trials=3),)))] == [0, 1, 2]


def test_the_headline_is_the_first_cell() -> None:
    for plan in (FULL, QUICK):
        assert (plan.cells[0].distance_m, plan.cells[0].environment) == (1.0, Environment.QUIET)


def test_steps_go_down() -> None:
    assert steps(6, -6, 6) == (6.0, 0.0, -6.0)


def test_the_majority_decides_bit_by_bit() -> None:
    assert majority([b"\x0f", None, b"\x0e", b"\x8f"]) == b"\x0f"
    assert majority([b"\x01", b"\x02"]) == b"\x01"
    assert majority([None, None]) is None


def test_minimodem_is_left_out_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers.shutil, "which", lambda _: None)
    names = [modem.name for modem in modems()]
    assert names
    assert not any(name.startswith("minimodem") for name in names)


# -- failures -------------------------------------------------------------------------------


def test_without_ggwave_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "earmark_host.nonce.peers", None)
    with pytest.raises(EarmarkError, match="extra 'host'"):
        modems()
