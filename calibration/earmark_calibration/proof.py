"""The proof of the choice: rooms with real people and attackers in them, which it never saw.

Three quite different places are calibrated as a technician would: the loudspeaker plays, the
microphone records, and the choice follows. Then sessions are held that the device could not hold
by itself: people command from 1 to 3 m, attackers record them at three positions and replay that
a day later through loudspeakers of their own, all along the simulation's own paths. What
is found then must lie in the interval of the prediction. The settings of before are held against
the same people and attackers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from earmark.audio import (
    AudioSettings,
    RoomConditions,
    SimulatedRoom,
    load_room,
    loudspeaker_rms,
)
from earmark.demo.clips import load_clips
from earmark.errors import EarmarkError
from earmark.nonce import Carrier, Issue, NoncePlayer, NonceSettings
from earmark.signal import BLOCK, BLOCK_S, RATE_HZ, Signal
from earmark_calibration.choose.choice import Chosen, Priced, choose
from earmark_calibration.choose.place import place_of
from earmark_calibration.choose.play import PAIRS, Verdict, compare, hold
from earmark_calibration.choose.predict import Prediction
from earmark_calibration.choose.profiles import AIMS
from earmark_calibration.choose.statistics import agrees, expected, share
from earmark_calibration.choose.trial import (
    ATTACK_DBSPL_1M,
    BEGIN_S,
    DAY_S,
    HANGOVER_S,
    NOW_S,
    PRE_ROLL_S,
    RECORDER_PPM,
    SPEECH_DBSPL_1M,
    TAIL_S,
    Script,
    Seen,
    Trials,
    judged,
    source,
    voices,
)
from earmark_calibration.measure import Rig, measure
from earmark_calibration.record import Profile

LIVE = ("person_1m", "person_2m", "person_3m")
"""Where people command from."""

RECORDERS = ("r1", "r2", "r3")
"""Where attackers record: 1 m from both, beside the mouth, beside the device."""

QUIETER_PHON = 1.0
"""A nonce is quieter when its loudness level is lower by so much: what is just heard."""

_SILENCE: Signal = np.zeros(BLOCK, np.float32)


@dataclass(frozen=True)
class Scenery:
    """A place to prove the choice in.

    Parameters
    ----------
    name : of it.
    room : a room that ships.
    conditions : hardware and steady noise.
    dishes_dbspl : level of clattering dishes besides, dB SPL; None for none.
    profile : what the technician asks for there.
    """

    name: str
    room: str
    conditions: RoomConditions
    dishes_dbspl: float | None
    profile: Profile

    def open(self, seed: int, audio: AudioSettings) -> SimulatedRoom:
        """The room with noise of its own."""
        sim = SimulatedRoom(load_room(self.room), audio, replace(self.conditions, seed=seed))
        if self.dishes_dbspl is not None:
            clip = _dishes()
            # Another stretch each time.
            at = np.random.default_rng([seed, *b"dishes"]).integers(clip.size)
            sim.noise(np.roll(clip, -int(at)), self.dishes_dbspl)
        return sim


@lru_cache(maxsize=1)
def _dishes() -> Signal:
    return load_clips().noise("dishes").signal


PLACES = (
    Scenery(
        "quiet bedroom",
        "bedroom",
        RoomConditions(ambient_dbspl=28.0, latency_s=0.12),
        None,
        Profile.NORMAL,
    ),
    Scenery(
        "kitchen with dishes, two clocks",
        "kitchen",
        RoomConditions(ambient_dbspl=38.0, latency_s=0.25, drift_ppm=180.0),
        50.0,
        Profile.NORMAL,
    ),
    Scenery(
        "basement with a machine",
        "basement",
        RoomConditions(ambient_dbspl=58.0, ambient_colour="brown", latency_s=0.09, thd_percent=2.0),
        None,
        Profile.NORMAL,
    ),
)
"""A dry, silent room; one that rings, with clatter and two sound cards; and a live one with a
rumble nearly as loud as a voice, and a poor loudspeaker."""


@dataclass(frozen=True)
class Tally:
    """Sessions that were held with one choice of settings.

    Parameters
    ----------
    live, refused : live commands, and those that the nonce's checks refused.
    stale, missed : replays, and those whose old nonce was not found.
    missed_at : of them by recorder.
    """

    live: int
    refused: int
    stale: int
    missed: int
    missed_at: dict[str, int]


@dataclass(frozen=True)
class Proved:
    """A place, proved."""

    place: Scenery
    chosen: Chosen
    played: Verdict
    after: Tally
    before: Tally
    sound_s: float

    @property
    def within(self) -> bool:
        """Whether what was held lies in the prediction's interval."""
        return _within(self.chosen.after.prediction, self.after)

    @property
    def quieter(self) -> bool:
        """Whether the choice is heard less than the settings of before."""
        gained = self.chosen.before.heard.phon - self.chosen.after.heard.phon
        return gained >= QUIETER_PHON

    @property
    def finds_more(self) -> bool:
        """Whether it finds more, beyond chance: the exact intervals do not meet."""
        now = share(self.after.stale - self.after.missed, self.after.stale)
        then = share(self.before.stale - self.before.missed, self.before.stale)
        return now.low > then.high

    @property
    def holds(self) -> bool:
        """All that is to be shown."""
        return self.within and self.played.agrees and (self.quieter or self.finds_more)


