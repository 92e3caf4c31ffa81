"""The nonce's waveforms and other people's modems on the same audio.

A trial: somebody speaks for 4 s in a room, and for the same 4 s a loudspeaker sends 32 random
bits in one of the waveforms. What reaches the microphone of both is scaled to a
nonce-to-speech ratio (NSR): the level (rms) of the message over the active level of the speech,
at the microphone. Speech, room, noise, clocks and payload are the same for all waveforms and
levels of a trial. A success is the exact payload.
"""

from __future__ import annotations

import resource
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import soxr
from scipy import signal as sps

from earmark.audio import AudioSettings, RoomModel, loudspeaker_dbfs, microphone_rms
from earmark.audio._loudspeaker import OVERSAMPLING, Loudspeaker
from earmark.audio._noise import ColouredNoise, LoopedNoise, NoiseStream
from earmark.audio.room_model import LEAD, MIC, SOUND_M_S
from earmark.errors import EarmarkError
from earmark.nonce import Carrier, NonceSettings, Source, SpreadCarrier
from earmark.signal import BLOCK, RATE_HZ, Signal, active_level_dbfs, gain, rms
from earmark_host.bench.corpus import draw
from earmark_host.bench.nonce.setup import NOW_S, Setup
from earmark_host.bench.stage import FLOOR_DBSPL, THD_PERCENT, Environment
from earmark_host.nonce.blind import receive

if TYPE_CHECKING:
    from earmark_host.nonce.peers import Modem

SENT_S = 4.0
"""Time in which everybody may send, s: a command a little longer than the average of AEOLUS
(3 s), so that each waveform fits at least once."""

LEAD_S = 0.3
"""Noise alone before it, s."""

TAIL_S = 0.3
"""Recorded after it, s: the room's reverberation."""

PAYLOAD_BYTES = 4
"""The 32 bits of AEOLUS, section 3.2."""

MIC_NOISE_DBSPL = 30.0
"""Noise of the microphone itself, white, dB SPL: as in the simulated room."""

THD_DRIVE_DBSPL_1M = 60.0
"""Level at which the loudspeaker distorts by ``THD_PERCENT``, dB SPL: as in the simulated room."""

CLOCK_PPM = 50.0
"""Largest difference of the two clocks, ppm: consumer crystals."""

EARLY_S = (0.0, 0.3)
"""How long before it is heard the device takes its nonce to be played, s: a sound server's round
trip, which it does not know."""

TALKER = "person_1m"
"""Who speaks: 1 m from the microphone."""

SENDERS = {1.0: "attacker", 4.0: "person_4m"}
"""Where the loudspeaker is, by its distance from the microphone, m: not where the talker is."""


class Family(Enum):
    """Whose waveform it is. Each is tried where its success begins and ends."""

    OURS = "ours"
    GGWAVE = "ggwave"
    OTHER = "other"


class Answer(Enum):
    """What a receiver made of a recording."""

    RIGHT = "right"
    WRONG = "wrong"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Cell:
    """Trials under the same conditions.

    Parameters
    ----------
    distance_m : from the loudspeaker to the microphone, one of :data:`SENDERS`.
    environment : its noise.
    trials : how many.
    levels_db : levels (NSR) at which each family is tried, dB, from the highest down.
    """

    distance_m: float
    environment: Environment
    trials: int
    levels_db: tuple[tuple[Family, tuple[float, ...]], ...]

    def levels(self, family: Family) -> tuple[float, ...]:
        """Those of one family; none where it is not tried."""
        return dict(self.levels_db).get(family, ())


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    cells: tuple[Cell, ...]


def steps(top_db: int, bottom_db: int, step_db: int) -> tuple[float, ...]:
    """Levels from the top down to the bottom."""
    return tuple(float(level) for level in range(top_db, bottom_db - 1, -step_db))


