"""Broken installations, named from what was measured.

Each fault is one function: evidence in, a sentence of advice out, or None. A fault that makes
others certain (a microphone that is missing hears no loudspeaker either) hides them, so that
the technician reads the cause and not its consequences.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark_calibration.measure.bands import THIRDS
from earmark_calibration.measure.catalogue import (
    DRIFT_ERROR_PPM,
    SILENT_DBFS,
    SWING_DB,
    WEAK_DB,
)
from earmark_calibration.measure.clock import ClockReading
from earmark_calibration.measure.headroom import Headroom
from earmark_calibration.measure.noise import Noise
from earmark_calibration.measure.pilots import Trace
from earmark_calibration.record import Fault, FaultKind

FADING_DB = 6.0
"""Chirps that become so much weaker are taken out by somebody: a room and a card keep them to
0.1 dB, and any canceller reaches 10 dB within seconds."""

GATED_DB = 10.0
"""The room's noise falls by so much while something is played: only a suppressor does that."""

FOLLOWING_DB = 6.0
"""The recording's level changes by so much with the chirps although none is heard. With a dead
loudspeaker it does by less than 1 dB, whatever else sounds."""

PROCESSED_HOLES = 0.1
"""Share of moments without any sound from which on it is a noise suppressor's doing: that of
WebRTC left 0.3 in a quiet room. A stream that loses so much would not run."""

LOST_HOLES = 0.002
"""Share from which on blocks are lost: one of 20 ms in 10 s."""

DRY_DB = -45.0
"""Sound from 25 to 200 ms after the direct sound, relative to it, dB, below which there is no
room. In rooms it is -20 beside the loudspeaker, and -35 in the deadest."""

CLIFF_DB = 30.0
"""Fall within an octave that no small loudspeaker has (12 to 24): a filter of a converter."""

MARGIN_DB = 6.0
"""Headroom that the advice aims at, dB."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured, as far as it could be. None: not measured.

    Parameters
    ----------
    zeros : every sample of every recording was exactly zero.
    noise : of the room.
    listened_clipped : the microphone clipped while nothing was played.
    trace : what became of the chirps.
    gating_db : by how much the room's noise fell while something was played.
    fading_db : how much weaker the echo became while things were played.
    following_db : how much the recording's level changes with the chirps.
    headroom : what the steps say.
    clock : what the tones say.
    response_db, response_noise_db : in the bands of ``THIRDS``.
    reverberant_db : sound after the direct sound relative to it.
    max_drift_ppm : what the device compensates.
    steps : how often the round trip stepped, in the chirps and from one sound to the next.
    streams_broken : streams that broke while it was measured.
    gaps : sounds with gaps, because the device was too slow for its card.
    """

    zeros: bool
    noise: Noise
    listened_clipped: bool = False
    trace: Trace | None = None
    gating_db: float = 0.0
    fading_db: float = 0.0
    following_db: float = 0.0
    headroom: Headroom | None = None
    clock: ClockReading | None = None
    response_db: NDArray[np.float64] | None = None
    response_noise_db: NDArray[np.float64] | None = None
    reverberant_db: float | None = None
    max_drift_ppm: float = 300.0
    steps: int = 0
    streams_broken: int = 0
    gaps: int = 0

    @property
    def heard(self) -> bool:
        """Whether the microphone hears the loudspeaker at all, in whatever shape."""
        chirps = self.trace is not None and self.trace.heard >= 1
        tones = self.clock is not None and (
            self.clock.clock is not None or self.clock.rate_ratio != 1.0
        )
        return chirps or tones


def diagnose(evidence: Evidence) -> tuple[Fault, ...]:
    """The faults of an installation, the gravest first; none for one that is sound."""
    for only, name in _CAUSES:
        advice = name(evidence)
        if advice is not None:
            return (Fault(kind=only, advice=advice),)
    found = ((kind, name(evidence)) for kind, name in _FAULTS)
    return tuple(Fault(kind=kind, advice=advice) for kind, advice in found if advice is not None)


