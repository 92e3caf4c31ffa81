"""The canceller: the known nonce is taken out of the recording before anything hears it.

What the player handed out is known, so what the microphone got of it is its convolution with
one echo path (converters, loudspeaker, room). The path is found by regularised least squares
over the whole recording, every frequency weighted by how little else sounds there. The prior
says what every room says: the later, the weaker. Where loudspeaker and microphone have clocks
of their own, what is left tells how far the estimate of the clock was off, and the path is
found once more.
Wideband codes are taken out a second time (:mod:`earmark.nonce.deepen`), 10 dB deeper.
The endpointer cannot wait for the end: for it, :class:`LiveCanceller` finds the path from
what was recorded so far, and again as the recording grows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy import fft

from earmark.filters import convolved
from earmark.nonce.carrier import Carrier
from earmark.nonce.deepen import deepen
from earmark.nonce.player import NoncePlayer
from earmark.nonce.report import Report
from earmark.nonce.settings import NonceSettings
from earmark.nonce.shift import shifted
from earmark.signal import RATE_HZ, Signal

PRIOR_DECAY_S = 0.06
"""Time in which the prior's energy falls by a factor e: the decay of a room of RT60 0.83 s,
so that real rooms lie inside."""

LATE_PRIOR = 0.03
"""Expected energy of a tap of the room relative to one of the direct sound. The loudspeaker
is a hand's breadth away, so the room is weak; saying so lets a path that was learnt from 20
tones hold for the tones to come (measured 2.5 dB better than a flat prior)."""

RIDGE = 3e-4
"""Weight of the prior against the data, relative to the nonce's energy. Between 1e-5 and 1e-3
the suppression stays within 0.5 dB; the prior only rules the frequencies that the nonce has
not excited."""

FIRST_S = 1.0
"""Time from playing to the first estimate of the path, s. Measured depth for the tones to come:
21 dB after 0.7 s, 26 after 1.0, 28 after 1.3; no command is complete before 1.6 s."""

AGAIN = 1.5
"""Each estimate waits until the recording is this much longer than at the last one: the cost
of all of them together stays in proportion to the recording."""

CG_STEPS = 60
"""Most conjugate-gradient steps: for tones the residual no longer changes by 0.1 dB after about
40, wideband codes need about 15."""

CG_TOLERANCE = {True: 1e-3, False: 1e-6}
"""Where the conjugate gradients stop, relative to the right-hand side, for wideband codes and for
tones. -60 dB: the loudspeaker's distortion is above. Tones have frequencies that nearly nothing
excites, which come last."""

ONSET_S = 0.004
"""The path may begin this long before the estimated delay, s: linear-phase converters ring
before their main tap."""

SMOOTH_HZ = 60.0
"""Resolution of the long-term spectrum that frequencies are weighted by, Hz."""

FLOOR_DB = 40.0
"""No frequency counts for more than one this far above the weakest would: bounds the weights."""

SAME_CLOCK_PPM = 0.5
"""A clock difference below this is the noise of its estimate: the clocks are one. Two crystals
agree so well once in a thousand, and then what is left is 40 dB down after 4 s."""

CLOCK_STEP_PPM = 0.1
"""A correction below this is left out: 0.01 radians at 7 kHz after 2 s, -40 dB."""

REFINE = 4
"""Most times that the clock is corrected by what is left."""

SMALL_STEP_PPM = 1.0
"""After a correction below this the next one would be below 0.01 ppm: it is left out."""

QUIET_SHARE = 0.2
"""Share of the frames, the quietest, in which the nonce's fall is read off: there it is least
hidden by speech."""

FRAME = 512
"""Length of such a frame, samples."""

SINC_TAPS = 48
"""Taps of the interpolation in the live canceller: 70 dB up to 7 kHz."""

SINC_PHASES = 256
"""Places between two samples in its table; linear in between."""


@dataclass(frozen=True)
class EchoPath:
    """What lies between the player and the microphone.

    Parameters
    ----------
    taps : float32, shape (n,): the impulse response.
    delay_s : delay of its first tap behind the player's signal, s.
    """

    taps: NDArray[np.float32]
    delay_s: float

    def apply(self, reference: Signal) -> Signal:
        """What the microphone hears of `reference`, same length."""
        lag = round(self.delay_s * RATE_HZ)
        echo = _convolve(reference, self.taps)
        out = np.zeros(reference.size, np.float32)
        if lag < reference.size:
            out[lag:] = echo[: reference.size - lag]
        return out


def estimate_path(
    recording: Signal, reference: Signal, delay_s: float, taps_s: float, wideband: bool
) -> EchoPath:
    """Least-squares echo path from a reference to a recording.

    Parameters
    ----------
    recording, reference : same length and clock, at ``RATE_HZ``; the reference as it was
        handed to the player, already brought to the recorder's clock.
    delay_s : delay of the direct sound, s.
    taps_s : length of the path, s.
    wideband : the reference excites its whole band, so that every frequency can be weighted by
        how little else sounds there.
    """
    lag = max(0, round((delay_s - ONSET_S) * RATE_HZ))
    count = round(taps_s * RATE_HZ)
    aligned = recording[lag:]
    played = reference[: aligned.size]
    if aligned.size == 0 or not played.any():
        return EchoPath(np.zeros(count, np.float32), lag / RATE_HZ)
    size = fft.next_fast_len(aligned.size + count, real=True)
    spectrum = fft.rfft(played, size)
    heard = fft.rfft(aligned, size)
    weight = _weight(heard) if wideband else np.ones(1, np.float32)
    auto = fft.irfft(np.abs(spectrum) ** 2 * weight, size)[:count].astype(np.float64)
    cross = fft.irfft(np.conj(spectrum) * heard * weight, size)[:count].astype(np.float64)
    energy = float(auto[0])

    # Toeplitz product by circular convolution of twice the length.
    circle = fft.next_fast_len(2 * count, real=True)
    kernel = np.zeros(circle)
    kernel[:count] = auto
    kernel[circle - count + 1 :] = auto[:0:-1]
    kernel_f = fft.rfft(kernel).real
    prior = np.exp(-np.arange(count) / (PRIOR_DECAY_S * RATE_HZ))
    prior *= LATE_PRIOR
    prior[: round(2 * ONSET_S * RATE_HZ)] = 1.0
    # With h = sqrt(prior) g: min |y - X h|^2 + ridge |g|^2.
    root = np.sqrt(prior)
    ridge = RIDGE * energy

    def normal(g: NDArray[np.float64]) -> NDArray[np.float64]:
        padded = fft.irfft(kernel_f * fft.rfft(root * g, circle), circle)[:count]
        return np.asarray(root * padded + ridge * g)

    solved = _conjugate_gradients(normal, root * cross, CG_TOLERANCE[wideband])
    return EchoPath((root * solved).astype(np.float32), lag / RATE_HZ)


def _conjugate_gradients(
    product: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    wanted: NDArray[np.float64],
    tolerance: float,
) -> NDArray[np.float64]:
    """The x whose `product` is `wanted`, to that share of its norm, in at most ``CG_STEPS``.

    As `scipy.sparse.linalg.cg`, which is not loaded for it: it comes with 11 MB.
    """
    solved = np.zeros_like(wanted)
    left = wanted.copy()
    along = left.copy()
    power = float(left @ left)
    least = power * tolerance**2
    for _ in range(CG_STEPS):
        if power <= least:
            break
        seen = product(along)
        step = power / float(along @ seen)
        solved += step * along
        left -= step * seen
        before, power = power, float(left @ left)
        along = left + power / before * along
    return solved


def _weight(heard: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Weight of each frequency: one over the long-term power, with mean power 1."""
    power = np.square(heard.real) + np.square(heard.imag)
    width = max(1, round(SMOOTH_HZ / (RATE_HZ / 2) * power.size))
    spread = convolved(power, np.ones(width) / width)[(width - 1) // 2 :][: power.size]
    smooth = np.maximum(spread, 0.0)
    floor = float(smooth.max()) * 10.0 ** (-2.0 * FLOOR_DB / 10.0)
    mean = float(smooth.mean())
    return np.asarray(mean / (smooth + floor) if mean > 0.0 else np.ones(1), np.float32)


@dataclass(frozen=True)
class Cleaned:
    """A recording without the nonce.

    Parameters
    ----------
    signal : same length as the recording.
    suppression_db : how far the level within the nonce's band fell in the quietest frames while
        the nonce played. What else sounds there stays, so the nonce itself fell by at least
        this much.
    drift_ppm : the clock difference that it was taken out with.
    """

    signal: Signal
    suppression_db: float
    drift_ppm: float = 0.0


def clean(
    recording: Signal,
    played: Signal,
    played_at_s: float,
    report: Report,
    carrier: Carrier,
    settings: NonceSettings,
) -> Cleaned:
    """Take the nonce out of a whole recording.

    Parameters
    ----------
    recording : the microphone at ``RATE_HZ``.
    played : what the player handed out, from the nonce's first sample on, to the last.
    played_at_s : time in the recording at which that began.
    report : what the carrier found in the same recording: its clock is where this starts from.
    carrier : says in which band the nonce lies.
    """
    if report.slots == 0 or not report.present:
        return Cleaned(recording, 0.0)
    start = round(played_at_s * RATE_HZ)
    part = recording[start:]
    path, clock, reference = _learn(part, played, report, played_at_s, carrier, settings, True)
    signal = recording.copy()
    signal[start:] -= path.apply(reference)
    if carrier.wideband:
        late = np.zeros_like(reference)
        lag = max(0, round((report.offset_s - played_at_s) * RATE_HZ))
        late[lag:] = reference[: reference.size - lag]
        signal[start:] = deepen(part, signal[start:], late, carrier.band_hz)
    fell_db = _fall_db(recording, signal, report.covered, carrier.band_hz)
    return Cleaned(signal, fell_db, clock.drift_ppm)


def _learn(
    part: Signal,
    played: Signal,
    report: Report,
    played_at_s: float,
    carrier: Carrier,
    settings: NonceSettings,
    refine: bool,
) -> tuple[EchoPath, Clock, Signal]:
    """The echo path into `part`, which begins with `played`, the clock it was found with, and
    what was played by that clock.
    """
    delay_s = report.offset_s - played_at_s
    taps_s = settings.canceller_taps_s
    clock = Clock(report.drift_ppm, report.shift_hz)
    if abs(clock.drift_ppm) < SAME_CLOCK_PPM:
        clock = replace(clock, drift_ppm=0.0)
    reference = as_heard(played, part.size, clock)
    path = estimate_path(part, reference, delay_s, taps_s, carrier.wideband)
    if settings.max_drift_ppm == 0.0 or not refine:  # 0: there is one clock, says the maker
        return path, clock, reference
    for _ in range(REFINE):
        step = _clock_error(part, reference, path, clock)
        least_ppm = CLOCK_STEP_PPM if clock.drift_ppm else SAME_CLOCK_PPM
        if abs(step.drift_ppm) < least_ppm and abs(step.shift_hz) < SAME_SHIFT_HZ:
            break
        clock = Clock(clock.drift_ppm + step.drift_ppm, clock.shift_hz + step.shift_hz)
        reference = as_heard(played, part.size, clock)
        path = estimate_path(part, reference, delay_s, taps_s, carrier.wideband)
        if abs(step.drift_ppm) < SMALL_STEP_PPM and not clock.shift_hz:
            break
    return path, clock, reference


@dataclass(frozen=True)
class Clock:
    """How the player's clock differs from the recorder's."""

    drift_ppm: float
    shift_hz: float


SAME_SHIFT_HZ = 1e-3
"""A correction of the frequency shift below this changes nothing: 1/40 of a radian in 4 s."""


def as_heard(played: Signal, samples: int, clock: Clock) -> Signal:
    """What was played, in the recorder's time: `samples` long, silent after its end."""
    out = np.zeros(samples, np.float32)
    signal = played
    if clock.drift_ppm:
        signal = soxr.resample(played, RATE_HZ * (1.0 + clock.drift_ppm * 1e-6), RATE_HZ)
    signal = shifted(signal, clock.shift_hz)
    size = min(samples, signal.size)
    out[:size] = signal[:size]
    return out


def _clock_error(part: Signal, reference: Signal, path: EchoPath, clock: Clock) -> Clock:
    """By how much the clock is off, from what the canceller leaves (one Gauss-Newton step).

    A clock that is off by d leaves d t times the time derivative of the echo, a shift that is
    off by f leaves 2 pi f t times its Hilbert transform. No shift at all stays so: only a
    receiver that found one says that there is one.
    """
    echo = path.apply(reference)
    left = part - echo
    size = fft.next_fast_len(part.size, real=True)
    spectrum = fft.rfft(echo, size)
    hz = np.arange(spectrum.size) * (RATE_HZ / size)
    weight = _weight(fft.rfft(left, size))
    # The path has found the best delay and phase already, so only the change around the middle
    # of the recording is left to explain.
    time = (np.arange(part.size) - 0.5 * part.size) / RATE_HZ
    slopes = [time * fft.irfft(2j * np.pi * hz * spectrum, size)[: part.size] * 1e-6]
    if clock.shift_hz:
        slopes.append(time * fft.irfft(2j * np.pi * spectrum, size)[: part.size])
    basis = fft.rfft(np.asarray(slopes, np.float32), size, axis=1)
    weighted = np.conj(basis) * weight
    found = np.linalg.solve(
        (weighted @ basis.T).real + 1e-20 * np.eye(len(slopes)),
        (weighted @ fft.rfft(left, size)).real,
    )
    return Clock(float(found[0]), float(found[1]) if clock.shift_hz else 0.0)


class LiveCanceller:
    """Takes the nonce out while it plays.

    Nothing is known of the path before some of the nonce was heard. So the first
    :data:`FIRST_S` are held back, cleaned together and handed on in one piece; from then on
    every block is cleaned as it comes. What is handed on is never late by more than that.

    Parameters
    ----------
    carrier : what plays.
    player : plays it; its first block is handed out with the first block that is fed.
    """

    def __init__(self, carrier: Carrier, player: NoncePlayer, settings: NonceSettings) -> None:
        self._carrier = carrier
        self._player = player
        self._settings = settings
        self._blocks: list[Signal] = []
        self._size = 0
        self._handed_on = 0
        self._next_estimate = round(FIRST_S * RATE_HZ)
        self._path: EchoPath | None = None
        self._report: Report | None = None
        self._clock = Clock(0.0, 0.0)

    @property
    def delay_s(self) -> float | None:
        """Delay from the player to the microphone, s; None before the first estimate."""
        return None if self._report is None else self._report.offset_s

    def feed(self, block: Signal) -> Signal:
        """Take one recorded block; return what is clean by now (empty, one block or more)."""
        first = len(self._blocks) if self._handed_on else 0
        self._blocks.append(block)
        self._size += block.size
        if self._size >= self._next_estimate:
            self._estimate(np.concatenate(self._blocks))
        if self._path is None:
            return np.zeros(0, np.float32)
        # Everything at the first estimate, from then on the one new block.
        ready = np.concatenate(self._blocks[first:])
        # Only the end of the echo is wanted: the taps' length of reference before it suffices.
        reach = self._path.taps.size + round(self._path.delay_s * RATE_HZ)
        start = max(0, self._handed_on - reach)
        reference = stretch(self._player.played, start, self._size - start, self._clock)
        echo = self._path.apply(reference)[self._handed_on - start :]
        self._handed_on = self._size
        return ready - echo

    def _estimate(self, recorded: Signal) -> None:
        self._report = self._carrier.verify(recorded, 0.0, self._player.slots, quick=True)
        self._path, self._clock, _ = _learn(
            recorded,
            self._player.played,
            self._report,
            0.0,
            self._carrier,
            self._settings,
            # A second of tones says less of the clock than their receiver knows.
            self._carrier.wideband,
        )
        self._next_estimate = round(recorded.size * AGAIN)


def stretch(played: Signal, start: int, samples: int, clock: Clock) -> Signal:
    """Samples `start` .. `start + samples` of :func:`as_heard`, without computing those before."""
    place = (start + np.arange(samples)) * (1.0 + clock.drift_ppm * 1e-6)
    # Zeros on both sides, so that every place has all its neighbours.
    low = int(place[0]) - SINC_TAPS if samples else 0
    high = int(place[-1]) + SINC_TAPS if samples else 0
    padded = np.zeros(high - low, np.float32)
    inside = played[max(0, low) : max(0, high)]
    padded[max(0, -low) : max(0, -low) + inside.size] = inside
    whole = np.floor(place).astype(np.int64)
    if clock.drift_ppm:
        phase = (place - whole) * SINC_PHASES
        table = np.floor(phase).astype(np.int64)
        part = (phase - table).astype(np.float32)[:, None]
        taps = _SINC[table] * (1.0 - part) + _SINC[table + 1] * part
        index = whole[:, None] - low + np.arange(1 - SINC_TAPS // 2, SINC_TAPS // 2 + 1)
        out = np.einsum("ij,ij->i", padded[index], taps)
    else:
        out = padded[whole - low]
    return np.asarray(shifted(out, clock.shift_hz, start), np.float32)


def _sinc_table() -> NDArray[np.float32]:
    """Windowed sinc for every phase, shape (SINC_PHASES + 1, SINC_TAPS)."""
    tap = np.arange(1 - SINC_TAPS // 2, SINC_TAPS // 2 + 1)
    at = tap - np.arange(SINC_PHASES + 1)[:, None] / SINC_PHASES
    inside = np.clip(1.0 - (2.0 * at / SINC_TAPS) ** 2, 0.0, None)
    return np.asarray(np.sinc(at) * np.i0(8.0 * np.sqrt(inside)) / np.i0(8.0), np.float32)


_SINC = _sinc_table()


def _fall_db(
    before: Signal, after: Signal, covered: tuple[float, float], band_hz: tuple[float, float]
) -> float:
    """How far the level in `band_hz` fell in the quietest of the covered frames, dB."""
    first, last = (max(0, round(at * RATE_HZ)) for at in covered)
    low, high = (round(hz / RATE_HZ * FRAME) for hz in band_hz)
    powers = []
    for signal in (before, after):
        part = signal[first:last]
        frames = part[: part.size // FRAME * FRAME].reshape(-1, FRAME)
        if frames.shape[0] == 0:
            return 0.0
        spectrum = fft.rfft(frames * np.hanning(FRAME).astype(np.float32), axis=1)
        powers.append(np.mean(np.abs(spectrum[:, low : high + 1]) ** 2, axis=1))
    quiet = np.argsort(powers[0])[: max(1, round(QUIET_SHARE * powers[1].size))]
    fell = (powers[0][quiet].mean() + 1e-20) / (powers[1][quiet].mean() + 1e-20)
    return 10.0 * float(np.log10(fell))


def _convolve(signal: Signal, taps: NDArray[np.float32]) -> Signal:
    size = fft.next_fast_len(signal.size + taps.size, real=True)
    product = fft.rfft(signal, size) * fft.rfft(taps, size)
    return np.asarray(fft.irfft(product, size)[: signal.size], np.float32)