FINE = (
    (Family.OURS, (6.0, -6.0, *steps(-12, -42, 3))),
    (Family.GGWAVE, (12.0, 6.0, *steps(0, -30, 3))),
    (Family.OTHER, steps(12, -30, 6)),
)
"""Levels of the headline."""

COARSE = (
    (Family.OURS, steps(6, -42, 6)),
    (Family.GGWAVE, steps(12, -30, 6)),
    (Family.OTHER, steps(12, -24, 12)),
)
"""Levels of the other conditions."""

FEW = (
    (Family.OURS, steps(-6, -42, 12)),
    (Family.GGWAVE, steps(6, -30, 12)),
    (Family.OTHER, (6.0, -18.0)),
)
"""Levels of a quick run."""


def _cells(
    headline: tuple[int, tuple[tuple[Family, tuple[float, ...]], ...]],
    others: tuple[int, tuple[tuple[Family, tuple[float, ...]], ...]],
) -> tuple[Cell, ...]:
    quiet, kitchen = Environment.QUIET, Environment.KITCHEN
    return (
        Cell(1.0, quiet, *headline),
        *(Cell(d, e, *others) for d, e in ((4.0, quiet), (1.0, kitchen), (4.0, kitchen))),
    )


FULL = Plan(_cells((100, FINE), (15, COARSE)))
"""All figures, on two cores within 5 minutes."""

QUICK = Plan(_cells((10, FEW), (2, FEW)))
"""Whether everything works, within 15 s."""


@dataclass(frozen=True)
class Piece:
    """One trial: number `index` of a cell."""

    cell: Cell
    index: int


@dataclass(frozen=True)
class Reading:
    """One receiver at one level.

    Parameters
    ----------
    receiver : its name.
    nsr_db : level of the message over that of the speech, dB.
    answer : right, wrong or nothing.
    cpu_s : CPU time it took, s; of a program that it ran as well.
    """

    receiver: str
    nsr_db: float
    answer: Answer
    cpu_s: float


@dataclass(frozen=True)
class Trial:
    """What all receivers made of one trial."""

    piece: Piece
    recording_s: float
    readings: tuple[Reading, ...]


def pieces(plan: Plan) -> list[Piece]:
    """All trials, the headline's first: they take longest."""
    return [Piece(cell, index) for cell in plan.cells for index in range(cell.trials)]


def hold(setup: Setup, piece: Piece) -> Trial:
    """Send and receive in all waveforms at all levels.

    Raises
    ------
    EarmarkError
        A peer is not installed, or the corpus lacks something.
    """
    cell = piece.cell
    rng = setup.rng(f"peers {cell.environment.value} {cell.distance_m:g}", piece.index)
    stage = _Stage.drawn(setup, cell, rng)
    payload = rng.bytes(PAYLOAD_BYTES)
    readings = [
        reading
        for sender in _senders(setup, payload, rng)
        for reading in _tried(stage, sender, payload, cell)
    ]
    return Trial(piece, stage.background.size / RATE_HZ, tuple(readings))


# -- waveforms ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Heard:
    """What a receiver gets.

    Parameters
    ----------
    recording : the microphone's.
    start_s : when the message begins in it, s.
    played_at_s : when a device believes to have played it: up to the round trip earlier, s.
    """

    recording: Signal
    start_s: float
    played_at_s: float


Receiver: TypeAlias = Callable[[Heard], tuple[bytes | None, ...]]
"""What is read from a recording, under one or more rules."""


@dataclass(frozen=True, eq=False)
class Sender:
    """One waveform with a payload.

    Parameters
    ----------
    family : whose waveform it is.
    sound : at most ``SENT_S`` long, in any scale.
    receivers : each a function, and the names of what it answers: a payload, or None.
    """

    family: Family
    sound: Signal
    receivers: tuple[tuple[tuple[str, ...], Receiver], ...]


BLIND = "spread, blind"
"""The payload is read by somebody who knows the codes alone."""

VERIFIED = "spread, verified"
"""The device looks for the nonce that it played, and finds it whole and without an error."""