def prove_place(
    place: Scenery, seed: int, count: int, told: Callable[[str], object] = lambda _: None
) -> Proved:
    """Calibrate one place, and hold `count` live commands and replays with and without."""
    audio = AudioSettings(kind="simulated", room=place.room)
    now = NonceSettings()
    told(f"{place.name}: measure")
    secret = np.random.default_rng([seed, *place.name.encode()])
    drawn = source(now, secret.bytes(32))
    with Rig(lambda: place.open(seed, audio)) as rig:
        found = measure(rig, audio, now, lambda: drawn.draw(secret.bytes, NOW_S))
        if found.impulse is None:
            raise EarmarkError(
                f"{place.name} could not be measured", "; ".join(one.advice for one in found.faults)
            )
        clock = None if found.clock is None else found.clock.clock
        here = place_of(
            found.impulse, found.listened, audio, 0.0 if clock is None else clock.drift_ppm
        )
        trials = Trials(here, seed)
        told(f"{place.name}: choose")
        chosen = choose(trials, now, AIMS[place.profile])
        told(f"{place.name}: {chosen.sentence}")
        settings = chosen.after.settings
        held = [hold(trials, settings, number, rig.play)[0] for number in range(2 * PAIRS)]
        sound_s = rig.sound_s
    told(
        f"{place.name}: {count} commands and replays with the choice, and with the settings before"
    )
    after = tally(place, settings, audio, seed, count)
    before = tally(place, now, audio, seed, count)
    return Proved(place, chosen, compare(chosen.after.prediction, held), after, before, sound_s)


def tally(
    place: Scenery, settings: NonceSettings, audio: AudioSettings, seed: int, count: int
) -> Tally:
    """Hold sessions with people and attackers; the same ones for all settings."""
    refused = missed = 0
    missed_at = dict.fromkeys(RECORDERS, 0)
    for index in range(count):
        stage = _Stage(place, settings, audio, seed, index)
        refused += not stage.live()
        if not stage.replay():
            missed += 1
            missed_at[stage.recorder] += 1
    return Tally(count, refused, count, missed, missed_at)


class _Stage:
    """One live command and one replay in a place."""

    def __init__(
        self,
        place: Scenery,
        settings: NonceSettings,
        audio: AudioSettings,
        seed: int,
        index: int,
    ) -> None:
        self._place = place
        self._settings = settings
        self._audio = audio
        self._index = index
        self._rng = np.random.default_rng([seed, *b"proof", *place.name.encode(), index])
        # One household in each place: its codes are made once.
        self._secret = np.random.default_rng([seed, *place.name.encode()]).bytes(32)
        self.recorder = RECORDERS[index % len(RECORDERS)]

    def live(self) -> bool:
        """Somebody commands; whether it is allowed."""
        _, said = voices()[int(self._rng.integers(len(voices())))]
        where = LIVE[self._index % len(LIVE)]
        seen = self._session(said, where, SPEECH_DBSPL_1M, None, None)
        return seen[0].allowed

    def replay(self) -> bool:
        """An attacker replays what he recorded the day before; whether it is found."""
        rng = self._rng
        _, said = voices()[int(rng.integers(len(voices())))]
        _, recording, carrier, slots = self._session(
            said, "person_1m", SPEECH_DBSPL_1M, None, self.recorder
        )
        old = Issue.of(
            carrier,
            session=rng.bytes(16).hex(),
            device="proof",
            place="proof",
            issued_at=NOW_S - DAY_S,
            slots=slots,
        )
        level = float(rng.uniform(*ATTACK_DBSPL_1M))
        return self._session(recording, "attacker", level, old, None)[0].found

    def _session(
        self,
        said: Signal,
        where: str,
        level_dbspl_1m: float,
        old: Issue | None,
        recorder: str | None,
    ) -> tuple[Seen, Signal, Carrier, int]:
        """Hold a session; the verdict, what the recorder has of the command, and the nonce."""
        rng = self._rng
        sim = self._place.open(int(rng.integers(2**31)), self._audio)
        if recorder is not None:
            sim.record(recorder, float(rng.uniform(-RECORDER_PPM, RECORDER_PPM)))
        begin_s = PRE_ROLL_S + float(rng.uniform(*BEGIN_S))
        end_s = sim.play_at(where, said, begin_s, level_dbspl_1m)
        carrier = source(self._settings, self._secret).draw(rng.bytes, NOW_S)
        player = NoncePlayer(carrier, loudspeaker_rms(self._settings.level_dbspl_1m, self._audio))
        latency_s = self._place.conditions.latency_s
        least_s = PRE_ROLL_S + carrier.cycle_s + latency_s + TAIL_S
        last = math.ceil(max(end_s + HANGOVER_S, least_s) / BLOCK_S) + 1
        blocks, out = [], _SILENCE
        for number in range(last):
            blocks.append(sim.exchange(out))
            if (number + 1) * BLOCK_S < PRE_ROLL_S - 1e-9:
                continue
            if number == last - 1:
                player.stop()
            out = player.block()
        heard = np.zeros(0, np.float32)
        if recorder is not None:
            heard = sim.recording(recorder)[round((begin_s - 0.1) * RATE_HZ) :]
            heard = heard[: said.size + round(0.3 * RATE_HZ)]
        sim.close()
        recording = np.concatenate(blocks)
        script = Script(
            drive=recording,
            played=player.whole(),
            carrier=carrier,
            slots=player.slots,
            speech=(begin_s, min(end_s, recording.size / RATE_HZ)),
            old=old,
            recorder="",
            said="",
        )
        seen = judged(script, recording, self._settings, self._secret)
        return seen, heard, carrier, player.slots


