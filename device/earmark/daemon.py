"""The daemon: builds the parts from the configuration and keeps sessions running.

Everything that touches the outside world is made here and passed in: the sound card, the
clock, the random generator, the files of ledger and query memory, the forwarder. The loop and
what is below it would run as well on a desk as in the simulated room, and do.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import ParamSpec, TypeVar

from earmark.audio import (
    AudioPort,
    Paced,
    WavPort,
    loudspeaker_dbfs,
    loudspeaker_rms,
    open_port,
)
from earmark.config import Config
from earmark.errors import AudioError, ConfigError, StreamBroken
from earmark.feedback import Earcons, Feedback, FeedbackHub, Journal, LightPattern, Lights
from earmark.forward import Forwarder, open_forwarder
from earmark.gate import (
    Check,
    Embedder,
    MemoryCheck,
    NonceCheck,
    SignalCheck,
    SpeakerCheck,
    StaleCheck,
)
from earmark.judging import Judge, Judgement, Review
from earmark.loop import SILENCE, Identity, Parts, SessionLoop, SoundQueue
from earmark.memory import QueryMemory
from earmark.nonce import KeyRing, Keys, Ledger, Memory, Source
from earmark.session import SessionMachine, State
from earmark.speaker import SpeakerModel, SpeakerModelError, Vault
from earmark.wake import MicroEndpointer, PreRoll, WakeDetector, wake_detector

_log = logging.getLogger(__name__)

REOPEN_FIRST_S = 1.0
"""Pause before a broken stream is opened again, s; doubled every time it fails."""

REOPEN_MAX_S = 30.0
"""Longest such pause, s: a card that is plugged in again is found within half a minute."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


