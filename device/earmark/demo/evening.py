"""Plays the scenes: real devices in simulated rooms, one evening after another.

Everything from the wake word to the forwarded file is the product's own code with its default
settings. Simulated are the rooms, the people in them and the time of day; the nonces come from
the operating system, fresh in every run.
"""

from __future__ import annotations

import io
import math
import os
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import numpy as np

from earmark.audio import AudioPort, Paced, RoomConditions, RoomModel, SimulatedRoom, load_room
from earmark.config import Config
from earmark.daemon import InlineExecutor, build
from earmark.demo.clips import Clips, load_clips
from earmark.demo.scenes import Enrols, Expected, Replays, Scene, Varies
from earmark.enrolling import Phrases, enrolling_loop
from earmark.forward import Forwarder, open_forwarder
from earmark.gate import (
    GUEST,
    UNJUDGED,
    Announcement,
    Decision,
    Embedder,
    Finding,
    Outcome,
    Reason,
    Verdict,
    speaker_of,
)
from earmark.judging import Judgement
from earmark.loop import SILENCE, SessionLoop
from earmark.memory import QueryMemory
from earmark.nonce import KeyRing, Ledger
from earmark.session import State
from earmark.signal import BLOCK_S, RATE_HZ, Signal, active_level_dbfs, gain
from earmark.speaker import Criterion, Enrolment, SpeakerModel, Vault, create_key

COMMANDS = "commands"
"""Folder of the forwarded commands, below the one of the evening."""

LEAD_S = 1.2
"""Quiet before anybody speaks, s: the wake word's front end settles on the noise of the room."""

LEAD_AGAIN_S = 0.6
"""The same when the session before was in this noise, s: it has settled already."""

PHRASES = 4
"""Phrases that enrol somebody here; a device asks for five unless told otherwise. There are no
more of one reader whom the speaker model has never heard."""

TAIL_S = 1.0
"""Recorded after a session is over, s: the feedback sound ends."""

TAPE_S = 0.5
"""What an attacker leaves after the command, s: he cuts off the device's answer."""

MAX_SCENE_S = 30.0
"""Longest scene, s: the lead, the longest replay (9 s), the cap on a command (15 s)."""

TELEVISION_S = 10.0
"""How long the television talks, s. The scene is over after 7; all 32 s of the clips would take
35 MB while they pass its loudspeaker."""

RECORDER_PPM = 35.0
"""How much faster the bystander's clock runs, ppm: two ordinary crystals."""


@dataclass(frozen=True)
class SceneResult:
    """What came of a scene.

    Parameters
    ----------
    scene : what was played.
    decision, reason : the verdict; None when no session began.
    findings : of the gate's checks; none when the session ended before it was judged.
    began_unix_s : the simulated wall clock at the start of the last session, UTC, s.
    audio_s : length of the audio simulated, s, in all sessions.
    decision_cpu_s : CPU time of the decision, s.
    latency_s : from the end of the command to the verdict, s: audio time and the decision's
        CPU time. None when nobody spoke a command.
    suppression_db : how far the nonce fell in what would be forwarded, dB.
    uncovered_s : how much of the command the nonce did not cover, s.
    told : what the room was told.
    recorded_at, recorded_in : for a replay, when (UTC, s) and in which room it was recorded.
    forwarded : the file of the forwarded command.
    sessions : how many there were; all but the last were allowed.
    person : the name of who spoke or has enrolled; :data:`GUEST` for somebody whose voice did not
        matter; None when it was not found out.
    """

    scene: Scene
    decision: Decision | None
    reason: Reason | None
    findings: tuple[Finding, ...]
    began_unix_s: float
    audio_s: float
    decision_cpu_s: float
    latency_s: float | None
    suppression_db: float | None
    uncovered_s: float | None
    told: Announcement | None
    recorded_at: float | None
    recorded_in: str | None
    forwarded: Path | None
    sessions: int = 1
    person: str | None = None

    @property
    def enrols(self) -> bool:
        """Somebody enrolled: nothing was to be forwarded."""
        return isinstance(self.scene.what, Enrols)

    @property
    def commands(self) -> int:
        """How many commands were forwarded; of several sessions all but the last were allowed."""
        return 0 if self.enrols else self.sessions - (self.forwarded is None)

    @property
    def expected(self) -> Expected:
        """What should have come of it."""
        return self.scene.expected

    @property
    def as_expected(self) -> bool:
        """Verdict, reason, named room, count and person are as expected; and forwarded was what
        was allowed, but no phrase."""
        expected = self.expected
        forwards = expected.decision is Decision.ALLOW and not self.enrols
        return (
            (self.decision, self.reason, self.recorded_in, self.sessions)
            == (expected.decision, expected.reason, expected.recorded_in, expected.sessions)
            and expected.person in (None, self.person)
            and (self.forwarded is not None) == forwards
        )

    def to_json(self) -> dict[str, object]:
        """The result as JSON values."""
        return {
            "scene": self.scene.name,
            "expected": self.expected.decision.value,
            "verdict": self.decision.value if self.decision else None,
            "reason": self.reason.value if self.reason else None,
            "checks": {
                finding.check: {
                    "passed": finding.outcome is Outcome.PASSED,
                    "score": _finite(finding.score),
                    "detail": {key: _finite(value) for key, value in finding.detail.items()},
                }
                for finding in self.findings
            },
            "audio_s": round(self.audio_s, 2),
            "decision_cpu_s": round(self.decision_cpu_s, 4),
            "person": self.person,
            "expected_reason": self.expected.reason.value,
            "as_expected": self.as_expected,
            "title": self.scene.title,
            "device": self.scene.room,
            "sessions": self.sessions,
            "latency_s": None if self.latency_s is None else round(self.latency_s, 3),
            "suppression_db": None
            if self.suppression_db is None
            else round(self.suppression_db, 1),
            "uncovered_s": None if self.uncovered_s is None else round(self.uncovered_s, 3),
            "told": self.told.text if self.told else None,
            "recorded_unix_s": self.recorded_at,
            "recorded_in": self.recorded_in,
            "forwarded": str(self.forwarded) if self.forwarded else None,
        }


