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
from concurrent.futures import Executor, Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, TypeVar

from earmark import forward
from earmark.audio import (
    AudioPort,
    Paced,
    StreamHealth,
    WavPort,
    loudspeaker_dbfs,
    loudspeaker_rms,
    open_port,
)
from earmark.config import Config
from earmark.errors import AudioError, ConfigError, EarmarkError, StreamBroken
from earmark.feedback import Earcons, Entry, Feedback, FeedbackHub, Journal, LightPattern, Lights
from earmark.forward import Forwarder, open_forwarder
from earmark.gate import (
    Announcement,
    Check,
    Embedder,
    MemoryCheck,
    NonceCheck,
    SignalCheck,
    SpeakerCheck,
    StaleCheck,
)
from earmark.judging import Judge, Judgement, Review
from earmark.loop import SILENCE, Identity, Manner, Parts, SessionLoop, SoundQueue
from earmark.memory import QueryMemory
from earmark.nonce import KeyRing, Keys, Ledger, Memory, NonceSettings, Source
from earmark.session import SessionMachine, State
from earmark.speaker import SpeakerModel, SpeakerModelError, Vault
from earmark.stream_watch import StreamWatch
from earmark.wake import Endpointer, MicroEndpointer, PreRoll, WakeDetector, wake_detector
from earmark.worker import Worker

_log = logging.getLogger(__name__)

REOPEN_FIRST_S = 1.0
"""Pause before a broken stream is opened again, s; doubled every time it fails."""

REOPEN_MAX_S = 30.0
"""Longest such pause, s: a card that is plugged in again is found within half a minute."""

GRACE_S = 0.8
"""Longest wait at the end for the work that is left, s: a verdict takes 0.3 s, and a stop should
take less than 2 s in all. A receiver of commands that hangs is given up."""

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


@dataclass(frozen=True)
class Facts:
    """What is worth knowing of a device and takes files to find out.

    Parameters
    ----------
    model : identifier of the speaker model, None where none is loaded.
    people : how many are enrolled, None where nobody is looked for or the vault cannot be read.
    ledger_entries : nonces in the ledger, None when it cannot be read.
    """

    model: str | None = None
    people: int | None = None
    ledger_entries: int | None = None


@dataclass(frozen=True)
class Device:
    """A device put together.

    Parameters
    ----------
    loop : runs its sessions.
    config : the settings that it was put together with.
    settled : makes of settings what may change while it runs. It may take a second, and raises
        :class:`EarmarkError` when a part cannot work so.
    facts : finds out about its files.
    """

    loop: SessionLoop
    config: Config
    settled: Callable[[Config], Manner]
    facts: Callable[[], Facts]


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
    """Put a device together, and return its loop; parameters as of :func:`assemble`."""
    return assemble(
        config,
        executor=executor,
        ledger=ledger,
        keys=keys,
        memory=memory,
        speaker=speaker,
        vault=vault,
        forwarder=forwarder,
        wake=wake,
        outlets=outlets,
        entropy=entropy,
        now=now,
        observer=observer,
        review=review,
    ).loop


def assemble(
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
    endpointer: Endpointer | None = None,
    outlets: Sequence[Feedback] = (),
    lights: Callable[[LightPattern], None] | None = None,
    entropy: Callable[[int], bytes] = os.urandom,
    now: Callable[[], float] = time.time,
    observer: Callable[[Judgement, State], None] | None = None,
    review: Review | None = None,
) -> Device:
    """Put a device together.

    Without `speaker` among the required checks no speaker model is loaded, and nobody is named.

    Parameters
    ----------
    config : all settings.
    executor : does the heavy work; one worker, so that the ledger is written in order.
    ledger, keys, memory, forwarder, wake, endpointer : opened from the configuration when None.
    speaker, vault : the speaker model and the people; likewise.
    outlets : further ways of feedback.
    lights : shows a light pattern, and returns at once.
    entropy, now : the generator of random bytes and the wall clock.
    observer : told every judgement.
    review : may withhold what the gate would allow.

    Raises
    ------
    EarmarkError
        A part cannot work as it is configured.
    """
    sounds = SoundQueue()
    # Before the detectors: pymicro-vad's destructor (2.1.0) swallows the exception that is under
    # way when it runs, and a clear error would come out as a SystemError.
    with ExitStack() as opened:  # closed again when a later part fails
        if forwarder is None:
            known_as = forward.Device(config.device.name, config.device.room, config.wake.model)
            forwarder = open_forwarder(config.forward, known_as, sounds.speak)
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
        if SpeakerCheck.name in config.gate.required:
            vault = vault or Vault.of(config.speaker)
            speaker = speaker or SpeakerModel.open(config.speaker.model)
        else:
            speaker = vault = None
        source = Source(config.nonce, keys)
        source.prepare(now())
        settled = partial(
            _settled,
            nonce=config.nonce,
            source=source,
            ledger=ledger,
            memory=memory,
            voices=None if speaker is None or vault is None else (speaker, vault),
            sounds=sounds,
            lights=lights or _no_lights,
            outlets=tuple(outlets),
            now=now,
            review=review,
        )
        manner = settled(config)
        wake = wake or wake_detector(config.wake)
        endpointer = endpointer or MicroEndpointer(config.wake.endpoint)
        opened.pop_all()  # from here on the loop closes them
    loop = SessionLoop(
        Parts(
            machine=SessionMachine(manner.session),
            wake=wake,
            endpointer=endpointer,
            pre_roll=PreRoll(config.wake.pre_roll_s),
            nonce=config.nonce,
            source=source,
            nonce_rms=loudspeaker_rms(config.nonce.level_dbspl_1m, config.audio),
            ledger=ledger,
            judge=manner.judge,
            forwarder=forwarder,
            feedback=manner.feedback,
            sounds=sounds,
            executor=executor,
            entropy=entropy,
            now=now,
            identity=manner.identity,
            named=manner.named,
            observer=observer,
            closers=(memory.close,),
        )
    )
    return Device(loop, config, settled, partial(_facts, speaker, vault, ledger))


