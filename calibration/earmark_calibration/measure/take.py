"""Takes every measurement on a rig, in about 50 s of sound, and says what is broken.

In this order: listen; chirps, before any canceller of the platform has learnt; the steps, which
say how loud the rest may be; tones, for the clocks; the sweep, read on the clock that the tones
gave; two nonces. What no longer makes sense after a step is not played.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import signal as sps

from earmark.audio import AudioSettings, loudspeaker_dbfs, loudspeaker_rms
from earmark.errors import AudioError, StreamBroken
from earmark.nonce import Carrier, NonceSettings
from earmark.signal import BLOCK_S, RATE_HZ, Signal
from earmark_calibration.declared import Declared, Taken
from earmark_calibration.measure import pilots as chirps
from earmark_calibration.measure.arrival import arrival_s
from earmark_calibration.measure.bands import THIRDS
from earmark_calibration.measure.canceller import TAIL_S as NONCE_TAIL_S
from earmark_calibration.measure.canceller import Cancelled, one_cycle, take_out
from earmark_calibration.measure.catalogue import Catalogue
from earmark_calibration.measure.clock import (
    SETTLE_S,
    TONES_S,
    ClockReading,
    read_clock,
    tones,
    undo,
)
from earmark_calibration.measure.decay import Reverberation, reverberation
from earmark_calibration.measure.faults import Evidence, diagnose
from earmark_calibration.measure.headroom import STEPS_DBSPL_1M, Headroom, read_headroom, steps
from earmark_calibration.measure.headroom import TAIL_S as STEPS_TAIL_S
from earmark_calibration.measure.noise import (
    LISTEN_S,
    Noise,
    Reference,
    measure_noise,
    moments_dbfs,
)
from earmark_calibration.measure.pilots import STEP_S, Trace, trace
from earmark_calibration.measure.rig import CLIPPED, Rig
from earmark_calibration.measure.sweep import (
    TAIL_S,
    Impulse,
    deconvolve,
    distortion_percent,
    noise_db,
    response_db,
    sweep,
)
from earmark_calibration.record import Curve, CurveKind, Fault, FaultKind

LEVEL_DBSPL_1M = 60.0
"""Level of chirps, tones and sweep at 1 m, dB SPL: that of a voice. Small loudspeakers are still
linear there, as they are at the nonce's level."""

RAISED_DBSPL_1M = 70.0
"""Level of tones and sweep where the room is too loud for the other."""

ECHO_OVER_NOISE_DB = 25.0
"""The chirps' level must be so far above the noise, dB, or tones and sweep are raised. The sweep
gains another 13 dB by its length."""

SWEEP_HEADROOM_DB = 3.0
"""What the sweep leaves below full scale, dB."""

LEAST_LEVEL_DBSPL_1M = 30.0
"""Least level of tones and sweep, where the microphone clips early."""

NONCES = 2
"""Nonces that are played for the canceller: the worse one counts."""

DISTORTION_HZ = (300.0, 2000.0)
"""Where distortion is read, Hz: from the loudspeaker's edge to where the third harmonic ends."""

LOW_HZ = (60.0, 250.0)
"""Below all chirps and tones, Hz: there the room's noise can be read while they sound."""

FRAME = 8192
"""Frame for reading it, samples: so fine that the lowest tone does not leak into it."""

IMPULSE_CURVE_S = (0.005, 0.3)
"""The stretch of the impulse response that the report shows, s before and after the direct
sound."""


@dataclass(frozen=True)
class Measured:
    """All that was measured. None: it was not, for a reason that the faults name.

    Parameters
    ----------
    measurements, curves, faults : for the record.
    noise : of the room.
    listened : the recording of it, for predictions. It stays in memory.
    trace, headroom, clock, reverberation, cancelled : see their modules.
    delay_s : round trip at the chirps, s.
    impulse : impulse response, float64 at ``RATE_HZ``: recording over playback, on the
        playback's clock, from the moment of playing on.
    response_db, response_noise_db, distortion_percent : in the bands of ``THIRDS``.
    level_dbspl_1m : level of the sweep.
    sound_s : sound that was spent.
    """

    measurements: tuple[Taken, ...]
    curves: tuple[Curve, ...]
    faults: tuple[Fault, ...]
    noise: Noise | None = None
    listened: Signal = field(default_factory=lambda: np.zeros(0, np.float32), repr=False)
    trace: Trace | None = None
    headroom: Headroom | None = None
    clock: ClockReading | None = None
    delay_s: float | None = None
    impulse: NDArray[np.float64] | None = field(default=None, repr=False)
    response_db: NDArray[np.float64] | None = None
    response_noise_db: NDArray[np.float64] | None = None
    distortion_percent: NDArray[np.float64] | None = None
    reverberation: Reverberation | None = None
    cancelled: tuple[Cancelled, ...] = ()
    level_dbspl_1m: float = LEVEL_DBSPL_1M
    sound_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Trip:
    """The round trip at one time of one stream."""

    stream: int
    at_s: float
    delay_s: float


