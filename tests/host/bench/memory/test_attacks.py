"""Attacks are run, recorded and shown to the detectors; the recogniser here is made of paper."""

from __future__ import annotations

import csv
import pickle
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from earmark.demo.clips import ClipKind, load_clips
from earmark.memory import MemorySettings
from earmark.memory.neighbours import Sign, fingerprint
from earmark.signal import RATE_HZ, Signal
from earmark_host.bench.memory import attacks, attacks_run
from earmark_host.bench.memory.attacks import FLAGS, FULL, QUICK, Run, hold, pieces
from earmark_host.bench.memory.attacks_adaptive import WAYS, Defended, Evaded, Restart
from earmark_host.bench.memory.attacks_run import Alarm, Trial, first_alarm
from earmark_host.bench.memory.setup import Setup
from earmark_host.bench.memory.watch import Marked
from earmark_host.memory.staging import Scene
from earmark_host.memory.victims import OTHER

SOUNDS = [
    np.random.default_rng(seed).normal(0.0, 0.1, RATE_HZ).astype(np.float32) for seed in range(8)
]


class Ears:
    """Hears nothing, or, after so many looks, the word."""

    name = "ears"
    labels = ("go", OTHER)

    def __init__(self, patience: int) -> None:
        self.patience = patience

    def scores(self, signal: Signal) -> NDArray[np.float64]:
        del signal
        self.patience -= 1
        return np.array([0.0, float(self.patience)])


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four people with two sentences each, whom no recogniser learns from; songs, a noise."""
    folder = tmp_path_factory.mktemp("town")
    sentences = [clip.signal for clip in load_clips().all(ClipKind.COMMAND)]
    rng = np.random.default_rng(0)
    clips = [
        *(
            (f"s{n}.wav", "speech", ("bob", "eve", "ivy", "jo")[n % 4], sentences[n])
            for n in range(8)
        ),
        *(
            (f"{name}.wav", "music", "", rng.normal(0.0, 0.1, 5 * RATE_HZ))
            for name in ("aria", "blues", "canon", "dirge", "elegy", "fugue")
        ),
        ("n.wav", "noise", "", rng.normal(0.0, 0.1, RATE_HZ)),
    ]
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "role", "speaker"])
        for path, role, speaker, signal in clips:
            soundfile.write(folder / path, signal, RATE_HZ)
            writer.writerow([path, role, speaker])
    return folder


@pytest.fixture
def setup(town: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    deaf(monkeypatch)
    return Setup(town, 5, None, MemorySettings(folder=None))


def deaf(monkeypatch: pytest.MonkeyPatch, patience: int = 1_000_000) -> None:
    """Every trial has a new recogniser that looks so often before it hears its word."""
    monkeypatch.setattr(attacks_run, "victim", lambda *_: Ears(patience))


def trial(attack: str = "simba", channel: str = "digital", carrier: str = "speech") -> Trial:
    return Trial(Scene("keyword", carrier, channel), attack, 0, None)  # type: ignore[arg-type]


def mark(sound: int, fake: bool = False) -> Marked:
    return Marked(fingerprint(SOUNDS[sound]), {}, "speech", 0.0, fake, None)


def test_the_plan_has_every_attack_on_every_carrier_and_channel() -> None:
    runs = [each for each in pieces(FULL) if isinstance(each, Run)]
    kinds = Counter((r.trial.scene, r.trial.attack, r.queries) for r in runs)
    keyword = [count for (scene, _, _), count in kinds.items() if scene.victim == "keyword"]
    sphinx = [key for key in kinds if key[0].victim == "sphinx"]
    assert keyword == [FULL.runs] * (len(FULL.attacks) * 2 * 3)
    assert len(sphinx) == len(FULL.sphinx_attacks) * 2 * 3
    assert all(queries == FULL.sphinx_queries for _, _, queries in sphinx)
    assert len({each.trial for each in runs}) == len(runs)
    assert not any(
        each.trial.scene.victim == "sphinx" for each in pieces(QUICK) if isinstance(each, Run)
    )


def test_what_is_changed_are_attacks_that_are_also_counted_unchanged() -> None:
    for plan in (FULL, QUICK):
        every = pieces(plan)
        runs = {each.trial for each in every if isinstance(each, Run)}
        changed = [each.trial for each in every if isinstance(each, Evaded)]
        assert len(set(changed)) == len(changed) == 4 * plan.evaded
        assert set(changed) <= runs


def test_an_attack_is_noticed_at_its_sixth_query(setup: Setup) -> None:
    seen = hold(setup, Run(trial(), 9, (0, 50)))
    assert isinstance(seen, attacks.RunSeen)
    assert (seen.queries, seen.won, seen.alarm) == (9, None, Alarm(6, Sign.COPIES))
    assert seen.paper == (None,) * len(FLAGS)
    assert (seen.target, seen.channel, seen.sparse) == ("go", "digital", 0)
    assert seen.fakes[0] == Alarm(6, Sign.COPIES)
    assert len(pickle.dumps(seen)) < 2_000


def test_an_attack_counts_from_one_and_its_win_too(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf(monkeypatch, patience=4)  # one look is at the carrier
    seen = hold(setup, Run(trial(carrier="music"), 9, ()))
    assert isinstance(seen, attacks.RunSeen)
    assert (seen.queries, seen.won, seen.alarm, seen.fakes) == (4, 4, None, {})
    assert seen.snr_db == pytest.approx(14.0, abs=5.0)


def test_a_trial_is_the_same_each_time_and_not_that_of_another_number(setup: Setup) -> None:
    one = trial("nes", "ota20")
    assert hold(setup, Run(one, 7, ())) == hold(setup, Run(one, 7, ()))
    carriers = {replace(one, index=index).begin(setup)[0].carrier.tobytes() for index in range(6)}
    assert len(carriers) > 1


def test_no_stream_has_more_fakes_than_there_are_clips(setup: Setup) -> None:
    # Seven clips without the carrier: nine queries take nine fakes at 50 %, three at 25 %.
    seen = hold(setup, Run(trial(), 9, (25, 50)))
    assert isinstance(seen, attacks.RunSeen)
    assert seen.fakes == {25: Alarm(6, Sign.COPIES)}


def test_at_the_lower_noise_level_nothing_is_hidden_among_fakes(setup: Setup) -> None:
    seen = hold(setup, Run(trial(channel="ota10"), 6, (0,)))
    assert isinstance(seen, attacks.RunSeen)
    assert seen.fakes == {}
    assert seen.channel.endswith("at 10 dB")


def test_an_alarm_counts_the_queries_of_the_attack_alone(setup: Setup) -> None:
    hidden = [mark(0), mark(1, fake=True)] * 5 + [mark(2, fake=True), mark(0)]
    assert first_alarm(hidden, setup) == Alarm(6, Sign.COPIES)
    assert first_alarm(hidden[:-1], setup) is None


def test_an_alarm_at_a_fake_is_none(setup: Setup) -> None:
    repeated = [mark(3, fake=True)] * 7
    assert first_alarm(repeated, setup) is None
    assert first_alarm([*repeated, mark(4), mark(3)], setup) == Alarm(2, Sign.KEPT)


def test_a_changed_attack_is_looked_for_and_its_win_listened_to(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "earmark_host.bench.memory.attacks_adaptive.WAYS",
        [way for way in WAYS if way.name in ("none", "noise_minus_15", "pauses_3d")],
    )
    lost = hold(setup, Evaded(trial(), 8))
    assert isinstance(lost, attacks.EvadedSeen)
    assert lost.alarms["none"] == lost.alarms["pauses_3d"] == Alarm(6, Sign.COPIES)
    assert lost.alarms["noise_minus_15"] is None
    assert lost.heard == {}
    deaf(monkeypatch, patience=3)
    won = hold(setup, Evaded(trial(), 8))
    assert isinstance(won, attacks.EvadedSeen)
    assert won.heard == dict.fromkeys(won.alarms, True)


def test_every_evasion_is_tried_but_fakes_and_two_louder_noises() -> None:
    names = [way.name for way in WAYS]
    assert len(set(names)) == len(names)
    assert {"none", "speed_4", "noise_0", "noise_minus_10", "noise_minus_15"} <= set(names)
    assert not any(name.startswith("fakes") for name in names)


def test_an_attacker_who_sees_verdicts_gets_five_answers_before_the_first_of_them(
    setup: Setup,
) -> None:
    seen = hold(setup, Defended(trial("oars_simba"), 12))
    assert isinstance(seen, attacks.DefendedSeen)
    assert (seen.queries, seen.alarm, seen.won) == (12, 6, None)
    assert 1 <= seen.withheld <= 7


def test_who_wins_on_a_defended_device_wins_at_a_query_that_passes(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf(monkeypatch, patience=4)
    seen = hold(setup, Defended(trial(), 12))
    assert isinstance(seen, attacks.DefendedSeen)
    assert (seen.queries, seen.won, seen.alarm, seen.withheld) == (4, 4, None, 0)


def test_who_begins_anew_is_known(setup: Setup) -> None:
    seen = hold(setup, Restart(("simba", "nes"), 2, 6, None))
    assert isinstance(seen, list)
    assert [each.carrier for each in seen] == ["speech", "music"]
    assert [each.first for each in seen] == [6, 6]
    assert [each.at_once for each in seen] == [1, 1]
    assert [each.after_days for each in seen] == [1, 1]
    assert [each.benign for each in seen] == [6, 6]
