"""A whole run in the simulated room: what it writes, and what an interruption leaves."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from earmark.audio import AudioPort, RoomConditions, SimulatedRoom, load_room
from earmark.config import Config, load
from earmark.doctor import Found
from earmark.errors import AudioError
from earmark_calibration import run as module
from earmark_calibration.choose import choice as choosing
from earmark_calibration.choose.choice import Chosen, Priced, choose
from earmark_calibration.choose.options import at_level, heard_at_1m
from earmark_calibration.choose.predict import Prediction
from earmark_calibration.choose.thresholds import draws
from earmark_calibration.choose.trial import NOW_S, Trials, source
from earmark_calibration.declared import Outcome
from earmark_calibration.measure import Measured, Progress, Reference, Rig, measure
from earmark_calibration.record import FaultKind, Profile, Record, read_record
from earmark_calibration.run import Calibration, Done, Wish, new_state
from earmark_calibration.settings import DROP_IN, signed_off, value_at
from earmark_calibration.state import FILE, StateError, resumed

PAIRS = 2


@dataclass
class Watcher:
    """Agrees or not, and may interrupt."""

    agrees: bool = True
    interrupt: Callable[[str], bool] = lambda _: False
    phases: list[str] = field(default_factory=list)
    sounds: list[str] = field(default_factory=list)
    findings: list[Found] = field(default_factory=list)

    def _happens(self, what: str) -> None:
        if self.interrupt(what):
            raise KeyboardInterrupt

    def phase(self, name: str) -> None:
        self.phases.append(name)
        self._happens(name)

    def meter(self, progress: Progress) -> None:
        if progress.what not in self.sounds:
            self.sounds.append(progress.what)
            self._happens(progress.what)

    def worked(self, what: str, done: float) -> None:
        self._happens(what)

    def found(self, findings: list[Found]) -> None:
        self.findings = findings

    def agree(self, record: Record) -> bool:
        assert not record.applied
        return self.agrees


def told(trials: Trials, now: object, aim: object, watched: object) -> Chosen:
    """A choice that is made at once; the real one has tests of its own."""
    settings = Config().nonce
    place = trials.place
    before = Priced(settings, Prediction(0, 40, 40, 40), heard_at_1m(settings, place))
    quieter = at_level(settings, 38.0)
    after = Priced(quieter, Prediction(0, 40, 40, 40), heard_at_1m(quieter, place))
    watched("a choice", 1.0)  # type: ignore[operator]
    return Chosen(before, after, (), (), True, "Because a test says so.")


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """The settings of a device that stands in the simulated room."""
    main = tmp_path / "earmark.yaml"
    main.write_text(
        "audio:\n  kind: simulated\n  room: bedroom\n"
        f"speaker:\n  vault: null\ncontrol:\n  path: null\n  mute_file: {tmp_path / 'muted'}\n"
    )
    return main


def _room() -> SimulatedRoom:
    config = Config().audio.model_copy(update={"kind": "simulated", "room": "bedroom"})
    conditions = RoomConditions(ambient_dbspl=33.0, latency_s=0.1)
    return SimulatedRoom(load_room("bedroom"), config, conditions)


@pytest.fixture
def room() -> Callable[[], AudioPort]:
    return _room


def calibrate(
    main: Path,
    port: Callable[[], AudioPort],
    watcher: Watcher,
    *,
    resume: bool = False,
    **wishes: object,
) -> Done:
    config = load(main)
    out = main.parent / "out"
    wish = Wish(
        Profile.NORMAL,
        out,
        "A. Tester",
        main,
        hardware=False,
        serial="0001",
        pairs=PAIRS,
        **wishes,  # type: ignore[arg-type]
    )
    state = (
        resumed(out, config, wish.profile) if resume else new_state(config, wish.profile, seed=3)
    )
    return Calibration(config, wish, port, watcher, state).run()


def tree(main: Path) -> dict[str, bytes]:
    """The device's settings."""
    folder = main.with_suffix(".d")
    files = [main, *(folder.iterdir() if folder.exists() else ())]
    return {file.name: file.read_bytes() for file in files}