@dataclass
class _Found:
    """What is known so far."""

    listened: Signal
    noise: Noise
    zeros: bool
    trace: Trace | None = None
    headroom: Headroom | None = None
    clock: ClockReading | None = None
    gating_db: float = 0.0
    fading_db: float = 0.0
    following_db: float = 0.0
    level_dbspl_1m: float = LEVEL_DBSPL_1M
    impulse: Impulse | None = None
    direct_s: float = 0.0
    trips: list[_Trip] = field(default_factory=list)
    cancelled: list[Cancelled] = field(default_factory=list)


def measure(
    rig: Rig,
    audio: AudioSettings,
    nonce: NonceSettings,
    draw: Callable[[], Carrier],
    reference: Reference | None = None,
) -> Measured:
    """Measure a device in its room.

    Parameters
    ----------
    rig : plays and records.
    audio : sensitivities that levels are played by.
    nonce : settings of the device's nonce, whose limits the measurements keep.
    draw : gives a fresh nonce.
    reference : what ties dBFS to dB SPL, if anything does.

    Raises
    ------
    SoundSpent
        The rig has less than a minute left.
    StreamBroken
        The stream breaks whenever it is opened.
    """
    before_s = rig.sound_s
    try:
        listened = rig.listen(LISTEN_S, "noise of the room")
    except StreamBroken:
        raise
    except AudioError as error:
        fault = Fault(
            kind=FaultKind.MICROPHONE_MISSING,
            advice=f"the sound card does not open ({error.what}): {error.do}",
        )
        return Measured((), (), (fault,))
    found = _Found(listened, measure_noise(listened), not listened.any())
    _play(rig, audio, nonce, draw, found)
    evidence = _evidence(found, nonce, rig)
    return Measured(
        measurements=_measurements(found, Catalogue.of(nonce), nonce, reference),
        curves=_curves(found),
        faults=diagnose(evidence),
        noise=found.noise,
        listened=listened,
        trace=found.trace,
        headroom=found.headroom,
        clock=found.clock,
        delay_s=None if found.trace is None else found.trace.delay_s,
        impulse=None if found.impulse is None else found.impulse.causal,
        response_db=evidence.response_db,
        response_noise_db=evidence.response_noise_db,
        distortion_percent=_distortion(found),
        reverberation=_reverberation(found),
        cancelled=tuple(found.cancelled),
        level_dbspl_1m=found.level_dbspl_1m,
        sound_s=rig.sound_s - before_s,
    )