ACCEPTED = "spread, accepted"
"""The same, with as many errors as the device accepts."""

TONES = "bfsk, verified"
TONES_ACCEPTED = "bfsk, accepted"

GGWAVE = "ggwave"
"""What the names of all its modes begin with."""

AS_SHIPPED = ", as shipped"
"""What the names of its modes end with when nothing was tuned: the same sound, read once, with
its own threshold."""

SHIPPED_MARKER_THRESHOLD = 3.0
"""ggwave's default, in its getDefaultParameters()."""


def _senders(setup: Setup, payload: bytes, rng: np.random.Generator) -> Iterator[Sender]:
    yield _spread(setup, payload)
    yield _bfsk(setup, payload, rng)
    for modem in modems():
        yield _modem(modem, payload)


def _spread(setup: Setup, payload: bytes) -> Sender:
    source = setup.source(nonce=_settings(setup, "spread"))
    carrier = source.draw(lambda _: payload, NOW_S)
    assert isinstance(carrier, SpreadCarrier)  # as its settings say
    slots, sound = _whole_slots(carrier)

    def blind(heard: Heard) -> tuple[bytes | None]:
        return (receive(heard.recording, carrier.bank, carrier.settings.max_drift_ppm),)

    verify = _verifying(carrier, slots, carrier.settings.max_bit_error_rate)
    return Sender(Family.OURS, sound, (((BLIND,), blind), ((VERIFIED, ACCEPTED), verify)))


def _bfsk(setup: Setup, payload: bytes, rng: np.random.Generator) -> Sender:
    source: Source = setup.source(nonce=_settings(setup, "bfsk"))
    carrier = source.draw(lambda size: payload + rng.bytes(size - len(payload)), NOW_S)
    slots, sound = _whole_slots(carrier)
    verify = _verifying(carrier, slots, setup.config.nonce.max_bit_error_rate)
    return Sender(Family.OURS, sound, (((TONES, TONES_ACCEPTED), verify),))


