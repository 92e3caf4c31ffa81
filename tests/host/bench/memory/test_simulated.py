"""Simulated attacks through the detectors, on noises in the place of songs and people."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from earmark.memory import Thresholds, shipped
from earmark_host.bench.memory import simulated
from earmark_host.bench.memory.setup import Setup
from earmark_host.bench.memory.simulated import (
    DEFAULT,
    FULL,
    QUICK,
    READINGS,
    Attacked,
    AttackSeen,
    Hidden,
    HiddenSeen,
    by_turns,
    carrier_of,
    hold,
    pieces,
)
from earmark_host.memory.simulated import ATTACK_PROFILES

CS = ATTACK_PROFILES["cs"]


def only_clip() -> Thresholds:
    """A table with nothing but the paper's default."""
    row = next(
        row
        for row in shipped().paper
        if (row.weights, row.depth, row.input_noise_snr_db) == ("clip", 75, None)
    )
    return shipped().model_copy(update={"paper": (row,)})


def test_a_stream_goes_through_every_reading(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Setup, "thresholds", property(lambda _: only_clip()))
    seen = hold(setup, Attacked("cs", 0, 80, robust=True))
    assert isinstance(seen, AttackSeen)
    for reading, verdicts in zip(READINGS, seen.paper, strict=True):
        flags = reading.flags
        if (flags.weights, flags.input_noise_snr_db) != ("clip", None):
            assert verdicts is None  # not in the table
            continue
        assert verdicts is not None
        assert verdicts.queries == 80
        if flags.young == "wait":
            # The 76th query is the first with 75 before it.
            assert verdicts.first == 76
            assert verdicts.fsnr_db == pytest.approx(CS.snr_db(75))
            assert verdicts.alarms == (1 if flags.clear_on_alarm else 5)
        else:
            assert verdicts.first == 2
            assert verdicts.alarms == (40 if flags.clear_on_alarm else 79)
    assert seen.neighbours.first == setup.settings.neighbours.copies + 1
    assert seen.neighbours.alarms == simulated.NEIGHBOURS_QUERIES - 5
    assert 0 <= seen.right <= 80


def test_input_noise_only_where_it_is_asked_for(setup: Setup) -> None:
    seen = hold(setup, Attacked("cs", 0, 3, robust=False))
    assert isinstance(seen, AttackSeen)
    noisy = [
        verdicts
        for reading, verdicts in zip(READINGS, seen.paper, strict=True)
        if reading.flags.input_noise_snr_db is not None
    ]
    assert set(noisy) == {None}


def test_fakes_hide_an_attack_from_no_count(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Setup, "thresholds", property(lambda _: only_clip()))
    monkeypatch.setattr(simulated, "BENIGN_WINDOWS", 200)
    seen = hold(setup, Hidden("irta", 0, 20, 90, (0.0, 0.8)))
    assert isinstance(seen, HiddenSeen)
    assert [(each.share, each.detector) for each in seen.shares] == [
        (share, detector) for share in (0.0, 0.8) for detector in ("clip", "neighbours")
    ]
    for each in seen.shares:
        if each.detector == "neighbours":
            assert each.cleared.first is not None
            assert each.cleared.first <= 6  # the second ear may be quicker
            assert each.kept.alarms == each.kept.verdicts == 7
        else:
            assert each.cleared.queries == round(20 / (1.0 - each.share))
    # A share of 0 never fills the memory.
    assert {each.share for each in seen.causes} == {0.8}
    assert len(seen.causes) == 4


def test_no_causes_where_fakes_are_no_measure(setup: Setup) -> None:
    seen = hold(setup, Hidden("cs", 0, 6, 10, (0.5,)))
    assert isinstance(seen, HiddenSeen)
    assert seen.causes == ()


def test_carriers_differ_and_are_those_of_the_attack(setup: Setup) -> None:
    for profile in ATTACK_PROFILES.values():
        carriers = [carrier_of(setup, profile, index) for index in range(4)]
        for one, other in pairwise(carriers):
            assert not np.array_equal(one, other)
        long = 4.0 if profile.carrier == "music" else 0.3
        assert min(map(len, carriers)) >= long * 16_000
        np.testing.assert_array_equal(carrier_of(setup, profile, 2), carriers[2])


def test_more_streams_than_clips_take_clips_again(setup: Setup) -> None:
    assert carrier_of(setup, CS, 9).size > 0


def test_turns() -> None:
    assert by_turns([[1, 2, 3], [4], [5, 6]]) == [1, 4, 5, 2, 6, 3]  # type: ignore[list-item]


def test_a_plan_has_all_attacks_and_whole_streams() -> None:
    full = [each for each in pieces(FULL) if isinstance(each, Attacked)]
    assert {each.attack: each.queries for each in full} == {
        name: each.queries for name, each in ATTACK_PROFILES.items()
    }
    assert all(
        sum(each.attack == name for each in full) == FULL.carriers >= 20 for name in ATTACK_PROFILES
    )
    for plan in (FULL, QUICK):
        assert {each.attack for each in pieces(plan) if isinstance(each, Hidden)} == set(
            ATTACK_PROFILES
        )
        # Beyond the paper's depth, or nothing would ever alarm.
        assert all(each.queries > 76 for each in pieces(plan))


def test_every_weighting_is_read_in_every_way() -> None:
    assert len(set(READINGS)) == len(READINGS)
    assert (DEFAULT.flags.weights, DEFAULT.flags.young, DEFAULT.known) == ("clip", "wait", True)
    noises = {each.flags.input_noise_snr_db for each in READINGS}
    assert noises == {None, 25.0, 50.0, 75.0}