class InlineExecutor(Executor):
    """Does the work at once, in the caller's thread: for a room whose time stands still."""

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Call `fn` and return its finished future."""
        future: Future[_T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def build(
    config: Config,
    *,
    executor: Executor,
    ledger: Ledger | None = None,
    keys: Keys | None = None,
    memory: QueryMemory | None = None,
    speaker: Embedder | None = None,
    vault: Vault | None = None,
    forwarder: Forwarder | None = None,
    wake: WakeDetector | None = None,
    outlets: Sequence[Feedback] = (),
    entropy: Callable[[int], bytes] = os.urandom,
    now: Callable[[], float] = time.time,
    observer: Callable[[Judgement, State], None] | None = None,
    review: Review | None = None,
) -> SessionLoop:
    """Put a device together.

    Without `speaker` among the required checks no speaker model is loaded, and nobody is named.

    Parameters
    ----------
    config : all settings.
    executor : does the heavy work; one worker, so that the ledger is written in order.
    ledger, keys, memory, forwarder, wake : opened from the configuration when None.
    speaker, vault : the speaker model and the people; likewise.
    outlets : further ways of feedback.
    entropy, now : the generator of random bytes and the wall clock.
    observer : told every judgement.
    review : may withhold what the gate would allow.

    Raises
    ------
    EarmarkError
        A part cannot work as it is configured.
    """
    # Before the detectors: pymicro-vad's destructor (2.1.0) swallows the exception that is under
    # way when it runs, and a clear error would come out as a SystemError.
    with ExitStack() as opened:  # closed again when a later part fails
        if forwarder is None:
            forwarder = open_forwarder(config.forward)
            opened.callback(forwarder.close)
        if ledger is None:
            ledger = Ledger.open(config.ledger.path, config.ledger)
            opened.callback(ledger.close)
        if keys is None:
            keys = KeyRing.open(config.keys.path, config.keys, entropy)
        if memory is None:
            memory = QueryMemory.open(config.memory, entropy)
            opened.callback(memory.close)
            if memory.damage.stretches:
                _log.warning("query memory: %d bytes were damaged", memory.damage.lost_bytes)
        voices: SpeakerCheck | None = None
        if SpeakerCheck.name in config.gate.required:
            voices = _speaker_check(config, speaker, vault)
        source = Source(config.nonce, keys)
        source.prepare(now())
        journal = _journal(config)
        wake = wake or wake_detector(config.wake)
        endpointer = MicroEndpointer(config.wake.endpoint)
        opened.pop_all()  # from here on the loop closes them
    remembered = partial(_remembered, config, source, ledger)
    checks: tuple[Check, ...] = (
        SignalCheck(config.gate.signal),
        NonceCheck(config.nonce),
        StaleCheck(config.nonce),
        MemoryCheck(memory, now),
        *(() if voices is None else (voices,)),
    )
    sounds = SoundQueue()
    earcons = Earcons(
        config.feedback,
        loudspeaker_dbfs(config.feedback.earcon_level_dbspl_1m, config.audio),
        sounds.add,
    )
    lights = Lights(config.feedback, _no_lights)
    return SessionLoop(
        Parts(
            machine=SessionMachine(config.session),
            wake=wake,
            endpointer=endpointer,
            pre_roll=PreRoll(config.wake.pre_roll_s),
            nonce=config.nonce,
            source=source,
            nonce_rms=loudspeaker_rms(config.nonce.level_dbspl_1m, config.audio),
            ledger=ledger,
            judge=Judge(config.nonce, config.gate, checks, remembered, review),
            forwarder=forwarder,
            feedback=FeedbackHub((earcons, lights, *outlets), journal),
            sounds=sounds,
            executor=executor,
            entropy=entropy,
            now=now,
            identity=Identity(config.device.name, config.device.room),
            named=None if voices is None else voices.named,
            observer=observer,
            closers=(memory.close,),
        )
    )


def _speaker_check(config: Config, speaker: Embedder | None, vault: Vault | None) -> SpeakerCheck:
    """The check on the voice, with a model that has passed its self-test and people to compare."""
    vault = vault or Vault.of(config.speaker)
    speaker = speaker or SpeakerModel.open(config.speaker.model)
    try:
        check = SpeakerCheck(speaker, lambda: vault.people, config.speaker)
    except (TypeError, ValueError) as error:
        raise SpeakerModelError(
            f"the speaker model cannot tell people apart ({error})", "install Earmark again"
        ) from error
    if again := len(check.roster.stale):
        _log.warning("people: %d must enrol again, the speaker model is another one", again)
    return check


def _remembered(config: Config, source: Source, ledger: Ledger, now: float) -> Memory:
    """What earlier sessions left: banks of codes, tones, and on demand who they were."""
    return Memory(
        banks=source.banks(now),
        tones=ledger.tones(config.nonce.bfsk.search_count),
        coded=lambda bank: ledger.coded(bank.secret_id, bank.epoch),
    )


def _journal(config: Config) -> Journal:
    try:
        return Journal(config.device.name, config.device.room)
    except ValueError as error:
        raise ConfigError(f"device.name or device.room: {error}", "choose another") from None


def _no_lights(pattern: LightPattern) -> None:
    """Lights are events so far; a driver for real ones takes this place."""
    _log.debug("light %s", pattern.name)


def drive(loop: SessionLoop, port: AudioPort, stop: Callable[[], bool]) -> None:
    """Run sessions on a port until `stop` says so, asked once a block.

    Raises
    ------
    StreamBroken
        The stream stopped; the loop has been told.
    """
    play = SILENCE
    while not stop():
        try:
            recorded = port.exchange(play)
        except StreamBroken:
            loop.stream_failed()
            raise
        play = loop.step(recorded)


def run(
    config: Config,
    *,
    opener: Callable[[], AudioPort] | None = None,
    sleep: Callable[[float], object] = time.sleep,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Run the device until `stop` says so; a broken stream is opened again.

    Parameters
    ----------
    opener : opens the audio port; the one of the configuration when None.
    sleep : waits so many seconds between tries.

    Raises
    ------
    EarmarkError
        A part cannot work as it is configured: at start, before anything was heard.
    """
    opener = opener or (lambda: open_audio(config))
    port: AudioPort | None = opener()
    loop: SessionLoop | None = None
    try:
        # Its end is waited for before the loop is closed: the last work needs the ledger.
        with work_executor(config) as executor:
            loop = build(config, executor=executor)
            while port is not None and not _over(loop, port, stop):
                try:
                    drive(loop, port, partial(_over, loop, port, stop))
                except StreamBroken as error:
                    _log.error("%s", error)
                    port.close()
                    port = _reopen(opener, sleep, stop)
                    if port is not None:
                        loop.stream_restored()
    finally:
        if loop is not None:
            loop.close()
        if port is not None:
            port.close()


def open_audio(config: Config) -> AudioPort:
    """The audio port of the configuration, as fast as time passes."""
    port = open_port(config.audio)
    # The room would otherwise run as fast as the processor can.
    return Paced(port, time.monotonic, time.sleep) if config.audio.kind == "simulated" else port


def work_executor(config: Config) -> Executor:
    """A thread beside the audio; for a file, whose time stands still meanwhile, none."""
    if config.audio.kind == "wav":
        return InlineExecutor()
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="earmark-work")


def _over(loop: SessionLoop, port: AudioPort, stop: Callable[[], bool]) -> bool:
    """Asked to stop, or a file has been heard to its end and its last session is over."""
    heard = isinstance(port, WavPort) and port.exhausted and loop.state is State.IDLE
    return stop() or heard


def _reopen(
    opener: Callable[[], AudioPort], sleep: Callable[[float], object], stop: Callable[[], bool]
) -> AudioPort | None:
    """Open the port again, however long it takes; None when asked to stop meanwhile."""
    pause_s = REOPEN_FIRST_S
    while not stop():
        sleep(pause_s)
        try:
            return opener()
        except AudioError as error:
            # The first failure was logged when the stream broke; repeats would fill the journal.
            _log.debug("%s", error)
            pause_s = min(REOPEN_MAX_S, 2.0 * pause_s)
    return None
