"""The canceller: the known nonce is taken out of the recording before anything hears it.

The player's signal is known, so what the microphone got of it is its convolution with one
echo path (converters, loudspeaker, room). The path is found by regularised least squares
over the whole recording. The prior says what every room says: the later, the weaker.
The endpointer cannot wait for the end: for it, :class:`LiveCanceller` finds the path from
what was recorded so far, and again as the recording grows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.sparse.linalg import LinearOperator, cg

from earmark.nonce.demodulate import to_baseband
from earmark.nonce.settings import NonceSettings
from earmark.nonce.verify import Report, verify
from earmark.nonce.waveform import Bfsk, Nonce
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
"""Conjugate-gradient steps: the residual no longer changes by 0.1 dB after about 40."""

ONSET_S = 0.004
"""The path may begin this long before the estimated delay, s: linear-phase converters ring
before their main tap."""


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


def estimate_path(recording: Signal, reference: Signal, delay_s: float, taps_s: float) -> EchoPath:
    """Least-squares echo path from a reference to a recording.

    Parameters
    ----------
    recording, reference : same length and clock, at ``RATE_HZ``; the reference as it was
        handed to the player, already brought to the recorder's clock.
    delay_s : delay of the direct sound, s.
    taps_s : length of the path, s.
    """
    lag = max(0, round((delay_s - ONSET_S) * RATE_HZ))
    count = round(taps_s * RATE_HZ)
    aligned = recording[lag:]
    played = reference[: aligned.size]
    size = fft.next_fast_len(aligned.size + count, real=True)
    spectrum = fft.rfft(played.astype(np.float64), size)
    auto = fft.irfft(np.abs(spectrum) ** 2, size)[:count]
    cross = fft.irfft(np.conj(spectrum) * fft.rfft(aligned.astype(np.float64), size), size)[:count]
    energy = float(auto[0])
    if energy <= 0.0:
        return EchoPath(np.zeros(count, np.float32), lag / RATE_HZ)

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

    operator = LinearOperator((count, count), matvec=normal, dtype=np.float64)
    solved, _ = cg(operator, root * cross, rtol=1e-6, maxiter=CG_STEPS)
    return EchoPath((root * solved).astype(np.float32), lag / RATE_HZ)


@dataclass(frozen=True)
class Cleaned:
    """A recording without the nonce.

    Parameters
    ----------
    signal : same length as the recording.
    suppression_db : how far the level within the hop set's band fell while the nonce played.
        Speech in that band is not taken out, so the nonce itself fell by at least this much.
    """

    signal: Signal
    suppression_db: float


def clean(
    recording: Signal,
    nonce: Nonce,
    played_at_s: float,
    report: Report,
    settings: NonceSettings,
    played_slots: int | None = None,
) -> Cleaned:
    """Take the nonce out of a whole recording.

    Parameters
    ----------
    recording : the microphone at ``RATE_HZ``.
    played_at_s : time in it at which the player was handed the nonce's first sample.
    report : what :func:`~earmark.nonce.verify.verify` found in the same recording: its clock
        is the one that the nonce is rebuilt with.
    played_slots : how many slots were handed over; None when it played on to the end.
    """
    wave = Bfsk.from_settings(settings)
    if report.slots == 0:
        return Cleaned(recording, 0.0)
    start = round(played_at_s * RATE_HZ)
    part = recording[start:]
    reference = _reference(wave, nonce, report, part.size)
    if played_slots is not None:
        reference[math.ceil(played_slots * wave.slot_s * RATE_HZ) :] = 0.0
    path = estimate_path(part, reference, report.offset_s - played_at_s, settings.canceller_taps_s)
    signal = recording.copy()
    signal[start:] -= path.apply(reference)
    first, last = (round(at * RATE_HZ) for at in report.covered)
    before = _band_power(recording[first:last], wave)
    after = _band_power(signal[first:last], wave)
    return Cleaned(signal, 10.0 * float(np.log10((before + 1e-20) / (after + 1e-20))))


class LiveCanceller:
    """Takes the nonce out while it plays.

    Nothing is known of the path before some of the nonce was heard. So the first
    :data:`FIRST_S` are held back, cleaned together and handed on in one piece; from then on
    every block is cleaned as it comes. What is handed on is never late by more than that.

    Parameters
    ----------
    nonce : the one that plays; its first sample is handed to the player with the first block.
    """

    def __init__(self, nonce: Nonce, settings: NonceSettings) -> None:
        self._nonce = nonce
        self._settings = settings
        self._wave = Bfsk.from_settings(settings)
        self._blocks: list[Signal] = []
        self._size = 0
        self._handed_on = 0
        self._next_estimate = round(FIRST_S * RATE_HZ)
        self._path: EchoPath | None = None
        self._report: Report | None = None

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
        if self._path is None or self._report is None:
            return np.zeros(0, np.float32)
        # Everything at the first estimate, from then on the one new block.
        ready = np.concatenate(self._blocks[first:])
        # Only the end of the echo is wanted: the taps' length of reference before it suffices.
        reach = self._path.taps.size + round(self._path.delay_s * RATE_HZ)
        start = max(0, self._handed_on - reach)
        reference = _reference(self._wave, self._nonce, self._report, self._size - start, start)
        echo = self._path.apply(reference)[self._handed_on - start :]
        self._handed_on = self._size
        return ready - echo

    def _estimate(self, recorded: Signal) -> None:
        slots = int(recorded.size / RATE_HZ * self._wave.bit_rate_hz) + 1
        self._report = verify(recorded, self._nonce, 0.0, slots, self._settings)
        reference = _reference(self._wave, self._nonce, self._report, recorded.size)
        self._path = estimate_path(
            recorded, reference, self._report.offset_s, self._settings.canceller_taps_s
        )
        self._next_estimate = round(recorded.size * AGAIN)


def _reference(wave: Bfsk, nonce: Nonce, report: Report, samples: int, start: int = 0) -> Signal:
    """What the player was handed, in the recorder's time, from sample `start` on."""
    return wave.render(
        nonce,
        samples,
        start_s=start / RATE_HZ,
        drift_ppm=report.drift_ppm,
        shift_hz=report.shift_hz,
    )


def _band_power(signal: Signal, wave: Bfsk) -> float:
    """Mean power in the hop set's band and its guard."""
    if signal.size == 0:
        return 0.0
    samples = to_baseband(signal, wave).samples
    return float(np.mean(np.abs(samples) ** 2))


def _convolve(signal: Signal, taps: NDArray[np.float32]) -> Signal:
    size = fft.next_fast_len(signal.size + taps.size, real=True)
    product = fft.rfft(signal, size) * fft.rfft(taps, size)
    return np.asarray(fft.irfft(product, size)[: signal.size], np.float32)
