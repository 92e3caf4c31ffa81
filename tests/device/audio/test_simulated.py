"""The simulated room does to sound what its conditions say, measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import oaconvolve

from earmark.audio import (
    AudioSettings,
    Paced,
    RoomConditions,
    RoomModel,
    SimulatedRoom,
    load_room,
    loudspeaker_rms,
    microphone_dbspl,
    shipped_rooms,
)
from earmark.audio._convolver import Convolver
from earmark.audio.room_model import LEAD
from earmark.errors import StreamBroken
from earmark.signal import BLOCK, RATE_HZ, Signal, level_dbfs

SETTINGS = AudioSettings(kind="simulated")
IDEAL = RoomConditions(mic_noise_dbspl=-100.0, thd_percent=0.0)
SILENCE = np.zeros(BLOCK, dtype=np.float32)


def run(port: SimulatedRoom, play: Signal) -> Signal:
    padded = np.concatenate([play, np.zeros(-play.size % BLOCK, dtype=np.float32)])
    return np.concatenate([port.exchange(block) for block in padded.reshape(-1, BLOCK)])


def listen(port: SimulatedRoom, seconds: float) -> Signal:
    return run(port, np.zeros(round(seconds * RATE_HZ), dtype=np.float32))


def sine(hz: float, rms: float, seconds: float) -> Signal:
    times = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (np.sqrt(2.0) * rms * np.sin(2.0 * np.pi * hz * times)).astype(np.float32)


def noise(seconds: float, seed: int = 0, rms: float = 0.01) -> Signal:
    white = np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ))
    return (white * rms).astype(np.float32)


def amplitude(signal: Signal, hz: float) -> float:
    """Amplitude of a component, through a Hann window."""
    window = np.hanning(signal.size)
    turn = np.exp(-2j * np.pi * hz * np.arange(signal.size) / RATE_HZ)
    return float(2.0 * np.abs(np.sum(signal * window * turn)) / window.sum())


def frequency_hz(signal: Signal, near_hz: float) -> float:
    """Frequency of a tone from the slope of its phase."""
    n = np.arange(signal.size)
    turned = signal * np.exp(-2j * np.pi * near_hz * n / RATE_HZ)
    phases = np.unwrap([np.angle(part.sum()) for part in np.array_split(turned, 40)])
    times = [part.mean() / RATE_HZ for part in np.array_split(n, 40)]
    return near_hz + float(np.polyfit(times, phases, 1)[0]) / (2.0 * np.pi)


# -- convolution ----------------------------------------------------------------------------


def test_streamed_convolution_equals_the_offline_one() -> None:
    room = load_room("kitchen")
    signals = {"person_2m": noise(1.0, 1, 1.0), "attacker": noise(1.0, 2, 1.0)}
    convolver = Convolver(room)
    heard = []
    for begin in range(0, RATE_HZ, BLOCK):
        convolver.push({name: s[begin : begin + BLOCK] for name, s in signals.items()})
        heard.append(convolver.heard("r1"))
    offline = sum(
        oaconvolve(s.astype(np.float64), room.responses[name, "r1"])[:RATE_HZ]
        for name, s in signals.items()
    )
    error = np.concatenate(heard) - offline
    assert np.max(np.abs(error)) < 1e-5 * np.max(np.abs(offline))


def test_a_receiver_that_listens_later_hears_the_reverberation_of_earlier_sound() -> None:
    port = SimulatedRoom(load_room("kitchen"), SETTINGS, IDEAL)
    port.say("person_1m", noise(0.2), 70.0)
    listen(port, 0.2)
    port.record("r1")
    listen(port, 0.1)
    assert level_dbfs(port.recording("r1")) > -75.0


# -- clocks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("drift_ppm", [300.0, -300.0, 37.0])
def test_drift_is_what_was_asked_for_within_1_ppm(free_field: RoomModel, drift_ppm: float) -> None:
    port = SimulatedRoom(free_field, SETTINGS, replace(IDEAL, drift_ppm=drift_ppm))
    heard = run(port, sine(1000.0, 0.05, 6.0))[RATE_HZ:]
    measured = (frequency_hz(heard, 1000.0) / 1000.0 - 1.0) * 1e6
    assert measured == pytest.approx(drift_ppm, abs=1.0)


def delay(heard: Signal, played: Signal) -> int:
    return int(np.argmax(np.abs(oaconvolve(heard, played[::-1])))) - played.size + 1


@pytest.mark.parametrize(("latency_s", "shift_hz"), [(0.08, 0.0), (0.2, 0.0), (0.08, 1e-6)])
def test_latency_is_what_was_asked_for_and_constant(
    free_field: RoomModel, latency_s: float, shift_hz: float
) -> None:
    conditions = replace(IDEAL, latency_s=latency_s, frequency_shift_hz=shift_hz)
    port = SimulatedRoom(free_field, SETTINGS, conditions)
    burst = noise(0.5)
    for _ in range(4):
        heard = run(port, np.concatenate([burst, np.zeros(RATE_HZ // 2, dtype=np.float32)]))
        # The loudspeaker's filters add some 2 samples.
        assert delay(heard, burst) == pytest.approx(latency_s * RATE_HZ + LEAD + 2, abs=1)


@pytest.mark.parametrize("drift_ppm", [500.0, -500.0])
def test_latency_wanders_by_a_block_at_most_and_slips_are_counted(
    free_field: RoomModel, drift_ppm: float
) -> None:
    port = SimulatedRoom(free_field, SETTINGS, replace(IDEAL, drift_ppm=drift_ppm))
    burst = noise(0.2)
    cycle = np.concatenate([burst, np.zeros(round(0.8 * RATE_HZ), dtype=np.float32)])
    delays = [delay(run(port, cycle), burst) for _ in range(45)]
    # 500 ppm make a block of 20 ms in 40 s.
    assert port.slips == 1
    nominal = round(0.08 * RATE_HZ) + LEAD + 2
    assert max(abs(d - nominal) for d in delays) <= BLOCK + 1
    assert abs(delays[-1] - nominal) < 60


@pytest.mark.parametrize("shift_hz", [-20.0, 7.5])
def test_frequency_shift_moves_tones_and_leaves_no_image(
    free_field: RoomModel, shift_hz: float
) -> None:
    port = SimulatedRoom(free_field, SETTINGS, replace(IDEAL, frequency_shift_hz=shift_hz))
    heard = run(port, sine(1000.0, 0.05, 3.0))[RATE_HZ:]
    assert frequency_hz(heard, 1000.0 + shift_hz) == pytest.approx(1000.0 + shift_hz, abs=1e-3)
    image = amplitude(heard, 1000.0 - shift_hz) / amplitude(heard, 1000.0 + shift_hz)
    assert 20.0 * np.log10(image) < -50.0


# -- loudspeaker ----------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "low", "high"), [(50, 0.2, 0.35), (60, 0.95, 1.05), (80, 1, 3)])
def test_thd_is_1_percent_at_the_drive_level(
    free_field: RoomModel, level: float, low: float, high: float
) -> None:
    port = SimulatedRoom(free_field, SETTINGS, replace(IDEAL, thd_percent=1.0))
    heard = run(port, sine(1000.0, loudspeaker_rms(level, SETTINGS), 1.5))[RATE_HZ // 2 :]
    first, *others = (amplitude(heard, 1000.0 * k) for k in range(1, 8))
    assert low < 100.0 * np.sqrt(np.sum(np.square(others))) / first < high


def test_distortion_does_not_alias(free_field: RoomModel) -> None:
    """The third harmonic of 5 kHz is 15 kHz; folded at 16 kHz it would be at 1 kHz."""
    port = SimulatedRoom(free_field, SETTINGS, replace(IDEAL, thd_percent=5.0))
    heard = run(port, sine(5000.0, loudspeaker_rms(60.0, SETTINGS), 1.5))[RATE_HZ // 2 :]
    for hz in (1000.0, 4000.0, 6000.0):
        assert 20.0 * np.log10(amplitude(heard, hz) / amplitude(heard, 5000.0)) < -80.0


def test_loudspeaker_is_flat_in_the_middle_and_3_db_down_at_200_hz(free_field: RoomModel) -> None:
    heard = {}
    for hz in (200.0, 1000.0, 3000.0):
        port = SimulatedRoom(free_field, SETTINGS, IDEAL)
        heard[hz] = 20.0 * np.log10(amplitude(run(port, sine(hz, 0.02, 1.5))[8000:], hz))
    assert heard[200.0] - heard[1000.0] == pytest.approx(-3.0, abs=0.3)
    assert heard[3000.0] - heard[1000.0] == pytest.approx(0.0, abs=0.5)


def test_a_phone_has_less_bass_than_a_speaker(free_field: RoomModel) -> None:
    clip = sine(200.0, 0.1, 1.0) + sine(1000.0, 0.1, 1.0)
    ratio = {}
    for through in ("speaker", "phone"):
        port = SimulatedRoom(free_field, SETTINGS, IDEAL)
        port.say("attacker", clip, 60.0, through)
        heard = listen(port, 1.0)[4000:]
        ratio[through] = 20.0 * np.log10(amplitude(heard, 200.0) / amplitude(heard, 1000.0))
    assert ratio["phone"] < ratio["speaker"] - 8.0


# -- levels ---------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["person_1m", "attacker"])
def test_60_db_spl_at_1_m_record_as_60_db_spl(free_field: RoomModel, source: str) -> None:
    port = SimulatedRoom(free_field, SETTINGS, IDEAL)
    port.say(source, noise(2.0, rms=0.3), 60.0)
    heard = listen(port, 2.0)
    assert level_dbfs(heard) == pytest.approx(60.0 - 109.0, abs=0.1)
    assert microphone_dbspl(level_dbfs(heard), SETTINGS) == pytest.approx(60.0, abs=0.1)


def test_playback_at_50_db_spl_records_as_50_db_spl_at_1_m(free_field: RoomModel) -> None:
    port = SimulatedRoom(free_field, SETTINGS, IDEAL)
    heard = run(port, sine(1000.0, loudspeaker_rms(50.0, SETTINGS), 2.0))[RATE_HZ:]
    assert microphone_dbspl(level_dbfs(heard), SETTINGS) == pytest.approx(50.0, abs=0.1)


@pytest.mark.parametrize("name", shipped_rooms())
def test_playback_is_23_db_louder_at_the_microphone_than_at_1_m(name: str) -> None:
    port = SimulatedRoom(load_room(name), SETTINGS, IDEAL)
    tone = noise(2.0, rms=loudspeaker_rms(50.0, SETTINGS))
    level = microphone_dbspl(level_dbfs(run(port, tone)[RATE_HZ:]), SETTINGS)
    # The loudspeaker's band limits take 0.9 dB off white noise, the room adds up to 0.3.
    assert level == pytest.approx(50.0 + 23.1 - 0.9, abs=0.7)


@pytest.mark.parametrize("colour", ["white", "pink", "brown"])
def test_noise_has_its_level_and_mic_and_recorder_hear_other_noise(
    free_field: RoomModel, colour: str
) -> None:
    conditions = replace(IDEAL, ambient_dbspl=50.0, ambient_colour=colour)
    port = SimulatedRoom(free_field, SETTINGS, conditions)
    port.record("r1")
    heard = listen(port, 5.0)
    recorded = port.recording("r1")
    assert microphone_dbspl(level_dbfs(heard), SETTINGS) == pytest.approx(50.0, abs=0.7)
    assert microphone_dbspl(level_dbfs(recorded), SETTINGS) == pytest.approx(50.0, abs=0.7)
    assert abs(np.corrcoef(heard, recorded)[0, 1]) < 0.1


def test_a_clip_as_noise_loops_without_end_until_stopped(free_field: RoomModel) -> None:
    port = SimulatedRoom(free_field, SETTINGS, IDEAL)
    port.noise(noise(0.5), 55.0)
    heard = listen(port, 3.0)
    for second in np.split(heard, 3):
        assert microphone_dbspl(level_dbfs(second), SETTINGS) == pytest.approx(55.0, abs=0.5)
    port.stop_noise()
    assert level_dbfs(listen(port, 0.1)) == -120.0


def test_self_noise_of_the_microphone(free_field: RoomModel) -> None:
    port = SimulatedRoom(free_field, SETTINGS, replace(IDEAL, mic_noise_dbspl=30.0))
    heard = listen(port, 2.0)
    assert microphone_dbspl(level_dbfs(heard), SETTINGS) == pytest.approx(30.0, abs=0.2)


def test_the_microphone_clips_at_full_scale(free_field: RoomModel) -> None:
    port = SimulatedRoom(free_field, SETTINGS, replace(IDEAL, mic_gain_db=40.0))
    port.say("person_1m", sine(500.0, 0.1, 1.0), 80.0)
    heard = listen(port, 1.0)
    assert np.max(np.abs(heard)) == 1.0
    assert port.clipped_samples == np.count_nonzero(np.abs(heard) == 1.0) > 1000


# -- time, people, recorders ----------------------------------------------------------------


def test_a_clip_begins_at_its_sample(free_field: RoomModel) -> None:
    port = SimulatedRoom(free_field, SETTINGS, IDEAL)
    clip = noise(0.3)
    end_s = port.play_at("person_1m", clip, 0.2501, 60.0)
    heard = listen(port, 1.0)
    assert end_s == pytest.approx(0.5501, abs=1 / RATE_HZ)
    assert delay(heard, clip) == round(0.2501 * RATE_HZ) + LEAD
    assert port.now_s == pytest.approx(1.0)


def test_clips_at_one_position_add_up(free_field: RoomModel) -> None:
    one, both = (SimulatedRoom(free_field, SETTINGS, IDEAL) for _ in range(2))
    clip = noise(0.5)
    one.say("person_1m", clip, 60.0)
    both.say("person_1m", clip, 60.0)
    both.say("person_1m", clip, 60.0)
    difference = level_dbfs(listen(both, 0.5)) - level_dbfs(listen(one, 0.5))
    assert difference == pytest.approx(6.02, abs=0.01)


def test_a_recorder_hears_the_loudspeaker_and_people_at_its_own_clock(
    free_field: RoomModel,
) -> None:
    port = SimulatedRoom(free_field, SETTINGS, IDEAL)
    port.say("person_1m", sine(700.0, 0.1, 4.0), 60.0)
    port.record("r1", clock_ppm=200.0, noise_dbspl=0.0)
    run(port, sine(1000.0, loudspeaker_rms(60.0, SETTINGS), 4.0))
    recorded = port.recording("r1")
    assert recorded.size == pytest.approx(4 * RATE_HZ * 1.0002, abs=2)
    # A faster clock takes more samples, so played at the nominal rate the tone is lower.
    tone_hz = frequency_hz(recorded[RATE_HZ : 3 * RATE_HZ], 1000.0)
    assert tone_hz == pytest.approx(1000.0 / 1.0002, abs=0.01)
    person, device = (amplitude(recorded[RATE_HZ:], hz / 1.0002) for hz in (700.0, 1000.0))
    assert person == pytest.approx(device, rel=0.05)
    np.testing.assert_array_equal(recorded * 2**15, np.round(recorded * 2**15))


def test_a_recording_is_bounded(free_field: RoomModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("earmark.audio.simulated.MAX_RECORDING_S", 0.1)
    port = SimulatedRoom(free_field, SETTINGS, IDEAL)
    port.record("r1")
    listen(port, 0.5)
    assert port.recording("r1").size == round(0.1 * RATE_HZ)


def busy_run(room: RoomModel, seed: int) -> Signal:
    conditions = RoomConditions(
        drift_ppm=100.0, frequency_shift_hz=3.0, ambient_dbspl=50.0, seed=seed
    )
    port = SimulatedRoom(room, SETTINGS, conditions)
    port.noise(noise(0.3), 50.0)
    port.say("person_1m", noise(0.3), 60.0)
    port.record("r1", clock_ppm=50.0)
    heard = run(port, noise(0.5, 7))
    return np.concatenate([heard, port.recording("r1")])


def test_a_seed_fixes_every_bit(free_field: RoomModel) -> None:
    one, again, other = (busy_run(free_field, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_pacing_waits_for_each_block_and_changes_nothing(free_field: RoomModel) -> None:
    now, waits = [100.0], []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    plain = SimulatedRoom(free_field, SETTINGS, RoomConditions(seed=3))
    paced = Paced(
        SimulatedRoom(free_field, SETTINGS, RoomConditions(seed=3)), lambda: now[0], sleep
    )
    for number in range(50):
        now[0] += 0.05 if number == 10 else 0.005
        np.testing.assert_array_equal(paced.exchange(SILENCE), plain.exchange(SILENCE))
    assert now[0] == pytest.approx(101.005)  # the clock began after the first 5 ms
    assert max(waits) == pytest.approx(0.02)
    paced.close()
    with pytest.raises(StreamBroken):
        paced.exchange(SILENCE)


# -- faults ---------------------------------------------------------------------------------


@pytest.mark.parametrize("attenuation_db", [30.0, None])
def test_a_jammed_loudspeaker_is_quiet_until_it_is_freed(
    free_field: RoomModel, attenuation_db: float | None
) -> None:
    port = SimulatedRoom(free_field, SETTINGS, IDEAL)
    tone = sine(1000.0, 0.01, 0.5)
    free = level_dbfs(run(port, np.tile(tone, 2))[8000:])
    port.jam_loudspeaker(*([] if attenuation_db is None else [attenuation_db]))
    jammed = level_dbfs(run(port, tone)[1600:])
    expected = -120.0 if attenuation_db is None else free - attenuation_db
    assert jammed == pytest.approx(expected, abs=0.1)
    port.jam_loudspeaker(0.0)
    assert level_dbfs(run(port, tone)[1600:]) == pytest.approx(free, abs=0.1)


def test_the_stream_breaks_when_told_and_stays_broken(free_field: RoomModel) -> None:
    port = SimulatedRoom(free_field, SETTINGS, IDEAL)
    listen(port, 0.1)
    port.break_after(0.04)
    listen(port, 0.04)
    for _ in range(2):
        with pytest.raises(StreamBroken, match="stopped"):
            port.exchange(SILENCE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"drift_ppm": 501.0}, "drift_ppm is 501"),
        ({"latency_s": 0.01}, "latency_s is 0.01"),
        ({"thd_percent": float("nan")}, "thd_percent is nan"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_impossible_conditions_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RoomConditions(**change)


@pytest.mark.parametrize(
    ("source", "clip", "start_s", "message"),
    [
        ("person_9m", noise(0.1), 1.0, "no position 'person_9m'.*attacker, person_1m"),
        ("loudspeaker", noise(0.1), 1.0, "no position 'loudspeaker'"),
        ("person_1m", noise(0.1), 0.0, "in the past"),
        ("person_1m", noise(0.1) * 0, 1.0, "not silent"),
        ("person_1m", np.zeros((2, 9), dtype=np.float32), 1.0, "1-D"),
        ("person_1m", noise(0.1) * np.float32("nan"), 1.0, "finite"),
        ("person_1m", np.ones(121 * RATE_HZ, dtype=np.float32), 1.0, "up to 120 s"),
    ],
)
def test_bad_clips_are_refused(
    free_field: RoomModel, source: str, clip: Signal, start_s: float, message: str
) -> None:
    port = SimulatedRoom(free_field, SETTINGS, IDEAL)
    listen(port, 0.1)
    with pytest.raises(ValueError, match=message):
        port.play_at(source, clip, start_s, 60.0)


def test_what_is_scheduled_is_bounded(free_field: RoomModel) -> None:
    port = SimulatedRoom(free_field, SETTINGS, IDEAL)
    clip = np.ones(100 * RATE_HZ, dtype=np.float32)
    for _ in range(3):
        port.say("person_1m", clip, 60.0)
    with pytest.raises(ValueError, match="more than 300"):
        port.say("person_1m", noise(0.1), 60.0)


def test_other_misuse_is_refused(free_field: RoomModel) -> None:
    port = SimulatedRoom(free_field, SETTINGS, IDEAL)
    with pytest.raises(ValueError, match="320 finite samples"):
        port.exchange(SILENCE[1:])
    with pytest.raises(ValueError, match="320 finite samples"):
        port.exchange(SILENCE + np.float32("inf"))
    with pytest.raises(ValueError, match="no receiver 'r9'"):
        port.record("r9")
    with pytest.raises(ValueError, match="nothing was recorded"):
        port.recording("r1")
    for _ in range(8):
        port.noise("white", 30.0)
    with pytest.raises(ValueError, match="at most 8"):
        port.noise("white", 30.0)