def _microphone_missing(e: Evidence) -> str | None:
    if not e.zeros:
        return None
    return (
        "the recording is nothing but zeros: plug the microphone in, choose it in audio.device, "
        "and turn its mute off"
    )


def _microphone_silent(e: Evidence) -> str | None:
    if e.noise.level_dbfs > SILENT_DBFS or e.heard:
        return None
    return (
        f"the microphone is silent ({e.noise.level_dbfs:.0f} dBFS, not even noise of its own): "
        "check its plug, its mute and its gain in the mixer"
    )


def _wrong_channel(e: Evidence) -> str | None:
    dry = e.reverberant_db is not None and e.reverberant_db < DRY_DB
    if not e.heard or not (dry or e.noise.level_dbfs <= SILENT_DBFS):
        return None
    return (
        "the recording is the playback itself, without a room: the input is a loopback or "
        "monitor channel; choose the channel of the microphone"
    )


def _echo_canceller(e: Evidence) -> str | None:
    if e.noise.holes >= PROCESSED_HOLES:
        how = f"the microphone falls silent {100.0 * e.noise.holes:.0f} % of the time"
    elif e.fading_db >= FADING_DB:
        how = f"the echo becomes {e.fading_db:.0f} dB weaker while it plays"
    elif e.gating_db >= GATED_DB:
        how = f"the room falls silent by {e.gating_db:.0f} dB while something plays"
    elif not e.heard and abs(e.following_db) >= FOLLOWING_DB:
        how = "the level follows what is played, but what is played does not come back"
    else:
        return None
    return (
        f"an echo canceller of the platform takes the nonce out ({how}): turn it off "
        "(module-echo-cancel in PipeWire or PulseAudio, the sound card's own processing), noise "
        "suppression too"
    )


def _loudspeaker_dead(e: Evidence) -> str | None:
    if e.heard or e.noise.level_dbfs <= SILENT_DBFS or _echo_canceller(e) is not None:
        return None
    return (
        "nothing of the loudspeaker reaches the microphone: check its cable, its power and its "
        "mute, audio.playback_device, and that no echo canceller of the platform takes it out"
    )


def _other_rate(e: Evidence) -> str | None:
    if e.clock is None or e.clock.rate_ratio == 1.0:
        return None
    return (
        f"sounds come back at {e.clock.rate_ratio:.3f} times their frequency: loudspeaker and "
        "microphone run at different rates that are taken for one; set both to 48 kHz"
    )


def _band_limit(e: Evidence) -> str | None:
    if e.response_db is None or e.response_noise_db is None:
        return None
    # Below its noise a response is not known to be any lower.
    known = np.maximum(e.response_db, e.response_noise_db)
    centres = np.array(THIRDS.centres_hz)
    octave = 3
    falls = known[:-octave] - known[octave:]
    falls[centres[:-octave] < 1000.0] = 0.0  # lower down it is the loudspeaker
    at = int(np.argmax(falls))
    if falls[at] < CLIFF_DB:
        return None
    middle = float(np.median(known[(centres > 500.0) & (centres < 3000.0)]))
    above = [centre for centre, level in zip(centres, known, strict=True) if level > middle - 15.0]
    edge_khz = THIRDS.edges_hz(max(above))[1] / 1000.0 if above else 0.0
    return (
        f"nothing above about {edge_khz:.1f} kHz comes back: something in between runs at a lower "
        "rate (Bluetooth hands-free, a telephone profile); set the whole chain to 48 kHz"
    )


def _sample_rate_conversion(e: Evidence) -> str | None:
    return _other_rate(e) or _band_limit(e)