def _finite(value: object) -> object:
    """JSON has neither NaN nor infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True, eq=False)
class Sound:
    """What there is to see of a scene. It holds audio: for memory only.

    Parameters
    ----------
    microphone : the recording of the session, or of the whole scene when it was not judged.
    judgement : what it was judged by; None when it was not.
    config : the device's settings.
    listening_s : when the nonce played, s in `microphone`; known only without a judgement.
    """

    microphone: Signal
    config: Config
    judgement: Judgement | None
    listening_s: tuple[float, float] | None = None


@dataclass
class _Witness:
    """Takes down what the room is told and what was judged, since it was last cleared."""

    told: list[Announcement] = field(default_factory=list)
    judged: list[Judgement] = field(default_factory=list)

    def announce(self, told: Announcement) -> None:
        if told is not Announcement.WOKEN:
            self.told.append(told)

    def observe(self, judgement: Judgement, _: State) -> None:
        self.judged.append(judgement)

    def clear(self) -> None:
        self.told.clear()
        self.judged.clear()


class _Device:
    """One of the household's devices, as the daemon would build it."""

    def __init__(
        self,
        room: str,
        folder: Path,
        speaker: Embedder,
        forwarder: Forwarder,
        executor: Executor,
        entropy: Callable[[int], bytes],
        now: Callable[[], float],
    ) -> None:
        self.config = device_config(room, folder)
        self.room = load_room(room)
        self.witness = _Witness()
        self.speaker = speaker
        self._executor, self._entropy, self._now = executor, entropy, now
        self.ledger = Ledger.open(self.config.ledger.path, self.config.ledger)
        self.memory = QueryMemory.open(self.config.memory, entropy)
        self._keys = KeyRing.open(self.config.keys.path, self.config.keys, entropy)
        self.vault = Vault.of(self.config.speaker, {}, entropy)
        self.loop = build(
            self.config,
            executor=executor,
            ledger=self.ledger,
            keys=self._keys,
            memory=self.memory,
            speaker=speaker,
            vault=self.vault,
            forwarder=forwarder,
            outlets=(self.witness,),
            entropy=entropy,
            now=now,
            observer=self.witness.observe,
        )

    def enrolment(self, name: str) -> Enrolment:
        """The enrolment of a person who agrees now."""
        settings = self.config.speaker
        criterion = Criterion.calibrated(settings.far_target, self.speaker.decision)
        people = self.vault.people
        return Enrolment(settings.enrolment, self.speaker, people, name, self._now(), criterion)

    def enrolling(self, phrases: Phrases) -> SessionLoop:
        """The same device, as `earmark people enrol` would run it in the daemon's place."""
        return enrolling_loop(
            self.config,
            phrases.review,
            executor=self._executor,
            ledger=self.ledger,
            keys=self._keys,
            memory=self.memory,
            outlets=(self.witness,),
            entropy=self._entropy,
            now=self._now,
            observer=self.witness.observe,
        )

    def spoke(self, verdict: Verdict) -> str | None:
        """The name of who spoke, :data:`GUEST`, or None."""
        person = speaker_of(verdict)
        if person is not None:
            return next(one.name for one in self.vault.people if one.id == person)
        return GUEST if verdict.decision is Decision.ALLOW else None