@pytest.fixture(scope="module")
def measured() -> Measured:
    """The room, measured once."""
    config = Config()
    audio = config.audio.model_copy(update={"kind": "simulated", "room": "bedroom"})
    drawn = source(config.nonce, bytes(32))
    with Rig(_room) as rig:
        reference = Reference.by_maker(audio.mic_dbspl_at_0dbfs)
        return measure(
            rig,
            audio,
            config.nonce,
            lambda: drawn.draw(lambda n: bytes(range(n)), NOW_S),
            reference,
        )


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few draws: how often they are wrong is tested elsewhere."""
    monkeypatch.setattr(module, "draws", partial(draws, wrong=1, foreign=1))
    monkeypatch.setattr(module, "missed_copies", lambda trials, settings: (0, 2))


@pytest.fixture
def quick(few: None, measured: Measured, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was measured before is measured again, in half a second of sound."""
    monkeypatch.setattr(module, "choose", told)

    def again(rig: Rig, *_: object) -> Measured:
        rig.listen(0.5, "noise of the room")
        return measured

    monkeypatch.setattr(module, "measure", again)


@pytest.mark.usefixtures("few")
def test_a_whole_run_chooses_plays_reports_and_signs_off(
    device: Path, room: Callable[[], AudioPort], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing replaced but the number of trials."""
    for name in ("GRID_TRIALS", "CHECK_TRIALS", "FINAL_TRIALS"):
        monkeypatch.setattr(choosing, name, 2)
    assert module.choose is choose
    watcher = Watcher()
    done = calibrate(device, room, watcher)
    record = done.record
    assert record is not None
    assert record.outcome is not Outcome.FAIL
    assert record.faults == ()
    assert done.applied
    assert watcher.phases[-2:] == ["sign off", "report"]
    # The settings are those of the report, and the device reads them.
    effective = load(device)
    assert {c.key: c.after for c in record.settings} == {
        c.key: value_at(effective, c.key) for c in record.settings
    }
    assert record.settings
    signed = signed_off(device)
    assert signed is not None
    assert signed.who == "A. Tester"
    # The report is on the disk, and holds what was played.
    assert done.written is not None
    assert read_record(done.written.json) == record
    assert record.applied
    assert record.choice is not None
    assert record.choice.after.played_stale is not None
    assert record.choice.after.played_stale.n == PAIRS
    names = {curve.name for curve in record.curves}
    assert {"impulse_response", "trade_off_0", "scores_wrong"} <= names
    assert {each.name for each in record.thresholds} >= {
        "nonce.max_bit_error_rate",
        "nonce.stale_false_alarm",
        "memory.paper.speech",
        "memory.paper.music",
        "speaker.threshold",
    }
    # With the 12 pairs of a real run.
    assert record.sound_s + 2 * (12 - PAIRS) * 3.6 < 180.0
    # Nothing else is left: no state, no recording.
    assert sorted(file.suffix for file in (device.parent / "out").iterdir()) == [".html", ".json"]
    assert not (device.parent / "out" / FILE).exists()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "moment",
    ["measure", "noise of the room", "a choice", "play", "replay 2 of 4", "thresholds"],
)
def test_interrupted_at_any_moment_it_leaves_the_device_as_it_was_and_resumes(
    device: Path, room: Callable[[], AudioPort], moment: str
) -> None:
    before = tree(device)
    with pytest.raises(KeyboardInterrupt):
        calibrate(device, room, Watcher(interrupt=lambda what: what == moment))
    assert tree(device) == before
    state = device.parent / "out" / FILE
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    again = Watcher()
    done = calibrate(device, room, again, resume=True)
    assert done.applied
    assert done.record is not None
    assert done.record.choice is not None
    assert done.record.choice.after.played_stale is not None
    assert done.record.choice.after.played_stale.n == PAIRS
    if moment not in ("measure", "noise of the room"):
        assert "measure" not in again.phases  # what was measured is not measured again
        assert "noise of the room" not in again.sounds
    if moment == "thresholds":
        assert again.sounds == []
    if moment == "replay 2 of 4":
        assert "command 1 of 4" not in again.sounds
    assert not state.exists()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("dry", "agrees"), [(True, True), (False, False)])
def test_nothing_is_written_in_a_dry_run_or_without_agreement(
    device: Path, room: Callable[[], AudioPort], dry: bool, agrees: bool
) -> None:
    before = tree(device)
    done = calibrate(device, room, Watcher(agrees=agrees), dry=dry)
    assert not done.applied
    assert done.record is not None
    assert done.record.settings  # what would change is in the report
    assert not done.record.applied
    assert done.written is not None
    assert tree(device) == before


def test_a_broken_installation_is_reported_and_nothing_is_chosen(
    device: Path, room: Callable[[], AudioPort]
) -> None:
    before = tree(device)

    def jammed() -> AudioPort:
        port = room()
        assert isinstance(port, SimulatedRoom)
        port.jam_loudspeaker()
        return port

    watcher = Watcher()
    done = calibrate(device, jammed, watcher)
    assert done.record is not None
    assert done.record.outcome is Outcome.FAIL
    assert {fault.kind for fault in done.record.faults} == {FaultKind.LOUDSPEAKER_DEAD}
    assert done.record.choice is None
    assert "choose" not in watcher.phases
    assert tree(device) == before


def test_a_card_that_does_not_open_is_a_fault_in_a_report(device: Path) -> None:
    def missing() -> AudioPort:
        raise AudioError("no sound card", "plug it in")

    done = calibrate(device, missing, Watcher())
    assert done.record is not None
    assert [fault.kind for fault in done.record.faults] == [FaultKind.MICROPHONE_MISSING]
    assert done.written is not None
    assert not done.applied


@pytest.mark.usefixtures("quick")
def test_the_report_is_there_before_anybody_agrees(
    device: Path, room: Callable[[], AudioPort]
) -> None:
    out = device.parent / "out"
    seen: list[int] = []

    class Reads(Watcher):
        def agree(self, record: Record) -> bool:
            seen.extend(len(list(out.glob(each))) for each in ("*.html", "*.json"))
            raise KeyboardInterrupt

    before = tree(device)
    with pytest.raises(KeyboardInterrupt):
        calibrate(device, room, Reads())
    assert seen == [1, 2]  # the report, and the state of the run
    assert tree(device) == before
    assert calibrate(device, room, Watcher(), resume=True).applied


def test_a_silent_microphone_stops_it_after_a_second(device: Path) -> None:
    class Silence:
        def exchange(self, play: object) -> object:
            return play * 0  # type: ignore[operator]

        def close(self) -> None:
            pass

    watcher = Watcher()
    done = calibrate(device, Silence, watcher)  # type: ignore[arg-type]
    assert done.record is None
    assert "digital silence" in " ".join(one.found for one in done.findings)
    assert "measure" not in watcher.phases


@pytest.mark.usefixtures("quick")
def test_recordings_are_kept_only_when_asked_for(
    device: Path, room: Callable[[], AudioPort]
) -> None:
    raw = device.parent / "raw"
    calibrate(device, room, Watcher(), raw=raw)
    names = sorted(file.name for file in raw.iterdir())
    assert names == ["noise.wav", *(f"trial-{n:02d}.wav" for n in range(1, 2 * PAIRS + 1))]
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in raw.iterdir())


@pytest.mark.usefixtures("quick")
def test_a_meter_ties_levels_to_sound_pressure(device: Path, room: Callable[[], AudioPort]) -> None:
    done = calibrate(device, room, Watcher(), meter_dbspl=39.0)
    assert done.record is not None
    noise = done.record.measurement("noise_dbspl")
    assert noise is not None
    assert noise.value == pytest.approx(39.0, abs=0.01)
    assert "sound-level meter" in done.record.spl_reference
    level = done.record.measurement("noise_level")
    assert level is not None
    assert level.value is not None
    effective = load(device)
    assert effective.audio.mic_dbspl_at_0dbfs == pytest.approx(39.0 - level.value, abs=0.01)


@pytest.mark.usefixtures("quick")
def test_a_run_of_other_settings_is_not_resumed(
    device: Path, room: Callable[[], AudioPort]
) -> None:
    with pytest.raises(StateError, match="no run was interrupted"):
        calibrate(device, room, Watcher(), resume=True)
    with pytest.raises(KeyboardInterrupt):
        calibrate(device, room, Watcher(interrupt=lambda what: what == "choose"))
    out = device.parent / "out"
    with pytest.raises(StateError, match="for the profile normal"):
        resumed(out, load(device), Profile.QUIET)
    device.write_text(device.read_text() + "device:\n  name: another\n")
    with pytest.raises(StateError, match="settings have changed"):
        resumed(out, load(device), Profile.NORMAL)
    (out / FILE).write_text("{}")
    with pytest.raises(StateError, match="damaged"):
        resumed(out, load(device), Profile.NORMAL)


def test_the_drop_in_has_its_place_before_the_owners() -> None:
    assert DROP_IN < "90-owner.yaml"