def _settled(
    config: Config,
    *,
    nonce: NonceSettings,
    source: Source,
    ledger: Ledger,
    memory: QueryMemory,
    voices: tuple[Embedder, Vault] | None,
    sounds: SoundQueue,
    lights: Callable[[LightPattern], None],
    outlets: tuple[Feedback, ...],
    now: Callable[[], float],
    review: Review | None,
) -> Manner:
    """What follows from settings that may change, on parts that stay."""
    voice = None if voices is None else _speaker_check(config, *voices)
    checks: tuple[Check, ...] = (
        SignalCheck(config.gate.signal),
        NonceCheck(nonce),
        StaleCheck(nonce),
        MemoryCheck(memory, now),
        *(() if voice is None else (voice,)),
    )
    earcons = Earcons(
        config.feedback,
        loudspeaker_dbfs(config.feedback.earcon_level_dbspl_1m, config.audio),
        sounds.add,
    )
    told: list[Feedback] = [earcons, Lights(config.feedback, lights), *outlets]
    remembered = partial(_remembered, config, source, ledger)
    return Manner(
        session=config.session,
        judge=Judge(nonce, config.gate, checks, remembered, review),
        feedback=FeedbackHub(told, _journal(config)),
        identity=Identity(config.device.name, config.device.room),
        named=None if voice is None else voice.named,
    )


def _facts(speaker: Embedder | None, vault: Vault | None, ledger: Ledger) -> Facts:
    people = entries = None
    with suppress(EarmarkError):  # each session in which it matters says so
        people = None if vault is None else len(vault.people)
    with suppress(EarmarkError):
        entries = ledger.count()
    return Facts(None if speaker is None else speaker.id, people, entries)


def _speaker_check(config: Config, speaker: Embedder, vault: Vault) -> SpeakerCheck:
    """The check on the voice, with a model that has passed its self-test and people to compare."""
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
    """Where nothing shines."""
    _log.debug("light %s", pattern.name)


class Attendant:
    """Goes along with a running device, in its thread; this one does nothing.

    Whatever it does is done before the next 20 ms of audio, so it must not wait.
    """

    def watched(self, watch: StreamWatch) -> None:
        """Each stream will be measured by this."""

    def built(self, device: Device, executor: Executor) -> None:
        """The device is put together; nothing was heard yet."""

    def flowing(self, port: AudioPort) -> None:
        """A block was exchanged and worked on."""

    def lost(self, error: StreamBroken) -> None:
        """The stream broke; the loop has been told."""

    def announce(self, told: Announcement) -> None:
        """The room is told something."""

    def show(self, pattern: LightPattern) -> None:
        """A light pattern begins."""

    def judged(self, judgement: Judgement, state: State) -> None:
        """A session was judged; `state` is what the machine made of it."""


def _nothing() -> None:
    pass


def drive(
    loop: SessionLoop,
    port: AudioPort,
    stop: Callable[[], bool],
    flowing: Callable[[], None] = _nothing,
) -> None:
    """Run sessions on a port until `stop` says so, asked once a block.

    Parameters
    ----------
    flowing : called after each block; it may say that the stream is of no use (StreamBroken).

    Raises
    ------
    StreamBroken
        The stream stopped; the loop has been told.
    """
    play = SILENCE
    while not stop():
        try:
            recorded = port.exchange(play)
            play = loop.step(recorded)
            flowing()
        except StreamBroken:
            loop.stream_failed()
            raise


