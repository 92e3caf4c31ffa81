"""Every broken installation, simulated as a port does it, measured whole, named and advised."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from tests.calibration.measure.faulty import (
    Chopper,
    DeadMicrophone,
    EchoCanceller,
    Gate,
    HandsFree,
    Holes,
    Loopback,
    NoMicrophone,
    Slipping,
    Suppressor,
    WrongRate,
)
from tests.calibration.measure.known import room_of

from earmark.audio import (
    AudioPort,
    AudioSettings,
    RoomConditions,
    RoomModel,
    SimulatedRoom,
    load_room,
)
from earmark.demo.clips import load_clips
from earmark.errors import AudioError
from earmark.nonce import Carrier, NonceSettings
from earmark.signal import RATE_HZ
from earmark_calibration.declared import Outcome
from earmark_calibration.measure import Measured, Rig, measure
from earmark_calibration.record import FaultKind

QUIET = RoomConditions(ambient_dbspl=38.0)


@dataclass(frozen=True)
class Broken:
    """A fault, how it is brought about, and what the advice must say."""

    kind: FaultKind
    says: str
    fault: Callable[[AudioPort], AudioPort] = lambda port: port
    before: Callable[[SimulatedRoom], None] = lambda room: None
    conditions: RoomConditions = QUIET


def _television(room: SimulatedRoom) -> None:
    clip = load_clips().television()
    long = np.tile(clip, -(-60 * RATE_HZ // clip.size))[: 60 * RATE_HZ]
    room.play_at("television", long, 0.0, 60.0)


def _gain(db: float) -> RoomConditions:
    return RoomConditions(ambient_dbspl=38.0, mic_gain_db=db)


CASES = {
    "no microphone": Broken(FaultKind.MICROPHONE_MISSING, "plug the microphone in", NoMicrophone),
    "dead microphone": Broken(FaultKind.MICROPHONE_SILENT, "check its plug", DeadMicrophone),
    "loopback": Broken(FaultKind.WRONG_CHANNEL, "choose the channel", Loopback),
    "clips": Broken(
        FaultKind.MICROPHONE_CLIPS, r"turn the gain down by 1[3-7] dB", conditions=_gain(20.0)
    ),
    "clips on everything": Broken(
        FaultKind.MICROPHONE_CLIPS, r"turn the gain down by at least 36 dB", conditions=_gain(50.0)
    ),
    "no loudspeaker": Broken(
        FaultKind.LOUDSPEAKER_DEAD, "check its cable", before=lambda room: room.jam_loudspeaker()
    ),
    "covered loudspeaker": Broken(
        FaultKind.LOUDSPEAKER_WEAK,
        r"turn it up by (1[5-9]|2\d) dB",
        before=lambda room: room.jam_loudspeaker(40.0),
    ),
    "television": Broken(FaultKind.OTHER_SOUND, "television and music off", before=_television),
    "echo canceller": Broken(FaultKind.ECHO_CANCELLER, "echo-cancel", EchoCanceller),
    "echo canceller that chops": Broken(FaultKind.ECHO_CANCELLER, "falls silent", Chopper),
    "noise suppressor": Broken(FaultKind.ECHO_CANCELLER, "noise suppression", Gate),
    "holes": Broken(FaultKind.STREAM_UNSTABLE, "are missing", lambda port: Holes(port, every=100)),
    "suppressor": Broken(FaultKind.ECHO_CANCELLER, "falls silent", Suppressor),
    "8 kHz in between": Broken(
        FaultKind.SAMPLE_RATE_CONVERSION,
        r"above about (3\.[5-9]|4\.[0-5]) kHz",
        lambda port: HandsFree(port, 8_000),
    ),
    "11 kHz in between": Broken(
        FaultKind.SAMPLE_RATE_CONVERSION,
        r"above about 5\.\d kHz",
        lambda port: HandsFree(port, 11_025),
    ),
    "44.1 taken for 48": Broken(
        FaultKind.SAMPLE_RATE_CONVERSION, "0.919", lambda port: WrongRate(port, 44_100, 48_000)
    ),
    "48 taken for 44.1": Broken(
        FaultKind.SAMPLE_RATE_CONVERSION, "1.088", lambda port: WrongRate(port, 48_000, 44_100)
    ),
    "two crystals": Broken(
        FaultKind.CLOCK_DRIFT,
        r"differ by \+4\d\d ppm, the device compensates 300",
        conditions=RoomConditions(ambient_dbspl=38.0, drift_ppm=450.0),
    ),
    "slips": Broken(FaultKind.STREAM_UNSTABLE, "stepped", lambda port: Slipping(port, every=700)),
}


@pytest.fixture(scope="module", params=CASES, ids=list(CASES))
def case(
    request: pytest.FixtureRequest, measured: Callable[..., Measured]
) -> tuple[Broken, Measured]:
    broken = CASES[request.param]
    room = None
    if broken.before is _television:
        room = _room_with_a_television()
    return broken, measured(broken.conditions, room, broken.fault, broken.before)


def _room_with_a_television() -> RoomModel:
    return load_room("living_room")


def test_it_is_named_alone_and_the_advice_says_what_to_do(case: tuple[Broken, Measured]) -> None:
    broken, measured = case
    assert [fault.kind for fault in measured.faults] == [broken.kind]
    advice = measured.faults[0].advice
    assert re.search(broken.says, advice)
    assert len(advice) < 300
    assert "\n" not in advice


def test_every_kind_of_fault_is_simulated() -> None:
    assert {broken.kind for broken in CASES.values()} == set(FaultKind)


def test_two_faults_at_once_are_both_named(measured: Callable[..., Measured]) -> None:
    found = measured(RoomConditions(ambient_dbspl=38.0, drift_ppm=450.0, mic_gain_db=20.0))
    assert {fault.kind for fault in found.faults} == {
        FaultKind.MICROPHONE_CLIPS,
        FaultKind.CLOCK_DRIFT,
    }


def test_a_dead_loudspeaker_beside_a_loud_television_is_no_echo(
    measured: Callable[..., Measured],
) -> None:
    def before(room: SimulatedRoom) -> None:
        _television(room)
        room.jam_loudspeaker()

    found = measured(QUIET, _room_with_a_television(), before=before)
    assert [fault.kind for fault in found.faults] == [
        FaultKind.LOUDSPEAKER_DEAD,
        FaultKind.OTHER_SOUND,
    ]


@pytest.mark.parametrize("room", ["kitchen", "bedroom"])
def test_the_rooms_that_ship_are_sound(measured: Callable[..., Measured], room: str) -> None:
    found = measured(RoomConditions(ambient_dbspl=42.0, drift_ppm=20.0), load_room(room))
    assert found.faults == ()
    assert [m.declared.name for m in found.measurements if m.outcome is Outcome.FAIL] == []


def test_a_card_that_does_not_open_is_a_missing_microphone(
    audio: AudioSettings, nonce: NonceSettings, draw: Callable[[], Carrier]
) -> None:
    def open_port() -> AudioPort:
        raise AudioError("sound card hw:7 does not open; there are: none", "set audio.device")

    with Rig(open_port) as rig:
        found = measure(rig, audio, nonce, draw)
    assert [fault.kind for fault in found.faults] == [FaultKind.MICROPHONE_MISSING]
    assert "hw:7" in found.faults[0].advice
    assert "set audio.device" in found.faults[0].advice


def test_a_microphone_in_a_loud_steady_room_is_no_fault(measured: Callable[..., Measured]) -> None:
    found = measured(RoomConditions(ambient_dbspl=62.0))
    assert found.faults == ()
    assert found.level_dbspl_1m == 70.0  # it speaks up
    outcomes = {m.declared.name: m.outcome for m in found.measurements}
    assert outcomes["noise_dbspl"] is Outcome.FAIL


def test_in_loud_noise_all_can_still_be_measured(measured: Callable[..., Measured]) -> None:
    found = measured(RoomConditions(ambient_dbspl=55.0, ambient_colour="white"), room_of(0.5))
    assert found.faults == ()
    assert [m.declared.name for m in found.measurements if m.value is None] == []
    assert found.reverberation is not None
    assert found.reverberation.broadband.rt60_s == pytest.approx(0.5, rel=0.15)


def test_clipping_goes_away_by_the_advice(measured: Callable[..., Measured]) -> None:
    before = measured(_gain(24.0))
    found = re.search(r"by (\d+) dB", before.faults[0].advice)
    assert found is not None
    after = measured(_gain(24.0 - float(found[1])))
    assert after.faults == ()
    headroom = next(m for m in after.measurements if m.declared.name == "headroom")
    assert headroom.outcome is Outcome.PASS


def test_a_room_is_not_taken_for_a_loopback(measured: Callable[..., Measured]) -> None:
    """The deadest living room: 0.15 s, and 25 dB under the direct sound."""
    found = measured(RoomConditions(ambient_dbspl=30.0), room_of(0.15, 1, 25.0))
    assert found.faults == ()
