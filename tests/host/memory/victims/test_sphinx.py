"""pocketsphinx as a victim: the sentences that ship hold none of its words, so only what its
scores are is checked, not what it hears."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pocketsphinx")

from earmark.demo.clips import load_clips
from earmark.errors import EarmarkError
from earmark_host.memory.victims.sphinx import SphinxModel


@pytest.fixture(scope="module")
def model() -> SphinxModel:
    return SphinxModel(["go", "stop", "seven"])


def test_every_word_has_a_score_and_the_same_sound_the_same(model: SphinxModel) -> None:
    clip = load_clips().command("toast").spoken
    scores = model.scores(clip)
    assert model.labels == ("go", "stop", "seven")
    assert scores.shape == (3,)
    assert np.isfinite(scores).all()
    assert np.array_equal(scores, model.scores(clip))


def test_too_few_or_unknown_words() -> None:
    with pytest.raises(EarmarkError, match="go"):
        SphinxModel(["go"])
    with pytest.raises(EarmarkError, match="xyzzyq"):
        SphinxModel(["go", "xyzzyq"])
