"""Attack queries among fakes: the order, and the steps of the paper's score one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from earmark.memory.neighbours import fingerprint
from earmark.memory.paper import PaperFingerprint, scores, weights
from earmark_host.bench.memory.hidden import (
    VARIANTS,
    Variant,
    benign_thresholds,
    causes,
    hidden,
    stretched,
)
from earmark_host.bench.memory.watch import Marked

DEPTH = 20
NOTHING = fingerprint(np.zeros(8000, np.float32))


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def mark(positions: np.ndarray, fake: bool) -> Marked:
    paper = PaperFingerprint(np.unique(positions).astype(np.uint16))
    return Marked(NOTHING, {None: paper}, "speech", 0.0, fake, None)


def attack(count: int) -> list[Marked]:
    """Fingerprints that share nine tenths of their peaks."""
    common = rng(0).choice(30_000, 90, replace=False)
    return [
        mark(np.concatenate([common, rng(n).choice(np.arange(30_000, 60_000), 10)]), fake=False)
        for n in range(1, count + 1)
    ]


def fakes(count: int) -> list[Marked]:
    return [mark(rng(100 + n).choice(60_000, 100), fake=True) for n in range(count)]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_the_attack_keeps_its_order_and_has_its_share_everywhere(share: float) -> None:
    real, others = attack(20), fakes(30)
    mixed = hidden(real, others, share, rng())
    assert len(mixed) == round(20 / (1.0 - share))
    assert [each.paper for each in mixed if not each.fake] == [each.paper for each in real]
    stretch = round(1.0 / (1.0 - share))
    for start in range(0, len(mixed), stretch):
        assert sum(not each.fake for each in mixed[start : start + stretch]) == 1
    assert [each.at_s for each in mixed] == sorted({each.at_s for each in mixed})


def test_no_fake_comes_again_before_all_have_been() -> None:
    others = fakes(30)
    mixed = [each for each in hidden(attack(20), others, 0.9, rng()) if each.fake]
    for start in (0, 30, 60):
        assert len({id(each.paper) for each in mixed[start : start + 30]}) == 30


def test_the_variants_are_the_paper_s_where_it_has_them() -> None:
    rows = rng().random((50, DEPTH))
    official, min_max_clip, raw, clip = VARIANTS
    assert official == Variant(stretched=True, clipped=False)
    np.testing.assert_allclose(official.scores(rows), scores(rows, "official", DEPTH))
    np.testing.assert_allclose(raw.scores(rows), scores(rows, "raw", DEPTH))
    np.testing.assert_allclose(clip.scores(rows), scores(rows, "clip", DEPTH))
    np.testing.assert_allclose(official.weights(rows[0]), weights(rows[0], "official", DEPTH))
    np.testing.assert_allclose(min_max_clip.scores(rows), scores(stretched(rows), "clip", DEPTH))


def test_stretched_rows_go_from_0_to_1() -> None:
    rows = stretched(np.array([[0.2, 0.4, 0.3], [0.5, 0.5, 0.5]]))
    np.testing.assert_allclose(rows, [[0.0, 1.0, 0.5], [0.0, 0.0, 0.0]])


def test_benign_thresholds_leave_one_in_a_thousand() -> None:
    found = benign_thresholds(fakes(60), DEPTH, 4_000, rng())
    assert list(found) == list(VARIANTS)
    # Min-max makes 1 of the largest similarity, however small it is.
    official, _, raw, _ = found.values()
    assert official > 2.0 * raw > 0.0


def test_causes_tell_the_attack_from_the_fakes() -> None:
    thresholds = {variant: 0.3 for variant in VARIANTS}
    mixed = hidden(attack(40), fakes(60), 0.5, rng())
    full = [each for each in mixed[DEPTH:] if not each.fake]
    for seen in causes(mixed, 0.5, DEPTH, thresholds):
        assert seen.queries == len(full)
        assert seen.attack_likeness == pytest.approx(0.9, abs=0.1)
        assert seen.fake_likeness == pytest.approx(0.0, abs=0.05)
        assert (seen.negative_weight == 0.0) is seen.variant.clipped
        assert seen.threshold == 0.3
        assert 0 < seen.flagged <= len(full)
        if seen.variant.clipped:
            assert 0.0 < seen.attack_weight <= 1.0
    alone = causes(hidden(attack(30), [], 0.0, rng()), 0.0, DEPTH, thresholds)
    assert all(each.fake_likeness is None for each in alone)
    assert all(each.attack_weight == pytest.approx(1.0) for each in alone)


def test_without_a_full_memory_there_is_nothing_to_see() -> None:
    assert causes(attack(DEPTH), 0.0, DEPTH, {VARIANTS[0]: 0.1}) == []
    last = [replace(each, fake=True) for each in attack(DEPTH + 1)]
    assert causes(last, 0.0, DEPTH, {VARIANTS[0]: 0.1}) == []
