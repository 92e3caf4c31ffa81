"""A calibration from the first look to the signed settings; each step is kept when it is done.

preflight -> measure -> choose -> play -> thresholds -> report -> sign off

Nothing of the device is changed before the sign-off, and then one file appears at once. Until then
an interruption loses no more than the step in progress: ``resume`` goes on after the last one.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Protocol

import soundfile

from earmark import __file__ as program
from earmark import __version__
from earmark.audio import AudioPort
from earmark.config import Config
from earmark.doctor import Found
from earmark.errors import AudioError, EarmarkError, StreamBroken
from earmark.gate import Evidence
from earmark.signal import RATE_HZ, Signal
from earmark.speaker.manifest import NETWORK, read_manifest
from earmark.speaker.model import shipped_folder
from earmark_calibration import report
from earmark_calibration import state as kept
from earmark_calibration.choose.choice import aimed, choose
from earmark_calibration.choose.options import parameters
from earmark_calibration.choose.place import Place, place_of
from earmark_calibration.choose.play import PAIRS, Verdict, compare, hold
from earmark_calibration.choose.profiles import AIMS, Aim
from earmark_calibration.choose.statistics import share
from earmark_calibration.choose.thresholds import (
    Marks,
    alike,
    draws,
    marks,
    memory_thresholds,
    missed_copies,
    nonce_thresholds,
    score_curves,
    speaker_threshold,
)
from earmark_calibration.choose.trial import NOW_S, Script, Seen, Trials, source
from earmark_calibration.declared import Band, Declared, Outcome
from earmark_calibration.measure import MAX_SOUND_S, Measured, Progress, Reference, Rig, measure
from earmark_calibration.owner import give, make_folder
from earmark_calibration.preflight import LISTEN_S, levels, preflight, stops
from earmark_calibration.record import (
    Choice,
    Device,
    Estimate,
    Measurement,
    Option,
    Profile,
    Record,
    Threshold,
    Value,
    utc,
)
from earmark_calibration.settings import apply, changes, with_values
from earmark_calibration.state import Decided, Held, PlaceState, State, Surveyed

MAX_RAW_BYTES = 100_000_000
"""Most raw recordings that are kept when asked for, bytes: a whole run has 6 MB."""


class Watcher(Protocol):
    """Who is told what a run does, and asked before anything is written."""

    def phase(self, name: str) -> None:
        """A part of the run begins."""

    def meter(self, progress: Progress) -> None:
        """Sound is played and recorded: 10 times a second."""

    def worked(self, what: str, done: float) -> None:
        """So much (0 to 1) of a part without sound is done."""

    def found(self, findings: list[Found]) -> None:
        """What the preflight found."""

    def agree(self, record: Record) -> bool:
        """Whether the settings of this record are to be written."""


@dataclass(frozen=True)
class Wish:
    """What the technician asked for.

    Parameters
    ----------
    profile : what matters most.
    out : folder of the reports and of the state of the run.
    by : who signs the settings off.
    config_path : main file of the settings; None for the installed one.
    dry : measure and report, but write no settings.
    hardware : a real device, not the simulated room.
    meter_dbspl : what a sound-level meter read beside the microphone (unweighted), if one did.
    raw : folder for raw recordings; None keeps none.
    serial : of the device; None for the machine's own.
    pairs : live commands and replays that are played, each.
    limit_s : most sound, s.
    """

    profile: Profile
    out: Path
    by: str
    config_path: Path | None = None
    dry: bool = False
    hardware: bool = True
    meter_dbspl: float | None = None
    raw: Path | None = None
    serial: str | None = None
    pairs: int = PAIRS
    limit_s: float = MAX_SOUND_S


@dataclass(frozen=True)
class Done:
    """How a run ended.

    Parameters
    ----------
    record : all that was found; None when the preflight stopped it.
    written : where the report is.
    applied : the settings were written.
    findings : of the preflight.
    """

    record: Record | None
    written: report.Written | None
    applied: bool
    findings: list[Found] = field(default_factory=list)


class Calibration:
    """One run.

    Parameters
    ----------
    config : the device's settings.
    wish : what is asked for.
    open_port : opens the audio port.
    watcher : is told.
    state : to go on from, or a new one.
    """

    def __init__(
        self,
        config: Config,
        wish: Wish,
        open_port: Callable[[], AudioPort],
        watcher: Watcher,
        state: State,
    ) -> None:
        self._config = config
        self._wish = wish
        self._open_port = open_port
        self._watcher = watcher
        self._state = state
        self._raw_bytes = 0

    @property
    def state(self) -> State:
        """What was found so far."""
        return self._state

    def run(self) -> Done:
        """Calibrate.

        Raises
        ------
        EarmarkError
            It cannot go on. What was found is on the disk.
        KeyboardInterrupt
            Likewise.
        """
        watcher, wish = self._watcher, self._wish
        watcher.phase("preflight")
        findings = preflight(self._config, wish.config_path, hardware=wish.hardware)
        if stops(findings):
            watcher.found(findings)
            return Done(None, None, False, findings)
        self._keep()
        limit_s = wish.limit_s - self._state.sound_s
        with Rig(self._open_port, limit_s, watcher.meter) as rig:
            if self._state.surveyed is None:
                findings += self._listen(rig)
            watcher.found(findings)
            if stops(findings):
                return Done(None, None, False, findings)
            before_s = self._state.sound_s
            if self._state.surveyed is None:
                watcher.phase("measure")
                self._keep(surveyed=self._survey(rig), sound_s=before_s + rig.sound_s)
            place = self._place
            if place is not None:
                if self._state.decided is None:
                    # It takes minutes, in which nobody would read the card.
                    rig.close()
                    watcher.phase("choose")
                    self._keep(decided=self._decide(place))
                watcher.phase("play")
                for held in self._play(rig, place):
                    self._keep(held=(*self._state.held, held), sound_s=before_s + rig.sound_s)
        watcher.phase("thresholds")
        done = self._finish(findings)
        kept.forget(wish.out)
        return done

    # -- the steps --------------------------------------------------------------------------

    def _listen(self, rig: Rig) -> list[Found]:
        try:
            return levels(rig.listen(LISTEN_S, "listening"))
        except StreamBroken:
            raise
        except AudioError:
            return []  # the measurement names it as a fault, in a report

    def _survey(self, rig: Rig) -> Surveyed:
        config, wish = self._config, self._wish
        drawn = source(config.nonce, os.urandom(32))
        reference = Reference.by_maker(config.audio.mic_dbspl_at_0dbfs)
        found = measure(
            rig,
            config.audio,
            config.nonce,
            lambda: drawn.draw(os.urandom, NOW_S),
            reference,
        )
        audio = config.audio
        if wish.meter_dbspl is not None and found.noise is not None:
            reference = Reference.by_meter(wish.meter_dbspl, found.noise.level_dbfs)
            audio = audio.model_copy(update={"mic_dbspl_at_0dbfs": reference.dbspl_at_0dbfs})
        self._raw("noise", found.listened)
        return Surveyed(
            measurements=tuple(
                _with_reference(Measurement.of(each), found, reference)
                for each in found.measurements
            ),
            curves=found.curves,
            faults=found.faults,
            spl_reference=reference.source,
            mic_dbspl_at_0dbfs=audio.mic_dbspl_at_0dbfs,
            place=self._place_of(found),
        )

    def _place_of(self, found: Measured) -> PlaceState | None:
        """What the prediction rests on; None where a fault makes it pointless."""
        if found.faults or found.impulse is None:
            return None
        clock = None if found.clock is None else found.clock.clock
        try:
            place = place_of(
                found.impulse,
                found.listened,
                self._config.audio,
                0.0 if clock is None else clock.drift_ppm,
            )
        except ValueError:
            return None
        return PlaceState.of(place)

    @property
    def _place(self) -> Place | None:
        surveyed = self._state.surveyed
        if surveyed is None or surveyed.place is None:
            return None
        sensitivity = {"mic_dbspl_at_0dbfs": surveyed.mic_dbspl_at_0dbfs}
        return surveyed.place.place(self._config.audio.model_copy(update=sensitivity))

    @property
    def _aim(self) -> Aim:
        return AIMS[self._wish.profile]

    def _decide(self, place: Place) -> Decided:
        trials = Trials(place, self._state.seed)
        chosen = choose(trials, self._config.nonce, self._aim, self._watcher.worked)
        return Decided(
            before=chosen.before,
            after=chosen.after,
            curves=chosen.curves,
            met=chosen.met,
            sentence=chosen.sentence,
        )

    def _play(self, rig: Rig, place: Place) -> Iterator[Held]:
        """Play the trials that are still to be played."""
        assert self._state.decided is not None  # decided before
        settings = self._state.decided.after.settings
        trials = Trials(place, self._state.seed)
        count = 2 * self._wish.pairs
        for number in range(len(self._state.held), count):
            what = f"{'replay' if number % 2 else 'command'} {number + 1} of {count}"

            def play(signal: Signal, what: str = what) -> Signal:
                return rig.play(signal, what)

            trial, seen, script = hold(trials, settings, number, play)
            self._raw(f"trial-{number + 1:02d}", seen.judgement.recorded.recording)
            drawn = draws(script, seen, settings, trials.rng("draws", number))
            yield Held(trial=trial, draws=drawn, marks=_marks(script, seen))

    def _finish(self, findings: list[Found]) -> Done:
        record = self._record(applied=False)
        wish, wanted = self._wish, self._wanted
        # Before anybody is asked: it is what they agree to.
        done = self._end(record, findings)
        if wish.dry or record.outcome is Outcome.FAIL or not wanted:
            return done
        if not self._watcher.agree(record):
            return done
        self._watcher.phase("sign off")
        signed = record.model_copy(update={"applied": True})
        apply(
            wish.config_path,
            wanted,
            who=wish.by,
            when=record.when,
            profile=wish.profile,
            report_sha256=hashlib.sha256(signed.to_json().encode()).hexdigest(),
        )
        return self._end(signed, findings)

    def _end(self, record: Record, findings: list[Found]) -> Done:
        self._watcher.phase("report")
        written = report.write(record, self._wish.out)
        return Done(record, written, record.applied, findings)

    # -- what comes of it -------------------------------------------------------------------

    @cached_property
    def _wanted(self) -> dict[str, Value]:
        """The settings to write, by key."""
        decided, surveyed = self._state.decided, self._state.surveyed
        if decided is None or surveyed is None:
            return {}
        wanted: dict[str, Value] = dict(parameters(decided.after.settings))
        wanted["speaker.far_target"] = min(self._aim.far_target, self._config.speaker.far_target)
        wanted["memory.speech_factor"] = alike(self._heard).factor
        if self._wish.meter_dbspl is not None:
            wanted["audio.mic_dbspl_at_0dbfs"] = round(surveyed.mic_dbspl_at_0dbfs, 2)
        with_values(self._config, wanted)
        return wanted

    @property
    def _heard(self) -> list[Marks]:
        return [each.marks for each in self._state.held if each.marks is not None]

    @cached_property
    def _copies(self) -> tuple[int, int]:
        place, decided = self._place, self._state.decided
        if place is None or decided is None:
            return 0, 0
        return missed_copies(Trials(place, self._state.seed), decided.after.settings)

    def _record(self, *, applied: bool) -> Record:
        state, surveyed, decided = self._state, self._state.surveyed, self._state.decided
        assert surveyed is not None  # measured before
        measurements, curves = list(surveyed.measurements), list(surveyed.curves)
        choice: Choice | None = None
        thresholds: list[Threshold] = []
        if decided is not None:
            verdict = compare(decided.after.prediction, [each.trial for each in state.held])
            measurements += _verified(decided, verdict, self._aim)
            drawn = [each.draws for each in state.held]
            stale = [each.trial.evidence for each in state.held if each.trial.stale]
            curves += [*decided.curves, *score_curves(drawn, stale)]
            choice = _choice(decided, verdict)
            settings = aimed(decided.after.settings, self._aim)
            thresholds += nonce_thresholds(
                settings, drawn, _refused(state.held), decided.after.prediction
            )
            thresholds += memory_thresholds(self._heard, self._config.memory, self._copies)
        far_target = min(self._aim.far_target, self._config.speaker.far_target)
        thresholds.append(speaker_threshold(self._config.speaker, far_target))
        return Record(
            device=_device(self._config, self._wish, state),
            when=utc(state.when),
            profile=self._wish.profile,
            sound_s=round(state.sound_s, 2),
            spl_reference=surveyed.spl_reference,
            measurements=tuple(measurements),
            curves=tuple(curves),
            choice=choice,
            thresholds=tuple(thresholds),
            faults=surveyed.faults,
            settings=changes(self._config, self._wanted),
            applied=applied,
        )

    def _keep(self, **found: object) -> None:
        """Note what was found, on the disk."""
        self._state = self._state.with_(**found)
        kept.save(self._state, self._wish.out)

    def _raw(self, name: str, recording: Signal) -> None:
        """Keep a recording where somebody asked for it; for its owner only."""
        folder = self._wish.raw
        if folder is None or not recording.size:
            return
        self._raw_bytes += 2 * recording.size
        if self._raw_bytes > MAX_RAW_BYTES:
            return
        path = folder / f"{name}.wav"
        try:
            make_folder(folder, mode=0o700)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
            with open(os.open(path, flags, 0o600), "wb") as file:
                give(file.fileno())
                soundfile.write(file, recording, RATE_HZ, subtype="PCM_16", format="WAV")
        except (OSError, soundfile.LibsndfileError) as error:
            raise EarmarkError(
                f"{path} cannot be written ({error})", "name another: --raw"
            ) from None


def _marks(script: Script, seen: Seen) -> Marks | None:
    """Fingerprints of a live command without the nonce, as the query memory would take them."""
    evidence: Evidence = seen.judgement.evidence
    if script.old is not None or evidence.speech is None:
        return None
    return marks(script.said, evidence.within_speech(evidence.cleaned))


def _refused(held: tuple[Held, ...]) -> Estimate:
    """Share of all played current nonces, those under a replay too, that were not accepted."""
    return share(sum(not each.trial.accepted for each in held), len(held))


def _choice(decided: Decided, verdict: Verdict) -> Choice:
    played = {"played_current": verdict.current, "played_stale": verdict.stale}
    after: Option = decided.after.option().model_copy(update=played)
    return Choice(before=decided.before.option(), after=after, sentence=decided.sentence)


def _verified(decided: Decided, verdict: Verdict, aim: Aim) -> list[Measurement]:
    """What the profile asks, and what was played, as declared measurements."""
    prediction, n = decided.after.prediction, verdict.stale.n
    detection = Declared(
        "stale_detection",
        "share",
        "Replays whose old nonce is found, as predicted for the chosen settings. The profile asks "
        f"for {aim.least_detection:g}; down to 0.1 less is marginal.",
        Band(aim.least_detection, 1.0),
        Band(max(0.0, aim.least_detection - 0.1), 1.0),
        too_low="reduce the noise, move the device away from its source, or choose a louder "
        "profile (payment)",
        too_high="report this: a share is at most 1",
    )
    rejects = Declared(
        "false_rejects",
        "share",
        "Live commands that the nonce's checks refuse, as predicted for the chosen settings.",
        Band(None, aim.most_false_rejects),
        Band(None, aim.most_false_rejects + 0.05),
        too_high="reduce the noise, or move the device",
    )
    low, high = verdict.stale_expected
    played_stale = Declared(
        "played_stale_missed",
        "",
        f"Replays that were missed when {n} were played. The prediction allows {low} to {high}; "
        f"{n} trials show gross errors only.",
        Band(float(low), float(high)) if low else Band(None, float(high)),
        Band(0.0, float(high)) if low else None,
        too_low="none: fewer were missed than predicted" if low else "",
        too_high="something differs from what was measured: look for other sounds and measure "
        "again",
    )
    low, high = verdict.current_expected
    played_current = Declared(
        "played_current_refused",
        "",
        f"Live commands that were refused when {verdict.current.n} were played. The prediction "
        f"allows up to {high}.",
        Band(None, float(high)),
        too_high="something differs from what was measured: look for other sounds and measure "
        "again",
    )
    return [
        Measurement.of(detection.take(prediction.stale_detection.value)),
        Measurement.of(rejects.take(prediction.false_rejects.value)),
        Measurement.of(played_stale.take(float(verdict.stale.failures))),
        Measurement.of(played_current.take(float(verdict.current.failures))),
    ]


def _with_reference(measurement: Measurement, found: Measured, reference: Reference) -> Measurement:
    """Levels in dB SPL by the sound-level meter, where there was one."""
    if measurement.name != "noise_dbspl" or found.noise is None:
        return measurement
    return measurement.model_copy(update={"value": reference.dbspl(found.noise.level_dbfs)})


def _device(config: Config, wish: Wish, state: State) -> Device:
    return Device(
        serial=wish.serial or serial() or config.device.name,
        program_version=__version__,
        program_sha256=_program_sha256(),
        settings_sha256=state.settings_sha256,
        speaker_model_sha256=_model_sha256(config),
        audio_kind=config.audio.kind,
        audio_device=config.audio.device or "",
    )


def serial() -> str | None:
    """The machine's serial number: a Raspberry Pi's, else its host name."""
    try:
        text = Path("/proc/device-tree/serial-number").read_bytes()[:64]
        return text.decode("ascii", "replace").strip("\0 \n") or None
    except OSError:
        return platform.node()[:64] or None


def _program_sha256() -> str:
    """Hash over the device's modules, however they were installed."""
    root = Path(program).parent
    modules = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.py"))
    lines = (f"{name} {hashlib.sha256((root / name).read_bytes()).hexdigest()}" for name in modules)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _model_sha256(config: Config) -> str | None:
    """Hash of the speaker model's network, by its manifest."""
    try:
        folder = config.speaker.model or shipped_folder()
        return read_manifest(folder).sha256[NETWORK]
    except (EarmarkError, KeyError):
        return None


def new_state(config: Config, profile: Profile, seed: int) -> State:
    """A run that has found nothing yet."""
    return State.new(config, profile, seed, datetime.now(UTC))