def _play(
    rig: Rig,
    audio: AudioSettings,
    nonce: NonceSettings,
    draw: Callable[[], Carrier],
    found: _Found,
) -> None:
    """Play all that makes sense, and note what came back."""
    amplitude = _amplitude(LEVEL_DBSPL_1M, audio)
    chirped = rig.play(amplitude * chirps.pilots(), "chirps", chirps.TAIL_S) / amplitude
    found.zeros = found.zeros and not chirped.any()
    if found.zeros:
        return
    found.trace = trace(chirped)
    heard = found.trace.delay_s
    if heard is not None:
        _note(rig, found, chirped.size, heard)
    if heard is not None:
        levels = tuple(loudspeaker_dbfs(level, audio) for level in STEPS_DBSPL_1M)
        stepped = rig.play(steps(levels), "steps of level", STEPS_TAIL_S)
        found.headroom = read_headroom(stepped, levels, heard)
        found.level_dbspl_1m = _level(found, audio)
    rms = np.float32(loudspeaker_rms(found.level_dbspl_1m, audio))
    toned = rig.play(rms * tones(), "tones")
    found.gating_db = _gating_db(found.listened, toned)
    found.fading_db = _fading_db(found.trace, toned, float(rms))
    found.following_db = chirps.following_db(chirped)
    found.clock = read_clock(toned)
    clock = found.clock.clock
    if clock is None:
        return
    if heard is not None:
        found.trace = trace(chirped, clock)
    amplitude = _amplitude(found.level_dbspl_1m, audio)
    swept = rig.play(amplitude * sweep(), "sweep", TAIL_S) / amplitude
    found.impulse = deconvolve(undo(swept, clock))
    found.direct_s = arrival_s(found.impulse.causal)
    _note(rig, found, swept.size, found.direct_s / clock.ratio)
    nonce_rms = loudspeaker_rms(nonce.level_dbspl_1m, audio)
    for _ in range(NONCES):
        carrier = draw()
        played, slots = one_cycle(carrier, nonce_rms)
        recorded = rig.play(played, "nonce", NONCE_TAIL_S)
        cancelled = take_out(recorded, played, slots, carrier, nonce, found.listened)
        found.cancelled.append(cancelled)
        if cancelled.received:
            _note(rig, found, recorded.size, cancelled.delay_s)


def _note(rig: Rig, found: _Found, samples: int, delay_s: float) -> None:
    """Note the round trip at the beginning of what was just recorded."""
    found.trips.append(_Trip(rig.streams, rig.sound_s - samples / RATE_HZ, delay_s))


def _steps(found: _Found) -> int:
    """How often the round trip stepped, within the chirps and from sound to sound."""
    clock = None if found.clock is None else found.clock.clock
    inside = 0 if found.trace is None else found.trace.steps
    if clock is None:
        return inside
    between = 0
    for before, after in pairwise(found.trips):
        wandered = (1.0 / clock.ratio - 1.0) * (after.at_s - before.at_s)
        stepped = abs(after.delay_s - before.delay_s - wandered) >= STEP_S
        between += before.stream == after.stream and stepped
    return inside + between


def _amplitude(level_dbspl_1m: float, audio: AudioSettings) -> np.float32:
    """Amplitude of a sine of that level, at most full scale."""
    return np.float32(min(1.0, math.sqrt(2.0) * loudspeaker_rms(level_dbspl_1m, audio)))


def _level(found: _Found, audio: AudioSettings) -> float:
    """Level for tones and sweep: raised over noise, lowered where the microphone would clip."""
    level = LEVEL_DBSPL_1M
    if found.trace is not None and found.trace.heard:
        echo = float(np.median(found.trace.levels_db)) + loudspeaker_dbfs(level, audio)
        if echo - found.noise.level_dbfs < ECHO_OVER_NOISE_DB:
            level = RAISED_DBSPL_1M
    if found.headroom is not None:
        most = STEPS_DBSPL_1M[-1] + found.headroom.headroom_db - SWEEP_HEADROOM_DB
        level = max(LEAST_LEVEL_DBSPL_1M, min(level, most))
    return level


def _gating_db(listened: Signal, toned: Signal) -> float:
    """How far the room fell silent while tones sounded, dB; negative if it did not.

    Either its noise below all tones falls, or the microphone is turned off for moments: then
    there is less than noise in them. Moments that a stream loses are lost while it listens, too.
    """
    powers = []
    for signal in (listened, toned):
        hz, density = sps.welch(signal.astype(np.float64), RATE_HZ, nperseg=FRAME)
        inside = (hz >= LOW_HZ[0]) & (hz <= LOW_HZ[1])
        # The median: difference tones of the loudspeaker fall on single lines.
        powers.append(float(np.median(density[inside])) + 1e-20)
    steady = toned[round(SETTLE_S * RATE_HZ) : round((TONES_S - SETTLE_S) * RATE_HZ)]
    moments = _quiet_moments_db(listened) - _quiet_moments_db(steady)
    return max(moments, 10.0 * math.log10(powers[0] / powers[1]))


def _quiet_moments_db(signal: Signal) -> float:
    """Level of the quietest twentieth of moments, dBFS."""
    return float(np.percentile(moments_dbfs(signal), 5.0))