def _microphone_clips(e: Evidence) -> str | None:
    if e.headroom is None:
        clips, over = e.listened_clipped, None
    else:
        clips = e.listened_clipped or any(e.headroom.clipped)
        over = math.ceil(MARGIN_DB - e.headroom.headroom_db)
    if not clips:
        return None
    if over is None or over < 1:
        return "the microphone clips on the noise of the room alone: turn the gain down by 20 dB"
    more = "at least " if e.headroom is not None and e.headroom.at_least else ""
    return f"the microphone clips: turn the gain down by {more}{over} dB"


def _loudspeaker_weak(e: Evidence) -> str | None:
    if e.trace is None or e.trace.heard < 1 or _echo_canceller(e) is not None:
        return None
    level = e.trace.levels_db[0]
    if level >= WEAK_DB:
        return None
    return (
        f"the loudspeaker is too weak: its sound arrives {-level:.0f} dB weaker than it was "
        f"played; turn it up by {math.ceil(WEAK_DB + 10.0 - level)} dB, and see that nothing "
        "covers it"
    )


def _other_sound(e: Evidence) -> str | None:
    swing = e.noise.swing_db
    if swing <= SWING_DB or e.noise.holes >= PROCESSED_HOLES:
        return None
    return (
        f"something else sounds in the room (its noise swings by {swing:.0f} dB, more than any "
        "steady noise): turn television and music off, ask for silence, and measure again"
    )


def _clock_drift(e: Evidence) -> str | None:
    if e.clock is None or e.clock.clock is None:
        return None
    drift = e.clock.clock.drift_ppm
    if abs(drift) <= e.max_drift_ppm + DRIFT_ERROR_PPM:
        return None
    return (
        f"the clocks of loudspeaker and microphone differ by {drift:+.0f} ppm, the device "
        f"compensates {e.max_drift_ppm:.0f}: take both from one sound card"
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _stream_unstable(e: Evidence) -> str | None:
    parts = []
    if e.noise.holes >= LOST_HOLES:
        parts.append(f"{100.0 * e.noise.holes:.1f} % of the recording are missing")
    if e.steps:
        parts.append(f"its round trip stepped {_times(e.steps)}")
    if e.streams_broken:
        parts.append(f"it broke {_times(e.streams_broken)}")
    if e.gaps:
        parts.append(f"{e.gaps} sounds had gaps each time")
    if not parts and e.heard and e.clock is not None and e.clock.clock is None:
        parts.append("tones come back in pieces")
    # Clocks that differ by so much make blocks too many or too few: that is named already.
    if not parts or _clock_drift(e) is not None or _echo_canceller(e) is not None:
        return None
    return (
        f"the stream is not steady ({', '.join(parts)}): give the sound server a larger buffer, "
        "and end what loads the device"
    )


_Diagnosis = Callable[[Evidence], str | None]

_CAUSES: tuple[tuple[FaultKind, _Diagnosis], ...] = (
    (FaultKind.MICROPHONE_MISSING, _microphone_missing),
    (FaultKind.MICROPHONE_SILENT, _microphone_silent),
    (FaultKind.WRONG_CHANNEL, _wrong_channel),
    (FaultKind.SAMPLE_RATE_CONVERSION, _other_rate),
)
"""What makes all further diagnosis meaningless."""

_FAULTS: tuple[tuple[FaultKind, _Diagnosis], ...] = (
    (FaultKind.ECHO_CANCELLER, _echo_canceller),
    (FaultKind.LOUDSPEAKER_DEAD, _loudspeaker_dead),
    (FaultKind.MICROPHONE_CLIPS, _microphone_clips),
    (FaultKind.SAMPLE_RATE_CONVERSION, _sample_rate_conversion),
    (FaultKind.LOUDSPEAKER_WEAK, _loudspeaker_weak),
    (FaultKind.CLOCK_DRIFT, _clock_drift),
    (FaultKind.OTHER_SOUND, _other_sound),
    (FaultKind.STREAM_UNSTABLE, _stream_unstable),
)
