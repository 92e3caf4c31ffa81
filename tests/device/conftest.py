"""A device on a desk: the real loop and machine, with a wire for a room and parts that can fail."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, wait
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, sosfilt

from earmark.daemon import InlineExecutor
from earmark.demo.clips import Clip, ClipKind, Clips, load_clips
from earmark.errors import StreamBroken
from earmark.feedback import FeedbackHub, Journal
from earmark.forward import Command
from earmark.gate import (
    Announcement,
    Decision,
    Evidence,
    GateSettings,
    MemoryCheck,
    NonceCheck,
    Reason,
    SignalCheck,
    SpeakerCheck,
    StaleCheck,
    Verdict,
)
from earmark.judging import Judge, Judgement, Recorded
from earmark.loop import SILENCE, Identity, Parts, SessionLoop, SoundQueue
from earmark.memory import MemorySettings, QueryMemory
from earmark.nonce import (
    BfskSettings,
    FixedKeys,
    Ledger,
    LedgerSettings,
    Memory,
    NonceSettings,
    Source,
)
from earmark.session import SessionMachine, SessionSettings, State
from earmark.signal import BLOCK, BLOCK_S, RATE_HZ, Signal, level_dbfs
from earmark.speaker import Person, SpeakerSettings
from earmark.wake import PreRoll, ScriptedWake, SpeechSpan

PRE_ROLL_S = 0.5
NONCE_RMS = {"bfsk": 0.01, "spread": 0.07}
"""Tones lie beside the murmur that is said; codes lie in it, 3 dB above as in the product."""

HEARD_DBFS = {"bfsk": -45.0, "spread": -30.0}
"""What the desk's endpointer takes for speech: 5 and 7 dB below the nonce, so that it must be
taken out first."""

DELAY_BLOCKS = 5
QUICK = NonceSettings(
    waveform="bfsk",
    bfsk=BfskSettings(bit_rate_hz=40.0, band_low_hz=4000.0, band_high_hz=5000.0, channels=8),
)
"""A whole nonce in 0.8 s, so that a session takes little more than a second."""

WAVEFORMS = {"bfsk": QUICK, "spread": NonceSettings()}
"""What a session is held with where the waveform matters; the product's own takes 2.05 s."""

SECRET = bytes(range(32))
"""The household's."""


@pytest.fixture(scope="session")
def clips() -> Clips:
    return load_clips()


class Wire:
    """An audio port: what is played comes back 0.1 s later, with noise and what is said."""

    def __init__(self) -> None:
        self._way = deque([SILENCE] * DELAY_BLOCKS)
        self._random = np.random.default_rng(0)
        self._said: list[tuple[int, Signal]] = []
        self.played: list[Signal] = []
        self.heard: list[Signal] = []
        self.broken = False

    @property
    def now(self) -> int:
        """Samples so far."""
        return BLOCK * len(self.heard)

    def say(self, signal: Signal, after_s: float = 0.0) -> None:
        self._said.append((self.now + round(after_s * RATE_HZ), signal))

    def exchange(self, play: Signal) -> Signal:
        if self.broken:
            raise StreamBroken("the wire was cut", "mend it")
        self._way.append(play)
        block = self._way.popleft() + 1e-4 * self._random.standard_normal(BLOCK)
        for start, signal in self._said:
            part = signal[max(0, self.now - start) : max(0, self.now + BLOCK - start)]
            at = max(0, start - self.now)
            block[at : at + part.size] += part
        self.played.append(play)
        self.heard.append(block.astype(np.float32))
        return self.heard[-1]

    def close(self) -> None:
        self.broken = True


