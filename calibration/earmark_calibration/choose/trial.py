"""One trial: a command, live or replayed, while a fresh nonce plays; and what the product says.

The same trial is simulated through what was measured, for the prediction, and played by the
device's own loudspeaker, to verify it. That loudspeaker then plays the nonce and, at the level that
it would have at the microphone, the command or its replay. The nonces are made of keys that are
forgotten afterwards, so nothing of it is in the ledger or the key ring.

A replay is a recording of a person at 1 m from the device while an old nonce played, made at one
of three places and played again from 1 m. Beside the speaker's mouth the old nonce is hardest to
find: it lies 34 dB below the voice when it has 40 dB SPL.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import soxr

from earmark.audio import loudspeaker_rms, microphone_rms
from earmark.demo.clips import ClipKind, load_clips
from earmark.gate import Decision, GateSettings, NonceCheck, Outcome, StaleCheck
from earmark.judging import Judge, Judgement, Recorded
from earmark.nonce import Carrier, FixedKeys, Issue, Memory, NoncePlayer, NonceSettings, Source
from earmark.signal import BLOCK, BLOCK_S, RATE_HZ, Signal, active_level_dbfs, gain, level_dbfs
from earmark_calibration.choose.place import Place, fast_convolve

NOW_S = 1_700_000_000.0
"""Wall clock of all trials (UTC, s): which, does not matter; one epoch of keys."""

DAY_S = 86_400.0
"""A recording is replayed a day later, s."""

SPEECH_DBSPL_1M = 60.0
"""Of the stand-in's speech at 1 m: conversational (ANSI S3.5: 62.4 dB for normal effort)."""

ATTACK_DBSPL_1M = (60.0, 66.0)
"""Of a replay at 1 m: that of speech, and twice that pressure."""

LIVE_M = (1.0, 2.0, 3.0)
"""Where people stand who command, m."""

ATTACK_M = 1.0
"""Where the attacker's loudspeaker stands, m from the device."""

RECORDERS_M = {"bystander": (1.0, 1.0), "mouth": (0.2, 1.0), "device": (1.0, 0.27)}
"""Where an attacker records: distance to the person's mouth and to the device's loudspeaker, m."""

RECORDER_NOISE_DBSPL = 30.0
"""Self-noise of the attacker's recorder, dB SPL: that of a common microphone, 64 dB SNR."""

RECORDER_PPM = 50.0
"""Largest error of its clock: a consumer crystal."""

PRE_ROLL_S = 0.2
"""From the beginning of a recording until the nonce is handed to the player, s."""

BEGIN_S = (0.0, 0.4)
"""From there to the first sound of the command, s."""

HANGOVER_S = 0.25
"""From the command's end to the recording's, s; the device waits 0.7. Sound costs the household's
patience, and the nonce mostly ends later anyway."""

RING_S = 0.15
"""What of a command's reverberation is played after its end, s."""

DELAY_SLACK_S = 0.1
"""A stream that was opened again may be later by so much than the one that was measured, s."""

TAIL_S = 0.04
"""What must follow the last slot, s: its ringing, and a block."""

LONGEST_SAID_S = 2.5
"""Longest command, s: as most are, and ten of them fit half a minute."""

SHORTEST_SAID_S = 1.6
"""Shortest, s: in a shorter one the old nonce has no whole cycle at all."""

MOST_DRIVE = 0.7
"""Highest sample that the loudspeaker is driven to; a louder command is turned down."""

REQUIRED = GateSettings(required=("nonce", "stale"))
"""The checks that are measured: those on the nonce."""


@lru_cache(maxsize=1)
def voices() -> tuple[tuple[str, Signal], ...]:
    """The commands that ship with the demo: name and sound, 1.6 to 2.5 s."""
    clips = load_clips()
    found = []
    for clip in (*clips.all(ClipKind.COMMAND), *clips.all(ClipKind.RESIDENT)):
        said = clip.spoken[: round(LONGEST_SAID_S * RATE_HZ)]
        if said.size >= round(SHORTEST_SAID_S * RATE_HZ):
            found.append((clip.name, np.asarray(said, np.float32)))
    return tuple(found)


@lru_cache(maxsize=6)
def source(settings: NonceSettings, secret: bytes) -> Source:
    """Draws nonces of a household that exists during the calibration only."""
    made = Source(settings, FixedKeys(secret))
    made.prepare(NOW_S)
    return made


@dataclass(frozen=True, eq=False)
class Script:
    """What the loudspeaker is to play in one trial, and what there is to look for.

    Parameters
    ----------
    drive : all that it plays, float32, whole blocks.
    played : the nonce in it, from its first sample on.
    carrier, slots : that nonce, and how many slots of it.
    speech : when the command begins and ends in `drive`, s.
    old : the nonce of the recording that is replayed; None for a live command.
    recorder : where that was made; "" for a live command.
    said : name of the clip.
    """

    drive: Signal = field(repr=False)
    played: Signal = field(repr=False)
    carrier: Carrier = field(repr=False)
    slots: int
    speech: tuple[float, float]
    old: Issue | None
    recorder: str
    said: str

    @property
    def duration_s(self) -> float:
        """How long it sounds."""
        return self.drive.size / RATE_HZ