def device_config(room: str, folder: Path) -> Config:
    """The settings of the device in `room`: the defaults, whatever is in ``/etc``.

    But for :data:`PHRASES`.
    """
    return Config.model_validate(
        {
            "device": {"name": room, "room": room.replace("_", " ")},
            "audio": {"kind": "simulated", "room": room},
            "ledger": {"path": folder / f"{room}.sqlite"},
            # One household, one secret.
            "keys": {"path": folder / "keys.json"},
            "memory": {"folder": folder / f"{room}-memory"},
            "speaker": {
                "vault": folder / f"{room}-people.vault",
                "key_file": folder / "people.key",
                "enrolment": {"phrases": PHRASES},
            },
        }
    )


@dataclass(frozen=True)
class _Tape:
    """A recording that somebody made, and when the command in it ends, s."""

    signal: Signal
    command_end_s: float


class Evening:
    """The household with its devices, for one evening.

    Parameters
    ----------
    out : folder in which the forwarded commands are kept, in :data:`COMMANDS`.
    begins_unix_s : the simulated wall clock at minute 0.
    seed : of all noise.
    real_time : take as long as the audio does.
    entropy : gives fresh random bytes.
    clips : the recordings; those that ship when None.
    speaker : the speaker model; the one that ships when None.

    Raises
    ------
    EarmarkError
        A clip is missing, or the folder cannot be used.
    """

    def __init__(
        self,
        out: Path,
        *,
        begins_unix_s: float,
        seed: int = 1,
        real_time: bool = False,
        entropy: Callable[[int], bytes] = os.urandom,
        clips: Clips | None = None,
        speaker: Embedder | None = None,
    ) -> None:
        self._begins_unix_s = begins_unix_s
        self._seed = seed
        self._real_time = real_time
        self._entropy = entropy
        self._clips = clips or load_clips()
        self._speaker = speaker or SpeakerModel.open()
        self._now_unix_s = begins_unix_s
        self._devices: dict[str, _Device] = {}
        self._tapes: dict[str, _Tape] = {}
        self._commands = out / COMMANDS
        with ExitStack() as stack:
            # Ledgers and memories: nobody needs them after the evening.
            self._kept = Path(stack.enter_context(TemporaryDirectory(prefix="earmark-demo-")))
            create_key(self._kept / "people.key", entropy)
            forward = Config().forward.model_copy(update={"folder": self._commands})
            self._forwarder = open_forwarder(forward)
            stack.callback(self._forwarder.close)
            # In real time the decision runs beside the loop, as on a device.
            self._executor: Executor = (
                ThreadPoolExecutor(max_workers=1) if real_time else InlineExecutor()
            )
            stack.callback(self._executor.shutdown)
            self._open = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the devices and remove what they kept. Closing twice is harmless."""
        self._open.close()
        self._devices.clear()
        self._tapes.clear()

    def play(self, scene: Scene) -> tuple[SceneResult, Sound]:
        """Play one scene; of several sessions the last one is shown.

        Raises
        ------
        KeyError
            It replays a scene that was not played before, or not recorded.
        """
        device = self._device(scene.room)
        if isinstance(scene.what, Enrols):
            return self._enrol(scene, scene.what, device)
        return self._sessions(scene, device, device.loop)

    def _enrol(self, scene: Scene, what: Enrols, device: _Device) -> tuple[SceneResult, Sound]:
        self._now_unix_s = self._began_unix_s(scene, 0)
        enrolment = device.enrolment(what.name)
        loop = device.enrolling(Phrases(enrolment, lambda _: None))
        result, sound = self._sessions(scene, device, loop)
        if not enrolment.complete:
            return replace(result, person=None), sound
        enrolled = enrolment.finish(self._now_unix_s, self._entropy)
        device.vault.add(enrolled.person)
        return replace(result, person=enrolled.person.name), sound

    def _sessions(
        self, scene: Scene, device: _Device, loop: SessionLoop
    ) -> tuple[SceneResult, Sound]:
        """Play the sessions of a scene, until one is not allowed."""
        audio_s = 0.0
        for number in range(_times(scene)):
            result, sound = self._session(scene, number, device, loop)
            audio_s += result.audio_s
            if result.decision is not Decision.ALLOW:
                break
        return replace(result, audio_s=audio_s, sessions=number + 1), sound

    def _began_unix_s(self, scene: Scene, number: int) -> float:
        return self._begins_unix_s + 60.0 * (scene.minute + number)

    def _session(
        self, scene: Scene, number: int, device: _Device, loop: SessionLoop
    ) -> tuple[SceneResult, Sound]:
        """Play the session of this number, from 0, in a scene."""
        self._share_ledgers(device)
        device.witness.clear()
        # Every session has noise of its own, at any seed.
        seed = 1_000_000 * self._seed + 10_000 * number + sum(scene.name.encode())
        room = self._furnish(scene, device.room, seed)
        command_end_s = self._schedule(scene, room, number, seed)
        if scene.recorder is not None:
            room.record(scene.recorder, clock_ppm=RECORDER_PPM)
        began_unix_s = self._began_unix_s(scene, number)
        heard = self._run(device, loop, room, began_unix_s)
        if scene.recorder is not None and command_end_s is not None:
            kept = round((command_end_s + TAPE_S) * RATE_HZ)
            self._tapes[scene.name] = _Tape(room.recording(scene.recorder)[:kept], command_end_s)
        return self._result(scene, device, heard, began_unix_s, command_end_s)

    # -- the household ----------------------------------------------------------------------

    def _device(self, room: str) -> _Device:
        if room not in self._devices:
            device = _Device(
                room,
                self._kept,
                self._speaker,
                self._forwarder,
                self._executor,
                self._entropy,
                lambda: self._now_unix_s,
            )
            self._open.callback(device.ledger.close)
            self._open.callback(device.memory.close)
            self._devices[room] = device
        return self._devices[room]

    def _share_ledgers(self, device: _Device) -> None:
        """Hand `device` what the other devices have issued so far."""
        for other in self._devices.values():
            if other is not device:
                file = io.BytesIO()
                other.ledger.export(file)
                file.seek(0)
                device.ledger.import_(file)

    def _furnish(self, scene: Scene, model: RoomModel, seed: int) -> SimulatedRoom:
        conditions = RoomConditions(
            drift_ppm=scene.drift_ppm,
            frequency_shift_hz=scene.frequency_shift_hz,
            ambient_dbspl=scene.ambient_dbspl,
            seed=seed,
        )
        room = SimulatedRoom(model, self._devices[scene.room].config.audio, conditions)
        if scene.jammed:
            room.jam_loudspeaker()
        if scene.television_dbspl is not None:
            level_dbspl_1m = scene.television_dbspl - _path_db(model, "television")
            talk = self._clips.television()[: round(TELEVISION_S * RATE_HZ)]
            room.play_at("television", talk, 0.0, level_dbspl_1m)
        return room

    def _schedule(self, scene: Scene, room: SimulatedRoom, number: int, seed: int) -> float | None:
        """Let the person or the attacker speak; when the command ends, s."""
        what = scene.what
        lead_s = LEAD_S if number == 0 else LEAD_AGAIN_S
        if isinstance(what, Replays):
            tape = self._tapes[what.scene]
            room.play_at("attacker", tape.signal, LEAD_S, what.level_dbspl_1m, what.through)
            return LEAD_S + tape.command_end_s
        wake = self._clips.wake(what.wake).spoken
        if isinstance(what, Varies):
            command = self._clips.command(what.command).spoken
            change = np.random.default_rng(seed).standard_normal(command.size)
            change *= gain(active_level_dbfs(command) - what.change_db)
            varied = (command + change).astype(np.float32)
            end_s = room.play_at("attacker", wake, lead_s, what.level_dbspl_1m)
            return room.play_at("attacker", varied, end_s + what.pause_s, what.level_dbspl_1m)
        end_s = room.play_at(what.source, wake, lead_s, what.level_dbspl_1m)
        said = what.phrases[number] if isinstance(what, Enrols) else what.command
        if said is None:
            return None
        command = self._clips.sentence(said).spoken
        return room.play_at(what.source, command, end_s + what.pause_s, what.level_dbspl_1m)

    # -- one scene --------------------------------------------------------------------------

    def _run(
        self, device: _Device, loop: SessionLoop, room: SimulatedRoom, began_unix_s: float
    ) -> _Heard:
        """Drive the device until its session is over."""
        port: AudioPort = Paced(room, time.monotonic, time.sleep) if self._real_time else room
        heard = _Heard()
        play = SILENCE
        left_s = TAIL_S
        while room.now_s < MAX_SCENE_S and left_s > 0.0:
            recorded = port.exchange(play)
            self._now_unix_s = began_unix_s + room.now_s
            play = loop.step(recorded)
            heard.add(recorded, loop.state)
            if device.witness.told:
                if heard.verdict_at_s is None:
                    heard.verdict_at_s = room.now_s
                if loop.state in (State.IDLE, State.LOCKED):
                    left_s -= BLOCK_S
        return heard

    def _result(
        self,
        scene: Scene,
        device: _Device,
        heard: _Heard,
        began_unix_s: float,
        command_end_s: float | None,
    ) -> tuple[SceneResult, Sound]:
        witness = device.witness
        told = witness.told[0] if witness.told else None
        judgement = witness.judged[0] if witness.judged else None
        latency_s = None
        if command_end_s is not None and heard.verdict_at_s is not None:
            latency_s = heard.verdict_at_s - command_end_s
            if judgement is not None and not self._real_time:
                latency_s += judgement.cpu_s
        if judgement is None:
            reason = UNJUDGED.get(told) if told is not None else None
            result = SceneResult(
                scene=scene,
                decision=None if reason is None else Decision.RETRY,
                reason=reason,
                findings=(),
                began_unix_s=began_unix_s,
                audio_s=heard.seconds,
                decision_cpu_s=0.0,
                latency_s=latency_s,
                suppression_db=None,
                uncovered_s=None,
                told=told,
                recorded_at=None,
                recorded_in=None,
                forwarded=None,
            )
            return result, Sound(heard.microphone, device.config, None, heard.listening_s)
        stale = judgement.evidence.stale
        found = stale is not None and stale.found
        result = SceneResult(
            scene=scene,
            decision=judgement.verdict.decision,
            reason=judgement.verdict.reason,
            findings=judgement.verdict.findings,
            began_unix_s=began_unix_s,
            audio_s=heard.seconds,
            decision_cpu_s=judgement.cpu_s,
            latency_s=latency_s,
            suppression_db=judgement.evidence.suppression_db,
            uncovered_s=sum((end - start for start, end in judgement.uncovered), 0.0),
            told=told,
            recorded_at=stale.recorded_at if stale is not None and found else None,
            recorded_in=stale.device if stale is not None and found else None,
            forwarded=next(self._commands.glob(f"*_{judgement.recorded.session}.wav"), None),
            person=device.spoke(judgement.verdict),
        )
        return result, Sound(judgement.recorded.recording, device.config, judgement)


def _times(scene: Scene) -> int:
    """How many sessions a scene has at most."""
    if isinstance(scene.what, Varies):
        return scene.what.times
    return len(scene.what.phrases) if isinstance(scene.what, Enrols) else 1


@dataclass
class _Heard:
    """What the microphone of a scene has heard so far."""

    blocks: list[Signal] = field(default_factory=list)
    verdict_at_s: float | None = None
    listening_s: tuple[float, float] | None = None

    @property
    def seconds(self) -> float:
        return len(self.blocks) * BLOCK_S

    @property
    def microphone(self) -> Signal:
        return np.concatenate(self.blocks)

    def add(self, block: Signal, state: State) -> None:
        self.blocks.append(block)
        if state is State.LISTENING:
            first = self.listening_s[0] if self.listening_s else self.seconds
            self.listening_s = (first, self.seconds)


def _path_db(room: RoomModel, source: str) -> float:
    """Level at the microphone over that at 1 m in free field, dB, with the reverberation."""
    response = room.responses[source, "mic"]
    return 10.0 * math.log10(float(np.sum(np.square(response, dtype=np.float64))))