class LevelEndpointer:
    """Hears whatever is louder than a level, and its end 0.3 s later."""

    def __init__(self, least_dbfs: float) -> None:
        self._least_dbfs = least_dbfs
        self.reset()

    def reset(self) -> None:
        self._fed = 0
        self._quiet = 0
        self._first: int | None = None
        self._last = 0

    def overhear(self, block: Signal) -> None:
        pass

    def feed(self, block: Signal) -> bool:
        self._fed += 1
        if level_dbfs(block) > self._least_dbfs:
            self._first = self._fed - 1 if self._first is None else self._first
            self._last = self._fed
        return self._first is not None and self._fed - self._last < 15

    @property
    def span(self) -> SpeechSpan | None:
        if self._first is None:
            return None
        return SpeechSpan(self._first * BLOCK_S, self._last * BLOCK_S)


class PressedWake:
    """Wakes when told; counts what it was given to hear."""

    def __init__(self) -> None:
        self.pressed = False
        self.blocks = 0
        self.resets = 0

    def heard(self, block: Signal) -> bool:
        self.blocks += 1
        pressed, self.pressed = self.pressed, False
        return pressed

    def reset(self) -> None:
        self.resets += 1


class ScriptedJudge:
    """Gives verdicts from a list, then allows."""

    def __init__(self, verdicts: Iterable[Verdict | Exception] = ()) -> None:
        self.verdicts = deque(verdicts)
        self.judged: list[Recorded] = []

    def judge(self, recorded: Recorded) -> Judgement:
        self.judged.append(recorded)
        verdict = (
            self.verdicts.popleft() if self.verdicts else Verdict(Decision.ALLOW, Reason.FRESH, ())
        )
        if isinstance(verdict, Exception):
            raise verdict
        evidence = Evidence(recorded.recording, recorded.recording, recorded.speech)
        return Judgement(recorded, evidence, verdict, 0.0)


class Outbox:
    """A forwarder that keeps what it is given, and in which state the device was."""

    def __init__(self) -> None:
        self.sent: list[Command] = []
        self.states: list[State] = []
        self.state: Callable[[], State] = lambda: State.IDLE
        self.error: Exception | None = None
        self.closed = False

    def send(self, command: Command) -> None:
        self.states.append(self.state())
        if self.error is not None:
            raise self.error
        self.sent.append(command)

    def close(self) -> None:
        self.closed = True


class Board:
    """An outlet that keeps what the room was told."""

    def __init__(self) -> None:
        self.told: list[Announcement] = []
        self.sound: Callable[[], None] = lambda: None

    def announce(self, told: Announcement) -> None:
        self.told.append(told)
        self.sound()