def run(
    config: Config,
    *,
    opener: Callable[[], AudioPort] | None = None,
    sleep: Callable[[float], object] = time.sleep,
    stop: Callable[[], bool] = lambda: False,
    attendant: Attendant | None = None,
) -> None:
    """Run the device until `stop` says so; a broken stream is opened again.

    Parameters
    ----------
    opener : opens the audio port; the one of the configuration when None.
    sleep : waits so many seconds between tries.
    attendant : goes along.

    Raises
    ------
    EarmarkError
        A part cannot work as it is configured: at start, before anything was heard.
    """
    opener = opener or partial(open_audio, config, StreamHealth())
    attendant = attendant or Attendant()
    port: AudioPort | None = opener()
    device: Device | None = None
    try:
        # Its end is waited for before the loop is closed: the last work needs the ledger.
        with work_executor(config, GRACE_S) as executor:
            watch = StreamWatch(config.nonce, executor)
            attendant.watched(watch)

            def judged(judgement: Judgement, state: State) -> None:
                watch.observe(judgement, state)
                attendant.judged(judgement, state)

            try:
                device = assemble(
                    config,
                    executor=executor,
                    outlets=(attendant,),
                    lights=attendant.show,
                    observer=judged,
                )
                attendant.built(device, executor)
                loop = device.loop
                while port is not None and not _over(loop, port, stop):
                    over = partial(_over, loop, port, stop)
                    flowing = partial(_flowing, loop, port, watch, attendant)
                    try:
                        drive(loop, port, over, flowing)
                    except StreamBroken as error:
                        _log.error("%s", error, extra={"MESSAGE_ID": Entry.CARD_LOST.message_id})
                        attendant.lost(error)
                        port.close()
                        port = _reopen(opener, sleep, stop)
                        if port is not None:
                            back = {"MESSAGE_ID": Entry.CARD_BACK.message_id}
                            _log.info("the sound card is back", extra=back)
                            watch.restarted()
                            loop.stream_restored()
            finally:
                if port is not None:
                    port.close()  # before the wait: the microphone is off at once
    finally:
        if device is not None:
            device.loop.close()


def _flowing(loop: SessionLoop, port: AudioPort, watch: StreamWatch, attendant: Attendant) -> None:
    """A block was exchanged. A stream in which no nonce can be found any more is given up."""
    attendant.flowing(port)
    if watch.given_up is not None and loop.quiet:
        raise StreamBroken(
            watch.given_up,
            "it is opened again; if this repeats, see to the load and the sound server's latency",
        )


def open_audio(config: Config, health: StreamHealth | None = None) -> AudioPort:
    """The audio port of the configuration, as fast as time passes."""
    port = open_port(config.audio, health=health)
    # The room would otherwise run as fast as the processor can.
    return Paced(port, time.monotonic, time.sleep) if config.audio.kind == "simulated" else port


def work_executor(config: Config, grace_s: float | None = None) -> Executor:
    """A thread beside the audio; for a file, whose time stands still meanwhile, none.

    Parameters
    ----------
    grace_s : longest wait for the last work at the end, s; None waits for ever.
    """
    return InlineExecutor() if config.audio.kind == "wav" else Worker(grace_s)


def _over(loop: SessionLoop, port: AudioPort, stop: Callable[[], bool]) -> bool:
    """Asked to stop, or a file has been heard to its end and its last session is over."""
    heard = isinstance(port, WavPort) and port.exhausted and loop.state is State.IDLE
    return stop() or heard


def _reopen(
    opener: Callable[[], AudioPort], sleep: Callable[[float], object], stop: Callable[[], bool]
) -> AudioPort | None:
    """Open the port again, however long it takes; None when asked to stop meanwhile.

    It is back when it has exchanged a block: a sound server without a card opens and then gives
    nothing, and the room would hear every second that the device works again.
    """
    pause_s = REOPEN_FIRST_S
    while not stop():
        sleep(pause_s)
        port: AudioPort | None = None
        try:
            port = opener()
            port.exchange(SILENCE)
        except AudioError as error:
            if port is not None:
                port.close()
            # The first failure was logged when the stream broke; repeats would fill the journal.
            _log.debug("%s", error)
            pause_s = min(REOPEN_MAX_S, 2.0 * pause_s)
        else:
            return port
    return None
