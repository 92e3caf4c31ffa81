"""A person in a room says the wake word and goes on: whole sessions with the real detectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earmark.audio import RoomConditions, SimulatedRoom, load_room
from earmark.config import Config
from earmark.daemon import InlineExecutor, build
from earmark.demo.clips import Clips
from earmark.forward import Command
from earmark.gate import Announcement, Decision, Outcome, Reason
from earmark.judging import Judgement
from earmark.loop import SILENCE
from earmark.nonce import NonceSettings
from earmark.session import State
from earmark.signal import BLOCK_S, RATE_HZ, Signal
from earmark.wake import ScriptedWake

SPEECH_DBSPL = 60.0
WORD_AT_S = 1.0


class Outbox:
    def __init__(self) -> None:
        self.sent: list[Command] = []

    def send(self, command: Command) -> None:
        self.sent.append(command)

    def close(self) -> None:
        pass


@cache
def living_room() -> Any:
    return load_room("living_room")


@dataclass(frozen=True, eq=False)
class Evening:
    """What happened in one session."""

    outbox: Outbox
    judgements: list[tuple[Judgement, State]]
    told: list[Announcement]
    recording_from_s: float | None
    """Audio time at which the recording begins: the wake word was recognised at its pre-roll."""
    nonce_from_s: float | None
    """Audio time at which the first sound of the nonce was handed to the loudspeaker."""
    command_s: tuple[float, float]
    alone: Signal
    """What the microphone would have heard without any nonce: the same room, seed and people."""


class Told:
    def __init__(self) -> None:
        self.list: list[Announcement] = []

    def announce(self, told: Announcement) -> None:
        self.list.append(told)


def room(config: Config, drift_ppm: float, **conditions: Any) -> SimulatedRoom:
    return SimulatedRoom(
        living_room(),
        config.audio,
        RoomConditions(seed=3, ambient_dbspl=35.0, drift_ppm=drift_ppm, **conditions),
    )


def people(sim: SimulatedRoom, word: Signal, command: Signal | None, gap_s: float) -> float:
    """Let them speak; the time at which the command begins (or would)."""
    end_s = sim.play_at("person_1m", word, WORD_AT_S, SPEECH_DBSPL)
    if command is not None:
        sim.play_at("person_1m", command, end_s + gap_s, SPEECH_DBSPL)
    return end_s + gap_s


@pytest.fixture
def evening(tmp_path: Path, speaker_section: dict[str, object]) -> Callable[..., Evening]:
    def live(
        word: Signal,
        command: Signal | None,
        *,
        gap_s: float = 0.0,
        drift_ppm: float = 80.0,
        wake_at_s: float | None = None,
        jammed: bool = False,
        nonce: NonceSettings | None = None,
    ) -> Evening:
        config = Config.model_validate(
            {
                "ledger": {"path": tmp_path / "ledger.sqlite"},
                "keys": {"path": tmp_path / "keys.json"},
                "memory": {"folder": None},
                "speaker": speaker_section,
                "nonce": nonce or NonceSettings(),
            }
        )
        outbox, told, judgements = Outbox(), Told(), []
        loop = build(
            config,
            executor=InlineExecutor(),
            forwarder=outbox,
            entropy=np.random.default_rng(11).bytes,  # the same nonces each time
            wake=None if wake_at_s is None else ScriptedWake([wake_at_s]),
            outlets=(told,),
            observer=lambda judgement, state: judgements.append((judgement, state)),
        )
        sim = room(config, drift_ppm)
        if jammed:
            sim.jam_loudspeaker()
        start_s = people(sim, word, command, gap_s)
        spoken_s = 0.0 if command is None else command.size / RATE_HZ
        blocks = round((start_s + spoken_s + 2.0) / BLOCK_S)
        play, woken_s, nonce_s = SILENCE, None, None
        for _ in range(blocks if command is not None else blocks + 250):
            recorded = sim.exchange(play)
            if woken_s is not None and nonce_s is None and play.any():
                nonce_s = sim.now_s - BLOCK_S
            play = loop.step(recorded)
            if woken_s is None and loop.state is not State.IDLE:
                woken_s = sim.now_s
        assert loop.state in (State.IDLE, State.RETRY)
        loop.close()

        silent = room(config, drift_ppm)
        people(silent, word, command, gap_s)
        alone = np.concatenate([silent.exchange(SILENCE) for _ in range(blocks)])
        return Evening(
            outbox,
            judgements,
            told.list,
            None if woken_s is None else woken_s - config.wake.pre_roll_s,
            nonce_s,
            (start_s, start_s + spoken_s),
            alone,
        )

    return live


def alike(one: Signal, other: Signal) -> float:
    """Normalised correlation at no lag."""
    return float(np.dot(one, other) / np.sqrt(np.dot(one, one) * np.dot(other, other)))


WORDS = ["1", "3", "4", "6"]
"""Those that the detector hears without a breath after them; it wants one (see MicroWake)."""


@pytest.mark.parametrize("name", WORDS)
def test_a_wake_word_and_the_command_that_follows_at_once(
    evening: Callable[..., Evening], clips: Clips, name: str
) -> None:
    """Nothing of the command is lost, and what the nonce did not cover is told."""
    live = evening(clips.wake(name).spoken, clips.command("table").spoken)
    assert live.told == [Announcement.WOKEN, Announcement.ALLOWED]
    [command] = live.outbox.sent
    [(judgement, _)] = live.judgements
    assert judgement.verdict.decision is Decision.ALLOW
    assert live.recording_from_s is not None

    # From its first sample to its last, at the right place, against the same room without
    # the nonce: people and noise are the same bit by bit.
    first = round(live.recording_from_s * RATE_HZ)
    alone = live.alone[first : first + command.audio.size]
    start, end = (round(at * RATE_HZ) - first for at in live.command_s)
    assert start >= 0
    assert end <= command.audio.size
    window = round(0.3 * RATE_HZ)
    assert alike(command.audio[start : start + window], alone[start : start + window]) > 0.95
    assert alike(command.audio[end - window : end], alone[end - window : end]) > 0.95
    before_nonce = round(0.5 * RATE_HZ)
    assert command.audio[:before_nonce] == pytest.approx(alone[:before_nonce], abs=1e-6)

    # The nonce is first heard one latency after it was handed over; the command began earlier.
    [(from_s, to_s), *_] = command.uncovered_s
    assert live.nonce_from_s is not None
    heard_s = live.nonce_from_s - live.recording_from_s + RoomConditions().latency_s
    assert to_s == pytest.approx(heard_s, abs=0.05)
    assert from_s <= live.command_s[0] - live.recording_from_s + 0.05
    missing = sum(b - a for a, b in command.uncovered_s)
    assert missing >= heard_s - (live.command_s[0] - live.recording_from_s) - 0.05


@pytest.mark.parametrize(
    ("nonce", "within_ppm", "least_db"),
    [
        (NonceSettings(waveform="bfsk", level_dbspl_1m=45.0), 3.0, 20.0),
        # Read off single slots between their echoes; the canceller finds the rest. In its whole
        # band the room's noise is only 28 dB under the nonce, and speech is what it learns in.
        (NonceSettings(waveform="spread"), 30.0, 14.0),
    ],
    ids=["bfsk", "spread"],
)
@pytest.mark.parametrize("drift_ppm", [-300.0, 300.0])
def test_a_command_after_a_pause_is_covered_whole(
    evening: Callable[..., Evening],
    clips: Clips,
    drift_ppm: float,
    nonce: NonceSettings,
    within_ppm: float,
    least_db: float,
) -> None:
    live = evening(
        clips.wake("5").spoken,
        clips.command("toast").spoken,
        gap_s=1.0,
        drift_ppm=drift_ppm,
        nonce=nonce,
    )
    [command] = live.outbox.sent
    [(judgement, _)] = live.judgements
    assert command.uncovered_s == ()
    report = judgement.evidence.nonce
    assert report is not None
    assert (report.bit_errors, report.gaps) == (0, ())
    assert report.drift_ppm == pytest.approx(drift_ppm, abs=within_ppm)
    assert judgement.evidence.speech is not None
    assert live.recording_from_s is not None
    # Against the same room without the nonce: how far it fell, and that no more is claimed.
    first = round(live.recording_from_s * RATE_HZ)
    covered = slice(*(round(at * RATE_HZ) for at in report.covered))
    alone = live.alone[first:][: command.audio.size][covered]
    echo = judgement.evidence.recording[covered] - alone
    left = command.audio[covered] - alone
    fell_db = float(10.0 * np.log10(np.mean(echo**2) / np.mean(left**2)))
    assert fell_db > least_db
    assert 10.0 < judgement.evidence.suppression_db < fell_db + 1.0
    start_s, end_s = (at - live.recording_from_s for at in live.command_s)
    found_start_s, found_end_s = judgement.evidence.speech
    assert found_start_s == pytest.approx(start_s, abs=0.3)
    # What is left of a nonce can hold the detector open for some tenths of a second, never cut it.
    assert end_s - 0.1 < found_end_s < end_s + 0.5


def test_a_wake_word_alone_is_no_command(evening: Callable[..., Evening], clips: Clips) -> None:
    live = evening(clips.wake("3").spoken, None)
    assert live.told == [Announcement.WOKEN, Announcement.TRY_AGAIN_NOTHING_HEARD]
    assert live.outbox.sent == []
    assert live.judgements == []


def test_a_jammed_loudspeaker_is_told_and_nothing_leaves(
    evening: Callable[..., Evening], clips: Clips
) -> None:
    live = evening(clips.wake("1").spoken, clips.command("bread").spoken, jammed=True)
    assert live.outbox.sent == []
    [(judgement, state)] = live.judgements
    assert (judgement.verdict.reason, state) == (Reason.NONCE_ABSENT, State.RETRY)
    assert live.told == [Announcement.WOKEN, Announcement.TRY_AGAIN_UNCOVER]


def test_speech_without_a_wake_word_starts_nothing(
    evening: Callable[..., Evening], clips: Clips
) -> None:
    live = evening(clips.command("beatrice").spoken, clips.command("bedtime").spoken)
    assert live.told == []
    assert live.recording_from_s is None


def test_a_session_can_be_started_at_a_given_time(
    evening: Callable[..., Evening], clips: Clips
) -> None:
    """As the benchmarks do it, where the wake word is not the subject."""
    live = evening(
        clips.wake("2").spoken, clips.command("mop_it_up").spoken, gap_s=0.3, wake_at_s=1.85
    )
    assert len(live.outbox.sent) == 1
    findings = {f.check: f.outcome for f in live.judgements[0][0].verdict.findings}
    names = ("signal", "nonce", "stale", "memory", "speaker")
    assert findings == dict.fromkeys(names, Outcome.PASSED)
