"""Trials, predictions, the choice, and what is played."""

from __future__ import annotations

import numpy as np
import pytest

from earmark.audio import RoomConditions, SimulatedRoom, load_room
from earmark.nonce import BfskSettings, NonceSettings
from earmark.signal import RATE_HZ, level_dbfs
from earmark_calibration.choose import choice as choosing
from earmark_calibration.choose.choice import Priced, aimed, choose, sentence
from earmark_calibration.choose.options import (
    Heard,
    at_level,
    described,
    heard_at_1m,
    levels,
    parameters,
    shapes,
)
from earmark_calibration.choose.play import Trial, compare, hold, plan
from earmark_calibration.choose.predict import Prediction, detection, predict
from earmark_calibration.choose.profiles import AIMS
from earmark_calibration.choose.trial import PRE_ROLL_S, Trials, voices
from earmark_calibration.measure import Rig
from earmark_calibration.record import CurveKind, Profile

from .rooms import AUDIO, place

LOUD = NonceSettings(level_dbspl_1m=44.0)


@pytest.fixture(scope="module")
def trials() -> Trials:
    return Trials(place(), 7)


def test_the_same_trial_is_drawn_whatever_the_level(trials: Trials) -> None:
    one, other = trials.replay(LOUD, 4), trials.replay(at_level(LOUD, 30.0), 4)
    assert one.said == other.said
    assert one.recorder == other.recorder
    assert one.old is not None
    assert other.old is not None
    assert one.old.payload == other.old.payload
    assert not np.array_equal(one.drive, other.drive)
    assert trials.replay(LOUD, 5).recorder != one.recorder
    assert len(voices()) >= 10


def test_a_live_command_is_allowed_and_a_replay_found(trials: Trials) -> None:
    live = trials.live(LOUD, 0)
    seen = trials.predicted(live, 0, "live", LOUD)
    assert seen.allowed
    assert seen.accepted
    assert not seen.found
    for index in range(3):  # from each recorder
        replay = trials.replay(LOUD, index)
        seen = trials.predicted(replay, index, "replay", LOUD)
        assert seen.found
        assert not seen.allowed
    quiet = at_level(LOUD, 20.0)
    beside_the_mouth = trials.replay(quiet, 1)
    assert beside_the_mouth.recorder == "mouth"
    assert not trials.predicted(beside_the_mouth, 1, "replay", quiet).found


def test_a_nonce_that_is_not_played_is_not_accepted(trials: Trials) -> None:
    script = trials.live(LOUD, 1)
    recording = trials.place.noise(script.drive.size, np.random.default_rng(1))
    seen = trials.judge(script, recording, LOUD)
    assert not seen.accepted
    assert not seen.allowed


def test_a_command_has_its_level_at_the_microphone(trials: Trials) -> None:
    """60 dB SPL at 1 m, heard from 1 to 3 m, beside a nonce that was taken away here."""
    silent = at_level(LOUD, 20.0)
    heard = []
    for index in range(6):
        script = trials.live(silent, index)
        sound = trials.place.heard(script.drive)
        begin, end = (round(each * RATE_HZ) for each in script.speech)
        heard.append(level_dbfs(sound[begin:end]) + AUDIO.mic_dbspl_at_0dbfs)
    assert min(heard) > 48.0
    assert max(heard) < 63.0


def test_two_clocks_are_simulated(trials: Trials) -> None:
    drifting = Trials(place(drift_ppm=200.0), 7)
    script = drifting.live(LOUD, 0)
    seen = drifting.predicted(script, 0, "live", LOUD)
    report = seen.judgement.evidence.nonce
    assert report is not None
    assert report.drift_ppm == pytest.approx(200.0, abs=10.0)


def test_detection_rises_with_the_level(trials: Trials) -> None:
    found = detection(trials, NonceSettings(), (22.0, 34.0, 46.0), 6)
    shares = [found.at(level).value for level in found.levels_dbspl_1m]
    assert shares == sorted(shares)
    assert shares[0] < 1.0
    assert shares[-1] == 1.0
    assert found.lowest(1.0) in (34.0, 46.0)
    assert found.lowest(0.0) == 22.0
    # A level by itself says the same as the search by halves.
    plain = NonceSettings(
        level_dbspl_1m=22.0, spread=LOUD.spread.model_copy(update={"max_speed_percent": 0.0})
    )
    alone = sum(
        trials.predicted(trials.replay(plain, i, "grid"), i, "grid", plain).found for i in range(6)
    )
    assert alone == round(6 * shares[0])


def test_options_are_what_the_settings_really_have() -> None:
    for now in (NonceSettings(), NonceSettings(waveform="bfsk")):
        found = shapes(now)
        assert found[0] == now
        assert len(found) == len(set(found)) >= 3
        assert {each.waveform for each in found} == {now.waveform}
        for each in found:
            NonceSettings.model_validate(each.model_dump())
            assert set(parameters(each)) >= {"nonce.waveform", "nonce.level_dbspl_1m"}
    assert "bit/s" in described(NonceSettings(waveform="bfsk", bfsk=BfskSettings()))
    tried = levels(47.0)
    assert tried[-1] == 47.0
    assert tried[0] >= 24.0
    assert np.diff(tried) == pytest.approx(2.0)


