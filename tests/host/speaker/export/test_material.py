"""Windows, golden signals and the cohort."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.host.speaker.corpora import SMALL, librispeech
from tests.host.speaker.export.nets import lived, trained

from earmark.errors import EarmarkError
from earmark.signal import Signal, active_level_dbfs
from earmark_host.speaker.clips import Cache, Clip, people, split
from earmark_host.speaker.export import material


def outputs(signal: Signal) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A model that hears the power of four bands."""
    power = np.abs(np.fft.rfft(signal, 2048)[:1024]) ** 2
    bands = power.reshape(4, -1).sum(axis=1)
    return bands.astype(np.float32), np.log(bands + 1e-9).astype(np.float32)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return librispeech(tmp_path_factory.mktemp("corpus"))


def test_test_clips_are_never_trained_with(corpus: Path) -> None:
    everyone = people(corpus)
    divided = split(everyone)
    clips = material.training_clips(trained(lived(SMALL, 3), divided), everyone)
    assert {clip for own in clips.values() for clip in own} == set(divided.train)
    assert tuple(clips) == divided.people


def test_another_corpus_is_refused(corpus: Path) -> None:
    everyone = people(corpus)
    learned = trained(lived(SMALL, 3), split(everyone))
    del everyone["11"]
    with pytest.raises(EarmarkError, match=r"no clips of 1 of the 3 people.*such as 11"):
        material.training_clips(learned, everyone)


def test_windows_are_of_everyone_loud_and_quiet_and_the_same_again(corpus: Path) -> None:
    everyone = people(corpus)

    def drawn(seed: int, clips: object = everyone) -> NDArray[np.float32]:
        rng = np.random.default_rng(seed)
        return material.windows(everyone, SMALL.front_end, 24, 30, Cache(), rng)

    found = drawn(1)
    assert found.shape == (30, 24, 12)
    np.testing.assert_array_equal(found, drawn(1))
    assert not np.array_equal(found, drawn(2))
    loudest = found.max(axis=(1, 2))
    assert np.ptp(loudest) > 8.0


def test_golden_signals_are_the_clearest_of_their_kind() -> None:
    chosen = material.golden(4000, outputs)
    assert chosen.shape == (material.GOLDEN, 4000)
    assert chosen.dtype == np.int16
    assert np.abs(chosen.astype(int)).max(axis=1).min() > 1000
    np.testing.assert_array_equal(chosen, material.golden(4000, outputs))

    def lead(signal: NDArray[np.int16]) -> float:
        logits = np.sort(outputs(signal.astype(np.float32) / np.float32(32768.0))[1])
        return float((logits[-1] - logits[-2]) / np.ptp(logits))

    every = [material.synthetic(4000, np.random.default_rng(k)) for k in range(material.CANDIDATES)]
    least = min(map(lead, chosen))
    assert sum(lead(signal) > least for signal in every) < material.GOLDEN


def test_the_cohort_are_those_with_one_clip_whom_nobody_trained_on(corpus: Path) -> None:
    everyone = people(corpus)
    known = trained(lived(SMALL, 3), split(everyone))
    alone = {
        name: (replace(own[0], person=name),)
        for name, own in zip("xyz", everyone.values(), strict=True)
    }
    heard = replace(known, split=known.split | {"extra_people": ["z"]})
    chosen = material.strangers(heard, everyone | alone, least=2)
    assert [clip.person for clip in chosen] == ["x", "y"]
    made_up = material.strangers(heard, everyone | alone, least=3)
    assert [clip.person for clip in made_up] == ["x", "y", *heard.people]
    assert not {clip.key for clip in made_up} & set(heard.split["test_clips"])


def test_the_cohort_has_a_unit_embedding_for_each_clip(corpus: Path) -> None:
    everyone, cache = people(corpus), Cache()
    heard: list[float] = []

    def listening(signal: Signal) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        heard.append(active_level_dbfs(signal))
        return outputs(signal)

    def quiet(clip: Clip) -> NDArray[np.int16]:
        return np.asarray(cache.samples(clip) // 64, np.int16)

    rows = material.cohort([own[0] for own in everyone.values()], quiet, listening)
    assert rows.shape == (3, 4)
    assert min(heard) > -35.0  # as a device levels it
    assert rows.dtype == np.float16
    np.testing.assert_allclose(np.linalg.norm(rows.astype(float), axis=1), 1.0, atol=2e-3)
