"""The light patterns: readable without colours, and no danger to anybody."""

from __future__ import annotations

import itertools
import math

import pytest

from earmark.feedback import light
from earmark.feedback.lights import MAX_FLASHES_HZ
from earmark.gate import Announcement

EVERY = list(Announcement)
LASTING = {Announcement.WOKEN, Announcement.LOCKED, Announcement.MUTED, Announcement.FAULT}


@pytest.mark.parametrize("told", EVERY)
def test_is_named_for_what_it_tells(told: Announcement) -> None:
    assert light(told).name == told.value


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(EVERY, 2)))
def test_two_patterns_differ_in_more_than_colour(one: Announcement, other: Announcement) -> None:
    a, b = light(one), light(other)
    assert (a.blink, a.repeats) != (b.blink, b.repeats)


@pytest.mark.parametrize("told", EVERY)
def test_flashes_are_too_few_to_harm(told: Announcement) -> None:
    blink = light(told).blink
    assert len(blink) % 2 == 0
    cycles = [on + off for on, off in zip(blink[::2], blink[1::2], strict=True)]
    assert min(cycles) >= 1.0 / MAX_FLASHES_HZ
    assert all(on >= 0.1 for on in blink[::2])


@pytest.mark.parametrize("told", EVERY)
def test_only_states_go_on(told: Announcement) -> None:
    assert math.isinf(light(told).duration_s) == (told in LASTING)
    if told not in LASTING:
        assert light(told).duration_s <= 4.0
