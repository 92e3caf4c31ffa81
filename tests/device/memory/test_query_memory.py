"""Fingerprint, detector and store in one, in both modes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from earmark.demo.clips import Clips
from earmark.errors import ConfigError
from earmark.memory import (
    MemorySettings,
    MemoryStoreError,
    NeighboursLimits,
    PaperThreshold,
    QueryMemory,
    Recollection,
    Sign,
    Thresholds,
)
from earmark.memory.paper import PaperFingerprint
from earmark.memory.query_memory import NEIGHBOURS_FILE, PAPER_FILE
from earmark.memory.store import QueryStore
from earmark.signal import RATE_HZ, Signal, rms

START_S = 1.8e9

TABLE = Thresholds(
    made={},
    neighbours=NeighboursLimits(floor=0.1, slope=1.8, mean=0.03, approved=0.6),
    paper=tuple(
        PaperThreshold(weights="mean", depth=5, input_noise_snr_db=snr_db, speech=0.3, music=0.35)
        for snr_db in (None, 25.0)
    ),
)

NEIGHBOURS: dict[str, Any] = {"speeds_percent": (), "last": 60}
PAPER: dict[str, Any] = {"depth": 5, "weights": "mean"}


class Home:
    """A device that is started again and again on the same folder; a query each minute."""

    def __init__(self, folder: Path | None, **chosen: Any) -> None:
        given = {"folder": folder, "neighbours": NEIGHBOURS, "paper": PAPER} | chosen
        self._settings = MemorySettings.model_validate(given)
        self.drawn = 0
        self.now_s = START_S
        self.start()

    def start(self) -> None:
        self.memory = QueryMemory.open(self._settings, self._entropy, TABLE)

    def restart(self) -> None:
        self.memory.close()
        self.start()

    def hears(self, *commands: Signal) -> list[Recollection]:
        found = []
        for command in commands:
            found.append(self.memory.examine(command, self.now_s))
            self.now_s += 60.0
        return found

    def _entropy(self, count: int) -> bytes:
        self.drawn += count
        return bytes(range(count))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "memory")


@pytest.fixture
def paper(tmp_path: Path) -> Home:
    return Home(tmp_path / "memory", mode="paper")


@pytest.fixture
def copy(clips: Clips) -> Callable[[int], Signal]:
    """Near-copies of a sentence."""
    sentence = clips.command("lobsters").spoken

    def made(number: int) -> Signal:
        return sentence + noise(sentence.size / RATE_HZ, 0.05 * rms(sentence), number)

    return made


def noise(seconds: float, level: float = 0.1, seed: int = 0) -> Signal:
    rng = np.random.default_rng(seed)
    return rng.standard_normal(round(seconds * RATE_HZ), dtype=np.float32) * np.float32(level)


def fakes(count: int, seed: int = 0) -> list[Signal]:
    return [noise(1.0, 0.1, 1000 + seed + number) for number in range(count)]


def signs(found: list[Recollection]) -> list[Sign]:
    return [each.sign for each in found]


def files(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir() if not each.name.endswith(".lock")]


# Neighbours


def test_a_first_query(home: Home, copy: Callable[[int], Signal]) -> None:
    assert home.hears(copy(0)) == [
        Recollection(Sign.NEW, False, "speech", 0.0, 0, 1, START_S, 0.0, None)
    ]
    assert home.drawn == 0, "no noise is added in this mode"


def test_silence_is_no_query(home: Home) -> None:
    [found] = home.hears(np.zeros(RATE_HZ, np.float32))
    assert (found.sign, found.alarm, found.score) == (Sign.SPARSE, False, 0.0)


def test_the_sixth_copy_alarms_and_what_is_told_is_the_detector_s(
    home: Home, copy: Callable[[int], Signal]
) -> None:
    found = home.hears(*[copy(number) for number in range(6)])
    assert signs(found) == [Sign.NEW] * 5 + [Sign.COPIES]
    assert [each.alarm for each in found] == [False] * 5 + [True]
    assert [each.copies for each in found] == list(range(6))
    assert [each.count for each in found] == list(range(1, 7))
    assert {each.first_unix_s for each in found} == {START_S}
    assert {each.carrier for each in found} == {"speech"}
    assert all(0.5 < each.score < 1.0 for each in found[1:])
    [kept] = home.memory.clusters
    assert (kept.id, kept.count, kept.approved) == (found[-1].cluster, 6, False) == (0, 6, False)


def test_the_speed_is_told(tmp_path: Path, copy: Callable[[int], Signal]) -> None:
    home = Home(tmp_path, neighbours={"speeds_percent": (0.001,)})
    assert home.hears(copy(0), copy(0))[1].speed_percent == 0.0
    stretched = np.interp(
        np.arange(0.0, copy(0).size - 1, 1.03), np.arange(copy(0).size), copy(0)
    ).astype(np.float32)
    home = Home(tmp_path / "2", neighbours={"speeds_percent": (-3.0, 3.0)})
    assert home.hears(copy(0), stretched)[1].speed_percent == 3.0


def test_the_carrier_is_that_of_the_sound(home: Home) -> None:
    time = np.arange(3 * RATE_HZ) / RATE_HZ
    chord = sum(np.sin(2.0 * np.pi * f * time) for f in (262.0, 330.0, 392.0, 523.0, 660.0, 784.0))
    assert home.hears(np.asarray(0.1 * chord, np.float32))[0].carrier == "music"


@pytest.mark.parametrize("before", range(8))
def test_a_restart_changes_nothing(
    home: Home, copy: Callable[[int], Signal], tmp_path: Path, before: int
) -> None:
    queries = [sound for n in range(8) for sound in (copy(n), *fakes(1, n))]
    other = Home(tmp_path / "other")
    first = home.hears(*queries[: 2 * before])
    home.restart()
    assert first + home.hears(*queries[2 * before :]) == other.hears(*queries)
    assert home.memory.clusters == other.memory.clusters
    assert home.memory.damage.stretches == 0


def test_without_a_folder_all_is_forgotten_at_the_end(copy: Callable[[int], Signal]) -> None:
    home = Home(None)
    assert home.hears(*[copy(n) for n in range(6)])[-1].alarm
    home.restart()
    assert home.memory.clusters == []
    assert signs(home.hears(copy(7))) == [Sign.NEW]


def test_nothing_but_its_own_file_is_written(home: Home, tmp_path: Path) -> None:
    home.hears(noise(1.0))
    assert files(tmp_path / "memory") == [NEIGHBOURS_FILE]


def test_an_approved_repeat_passes_also_after_a_restart(
    home: Home, copy: Callable[[int], Signal]
) -> None:
    alarm = home.hears(*[copy(n) for n in range(6)])[-1]
    assert alarm.cluster is not None
    home.memory.approve(alarm.cluster)
    for _ in range(2):
        [found] = home.hears(copy(9))
        assert (found.sign, found.alarm, found.cluster) == (Sign.APPROVED, False, alarm.cluster)
        assert [each.approved for each in home.memory.clusters] == [True]
        home.restart()


def test_what_is_forgotten_is_new_again_also_after_a_restart(
    home: Home, copy: Callable[[int], Signal]
) -> None:
    home.hears(*fakes(2))
    alarm = home.hears(*[copy(n) for n in range(6)])[-1]
    kept = [home.memory.clusters[0].id]
    assert kept == [alarm.cluster]
    home.hears(copy(6))
    home.memory.forget(kept[0])
    assert home.memory.clusters == []
    assert signs(home.hears(*[copy(n) for n in range(10, 13)])) == [Sign.NEW] * 3
    home.restart()
    assert home.memory.clusters == []
    found = home.hears(*[copy(n) for n in range(13, 16)])
    assert signs(found) == [Sign.NEW] * 2 + [Sign.COPIES]
    assert [each.copies for each in found] == [3, 4, 5]


def test_what_else_is_known_stays_when_something_is_forgotten(
    home: Home, copy: Callable[[int], Signal], clips: Clips
) -> None:
    toast, bread = (clips.command(name).spoken for name in ("toast", "bread"))
    home.hears(*[toast] * 6, bread, bread, *[copy(n) for n in range(6)])
    toasts, copies = home.memory.clusters
    home.memory.forget(copies.id)
    assert home.memory.clusters == [toasts]
    found = home.hears(bread, toast, copy(6))
    assert signs(found) == [Sign.NEW, Sign.KEPT, Sign.NEW]
    assert [found[0].copies, found[1].count, found[2].copies] == [2, 7, 0]


def test_what_the_mean_keeps_is_named(tmp_path: Path, clips: Clips) -> None:
    speech = clips.command("lobsters").spoken
    loud = [speech + noise(speech.size / RATE_HZ, 2.8 * rms(speech), n) for n in range(11)]
    home = Home(tmp_path, neighbours=NEIGHBOURS | {"second_ear_depth": 30})
    found = home.hears(*loud)
    assert signs(found) == [Sign.NEW] * 10 + [Sign.MEAN]
    [kept] = home.memory.clusters
    assert found[-1].cluster == kept.id


def test_what_is_not_kept_is_not_there(home: Home, copy: Callable[[int], Signal]) -> None:
    home.hears(copy(0), copy(1))
    for act in (home.memory.approve, home.memory.forget):
        with pytest.raises(KeyError):
            act(0)


# The disk


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def refuse(method: str) -> None:
        def failing(*_: object) -> None:
            raise MemoryStoreError("the disk is full", "free some space")

        monkeypatch.setattr(QueryStore, method, failing)

    return refuse


def test_what_cannot_be_stored_is_known_until_the_device_stops(
    home: Home,
    copy: Callable[[int], Signal],
    refuse: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home.hears(copy(0), copy(1))
    with monkeypatch.context():
        refuse("remember")
        for number in (2, 3):
            with pytest.raises(MemoryStoreError, match="disk is full"):
                home.hears(copy(number))
    monkeypatch.undo()
    found = home.hears(copy(4), copy(5))
    assert [each.copies for each in found] == [4, 5]
    assert found[-1].sign is Sign.COPIES
    assert found[-1].count == 6
    home.restart()
    assert signs(home.hears(copy(6))) == [Sign.KEPT]


def test_an_alarm_that_cannot_be_stored_stays_one(
    home: Home,
    copy: Callable[[int], Signal],
    refuse: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home.hears(*[copy(n) for n in range(5)])
    refuse("put")
    with pytest.raises(MemoryStoreError, match="disk is full"):
        home.hears(copy(5))
    monkeypatch.undo()
    assert signs(home.hears(copy(6))) == [Sign.KEPT]


def test_what_cannot_be_forgotten_is_known_still(
    home: Home, copy: Callable[[int], Signal], refuse: Callable[[str], None]
) -> None:
    home.hears(*[copy(n) for n in range(6)])
    refuse("drop")
    with pytest.raises(MemoryStoreError, match="disk is full"):
        home.memory.forget(0)
    assert signs(home.hears(copy(6))) == [Sign.KEPT]


def test_closing_twice_is_harmless(home: Home) -> None:
    home.memory.close()
    home.memory.close()


# The paper's detector


def test_the_paper_s_alarm(paper: Home, copy: Callable[[int], Signal]) -> None:
    found = paper.hears(*[copy(n) for n in range(6)])
    assert signs(found) == [Sign.NEW] * 5 + [Sign.MEAN]
    assert [each.alarm for each in found] == [False] * 5 + [True]
    assert [each.count for each in found] == [1] * 5 + [6]
    assert [each.score for each in found[:5]] == [0.0] * 5
    assert found[-1].score > 0.3
    assert found[-1].first_unix_s == START_S
    assert [each.first_unix_s for each in found[:5]] == [START_S + 60.0 * n for n in range(5)]
    assert {(each.copies, each.speed_percent, each.cluster) for each in found} == {(0, 0.0, None)}


def test_the_paper_s_detector_keeps_its_own_file_of_its_own_fingerprints(
    paper: Home, tmp_path: Path
) -> None:
    paper.hears(*fakes(7))
    assert files(tmp_path / "memory") == [PAPER_FILE]
    paper.memory.close()
    with QueryStore.open(tmp_path / "memory" / PAPER_FILE, 5, 1) as store:
        stored = store.queries()
    assert [query.number for query in stored] == [2, 3, 4, 5, 6]
    assert all(PaperFingerprint.from_bytes(query.fingerprint).positions.size for query in stored)


@pytest.mark.parametrize("before", [0, 2, 5, 6, 8])
def test_a_restart_changes_nothing_for_the_paper_s(
    paper: Home, copy: Callable[[int], Signal], tmp_path: Path, before: int
) -> None:
    queries = [copy(n) for n in range(13)]
    other = Home(tmp_path / "other", mode="paper")
    first = paper.hears(*queries[:before])
    paper.restart()
    found = first + paper.hears(*queries[before:])
    assert found == other.hears(*queries)
    assert [at for at, each in enumerate(found) if each.alarm] == [5, 11]


def test_an_alarm_wipes_the_paper_s_store(
    paper: Home, copy: Callable[[int], Signal], tmp_path: Path
) -> None:
    paper.hears(*[copy(n) for n in range(6)])
    paper.memory.close()
    with QueryStore.open(tmp_path / "memory" / PAPER_FILE, 5, 1) as store:
        assert store.queries() == []
    paper.start()
    found = paper.hears(*[copy(n) for n in range(6)])
    assert [each.alarm for each in found] == [False] * 5 + [True]
    assert found[-1].first_unix_s == START_S + 6 * 60.0


def test_a_memory_that_is_kept_after_an_alarm(
    tmp_path: Path, copy: Callable[[int], Signal]
) -> None:
    home = Home(tmp_path, mode="paper", paper=PAPER | {"clear_on_alarm": False})
    found = home.hears(*[copy(n) for n in range(8)])
    assert [each.alarm for each in found] == [False] * 5 + [True] * 3
    assert found[-1].count == 6
    home.restart()
    assert home.hears(copy(8))[0].alarm


def test_input_noise_is_drawn_from_the_given_randomness(
    tmp_path: Path, copy: Callable[[int], Signal]
) -> None:
    noisy = PAPER | {"input_noise_snr_db": 25.0, "young": "score"}
    homes = [Home(tmp_path / str(n), mode="paper", paper=noisy) for n in range(2)]
    found = [home.hears(copy(0), copy(0)) for home in homes]
    assert found[0] == found[1]
    assert {home.drawn for home in homes} == {16}
    assert 0.3 < found[0][1].score < 1.0, "each query has its own noise"
    quiet = Home(tmp_path / "quiet", mode="paper", paper=PAPER | {"young": "score"})
    assert quiet.hears(copy(0), copy(0))[1].score == pytest.approx(1.0)


def test_the_paper_s_detector_has_no_clusters(paper: Home, copy: Callable[[int], Signal]) -> None:
    assert paper.hears(*[copy(n) for n in range(6)])[-1].alarm
    assert paper.memory.clusters == []
    for act in (paper.memory.approve, paper.memory.forget):
        with pytest.raises(ConfigError, match=r"memory\.mode"):
            act(0)


def test_as_many_peaks_as_a_fingerprint_may_have_are_stored(paper: Home, home: Home) -> None:
    """Clicks and whistles on a grid: as many peaks as possible, from an attacker too."""
    time = np.arange(1024)
    signal = np.zeros(4 * RATE_HZ, np.float32)
    whistles = sum(np.sin(2 * np.pi * (15 + 16 * n) / 1024 * time) for n in range(30))
    for frame in range(3, 120, 5):
        signal[512 * frame : 512 * frame + 1024] += 0.01 * np.hanning(1024) * whistles
    for each in (paper, home):
        assert signs(each.hears(signal)) == [Sign.NEW]


def test_what_was_not_calibrated_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no threshold was calibrated"):
        Home(tmp_path / "memory", mode="paper", paper=PAPER | {"weights": "raw"})
    assert not (tmp_path / "memory").exists()


# Settings


def test_the_default_is_neighbours_in_the_device_s_folder() -> None:
    settings = MemorySettings()
    assert settings.mode == "neighbours"
    assert settings.folder == Path("/var/lib/earmark/memory")


@pytest.mark.parametrize("wrong", [{"mode": "both"}, {"path": "x"}, {"paper": {"k": 75}}], ids=str)
def test_unknown_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MemorySettings.model_validate(wrong)


def test_nothing_in_a_recollection_tells_what_was_said(home: Home) -> None:
    [found] = home.hears(noise(1.0))
    assert replace(found) == found
    assert not any(isinstance(getattr(found, name), (bytes, np.ndarray)) for name in vars(found))


@pytest.mark.parametrize(("factor", "alarms"), [(1.0, True), (2.0, False)])
def test_a_room_may_raise_the_limit_of_the_paper_s_detector(
    tmp_path: Path, clips: Clips, factor: float, alarms: bool
) -> None:
    """Noisy copies are between the maker's limit of 0.3 and twice that."""
    speech = clips.command("lobsters").spoken
    loud = [speech + noise(speech.size / RATE_HZ, 0.35 * rms(speech), n) for n in range(6)]
    factors = {"speech_factor": factor, "music_factor": factor}
    home = Home(tmp_path / "room", mode="paper", **factors)
    last = home.hears(*loud)[-1]
    assert 0.35 < last.score < 0.6
    assert last.alarm == alarms


def test_a_room_may_raise_the_limit_of_the_mean(tmp_path: Path, clips: Clips) -> None:
    """Copies under loud noise have a mean of 0.04: over the maker's limit of 0.03."""
    speech = clips.command("lobsters").spoken
    loud = [speech + noise(speech.size / RATE_HZ, 5.0 * rms(speech), n) for n in range(11)]
    deep = {"neighbours": NEIGHBOURS | {"second_ear_depth": 30}}
    home = Home(tmp_path / "maker", **deep)
    assert home.hears(*loud)[-1].sign is Sign.MEAN
    home = Home(tmp_path / "room", speech_factor=2.0, **deep)
    assert home.hears(*loud)[-1].sign is Sign.NEW
    with pytest.raises(ValidationError):
        MemorySettings(speech_factor=0.5)  # never below the maker's