def _fading_db(traced: Trace, toned: Signal, rms: float) -> float:
    """How much weaker the echo became, within the chirps or from their first to the tones, dB."""
    if not traced.heard:
        return 0.0
    steady = toned[round(SETTLE_S * RATE_HZ) : round((TONES_S - SETTLE_S) * RATE_HZ)]
    echo = 20.0 * math.log10(float(np.sqrt(np.mean(steady.astype(np.float64) ** 2))) / rms + 1e-9)
    return max(traced.fading_db, traced.levels_db[0] - echo)


def _evidence(found: _Found, nonce: NonceSettings, rig: Rig) -> Evidence:
    impulse, direct = found.impulse, found.direct_s
    return Evidence(
        zeros=found.zeros,
        noise=found.noise,
        listened_clipped=int((np.abs(found.listened) >= CLIPPED).sum()) > 1,
        trace=found.trace,
        gating_db=found.gating_db,
        fading_db=found.fading_db,
        following_db=found.following_db,
        headroom=found.headroom,
        clock=found.clock,
        response_db=None if impulse is None else response_db(impulse, direct),
        response_noise_db=None if impulse is None else noise_db(impulse, direct),
        reverberant_db=None if impulse is None else _reverberant_db(impulse, direct),
        max_drift_ppm=nonce.max_drift_ppm,
        steps=_steps(found),
        streams_broken=rig.broken,
        gaps=rig.gaps,
    )


def _reverberant_db(impulse: Impulse, direct_s: float) -> float:
    near = impulse.around(direct_s, 0.005, 0.005)
    far = impulse.around(direct_s + 0.025, 0.0, 0.175)
    return 10.0 * float(np.log10((np.sum(far**2) + 1e-20) / (np.sum(near**2) + 1e-20)))


def _distortion(found: _Found) -> NDArray[np.float64] | None:
    if found.impulse is None:
        return None
    return distortion_percent(found.impulse, found.direct_s)


def _reverberation(found: _Found) -> Reverberation | None:
    if found.impulse is None:
        return None
    return reverberation(found.impulse.causal, found.direct_s)


def _measurements(
    found: _Found, declared: Catalogue, nonce: NonceSettings, reference: Reference | None
) -> tuple[Taken, ...]:
    noise, traced = found.noise, found.trace
    clock = None if found.clock is None else found.clock.clock
    delay = None if traced is None else traced.delay_s
    jitter = None if traced is None else traced.jitter_s
    ripple, edge = _band_figures(found, nonce)
    distortion = _middle(_distortion(found), DISTORTION_HZ)
    room = _reverberation(found)
    worst = max(found.cancelled, key=_left, default=None)
    values: list[tuple[Declared, float | None]] = [
        (declared.noise_level, noise.level_dbfs),
        (declared.noise_swing, noise.swing_db),
        (declared.headroom, None if found.headroom is None else found.headroom.headroom_db),
        (declared.loop_gain, traced.levels_db[0] if traced and traced.heard else None),
        (declared.delay, delay),
        (declared.delay_samples, None if delay is None else 48_000.0 * delay),
        (declared.delay_jitter, None if jitter is None else 1e6 * jitter),
        (declared.drift, None if clock is None else clock.drift_ppm),
        (declared.frequency_shift, None if clock is None else clock.shift_hz),
        (declared.response_ripple, ripple),
        (declared.upper_edge, edge),
        (declared.distortion, distortion),
        (declared.rt60, None if room is None else room.broadband.rt60_s),
        (declared.canceller_depth, None if worst is None else worst.depth_db),
        (declared.canceller_left, None if worst is None else worst.left_db),
    ]
    if reference is not None:
        values.insert(1, (declared.noise_dbspl, reference.dbspl(noise.level_dbfs)))
    return tuple(declaration.take(value) for declaration, value in values)


def _left(cancelled: Cancelled) -> float:
    """Order of badness: one that could not be judged is the worst."""
    return cancelled.left_db if math.isfinite(cancelled.left_db) else math.inf


def _middle(values: NDArray[np.float64] | None, band_hz: tuple[float, float]) -> float | None:
    """Median over a band of those that could be measured; 0 where none was above the noise."""
    if values is None:
        return None
    centres = np.array(THIRDS.centres_hz)
    inside = values[(centres >= band_hz[0]) & (centres <= band_hz[1])]
    return float(np.median(np.nan_to_num(inside)))