@dataclass(frozen=True, eq=False)
class Seen:
    """What the product made of a trial.

    Parameters
    ----------
    accepted : the current nonce was.
    allowed : the command would be, as far as the nonce goes.
    found : an old nonce was found.
    reason : of the verdict.
    judgement : all of it; holds sound.
    """

    accepted: bool
    allowed: bool
    found: bool
    reason: str
    judgement: Judgement = field(repr=False)


@dataclass(frozen=True)
class Trials:
    """Draws trials: the same number gives the same one, whatever the nonce's parameters.

    Parameters
    ----------
    place : where.
    seed : of all that is drawn. The nonces' bits come from it too: they guard nothing.
    """

    place: Place
    seed: int

    def rng(self, what: str, index: int) -> np.random.Generator:
        """The generator of one trial."""
        return np.random.default_rng([self.seed, *what.encode(), index])

    @property
    def secret(self) -> bytes:
        """Of the household that exists in this calibration only."""
        return self.rng("household", 0).bytes(32)

    def live(self, settings: NonceSettings, index: int, series: str = "live") -> Script:
        """Somebody commands, 1 to 3 m away."""
        rng = self.rng(series, index)
        name, said = _said(rng)
        distance_m = LIVE_M[int(rng.integers(len(LIVE_M)))]
        wanted = _emitted(said, SPEECH_DBSPL_1M, self.place)
        wanted = _spread_out(wanted, self.place.path(distance_m, rng))
        return self._script(settings, wanted, rng, None, "", name)

    def replay(self, settings: NonceSettings, index: int, series: str = "replay") -> Script:
        """A recording of a day ago, with the nonce of then, is played 1 m away."""
        rng = self.rng(series, index)
        name, said = _said(rng)
        recorder = list(RECORDERS_M)[index % len(RECORDERS_M)]
        old = source(settings, self.secret).draw(rng.bytes, NOW_S - DAY_S)
        recording, slots = self._recorded(settings, said, old, recorder, rng)
        level = float(rng.uniform(*ATTACK_DBSPL_1M))
        wanted = _spread_out(_emitted(recording, level, self.place), self.place.path(ATTACK_M, rng))
        issue = Issue.of(
            old,
            session=rng.bytes(16).hex(),
            device="calibration",
            place="calibration",
            issued_at=NOW_S - DAY_S,
            slots=slots,
        )
        return self._script(settings, wanted, rng, issue, recorder, name)

    def _recorded(
        self,
        settings: NonceSettings,
        said: Signal,
        old: Carrier,
        recorder: str,
        rng: np.random.Generator,
    ) -> tuple[Signal, int]:
        """What the attacker keeps: from about the command's begin to its end; slots in it."""
        place = self.place
        mouth_m, device_m = RECORDERS_M[recorder]
        lead = round(float(rng.uniform(*BEGIN_S)) * RATE_HZ)
        voice = np.concatenate([np.zeros(lead, np.float32), _emitted(said, SPEECH_DBSPL_1M, place)])
        rms = microphone_rms(settings.level_dbspl_1m, place.audio)
        nonce = np.float32(rms) * old.render(0, voice.size)
        heard = fast_convolve(voice, place.path(mouth_m, rng))
        heard += fast_convolve(_coloured(nonce, place), place.path(device_m, rng))
        self_noise = microphone_rms(RECORDER_NOISE_DBSPL, place.audio)
        heard += rng.standard_normal(heard.size).astype(np.float32) * np.float32(self_noise)
        heard += place.noise(heard.size, rng)
        ppm = float(rng.uniform(-RECORDER_PPM, RECORDER_PPM))
        cut = heard[max(0, lead - round(float(rng.uniform(0.0, 0.2)) * RATE_HZ)) :]
        moved = soxr.resample(cut, RATE_HZ, RATE_HZ * (1.0 + ppm * 1e-6))
        return np.asarray(moved, np.float32), math.ceil(voice.size / RATE_HZ / old.slot_s)

    def _script(
        self,
        settings: NonceSettings,
        wanted: Signal,
        rng: np.random.Generator,
        old: Issue | None,
        recorder: str,
        name: str,
    ) -> Script:
        """The nonce, and what is `wanted` at the microphone, on the loudspeaker."""
        place = self.place
        begin_s = PRE_ROLL_S + float(rng.uniform(*BEGIN_S))
        end_s = begin_s + wanted.size / RATE_HZ
        carrier = source(settings, self.secret).draw(rng.bytes, NOW_S)
        least_s = PRE_ROLL_S + carrier.cycle_s + place.delay_s + DELAY_SLACK_S + TAIL_S
        # The nonce plays on while the command is on its way; two crystals need a little more.
        blocks = math.ceil(max(end_s + place.delay_s + HANGOVER_S, least_s) / BLOCK_S) + 1
        player = NoncePlayer(carrier, loudspeaker_rms(settings.level_dbspl_1m, place.audio))
        before = round(PRE_ROLL_S / BLOCK_S)
        for _ in range(blocks - before):
            player.block()
        player.stop()
        played = player.whole()
        drive = np.zeros(blocks * BLOCK, np.float32)
        part = played[: (blocks - before) * BLOCK]
        drive[before * BLOCK : before * BLOCK + part.size] = part
        start = round(begin_s * RATE_HZ)
        command = _driven(wanted, place)
        drive[start : start + command.size] += command
        peak = float(np.abs(drive).max())
        if peak > MOST_DRIVE:
            # The nonce stays as loud as it is: the command gives way.
            room = MOST_DRIVE - float(np.abs(played).max())
            most = float(np.abs(command).max())
            drive[start : start + command.size] -= command * np.float32(
                1.0 - max(0.0, room) / max(most, 1e-9)
            )
        return Script(
            drive,
            played,
            carrier,
            player.slots,
            (begin_s + place.delay_s, min(end_s + place.delay_s, blocks * BLOCK_S)),
            old,
            recorder,
            name,
        )

    def simulate(self, script: Script, index: int, series: str) -> Signal:
        """What the microphone would record, by what was measured."""
        place = self.place
        drive = script.drive
        if place.drift_ppm:
            faster = RATE_HZ * (1.0 + place.drift_ppm * 1e-6)
            drive = np.asarray(soxr.resample(drive, faster, RATE_HZ), np.float32)
            drive = np.pad(drive, (0, max(0, script.drive.size - drive.size)))
            drive = drive[: script.drive.size]
        heard = place.heard(drive) + place.noise(
            script.drive.size, self.rng(f"noise of {series}", index)
        )
        return np.asarray(np.clip(heard, -1.0, 1.0), np.float32)

    def judge(self, script: Script, recording: Signal, settings: NonceSettings) -> Seen:
        """The device's own verdict on a recording of `script`."""
        return judged(script, recording, settings, self.secret)

    def predicted(self, script: Script, index: int, series: str, settings: NonceSettings) -> Seen:
        """Simulate a trial and judge it."""
        return self.judge(script, self.simulate(script, index, series), settings)