class HeldExecutor(Executor):
    """Does nothing until it is let go."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Future[object], Callable[[], object]]] = deque()

    def submit(self, fn, /, *args, **kwargs):  # type: ignore[no-untyped-def]
        future: Future[object] = Future()
        self.waiting.append((future, lambda: fn(*args, **kwargs)))
        return future

    def go(self, count: int | None = None) -> None:
        for _ in range(len(self.waiting) if count is None else count):
            future, work = self.waiting.popleft()
            if future.set_running_or_notify_cancel():
                future.set_result(work())


class Voices:
    """A speaker model that hears who it is told: 32 dimensions, 60 strangers far from anybody.

    The same person sounds a little different every time; a stranger is like nobody.
    """

    id = "00112233aabbccdd"

    def __init__(self, speaks: str = "somebody") -> None:
        self.speaks = speaks
        self.decision: dict[str, object] = {}
        self.heard: list[Signal] = []
        self._random = np.random.default_rng(3)
        self.cohort = self._unit(self._random.standard_normal((60, 32)))

    def embed(self, signal: Signal) -> NDArray[np.float32]:
        self.heard.append(signal)
        return self.of(self.speaks)

    def of(self, who: str) -> NDArray[np.float32]:
        voice = np.random.default_rng(list(who.encode())).standard_normal(32)
        return self._unit(voice + 0.3 * self._random.standard_normal(32))

    def person(self, name: str, identifier: str, model_id: str = id) -> Person:
        phrases = np.stack([self.of(name) for _ in range(5)])
        return Person(identifier, name, 1.8e9, 1.8e9, model_id, phrases)

    @staticmethod
    def _unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
        return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


class Listener(Voices):
    """Hears who speaks a clip that it knows, by its waveform, also through a room."""

    def __init__(self, clips: Iterable[Clip]) -> None:
        super().__init__()
        self._known = [(str(clip.speaker), self._whitened(clip.spoken)) for clip in clips]

    def embed(self, signal: Signal) -> NDArray[np.float32]:
        self.heard.append(signal)
        heard = self._whitened(signal)
        peaks = [np.abs(fftconvolve(heard, clip[::-1])).max() for _, clip in self._known]
        return self.of(self._known[int(np.argmax(peaks))][0])

    @staticmethod
    def _whitened(signal: Signal) -> NDArray[np.float64]:
        flat = np.diff(signal.astype(np.float64))
        return np.asarray(flat / np.linalg.norm(flat))


class Desk:
    """A device with its surroundings in reach."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        executor: Executor | None = None,
        judge: object = None,
        nonce: NonceSettings = QUICK,
        session: SessionSettings | None = None,
        forwarder: object = None,
    ) -> None:
        self.wire = Wire()
        self.wake = PressedWake()
        self.outbox = Outbox()
        self.board = Board()
        self.ledger = ledger
        self.source = Source(nonce, FixedKeys(SECRET))
        self.sounds = SoundQueue()
        self.entropy: list[bytes] = []
        self.judgements: list[tuple[Judgement, State]] = []
        self.executor = executor or InlineExecutor()
        self.futures: list[Future[object]] = []
        self._random = np.random.default_rng(1)
        self._now = 1_700_000_000.0
        self.parts = Parts(
            machine=SessionMachine(session or SessionSettings()),
            wake=self.wake,
            endpointer=LevelEndpointer(HEARD_DBFS[nonce.waveform]),
            pre_roll=PreRoll(PRE_ROLL_S),
            nonce=nonce,
            nonce_rms=NONCE_RMS[nonce.waveform],
            source=self.source,
            ledger=ledger,
            judge=judge or ScriptedJudge(),  # type: ignore[arg-type]
            forwarder=forwarder or self.outbox,  # type: ignore[arg-type]
            feedback=FeedbackHub((self.board,), Journal("desk", "study")),
            sounds=self.sounds,
            executor=self.executor,
            entropy=self._draw,
            now=self._clock,
            identity=Identity("desk", "study"),
            observer=lambda judgement, state: self.judgements.append((judgement, state)),
        )
        self.loop = SessionLoop(self.parts)
        self.outbox.state = lambda: self.loop.state
        self._play = SILENCE

    def _draw(self, count: int) -> bytes:
        self.entropy.append(self._random.bytes(count))
        return self.entropy[-1]

    def _clock(self) -> float:
        self._now += 1.0
        return self._now

    @property
    def told(self) -> list[Announcement]:
        return self.board.told

    @property
    def state(self) -> State:
        return self.loop.state

    def step(self) -> None:
        self._play = self.loop.step(self.wire.exchange(self._play))

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / BLOCK_S)):
            self.step()

    def until(self, *states: State, within_s: float = 8.0) -> None:
        for _ in range(round(within_s / BLOCK_S)):
            if self.state in states:
                return
            self.step()
        raise AssertionError(f"still {self.state.name} after {within_s} s, told {self.told}")

    def command(self, seconds: float = 0.6, after_s: float = 0.2) -> Signal:
        """Wake, and speak: a murmur below 2.5 kHz at about -26 dBFS, weak in the nonce's band."""
        low = butter(6, 2500.0, fs=RATE_HZ, output="sos")
        murmur = sosfilt(low, self._random.standard_normal(round(seconds * RATE_HZ)))
        said = (0.09 * murmur).astype(np.float32)
        self.wake.pressed = True
        self.wire.say(said, after_s)
        return said

    def session(self) -> Signal:
        """One whole session, from IDLE to IDLE (or wherever it ends)."""
        said = self.command()
        self.step()
        self.until(State.IDLE, State.LOCKED)
        return said

    def restart_stream(self) -> None:
        self.wire.broken = False
        self._play = SILENCE
        self.loop.stream_restored()

    def waits(self) -> None:
        """Step, and let the worker finish before the next step, however slow it is."""
        self.step()
        wait([future for future, _ in self.loop._work])


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """Makes a device on a desk; of several in one test each has a ledger of its own."""
    ledgers: list[Ledger] = []

    def make(**how: object) -> Desk:
        path = tmp_path / f"ledger{len(ledgers)}.sqlite"
        ledgers.append(Ledger.open(path, LedgerSettings(path=path)))
        return Desk(ledgers[-1], **how)  # type: ignore[arg-type]

    yield make
    for ledger in ledgers:
        ledger.close()


