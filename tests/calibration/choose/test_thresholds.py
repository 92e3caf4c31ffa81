"""The thresholds of this device, and the errors that they make."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from earmark.memory import MemorySettings, shipped
from earmark.nonce import NonceSettings
from earmark.signal import RATE_HZ
from earmark.speaker import Person, SpeakerModel, SpeakerSettings, Vault, create_key
from earmark_calibration.choose.play import hold
from earmark_calibration.choose.predict import Prediction
from earmark_calibration.choose.statistics import share
from earmark_calibration.choose.thresholds import (
    MAX_FACTOR,
    Draws,
    Marks,
    alike,
    chance_of_acceptance,
    draws,
    marks,
    memory_thresholds,
    missed_copies,
    nonce_thresholds,
    score_curves,
    speaker_threshold,
    wrong_share,
)
from earmark_calibration.choose.trial import Trials, voices

from .rooms import place

SETTINGS = NonceSettings(level_dbspl_1m=42.0)


@pytest.fixture(scope="module")
def trials() -> Trials:
    return Trials(place(), 11)


@pytest.mark.parametrize(
    ("settings", "wrong", "chance"),
    [
        # 8 symbols of 16: all right; one wrong.
        (NonceSettings(), 0.0, 16.0**-8),
        (NonceSettings(), 0.125, (1 + 8 * 15) * 16.0**-8),
        # 32 bits, at most 4 wrong: the product's own figure.
        (NonceSettings(waveform="bfsk"), 0.125, 9.7e-6),
    ],
)
def test_the_chance_of_a_random_nonce(settings: NonceSettings, wrong: float, chance: float) -> None:
    assert chance_of_acceptance(settings, wrong) == pytest.approx(chance, rel=0.01)


def test_the_allowed_errors_follow_from_the_chance() -> None:
    assert wrong_share(NonceSettings(), 1e-5) == 0.125
    assert wrong_share(NonceSettings(), 1e-9) == 0.0
    assert wrong_share(NonceSettings(waveform="bfsk"), 1e-5) == 0.125
    assert wrong_share(NonceSettings(waveform="bfsk"), 1e-6) == 2 / 32


def test_wrong_nonces_score_far_below_the_one_that_was_played(trials: Trials) -> None:
    def simulate(number: int) -> Draws:
        _, seen, script = hold(
            trials,
            SETTINGS,
            number,
            lambda drive: (
                trials.place.heard(drive)
                + trials.place.noise(drive.size, np.random.default_rng(number))
            ),
        )
        return draws(script, seen, SETTINGS, np.random.default_rng(number), wrong=6, foreign=4)

    live, replay = simulate(0), simulate(1)
    assert live.wrong_accepted == 0
    assert live.foreign_found == 0
    assert len(live.foreign_scores) == 4
    assert replay.foreign_scores == ()  # only live commands can be taken for a replay
    assert live.contrast > 1.5 * max(live.wrong_contrasts)
    drawn = [live, replay]
    accepted, stale = nonce_thresholds(SETTINGS, drawn, share(0, 2), Prediction(0, 80, 78, 80))
    assert accepted.name == "nonce.max_bit_error_rate"
    assert accepted.far is not None
    assert accepted.far.n == 12
    assert stale.far is not None
    assert stale.far.value == pytest.approx(2 / 80)
    curves = score_curves(drawn, [12.0, 30.0])
    assert [curve.name for curve in curves] == [
        "scores_current",
        "scores_wrong",
        "scores_stale",
        "scores_foreign",
    ]
    assert all(list(curve.x) == sorted(curve.x) for curve in curves)
    assert curves[1].y[0] == 1.0


def _recorded(hum: float) -> list[Marks]:
    """Commands in a room that hums at many frequencies at once."""
    rng = np.random.default_rng(12)
    found = []
    time = np.arange(4 * RATE_HZ) / RATE_HZ
    beats = sum(np.sin(2 * np.pi * hz * time) for hz in range(300, 3900, 150))
    clicks = (np.sin(2 * np.pi * 4.0 * time) > 0.97).astype(np.float32)
    for name, said in voices():
        noise = 1e-4 * rng.standard_normal(said.size)
        rms = float(np.sqrt(np.mean(np.square(said))))
        sound = said + noise + hum * rms * (beats * clicks)[: said.size]
        found.append(marks(name, sound.astype(np.float32)))
    return found


def test_a_room_that_makes_commands_alike_raises_the_limits() -> None:
    plain, humming = alike(_recorded(0.0)), alike(_recorded(3.0))
    assert plain.pairs == humming.pairs > 50
    assert plain.factor == pytest.approx(1.0, abs=0.15)
    assert humming.recorded > 2.0 * humming.on_file
    assert humming.factor == MAX_FACTOR
    table = {
        each.name: each for each in memory_thresholds(_recorded(3.0), MemorySettings(), (1, 20))
    }
    maker = shipped().neighbours.mean
    assert table["memory.neighbours.mean"].value == pytest.approx(MAX_FACTOR * maker, rel=1e-3)
    assert table["memory.paper.music"].note.startswith("the maker's")
    likeness = table["memory.neighbours.likeness"]
    assert likeness.far is not None
    assert likeness.far.value == pytest.approx(0.05)


def test_too_few_commands_correct_nothing() -> None:
    found = alike(_recorded(3.0)[:4])
    assert found.pairs < 10
    assert found.factor == 1.0
    assert "too few" in memory_thresholds([], MemorySettings(), (0, 0))[1].note


def test_copies_at_one_place_are_copies(trials: Trials) -> None:
    missed, of = missed_copies(trials, SETTINGS, 3)
    assert of == 3
    assert missed <= 1


@pytest.fixture
def vault(tmp_path: Path) -> SpeakerSettings:
    settings = SpeakerSettings(vault=tmp_path / "people.vault", key_file=tmp_path / "people.key")
    create_key(tmp_path / "people.key")
    return settings


def test_nobody_enrolled_is_said(vault: SpeakerSettings) -> None:
    found = speaker_threshold(vault, 0.01)
    assert "nobody is enrolled" in found.note
    assert found.frr is None


def test_the_limit_of_those_who_are_enrolled(vault: SpeakerSettings) -> None:
    model = SpeakerModel.open()
    rng = np.random.default_rng(13)
    towards = model.cohort[3] + 0.02 * rng.standard_normal((5, model.cohort.shape[1]))
    phrases = (towards / np.linalg.norm(towards, axis=1, keepdims=True)).astype(np.float32)
    Vault.of(vault).add(Person("0123abcd", "Ada", 1.8e9, 1.8e9, model.id, phrases))
    found, strict = speaker_threshold(vault, 0.01), speaker_threshold(vault, 0.005)
    assert found.frr is not None
    assert found.frr.n == 5
    assert found.far is not None
    assert found.far.n == len(model.cohort)
    assert strict.value >= found.value > 0.0
    assert "Ada" not in found.model_dump_json()


def test_a_vault_without_its_key_is_said(tmp_path: Path) -> None:
    settings = SpeakerSettings(vault=tmp_path / "v", key_file=tmp_path / "no-key")
    (tmp_path / "v").write_bytes(b"not ours")
    assert speaker_threshold(settings, 0.01).note.startswith("not known")