def judged(script: Script, recording: Signal, settings: NonceSettings, secret: bytes) -> Seen:
    """The device's own verdict on a recording; it remembers the old nonce, if there is one.

    Parameters
    ----------
    secret : of the household.
    """
    banks = source(settings, secret).banks(NOW_S)
    old = () if script.old is None else (script.old,)
    spread = settings.waveform == "spread"
    memory = Memory(banks if spread else [], () if spread else old, lambda _: old)
    judge = Judge(
        settings, REQUIRED, (NonceCheck(settings), StaleCheck(settings)), lambda _: memory
    )
    judgement = judge.judge(
        Recorded(
            session="calibration",
            recording=recording,
            carrier=script.carrier,
            played=script.played,
            played_at_s=PRE_ROLL_S,
            slots=script.slots,
            speech=script.speech,
            woken_unix_s=NOW_S,
        )
    )
    findings = {one.check: one for one in judgement.verdict.findings}
    stale = judgement.evidence.stale
    return Seen(
        accepted=findings["nonce"].outcome is Outcome.PASSED,
        allowed=judgement.verdict.decision is Decision.ALLOW,
        found=stale is not None and stale.found,
        reason=judgement.verdict.reason.value,
        judgement=judgement,
    )


def _said(rng: np.random.Generator) -> tuple[str, Signal]:
    known = voices()
    return known[int(rng.integers(len(known)))]


def _emitted(sound: Signal, level_dbspl_1m: float, place: Place) -> Signal:
    """`sound` so that over a path of gain 1 the microphone gets it at that level."""
    wanted = 20.0 * math.log10(microphone_rms(level_dbspl_1m, place.audio))
    return np.asarray(sound * np.float32(gain(wanted - active_level_dbfs(sound))), np.float32)


def _spread_out(sound: Signal, path: Signal) -> Signal:
    """What comes of `sound` over a path, with a little of what rings on."""
    ring = np.zeros(round(RING_S * RATE_HZ), np.float32)
    return fast_convolve(np.concatenate([sound, ring]), path)


def _coloured(nonce: Signal, place: Place) -> Signal:
    """The nonce with the loudspeaker's own colour: the response's first milliseconds."""
    lead = 32
    first = max(0, place.direct - lead)
    own = place.at_1m[first : place.direct + round(0.003 * RATE_HZ)]
    shaped = fast_convolve(np.concatenate([nonce, np.zeros(own.size, np.float32)]), own)
    shaped = shaped[place.direct - first :][: nonce.size]
    # Its level at 1 m is what the settings say; only the colour is measured.
    return np.asarray(shaped * np.float32(gain(level_dbfs(nonce) - level_dbfs(shaped))), np.float32)


def _driven(wanted: Signal, place: Place) -> Signal:
    """What to play so that the microphone gets `wanted`, in level."""
    heard = fast_convolve(wanted, place.response)
    return np.asarray(wanted * np.float32(gain(level_dbfs(wanted) - level_dbfs(heard))), np.float32)
