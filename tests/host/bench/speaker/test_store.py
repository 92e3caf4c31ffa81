"""Clean clips are heard once, before the parts."""

from __future__ import annotations

import numpy as np
import pytest
from tests.host.bench.speaker.toys import Pool

from earmark.errors import EarmarkError
from earmark.signal import Signal
from earmark_host.bench.speaker import store
from earmark_host.bench.speaker.setup import DEVICE, Setup
from earmark_host.bench.speaker.store import Order, fill, prints, wanted
from earmark_host.speaker.clips import Clip, load


def test_what_was_heard_is_looked_up(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = [clip for own in setup.corpus.values() for clip in own]
    some, other = clips[:20], clips[20]
    pool = Pool()
    fill(pool, setup, wanted([(DEVICE, some), ("resemblyzer", some[:1]), (DEVICE, some[:3])]))  # type: ignore[arg-type]
    orders = [each for each in pool.done if isinstance(each, Order)]
    assert [(each.ear, len(each.clips)) for each in orders] == [
        (DEVICE, 16),
        (DEVICE, 4),
        ("resemblyzer", 1),
    ]
    direct = setup.ear(DEVICE).hear(load(some[7]))
    not_stored = setup.ear(DEVICE).hear(load(other))
    asked: list[Clip] = []

    def loaded(clip: Clip) -> Signal:
        asked.append(clip)
        return load(clip)

    monkeypatch.setattr(store, "load", loaded)
    found = setup.heard(DEVICE, some[7])
    np.testing.assert_array_equal(found.embedding, direct.embedding)
    np.testing.assert_array_equal(found.logits, direct.logits)  # type: ignore[arg-type]
    assert setup.heard("resemblyzer", some[0]).logits is None
    assert asked == []
    np.testing.assert_array_equal(setup.heard(DEVICE, other).embedding, not_stored.embedding)
    assert asked == [other]


def test_nothing_asked_is_nothing_done(setup: Setup) -> None:
    pool = Pool()
    fill(pool, setup, wanted([(DEVICE, [])]))  # type: ignore[arg-type]
    assert pool.done == []


def test_voiceprints_are_of_length_one(setup: Setup) -> None:
    found = prints(setup, DEVICE, [own[:3] for own in setup.corpus.values()])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, rtol=1e-5)


def test_an_ear_that_is_not_there(setup: Setup) -> None:
    with pytest.raises(EarmarkError, match="no 'campplus'"):
        setup.ear("campplus")
