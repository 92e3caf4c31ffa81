"""What is taken, in which order, and what becomes of it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pytest
from tests.calibration.measure.faulty import Around, NoMicrophone
from tests.calibration.measure.known import room_of

from earmark.audio import AudioSettings, RoomConditions, SimulatedRoom
from earmark.errors import StreamBroken
from earmark.nonce import BfskSettings, Carrier, FixedKeys, NonceSettings, Source
from earmark.signal import Signal
from earmark_calibration.declared import Outcome
from earmark_calibration.measure import Catalogue, Measured, Progress, Rig, SoundSpent, measure
from earmark_calibration.measure.faults import Evidence, diagnose
from earmark_calibration.measure.noise import measure_noise
from earmark_calibration.record import CurveKind, Device, FaultKind, Measurement, Record

QUIET = RoomConditions(ambient_dbspl=38.0)


@pytest.fixture(scope="module")
def sound(measured: Callable[..., Measured]) -> Measured:
    return measured(QUIET)


def test_every_declaration_is_taken_once(sound: Measured, nonce: NonceSettings) -> None:
    catalogue = Catalogue.of(nonce)
    declared = {getattr(catalogue, name).name for name in catalogue.__slots__}
    taken = [m.declared.name for m in sound.measurements]
    assert sorted(taken) == sorted(declared)
    assert set(catalogue.__slots__) == declared
    assert all(m.value is not None for m in sound.measurements)


def test_the_limits_are_those_of_the_device(nonce: NonceSettings) -> None:
    tight = Catalogue.of(nonce.model_copy(update={"max_drift_ppm": 60.0, "max_delay_s": 0.1}))
    assert tight.drift.take(100.0).outcome is Outcome.FAIL
    assert Catalogue.of(nonce).drift.take(100.0).outcome is Outcome.PASS
    assert tight.delay.take(0.09).outcome is Outcome.MARGINAL
    assert tight.delay.take(0.2).outcome is Outcome.FAIL
    # The device itself refuses nothing that is called marginal here.
    assert tight.drift.take(60.0).outcome is Outcome.MARGINAL


def test_a_record_takes_all_of_it(sound: Measured) -> None:
    record = Record(
        device=Device(serial="1", program_version="1"),
        when=datetime(2026, 1, 1, tzinfo=UTC),
        measurements=tuple(Measurement.of(taken) for taken in sound.measurements),
        curves=sound.curves,
        faults=sound.faults,
    )
    text = record.to_json()
    assert Record.model_validate_json(text) == record
    assert len(text) < 1_000_000
    assert "NaN" not in text
    kinds = {curve.kind for curve in sound.curves}
    assert kinds == set(CurveKind) - {CurveKind.TRADE_OFF, CurveKind.SCORES}
    assert json.loads(text)["curves"]


def test_the_impulse_curve_is_at_its_top_at_zero(sound: Measured) -> None:
    curve = next(c for c in sound.curves if c.kind is CurveKind.IMPULSE_RESPONSE)
    top = int(np.argmax(np.abs(np.array(curve.y, float))))
    assert curve.x[top] == pytest.approx(0.0, abs=0.1)
    assert abs(curve.y[top] or 0.0) == pytest.approx(1.0)


def test_without_a_reference_there_is_no_sound_pressure(
    audio: AudioSettings, nonce: NonceSettings, draw: Callable[[], Carrier]
) -> None:
    told: list[Progress] = []
    port = SimulatedRoom(room_of(0.3), audio, QUIET)
    with Rig(lambda: port, tell=told.append) as rig:
        found = measure(rig, audio, nonce, draw)
    assert "noise_dbspl" not in {m.declared.name for m in found.measurements}
    order = list(dict.fromkeys(p.what for p in told))
    assert order == ["noise of the room", "chirps", "steps of level", "tones", "sweep", "nonce"]
    assert not any(p.clipped for p in told)


def test_nothing_is_played_on_that_makes_no_sense(measured: Callable[..., Measured]) -> None:
    found = measured(QUIET, fault=NoMicrophone)
    assert found.sound_s < 25.0
    assert found.impulse is None
    failed = [m for m in found.measurements if m.outcome is Outcome.FAIL]
    assert len(failed) > 10
    assert all("could not be measured" in m.advice for m in failed if m.value is None)


def test_the_other_waveform_is_measured_as_well(audio: AudioSettings) -> None:
    nonce = NonceSettings(waveform="bfsk", level_dbspl_1m=45.0, bfsk=BfskSettings())
    source = Source(nonce, FixedKeys(b"calibration test key, 32 bytes.."))
    rng = np.random.default_rng(1)
    port = SimulatedRoom(room_of(0.3), audio, QUIET)
    with Rig(lambda: port) as rig:
        found = measure(rig, audio, nonce, lambda: source.draw(rng.bytes, 0.0))
    assert found.faults == ()
    assert all(cancelled.received for cancelled in found.cancelled)
    assert all(cancelled.depth_db > 10.0 for cancelled in found.cancelled)


def test_too_little_sound_left_is_an_error_and_the_port_is_closed(
    audio: AudioSettings, nonce: NonceSettings, draw: Callable[[], Carrier]
) -> None:
    class Counted(Around):
        closed = 0

        def close(self) -> None:
            Counted.closed += 1

    port = Counted(SimulatedRoom(room_of(0.3), audio, QUIET))
    with pytest.raises(SoundSpent), Rig(lambda: port, limit_s=30.0) as rig:
        measure(rig, audio, nonce, draw)
    assert Counted.closed == 1


class Breaking(Around):
    """A port whose stream breaks once, so many blocks after it was opened."""

    left = 0

    def exchange(self, play: Signal) -> Signal:
        Breaking.left -= 1
        if Breaking.left == 0:
            raise StreamBroken("lost samples", "it is opened again")
        return super().exchange(play)

    def close(self) -> None:
        pass


def test_a_stream_that_broke_is_named_and_the_figures_still_hold(
    audio: AudioSettings, nonce: NonceSettings, draw: Callable[[], Carrier]
) -> None:
    Breaking.left = 1700  # within the sweep
    port = SimulatedRoom(room_of(0.5), audio, RoomConditions(ambient_dbspl=38.0, latency_s=0.2))
    with Rig(lambda: Breaking(port)) as rig:
        found = measure(rig, audio, nonce, draw)
    assert [fault.kind for fault in found.faults] == [FaultKind.STREAM_UNSTABLE]
    assert "broke once" in found.faults[0].advice
    assert found.reverberation is not None
    assert found.reverberation.broadband.rt60_s == pytest.approx(0.5, rel=0.15)


def test_gaps_are_named(audio: AudioSettings) -> None:
    noise = measure_noise(np.random.default_rng(0).standard_normal(32_000).astype(np.float32))
    evidence = Evidence(zeros=False, noise=noise, listened_clipped=False, gaps=2)
    advice = {fault.kind: fault.advice for fault in diagnose(evidence)}
    assert "2 sounds had gaps" in advice[FaultKind.STREAM_UNSTABLE]


def test_what_cannot_be_judged_is_no_number(sound: Measured) -> None:
    values = [m.value for m in sound.measurements if m.value is not None]
    assert all(math.isfinite(value) for value in values)