def _modem(modem: Modem, payload: bytes) -> Sender:
    from earmark_host.nonce.peers import Ggwave, LiteralBfsk  # noqa: PLC0415 - see modems()

    message = modem.encode(payload)
    count = int(SENT_S * RATE_HZ // message.size)

    def read(heard: Heard) -> tuple[bytes | None]:
        return (modem.decode(heard.recording),)

    def read_literally(heard: Heard) -> tuple[bytes | None]:
        # Without a mark of its own, a repeated message does not say where it begins.
        assert isinstance(modem, LiteralBfsk)
        starts = [heard.start_s + number * message.size / RATE_HZ for number in range(count)]
        return (majority([modem.decode(heard.recording, start) for start in starts]),)

    sound = np.tile(message, count)
    if isinstance(modem, LiteralBfsk):
        return Sender(Family.OTHER, sound, (((modem.name,), read_literally),))
    if not isinstance(modem, Ggwave):
        return Sender(Family.OTHER, sound, (((modem.name,), read),))
    if modem.fixed:
        return Sender(Family.GGWAVE, sound, (((modem.name,), read),))
    plain = replace(modem, passes=1, marker_threshold=SHIPPED_MARKER_THRESHOLD)

    def read_plainly(heard: Heard) -> tuple[bytes | None]:
        return (plain.decode(heard.recording),)

    names = (modem.name,), (modem.name + AS_SHIPPED,)
    return Sender(Family.GGWAVE, sound, ((names[0], read), (names[1], read_plainly)))


def modems() -> Sequence[Modem]:
    """The peers that are installed; those of minimodem only with the program of that name.

    Raises
    ------
    EarmarkError
        ggwave is missing.
    """
    try:
        from earmark_host.nonce.peers import PEERS, Minimodem  # noqa: PLC0415
    except ImportError as error:
        raise EarmarkError(
            f"the peers cannot be loaded ({error})", "install Earmark with its extra 'host'"
        ) from error
    program = shutil.which("minimodem") is not None
    return [peer for peer in PEERS if program or not isinstance(peer, Minimodem)]


def majority(payloads: Sequence[bytes | None]) -> bytes | None:
    """Bit by bit what most of them say, the first one where they are even; None without any.

    AEOLUS repeats its bits but has no check that would tell a right message from a wrong one.
    """
    read = [np.unpackbits(np.frombuffer(each, np.uint8)) for each in payloads if each is not None]
    if not read:
        return None
    votes = np.sum([2.0 * bits - 1.0 for bits in read], axis=0) + 0.5 * (2.0 * read[0] - 1.0)
    return np.packbits(votes > 0.0).tobytes()


def _settings(setup: Setup, waveform: str) -> NonceSettings:
    return setup.config.nonce.model_copy(
        update={"waveform": waveform, "payload_bits": 8 * PAYLOAD_BYTES}
    )


def _whole_slots(carrier: Carrier) -> tuple[int, Signal]:
    """As many whole slots as fit: the nonce is a stream, and any cycle of it is a message."""
    room = round(SENT_S * RATE_HZ) - carrier.tail
    slots = int(room / RATE_HZ / carrier.slot_s + 1e-9)
    size = round(slots * carrier.slot_s * RATE_HZ) + carrier.tail
    return slots, carrier.render(0, size, slots)


def _verifying(carrier: Carrier, slots: int, max_bit_error_rate: float) -> Receiver:
    def verify(heard: Heard) -> tuple[bytes | None, bytes | None]:
        report = carrier.verify(heard.recording, heard.played_at_s, slots)
        whole = report.present and report.complete
        rates = (0.0, max_bit_error_rate)
        exact, accepted = (whole and report.bit_error_rate <= rate for rate in rates)
        return carrier.payload if exact else None, carrier.payload if accepted else None

    return verify


# -- audio ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Stage:
    """The audio of a trial, without a message.

    Parameters
    ----------
    background : speech and noise at the microphone, float32 at 16 kHz.
    speech_rms : amplitude of the active speech in it.
    response : of the room, from the sender to the microphone.
    flight_s : until the direct sound of the sender arrives, s.
    played_early_s : by how much a device believes to have played earlier than it was heard, s.
    clock_ppm : how much faster the sender's clock runs.
    audio : the sensitivities.
    """

    background: Signal
    speech_rms: float
    response: Signal
    flight_s: float
    played_early_s: float
    clock_ppm: float
    audio: AudioSettings

    @classmethod
    def drawn(cls, setup: Setup, cell: Cell, rng: np.random.Generator) -> _Stage:
        """Draw a room, somebody, what he says, the noise and the clocks."""
        position = SENDERS[cell.distance_m]
        model = setup.room(rng, TALKER, position).open()
        _, _, said = setup.sentence(rng)
        speech = _spoken(model, said, cell.environment.speech_dbspl_1m, setup.config.audio)
        noise = _noise(setup, cell.environment, speech.size, rng)
        return cls(
            background=speech + noise,
            speech_rms=gain(active_level_dbfs(speech)),
            response=model.responses[position, MIC],
            flight_s=LEAD / RATE_HZ + model.distance_m(position) / SOUND_M_S,
            played_early_s=float(rng.uniform(*EARLY_S)),
            clock_ppm=float(rng.uniform(-CLOCK_PPM, CLOCK_PPM)),
            audio=setup.config.audio,
        )


def _tried(stage: _Stage, sender: Sender, payload: bytes, cell: Cell) -> Iterator[Reading]:
    start_s = LEAD_S + stage.flight_s
    for nsr_db in cell.levels(sender.family):
        sent = _sent(stage, sender.sound, nsr_db)
        heard = Heard(
            np.asarray(np.clip(stage.background + sent, -1.0, 1.0), np.float32),
            start_s,
            max(0.0, start_s - stage.played_early_s),
        )
        for names, receiver in sender.receivers:
            before_s = _cpu_s()
            read = receiver(heard)
            spent_s = _cpu_s() - before_s
            for name, each in zip(names, read, strict=True):
                yield Reading(name, nsr_db, _answer(each, payload), spent_s)


def _answer(read: bytes | None, payload: bytes) -> Answer:
    if read is None:
        return Answer.NOTHING
    return Answer.RIGHT if read == payload else Answer.WRONG


def _cpu_s() -> float:
    """CPU time of this thread and of the programs that it ran, s."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.thread_time() + children.ru_utime + children.ru_stime


def _spoken(model: RoomModel, said: Signal, level_dbspl_1m: float, audio: AudioSettings) -> Signal:
    """The sentence over and over for ``SENT_S``, at the microphone."""
    speech = np.resize(said, round(SENT_S * RATE_HZ))
    speech *= np.float32(microphone_rms(level_dbspl_1m, audio) / gain(active_level_dbfs(speech)))
    return _in_room(speech, model.responses[TALKER, MIC])


def _in_room(sound: Signal, response: Signal) -> Signal:
    """`sound` from ``LEAD_S`` on, through a response, over the whole recording."""
    out = np.zeros(round((LEAD_S + SENT_S + TAIL_S) * RATE_HZ), np.float32)
    at = round(LEAD_S * RATE_HZ)
    wet = sps.oaconvolve(sound, response)[: out.size - at]
    out[at : at + wet.size] = wet
    return out


def _noise(setup: Setup, environment: Environment, size: int, rng: np.random.Generator) -> Signal:
    """The room's, the kitchen's and the microphone's noise."""
    audio = setup.config.audio
    streams: list[NoiseStream] = [
        ColouredNoise("pink", microphone_rms(FLOOR_DBSPL, audio), rng),
        ColouredNoise("white", microphone_rms(MIC_NOISE_DBSPL, audio), rng),
    ]
    if environment is Environment.KITCHEN:
        clip = setup.corpus.load(draw(setup.corpus.role("noise"), rng))
        streams.append(LoopedNoise(clip, microphone_rms(environment.noise_dbspl, audio), rng))
    blocks = -(-size // BLOCK)
    heard = [np.sum([stream.next() for stream in streams], axis=0) for _ in range(blocks)]
    return np.asarray(np.concatenate(heard)[:size], np.float32)


def _sent(stage: _Stage, sound: Signal, nsr_db: float) -> Signal:
    """`sound` at the microphone, at this level over the speech.

    The loudspeaker is driven as hard as that takes, so that it distorts accordingly.
    """
    wanted = stage.speech_rms * gain(nsr_db)
    # What arrives for each unit of the loudspeaker's amplitude; the drive's own unit cancels.
    emission = gain(stage.audio.speaker_dbspl_1m_at_0dbfs - stage.audio.mic_dbspl_at_0dbfs)
    path = float(np.sqrt(np.sum(np.square(stage.response, dtype=np.float64))))
    drive = sound * np.float32(wanted / (emission * path * rms(sound)))
    high_hz = OVERSAMPLING * RATE_HZ
    fast_hz = RATE_HZ * (1.0 + stage.clock_ppm * 1e-6)
    speaker = Loudspeaker(THD_PERCENT, loudspeaker_dbfs(THD_DRIVE_DBSPL_1M, stage.audio), "speaker")
    radiated = speaker.radiate(soxr.resample(np.clip(drive, -1.0, 1.0), fast_hz, high_hz))
    low = np.asarray(soxr.resample(radiated, high_hz, RATE_HZ), np.float32)
    wet = _in_room(low[: round(SENT_S * RATE_HZ)], stage.response)
    begin = round((LEAD_S + stage.flight_s) * RATE_HZ)
    return np.asarray(wet * np.float32(wanted / rms(wet[begin : begin + sound.size])), np.float32)