def test_the_choice_is_the_least_heard_that_reaches_the_aim(
    trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "GRID_TRIALS", 3)
    monkeypatch.setattr(choosing, "CHECK_TRIALS", 3)
    monkeypatch.setattr(choosing, "FINAL_TRIALS", 3)
    steps: list[float] = []
    now = NonceSettings(level_dbspl_1m=46.0)
    aim = AIMS[Profile.NORMAL]
    chosen = choose(trials, now, aim, lambda _, done: steps.append(done))
    assert steps == sorted(steps)
    assert steps[-1] <= 1.0
    after = chosen.after.settings
    assert after.level_dbspl_1m <= aim.cap_dbspl_1m
    assert chosen.after.heard.phon < chosen.before.heard.phon
    # No other shape reaches the aim with less.
    for each in chosen.grid:
        level = each.lowest(aim.least_detection)
        if level is None or each.settings.spread == after.spread:
            continue
        others = heard_at_1m(at_level(each.settings, level), trials.place).added_sone
        best = next(one for one in chosen.grid if one.settings.spread == after.spread)
        lowest = best.lowest(aim.least_detection)
        assert lowest is not None
        mine = heard_at_1m(at_level(after, lowest), trials.place).added_sone
        assert mine <= others + 1e-9
    assert {curve.kind for curve in chosen.curves} == {CurveKind.TRADE_OFF}
    assert all(list(curve.x) == sorted(curve.x) for curve in chosen.curves)
    assert "phon quieter than before" in chosen.sentence
    assert chosen.after.option().stale_detection is not None


def test_payment_asks_for_every_bit_and_a_second_of_nonce() -> None:
    asked = aimed(NonceSettings(), AIMS[Profile.PAYMENT])
    assert asked.max_bit_error_rate == 0.0
    assert asked.min_covered_s == 1.0
    assert aimed(NonceSettings(), AIMS[Profile.NORMAL]) == NonceSettings()


def test_what_is_not_reached_is_said() -> None:
    heard = Heard(1.0, 40.0, 0.5, 3.0)
    aim = AIMS[Profile.NORMAL]
    poor = Priced(at_level(LOUD, aim.cap_dbspl_1m), Prediction(0, 80, 40, 80), heard)
    text = sentence(poor, poor, aim)
    assert "cap of 47 dB SPL is reached" in text
    assert "as loud as before" in text
    low = Priced(at_level(LOUD, 35.0), Prediction(0, 80, 74, 80), heard)
    assert "asks for 95 %" in sentence(low, low, aim)
    assert "cap" not in sentence(low, low, aim)


def test_playing_in_the_room_bears_out_the_prediction(trials: Trials) -> None:
    conditions = RoomConditions(ambient_dbspl=33.0, latency_s=0.1)
    predicted = predict(trials, LOUD, 4, "here")
    assert predicted.rejected == 0
    assert predicted.found == 4
    told: list[Trial] = []
    with Rig(lambda: SimulatedRoom(load_room("bedroom"), AUDIO, conditions)) as rig:
        for number in range(4):
            trial, seen, script = hold(trials, LOUD, number, rig.play)
            assert trial.stale == (script.old is not None) == bool(number % 2)
            assert trial.passed == (seen.found if trial.stale else seen.allowed)
            told.append(trial)
        assert rig.sound_s < 4 * 4.0 + 0.5
    verdict = compare(predicted, told)
    assert verdict.agrees
    assert (verdict.current.n, verdict.stale.n) == (2, 2)


def test_playing_notices_a_loudspeaker_that_is_covered_since(trials: Trials) -> None:
    conditions = RoomConditions(ambient_dbspl=33.0, latency_s=0.1)
    room = SimulatedRoom(load_room("bedroom"), AUDIO, conditions)
    room.jam_loudspeaker()
    with Rig(lambda: room) as rig:
        told = [hold(trials, LOUD, number, rig.play)[0] for number in range(6)]
    assert not any(trial.accepted for trial in told)
    assert not compare(Prediction(0, 80, 80, 80), told).agrees


def test_a_script_leaves_room_for_the_whole_nonce(trials: Trials) -> None:
    for number in range(6):
        script = plan(trials, LOUD, number)
        assert script.slots >= 8
        assert script.duration_s >= PRE_ROLL_S + 2.048 + trials.place.delay_s
        assert np.abs(script.drive).max() <= 0.71


def test_tones_are_held_too() -> None:
    tones = NonceSettings(waveform="bfsk", level_dbspl_1m=50.0)
    mine = Trials(place(), 8)
    seen = mine.predicted(mine.live(tones, 0), 0, "live", tones)
    assert seen.accepted
    replay = mine.replay(tones, 2)  # beside the device, where the old nonce is loud
    assert mine.predicted(replay, 2, "replay", tones).found