def _within(prediction: Prediction, held: Tally) -> bool:
    unseen = prediction.stale - prediction.found
    return agrees(prediction.rejected, prediction.live, held.refused, held.live) and agrees(
        unseen, prediction.stale, held.missed, held.stale
    )


def prove(
    seed: int,
    count: int,
    json_file: Path | None,
    names: tuple[str, ...],
    echo: Callable[[str], object],
) -> int:
    """Prove all places, print the table; 0 when each holds, else 1."""
    places = [each for each in PLACES if not names or each.name in names]
    if not places:
        known = ", ".join(each.name for each in PLACES)
        raise EarmarkError(f"there is no place {names[0]!r}", f"take one of: {known}")
    proved: list[Proved] = []
    for each in places:
        proved.append(prove_place(each, seed, count, echo))
        for line in table(proved[-1:]):
            echo(line)
        if json_file is not None:  # after each place: they take minutes
            _write(json_file, proved)
    return 0 if all(each.holds for each in proved) else 1


def _write(file: Path, proved: list[Proved]) -> None:
    text = json.dumps([figures(each) for each in proved], indent=2) + "\n"
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EarmarkError(
            f"{file} cannot be written ({error.strerror})", "name another file"
        ) from None


def table(proved: list[Proved]) -> list[str]:
    """The figures for people."""
    lines = []
    for each in proved:
        lines += [
            "",
            f"{each.place.name} ({each.place.profile}): {'holds' if each.holds else 'FAILS'}, "
            f"{each.sound_s:.0f} s of sound",
        ]
        for name, priced, held in (
            ("before", each.chosen.before, each.before),
            ("chosen", each.chosen.after, each.after),
        ):
            lines.append(f"  {name}: {_row(priced, held)}")
        played = each.played
        lines.append(
            f"  played by the device itself: {played.stale.failures} of {played.stale.n} missed "
            f"({_span(played.stale_expected)} expected), {played.current.failures} of "
            f"{played.current.n} refused ({_span(played.current_expected)} expected)"
        )
        better = [
            word
            for word, yes in (("quieter", each.quieter), ("better at finding", each.finds_more))
            if yes
        ]
        lines.append(f"  the choice is {' and '.join(better) or 'no better'}")
    return lines


def _row(priced: Priced, held: Tally) -> str:
    prediction = priced.prediction
    found = prediction.stale_detection
    unseen = prediction.stale - prediction.found
    misses = expected(unseen, prediction.stale, held.stale)
    refusals = expected(prediction.rejected, prediction.live, held.live)
    spread = priced.settings.spread
    return (
        f"{spread.band_low_hz:g}-{spread.band_high_hz:g} Hz, "
        f"{priced.settings.level_dbspl_1m:g} dB SPL, {priced.heard.phon:.1f} phon; "
        f"found {100 * found.value:.0f} % "
        f"predicted ({100 * found.low:.0f}-{100 * found.high:.0f}), "
        f"missed {held.missed} of {held.stale} held ({_span(misses)} expected; "
        f"{', '.join(f'{name} {held.missed_at[name]}' for name in RECORDERS)}); "
        f"refused {held.refused} of {held.live} ({_span(refusals)} expected)"
    )


def _span(span: tuple[int, int]) -> str:
    return f"{span[0]}-{span[1]}"


def figures(each: Proved) -> dict[str, Any]:
    """The figures for programs."""
    return {
        "place": each.place.name,
        "profile": each.place.profile.value,
        "holds": each.holds,
        "within_prediction": each.within,
        "quieter": each.quieter,
        "finds_more": each.finds_more,
        "sound_s": round(each.sound_s, 2),
        "sentence": each.chosen.sentence,
        "before": each.chosen.before.option().model_dump(mode="json")
        | {"held": asdict(each.before)},
        "chosen": each.chosen.after.option().model_dump(mode="json") | {"held": asdict(each.after)},
        "played": {
            "current": each.played.current.model_dump(),
            "stale": each.played.stale.model_dump(),
            "current_expected": each.played.current_expected,
            "stale_expected": each.played.stale_expected,
            "agrees": each.played.agrees,
        },
    }
