"""A command in a room, named dry and as it is forwarded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.host.bench.speaker.toys import Toy

pytest.importorskip("pyroomacoustics")

from earmark.gate import Evidence
from earmark.signal import RATE_HZ, Signal
from earmark_host.bench.room_pool import Order, compute
from earmark_host.bench.speaker.room import (
    FULL,
    QUICK,
    Command,
    Listening,
    Plan,
    Seen,
    hold,
    pieces,
    wanted,
)
from earmark_host.bench.speaker.room_figures import figures
from earmark_host.bench.speaker.setup import DEVICE, Setup

TINY = Plan(people=None, tests=2, enrolled=3, commands=1, rooms=1, distances_m=(2.0,))


def test_the_check_hears_the_speech_without_the_nonce(setup: Setup) -> None:
    heard: list[Signal] = []

    class Ear(type(Toy().open())):  # type: ignore[misc]
        def hear(self, signal: Signal) -> Any:
            heard.append(signal)
            return super().hear(signal)

    listening = Listening(Ear(Toy()), setup)
    rng = np.random.default_rng(1)
    recording, cleaned = (rng.normal(0, 0.1, 2 * RATE_HZ).astype(np.float32) for _ in range(2))
    found = listening.hear(Evidence(recording, cleaned, (0.5, 1.5)))
    assert heard[-1].size == RATE_HZ
    correlation = np.corrcoef(heard[-1], cleaned[RATE_HZ // 2 : 3 * RATE_HZ // 2])[0, 1]
    assert correlation > 0.99
    np.testing.assert_allclose(found.embedding, Toy().open().hear(heard[-1]).embedding, atol=1e-6)


def test_a_command_that_nobody_looks_at_is_an_error(setup: Setup) -> None:
    listening = Listening(setup.ear(DEVICE), setup)
    signal = np.full(RATE_HZ, 0.1, np.float32)
    with pytest.raises(ValueError, match="so little speech"):
        listening.hear(Evidence(signal, signal, (0.1, 0.15)))


def test_a_command_is_given_and_forwarded(setup: Setup) -> None:
    room = compute(Order(setup.scratch, 5, 0))
    setup = replace(setup, rooms=(room,))
    seen = hold(setup, Command(TINY, 2.0, 0))
    assert isinstance(seen, Seen)
    assert seen.named[0]
    assert seen == hold(setup, Command(TINY, 2.0, 0))  # of its arguments alone
    assert -1.0 <= min(seen.likeness) <= max(seen.likeness) <= 1.0
    assert hold(setup, Command(TINY, 2.0, 99)) is None


def test_voiceprints_are_asked_for_where_they_name(setup: Setup, newcomers: Setup) -> None:
    assert list(wanted(setup, TINY)) == []
    ((ear, clips),) = wanted(newcomers, TINY)
    assert (ear, len(clips)) == (DEVICE, 6 * 3)


def test_plans_have_the_distance_of_the_metric() -> None:
    for plan in (FULL, QUICK):
        assert 2.0 in plan.distances_m
        assert len(set(pieces(plan))) == plan.commands * len(plan.distances_m)


# -- the figures -----------------------------------------------------------------------------


def test_the_drop_is_of_the_same_clips() -> None:
    seen = [
        Seen(person, distance, (True, True, right), (0.9, 0.8))
        for distance in (2.0, 3.0)
        for person, right in (("ann", True), ("bob", distance == 3.0), ("cy", True), ("dee", True))
    ]
    (metric,), tables = figures([*seen, None], TINY, 1)
    assert (metric.name, metric.value, metric.n) == ("room_clean_drop_points", 25.0, 4)
    assert metric.ci95 is not None
    assert metric.ci95[0] == 0.0
    assert 50.0 <= metric.ci95[1] <= 100.0
    near, far = tables["room"]
    assert (near["dry_share"], near["room_share"], near["forwarded_share"]) == (1.0, 1.0, 0.75)
    assert far["drop_points"] == 0.0
    # Of four clips none: that says little.
    assert far["drop_ci95_points"][1] == pytest.approx(60.24, abs=0.01)


def test_without_commands_there_is_no_drop() -> None:
    (metric,), tables = figures([None], TINY, 1)
    assert metric.value is None
    assert tables == {}