def _band_figures(found: _Found, nonce: NonceSettings) -> tuple[float | None, float | None]:
    """Ripple within the nonce's band, and the upper edge of the response."""
    if found.impulse is None:
        return None, None
    levels = response_db(found.impulse, found.direct_s)
    band = (
        (nonce.spread.band_low_hz, nonce.spread.band_high_hz)
        if nonce.waveform == "spread"
        else (nonce.bfsk.band_low_hz, nonce.bfsk.band_high_hz)
    )
    edges = np.array([THIRDS.edges_hz(centre) for centre in THIRDS.centres_hz])
    inside = levels[(edges[:, 1] > band[0]) & (edges[:, 0] < band[1])]
    centres = np.array(THIRDS.centres_hz)
    middle = np.median(levels[(centres >= 500.0) & (centres <= 4000.0)])
    within = centres[levels >= middle - 20.0]
    return float(np.ptp(inside)), float(within.max()) if within.size else 0.0


def _curves(found: _Found) -> tuple[Curve, ...]:
    noise = found.noise
    curves = [
        _curve("noise_spectrum", CurveKind.NOISE_SPECTRUM, "Noise of the room",
               ("Frequency", "Hz"), ("Level in thirds of octaves", "dBFS"),
               noise.bands_hz, noise.spectrum_dbfs),
        _curve("noise_over_time", CurveKind.NOISE_OVER_TIME, "Noise of the room over time",
               ("Time", "s"), ("Level", "dBFS"), noise.course_s, noise.course_dbfs),
    ]  # fmt: skip
    if found.clock is not None and found.clock.clock is not None:
        curves.append(
            _curve("frequency_shift", CurveKind.FREQUENCY_SHIFT, "Shift of frequencies",
                   ("Frequency", "Hz"), ("Shift", "Hz"),
                   found.clock.tones_hz, found.clock.shifts_hz)
        )  # fmt: skip
    if found.impulse is None:
        return tuple(curves)
    return (*curves, *_impulse_curves(found.impulse, found.direct_s))


def _impulse_curves(impulse: Impulse, direct_s: float) -> list[Curve]:
    before, after = IMPULSE_CURVE_S
    part = impulse.around(direct_s, before, after)
    part = part / max(float(np.max(np.abs(part))), 1e-12)
    times = np.round((np.arange(part.size) / RATE_HZ - before) * 1e3, 4)
    curves = [
        _curve("response", CurveKind.RESPONSE, "Loudspeaker to microphone",
               ("Frequency", "Hz"), ("Recording over playback", "dB"),
               THIRDS.centres_hz, response_db(impulse, direct_s)),
        _curve("distortion", CurveKind.DISTORTION, "Second and third harmonic",
               ("Frequency", "Hz"), ("Distortion", "%"),
               THIRDS.centres_hz, distortion_percent(impulse, direct_s)),
        _curve("impulse_response", CurveKind.IMPULSE_RESPONSE, "Impulse response",
               ("After the direct sound", "ms"), ("Amplitude", ""),
               times, np.round(part, 5)),
    ]  # fmt: skip
    room = reverberation(impulse.causal, direct_s)
    named = [("decay", "broadband", room.broadband)] + [
        (f"decay_{round(hz)}_hz", f"{hz:.0f} Hz", decay)
        for hz, decay in zip(room.octaves_hz, room.octaves, strict=True)
    ]
    step = round(BLOCK_S / 4 * RATE_HZ)
    curves += [
        _curve(name, CurveKind.DECAY, f"Decay of the room, {what}",
               ("Time", "s"), ("Level", "dB"),
               decay.curve_s[::step], np.round(decay.curve_db[::step], 2))
        for name, what, decay in named
    ]  # fmt: skip
    return curves


def _curve(
    name: str,
    kind: CurveKind,
    title: str,
    x_axis: tuple[str, str],
    y_axis: tuple[str, str],
    x: Sequence[float] | NDArray[np.float64],
    y: Sequence[float] | NDArray[np.float64],
) -> Curve:
    return Curve(
        name=name,
        kind=kind,
        title=title,
        x_name=x_axis[0],
        x_unit=x_axis[1],
        y_name=y_axis[0],
        y_unit=y_axis[1],
        x=tuple(float(value) for value in x),
        y=tuple(float(value) if math.isfinite(value) else None for value in y),
    )
