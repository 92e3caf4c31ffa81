"""The whole of it in simulated rooms whose truth is known, at all clocks that must be measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import soxr
from scipy import signal as sps
from tests.calibration.measure.known import room_of

from earmark.audio import AudioSettings, RoomConditions, RoomModel, SimulatedRoom
from earmark.signal import BLOCK, BLOCK_S, RATE_HZ
from earmark_calibration.declared import Outcome
from earmark_calibration.measure import THIRDS, Measured
from earmark_calibration.measure.noise import LISTEN_S
from earmark_calibration.measure.rig import WARM_UP_S

CARD_SAMPLE_S = 1.0 / 48_000.0

CASES = [
    # drift ppm, shift Hz, RT60 s, ambient dB SPL, latency s
    (0.0, 0.0, 0.3, 40.0, 0.137),
    (50.0, 3.0, 0.6, 45.0, 0.0912),
    (-50.0, -12.5, 0.9, 38.0, 0.25),
    (300.0, 0.0, 0.45, 45.0, 0.3),
    (-300.0, 20.0, 0.25, 35.0, 0.1),
]


def true_response_db(room: RoomModel) -> np.ndarray:
    """From the room's response and the loudspeaker's stated limits alone."""
    response = room.responses["loudspeaker", "mic"].astype(np.float64)
    size = 1 << 17
    hz = np.fft.rfftfreq(size, 1.0 / RATE_HZ)
    magnitude = np.abs(np.fft.rfft(response, size))
    for edge, kind in ((200.0, "highpass"), (7000.0, "lowpass")):
        sections = sps.butter(2, edge, kind, fs=48_000, output="sos")
        magnitude *= np.abs(sps.sosfreqz(sections, hz, fs=48_000)[1])
    return 10.0 * np.log10(THIRDS.mean(hz, magnitude**2)) + 91.0 - 109.0


def true_delay_s(room: RoomModel, audio: AudioSettings, conditions: RoomConditions) -> float:
    """Of the same room without noise, distortion, drift and shift, from one click.

    The top of its envelope from 1 to 6 kHz, at 48 kHz times 16.
    """
    clean = replace(
        conditions,
        drift_ppm=0.0,
        frequency_shift_hz=0.0,
        thd_percent=0.0,
        mic_noise_dbspl=-100.0,
        ambient_dbspl=None,
    )
    port = SimulatedRoom(room, audio, clean)
    play = np.zeros((30, BLOCK), np.float32)
    play[0, 100] = 0.01
    heard = np.concatenate([port.exchange(block) for block in play]).astype(np.float64)
    fine = soxr.resample(heard, RATE_HZ, 48 * RATE_HZ, quality="VHQ")
    taps = sps.firwin(48 * 400 + 1, (1000.0, 6000.0), pass_zero=False, fs=48 * RATE_HZ)
    band = sps.fftconvolve(fine, taps, mode="same")
    return int(np.argmax(np.abs(sps.hilbert(band)))) / (48 * RATE_HZ) - 100 / RATE_HZ


@pytest.fixture(scope="module", params=CASES, ids=[f"{case[0]:+.0f} ppm" for case in CASES])
def case(
    request: pytest.FixtureRequest, measured: Callable[..., Measured]
) -> tuple[Measured, RoomModel, RoomConditions]:
    drift, shift, rt60, ambient, latency = request.param
    room = room_of(rt60, seed=3)
    conditions = RoomConditions(
        drift_ppm=drift,
        frequency_shift_hz=shift,
        ambient_dbspl=ambient,
        latency_s=latency,
        seed=5,
    )
    return measured(conditions, room), room, conditions


Case = tuple[Measured, RoomModel, RoomConditions]


def test_delay_within_one_sample_of_48_khz(case: Case, audio: AudioSettings) -> None:
    measured, room, conditions = case
    # The playback gains on the recording from the first block on, until the first chirp.
    ran_s = WARM_UP_S + LISTEN_S
    gained_s = ran_s * (1.0 - 1.0 / (1.0 + conditions.drift_ppm * 1e-6))
    truth = true_delay_s(room, audio, conditions) - gained_s
    assert measured.delay_s == pytest.approx(truth, abs=CARD_SAMPLE_S)
    samples = next(m for m in measured.measurements if m.declared.name == "delay_samples")
    assert samples.value == pytest.approx(truth * 48_000.0, abs=1.0)


def test_drift_within_5_ppm_and_shift_within_half_a_hertz(case: Case) -> None:
    measured, _, conditions = case
    assert measured.clock is not None
    assert measured.clock.clock is not None
    assert measured.clock.clock.drift_ppm == pytest.approx(conditions.drift_ppm, abs=5.0)
    assert measured.clock.clock.shift_hz == pytest.approx(conditions.frequency_shift_hz, abs=0.5)
    assert measured.clock.shifts_hz == pytest.approx(
        [conditions.frequency_shift_hz] * len(measured.clock.tones_hz), abs=0.5
    )
    assert measured.trace is not None
    # The second way to the drift, which knows nothing of the first.
    assert measured.trace.drift_ppm == pytest.approx(conditions.drift_ppm, abs=5.0)
    assert measured.trace.jitter_s == pytest.approx(0.0, abs=1e-6)


def test_rt60_within_15_percent(case: Case) -> None:
    measured, room, _ = case
    assert measured.reverberation is not None
    assert measured.reverberation.broadband.rt60_s == pytest.approx(room.rt60_s, rel=0.15)
    octaves = [octave.rt60_s for octave in measured.reverberation.octaves]
    known = [value for value in octaves if value is not None]
    assert len(known) >= 4
    assert known == pytest.approx([room.rt60_s] * len(known), rel=0.15)


def test_response_within_1_db_from_200_hz_to_7_khz(case: Case) -> None:
    measured, room, _ = case
    assert measured.response_db is not None
    centres = np.array(THIRDS.centres_hz)
    assert THIRDS.edges_hz(centres[0])[0] < 200.0
    assert THIRDS.edges_hz(centres[-1])[1] > 7000.0
    assert measured.response_db == pytest.approx(true_response_db(room), abs=1.0)


def test_noise_within_half_a_db(case: Case) -> None:
    measured, _, conditions = case
    assert conditions.ambient_dbspl is not None
    power = 10.0 ** (conditions.ambient_dbspl / 10.0) + 10.0 ** (conditions.mic_noise_dbspl / 10.0)
    truth_dbspl = 10.0 * np.log10(power)
    values = {m.declared.name: m.value for m in measured.measurements}
    assert values["noise_dbspl"] == pytest.approx(truth_dbspl, abs=0.5)
    assert values["noise_level"] == pytest.approx(truth_dbspl - 109.0, abs=0.5)


def test_distortion_is_what_was_set(case: Case) -> None:
    measured, _, conditions = case
    values = {m.declared.name: m.value for m in measured.measurements}
    assert values["distortion"] == pytest.approx(conditions.thd_percent, rel=0.15)


def test_a_sound_installation_has_no_fault_and_its_nonces_arrive(case: Case) -> None:
    measured, _, conditions = case
    assert measured.faults == ()
    assert all(cancelled.received for cancelled in measured.cancelled)
    failed = [m.declared.name for m in measured.measurements if m.outcome is Outcome.FAIL]
    assert failed == []
    marginal = {m.declared.name for m in measured.measurements if m.outcome is Outcome.MARGINAL}
    # At the edge of what the device compensates, and the room that rings longest.
    at_the_edge = {"drift"} if abs(conditions.drift_ppm) > 200.0 else set()
    at_the_edge |= {"frequency_shift"} if abs(conditions.frequency_shift_hz) > 10.0 else set()
    at_the_edge |= {"rt60"} if measured.reverberation.broadband.rt60_s > 0.8 else set()  # type: ignore[union-attr,operator]
    assert marginal == at_the_edge


def test_it_takes_less_than_half_of_the_sound_of_a_run(case: Case) -> None:
    measured, _, _ = case
    assert measured.sound_s <= 60.0
    assert measured.sound_s == pytest.approx(round(measured.sound_s / BLOCK_S) * BLOCK_S)
