"""Enrolling somebody on a device: each phrase is said in a session of its own, wake word first.

The sessions are real ones. A phrase counts only when it was allowed by the signal, the nonce, the
stale search and the query memory, so that nobody is enrolled from a recording, and only with the
nonce taken out of it. Nothing is forwarded to anybody, and neither sound nor words are kept.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from earmark.audio import AudioPort, WavPort
from earmark.config import Config
from earmark.control import MuteFile
from earmark.daemon import build, drive, open_audio, work_executor
from earmark.feedback import Feedback
from earmark.forward import Command
from earmark.gate import CheckName, Embedder, Evidence, Finding, Reason, SignalCheck
from earmark.judging import Judgement, Review
from earmark.loop import SessionLoop
from earmark.memory import QueryMemory
from earmark.nonce import Keys, Ledger
from earmark.session import State
from earmark.signal import BLOCK_S
from earmark.speaker import (
    Criterion,
    Enrolled,
    Enrolment,
    EnrolmentError,
    Phrase,
    Prompt,
    Quality,
    SpeakerModel,
    Vault,
)
from earmark.wake import WakeDetector

REQUIRED: tuple[CheckName, ...] = ("signal", "nonce", "stale", "memory")
"""Checks that each phrase must pass, whatever the settings of the gate leave out."""

TAIL_S = 1.0
"""How long the device runs on after the last phrase, s: its answer is heard to the end."""

PATIENCE_S = 180.0
"""How long it waits for the wake word, s, before it gives up: time to fetch somebody, and not so
long that a forgotten enrolment keeps the device from its work."""

_REASONS = {
    Quality.TOO_SHORT: Reason.SPEAKER_UNDETERMINED,
    Quality.CLIPPED: Reason.CLIPPED,
    Quality.TOO_QUIET: Reason.TOO_QUIET,
    Quality.TOO_NOISY: Reason.TOO_QUIET,
    Quality.ALREADY_SOMEBODY: Reason.SPEAKER_UNDETERMINED,
    Quality.INCONSISTENT: Reason.SPEAKER_UNDETERMINED,
}
"""What the room and the journal are told of a phrase that cannot be used."""


class Phrases:
    """Between the gate and an enrolment: takes each phrase that was allowed.

    Parameters
    ----------
    enrolment : gets the phrases.
    ask : shows the person what to say next: at :meth:`begin`, and after each phrase until all
        are there.
    """

    def __init__(self, enrolment: Enrolment, ask: Callable[[Prompt], None]) -> None:
        self._enrolment = enrolment
        self._ask = ask
        self.error: EnrolmentError | None = None
        """Why it cannot go on; None while it can."""

    def begin(self) -> None:
        """Ask for the first phrase."""
        self._ask(self._enrolment.prompt)

    @property
    def over(self) -> bool:
        """All phrases are there, or it cannot go on."""
        return self._enrolment.complete or self.error is not None

    def review(self, evidence: Evidence, findings: tuple[Finding, ...]) -> Reason | None:
        """Offer the phrase of an allowed session; why it is to be said again, or None."""
        if self.over:
            return Reason.SPEAKER_UNDETERMINED  # somebody speaks on; nothing more is taken
        try:
            quality = self._enrolment.offer(_phrase(evidence, findings)).quality
        except EnrolmentError as error:
            self.error = error
            return Reason.SPEAKER_UNDETERMINED
        if not self._enrolment.complete:
            self._ask(self._enrolment.prompt)
        return _REASONS.get(quality)


class Nowhere:
    """A forwarder that hands nothing to nobody."""

    def send(self, command: Command) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def enrolling_loop(
    config: Config,
    review: Review,
    *,
    executor: Executor,
    ledger: Ledger | None = None,
    keys: Keys | None = None,
    memory: QueryMemory | None = None,
    wake: WakeDetector | None = None,
    outlets: Sequence[Feedback] = (),
    entropy: Callable[[int], bytes] = os.urandom,
    now: Callable[[], float] = time.time,
    observer: Callable[[Judgement, State], None] | None = None,
) -> SessionLoop:
    """The device as it is while somebody enrols; parameters as of :func:`earmark.daemon.build`."""
    gate = config.gate.model_copy(update={"required": REQUIRED})
    return build(
        config.model_copy(update={"gate": gate}),
        executor=executor,
        ledger=ledger,
        keys=keys,
        memory=memory,
        forwarder=Nowhere(),
        wake=wake,
        outlets=outlets,
        entropy=entropy,
        now=now,
        observer=observer,
        review=review,
    )


def enrol(
    config: Config,
    name: str,
    consent_unix_s: float,
    ask: Callable[[Prompt], None],
    *,
    speaker: Embedder | None = None,
    vault: Vault | None = None,
    opener: Callable[[], AudioPort] | None = None,
    executor: Executor | None = None,
    wake: WakeDetector | None = None,
    outlets: Sequence[Feedback] = (),
    stop: Callable[[], bool] = lambda: False,
    entropy: Callable[[int], bytes] = os.urandom,
    now: Callable[[], float] = time.time,
) -> Enrolled:
    """Hold sessions until somebody is enrolled, and keep the voiceprint in the vault.

    The daemon must be stopped meanwhile: it has the microphone, and the query memory.

    Parameters
    ----------
    config : of the device.
    name : of the person.
    consent_unix_s : when the person agreed to be recognised, s since 1970.
    ask : shows the person what to say, from whatever thread.
    speaker, vault, wake : opened from the configuration when None.
    opener : opens the audio port; the one of the configuration when None.
    executor : does the heavy work and is shut down at the end; a thread of its own when None.
    outlets : further ways of feedback.
    stop : asked once a block; nobody is enrolled when it says so.
    entropy, now : the generator of random bytes and the wall clock.

    Returns
    -------
    The person, who is in the vault by then, and how well they are told from others.

    Raises
    ------
    EarmarkError
        A part cannot work as it is configured, the stream broke, the person cannot be enrolled,
        or it was stopped. Nothing is kept then.
    """
    if MuteFile(config.control.mute_file).muted:
        raise EnrolmentError(
            "nobody was enrolled, as the microphone is muted",
            "unmute it while the service runs (earmark unmute), then stop the service and begin"
            " again",
        )
    vault = vault or Vault.of(config.speaker)
    speaker = speaker or SpeakerModel.open(config.speaker.model)
    enrolment = Enrolment(
        config.speaker.enrolment,
        speaker,
        vault.people,
        name,
        consent_unix_s,
        Criterion.calibrated(config.speaker.far_target, speaker.decision),
    )
    port = open_audio(config) if opener is None else opener()
    try:
        with executor or work_executor(config) as work:
            phrases = Phrases(enrolment, ask)
            loop = enrolling_loop(
                config,
                phrases.review,
                executor=work,
                wake=wake,
                outlets=outlets,
                entropy=entropy,
                now=now,
            )
            try:
                phrases.begin()  # only now: everything is open
                over = _Over(phrases, loop, port, stop)
                drive(loop, port, over)
            finally:
                work.shutdown()  # the last work needs what the loop closes
                loop.close()
    finally:
        port.close()
    if phrases.error is not None:
        raise phrases.error
    if over.forsaken:
        raise EnrolmentError(
            f"nobody was enrolled, as nobody said the wake word for {PATIENCE_S:g} s",
            "begin again, and say the wake word before each phrase",
        )
    if not enrolment.complete:
        raise EnrolmentError("nobody was enrolled, as not all phrases were said", "begin again")
    enrolled = enrolment.finish(now(), entropy)
    vault.add(enrolled.person)
    return enrolled


class _Over:
    """Whether to end: stopped, a file at its end, nobody there, or done and heard out."""

    def __init__(
        self, phrases: Phrases, loop: SessionLoop, port: AudioPort, stop: Callable[[], bool]
    ) -> None:
        self._phrases = phrases
        self._loop = loop
        self._port = port
        self._stop = stop
        self._left_s = TAIL_S
        self._waited_s = 0.0

    @property
    def forsaken(self) -> bool:
        """Nobody was there for so long that it ended."""
        return not self._phrases.over and self._waited_s > PATIENCE_S

    def __call__(self) -> bool:
        idle = self._loop.state in (State.IDLE, State.LOCKED)
        # A lock is waited out: it is longer than anybody's patience, and nobody's fault here.
        waits = self._loop.state is State.IDLE
        self._waited_s = self._waited_s + BLOCK_S if waits else 0.0
        if self._phrases.over and idle:
            self._left_s -= BLOCK_S
        heard = isinstance(self._port, WavPort) and self._port.exhausted and idle
        return self._stop() or heard or self._left_s <= 0.0 or self.forsaken


def _phrase(evidence: Evidence, findings: tuple[Finding, ...]) -> Phrase:
    """The speech without the nonce, and what the signal check measured."""
    figures = next(one.detail for one in findings if one.check == SignalCheck.name)
    speech_s, speech_dbfs, noise_dbfs, clipped_share = (
        float(str(figures[key]))
        for key in ("speech_s", "speech_dbfs", "noise_dbfs", "clipped_share")
    )
    return Phrase(
        signal=evidence.within_speech(evidence.cleaned),
        speech_s=speech_s,
        speech_dbfs=speech_dbfs,
        noise_dbfs=noise_dbfs,
        clipped_share=clipped_share,
    )
