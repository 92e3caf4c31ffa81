"""One session in the simulated room, as the microphones hear it; with or without its nonce.

A session is drawn first (:class:`Scene`) and performed afterwards (:func:`perform`), as often as
one likes: with the loudspeaker muted everything else is the same to the sample, which tells
what the nonce alone changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from earmark.audio import AudioSettings, RoomConditions, SimulatedRoom, loudspeaker_rms
from earmark.judging import Recorded
from earmark.nonce import Carrier, NoncePlayer
from earmark.signal import BLOCK, BLOCK_S, RATE_HZ, Signal
from earmark_host.bench.corpus import Corpus
from earmark_host.bench.room_pool import Room
from earmark_host.bench.stage import FLOOR_DBSPL, THD_PERCENT, Environment, Hardware

PRE_ROLL_S = 0.5
"""Recorded before the wake word was recognised, s: as the device does."""

HANGOVER_S = 0.7
"""From the end of the speech to the end of the session, s: the endpointer's default."""

REACTION_S = (0.0, 0.5)
"""From the wake word to the first sound of the command, s."""

TAIL_S = 0.02
"""What of the last slot rings on after it, s: the device waits for it too."""

RECORDER_CLOCK_PPM = 50.0
"""Largest error of a recorder's clock: a consumer crystal, ppm."""

SILENCE: Signal = np.zeros(BLOCK, np.float32)


@dataclass(frozen=True, eq=False)
class Scene:
    """A session, drawn.

    Parameters
    ----------
    room : where.
    said : what is said or replayed, float32 at 16 kHz.
    source : from which position of the room.
    level_dbspl_1m : how loud, active level at 1 m, dB SPL.
    begin_s : when it begins, s after the wake word was recognised.
    environment : what else sounds.
    person : whose voice it is; not on the television.
    hardware : of the device.
    nonce_dbspl_1m : loudness of the nonce.
    seed : of all noise.
    enclosure : of the loudspeaker that plays `said`: ``speaker``, ``phone``, or None for a mouth.
    recorders : name of a receiver to the error of its clock, ppm.
    """

    room: Room
    said: Signal
    source: str
    level_dbspl_1m: float
    begin_s: float
    environment: Environment
    person: str
    hardware: Hardware
    nonce_dbspl_1m: float
    seed: int
    enclosure: str | None = None
    recorders: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Take:
    """A session, performed. All times are s in `recording`.

    Parameters
    ----------
    recording : the device's microphone, from the pre-roll to the end.
    carrier : the nonce; what was played of it and how many slots.
    played_at_s : when the player was handed the first sample (also with the loudspeaker muted).
    speech : when what was said begins and ends at the microphone.
    recorded : by each recorder, at its own clock, over the same time.
    """

    recording: Signal
    carrier: Carrier
    played: Signal
    slots: int
    played_at_s: float
    speech: tuple[float, float]
    recorded: Mapping[str, Signal]

    def judged(self, session: str, unix_s: float) -> Recorded:
        """The session as the device's judge gets it, with the true begin and end of the speech."""
        return Recorded(
            session=session,
            recording=self.recording,
            carrier=self.carrier,
            played=self.played,
            played_at_s=self.played_at_s,
            slots=self.slots,
            speech=self.speech,
            woken_unix_s=unix_s,
        )


def draw_hardware(rng: np.random.Generator, own_clocks: bool | None = None) -> Hardware:
    """A device without a frequency shift; one codec, or two clocks.

    Parameters
    ----------
    own_clocks : loudspeaker and microphone differ by up to 300 ppm; None: in every second device.
    """
    drifts = rng.random() < 0.5 if own_clocks is None else own_clocks
    drift = float(rng.uniform(-Hardware.DRIFT_PPM, Hardware.DRIFT_PPM)) if drifts else 0.0
    return Hardware(drift, 0.0, float(rng.uniform(*Hardware.LATENCY_S)))


def draw_recorders(names: Sequence[str], rng: np.random.Generator) -> dict[str, float]:
    """Recorders at these receivers, each with a clock of its own."""
    return {name: float(rng.uniform(-RECORDER_CLOCK_PPM, RECORDER_CLOCK_PPM)) for name in names}


def whole_nonce_s(carrier: Carrier, hardware: Hardware) -> float:
    """From the first sample handed to the player until the whole nonce was heard, s.

    The device ends no command before that.
    """
    return carrier.cycle_s + hardware.latency_s + BLOCK_S + TAIL_S


def perform(
    scene: Scene,
    carrier: Carrier,
    corpus: Corpus,
    settings: AudioSettings,
    *,
    muted: bool = False,
    altered: Callable[[Signal], Signal] | None = None,
    least_s: float = 0.0,
) -> Take:
    """Hold the session.

    Parameters
    ----------
    carrier : what the device plays.
    corpus : gives the noises and the television of the environment.
    settings : sensitivities of microphone and loudspeaker.
    muted : the loudspeaker stays silent; everything else is as without it.
    altered : takes each block that the device wants to play, and returns what the loudspeaker
        gets instead.
    least_s : the session lasts at least so long after playing began, however soon the speech
        ends, s; see :func:`whole_nonce_s`.
    """
    conditions = RoomConditions(
        drift_ppm=scene.hardware.drift_ppm,
        frequency_shift_hz=scene.hardware.shift_hz,
        latency_s=scene.hardware.latency_s,
        thd_percent=THD_PERCENT,
        ambient_dbspl=FLOOR_DBSPL,
        seed=scene.seed,
    )
    sim = SimulatedRoom(scene.room.open(), settings, conditions)
    rng = np.random.default_rng([scene.seed, *b"environment"])
    scene.environment.fill(sim, corpus, scene.person, rng)
    for name, clock_ppm in scene.recorders.items():
        sim.record(name, clock_ppm)
    begin_s = PRE_ROLL_S + scene.begin_s
    how = () if scene.enclosure is None else (scene.enclosure,)
    end_s = sim.play_at(scene.source, scene.said, begin_s, scene.level_dbspl_1m, *how)
    player = NoncePlayer(carrier, loudspeaker_rms(scene.nonce_dbspl_1m, settings))
    blocks, out = [], SILENCE
    last = max(
        round((end_s + HANGOVER_S) / BLOCK_S),
        math.ceil((PRE_ROLL_S + least_s) / BLOCK_S - 1e-9),
    )
    for number in range(last):
        blocks.append(sim.exchange(SILENCE if muted else out))
        # The block that is handed over now is heard with the next exchange.
        if len(blocks) * BLOCK_S < PRE_ROLL_S - 1e-9:
            continue
        if number == last - 1:
            player.stop()
        block = player.block()
        out = block if altered is None else altered(block)
    recorded = {name: sim.recording(name) for name in scene.recorders}
    sim.close()
    size = len(blocks) * BLOCK
    return Take(
        recording=np.concatenate(blocks),
        carrier=carrier,
        played=player.whole(),
        slots=player.slots,
        played_at_s=PRE_ROLL_S,
        speech=(begin_s, min(end_s, size / RATE_HZ)),
        recorded=recorded,
    )