@pytest.fixture(params=WAVEFORMS)
def nonce(request: pytest.FixtureRequest) -> NonceSettings:
    """Each waveform in turn."""
    return WAVEFORMS[request.param]


@pytest.fixture
def real_judge() -> Callable[..., Judge]:
    """The judge of the product, for a desk and its nonce; without a memory, with an empty one;
    with nobody enrolled."""

    def make(
        desk: Desk, queries: QueryMemory | None = None, voices: SpeakerCheck | None = None
    ) -> Judge:
        gate, nonce = GateSettings(), desk.parts.nonce
        queries = queries or QueryMemory.open(MemorySettings(folder=None), os.urandom)
        checks = (
            SignalCheck(gate.signal),
            NonceCheck(nonce),
            StaleCheck(nonce),
            MemoryCheck(queries, desk.parts.now),
            voices or SpeakerCheck(Voices(), lambda: (), SpeakerSettings()),
        )

        def remembered(now: float) -> Memory:
            return Memory(
                desk.source.banks(now),
                desk.ledger.tones(1000),
                lambda bank: desk.ledger.coded(bank.secret_id, bank.epoch),
            )

        return Judge(nonce, gate, checks, remembered)

    return make


@pytest.fixture
def every_log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """All that is logged, at every level."""
    caplog.set_level(logging.DEBUG)
    return caplog


@pytest.fixture(scope="session")
def voices() -> type[Voices]:
    return Voices


@pytest.fixture(scope="session")
def listener(clips: Clips) -> Listener:
    """Tells the people apart who speak in the clips that ship."""
    kinds = (ClipKind.COMMAND, ClipKind.RESIDENT)
    return Listener([clip for kind in kinds for clip in clips.all(kind)])


@pytest.fixture
def speaker_section(tmp_path: Path) -> dict[str, object]:
    """The section `speaker` of a configuration: a tiny real model, people in the test's folder."""
    return {
        "model": str(Path(__file__).parent / "speaker/data/tiny"),
        "vault": str(tmp_path / "people.vault"),
        "key_file": str(tmp_path / "people.key"),
    }


@pytest.fixture(scope="session")
def held_executor() -> type[HeldExecutor]:
    return HeldExecutor


@pytest.fixture(scope="session")
def scripted_judge() -> type[ScriptedJudge]:
    return ScriptedJudge


@pytest.fixture(scope="session")
def scripted_wake() -> type[ScriptedWake]:
    return ScriptedWake


NOBODY = 65534
"""The unprivileged user of every Linux."""


@pytest.fixture
def nobodys_home() -> Iterator[Path]:
    """A folder whose owner we are, without root's power to read and write everything."""
    home = Path(tempfile.mkdtemp())  # not tmp_path: the folders above that are root's alone
    root = os.geteuid() == 0
    if root:
        os.chown(home, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        yield home
    finally:
        if root:
            os.seteuid(0)
        shutil.rmtree(home)
