"""Old nonces in recordings that are played too fast or too slowly, or shifted in frequency.

A few per cent of speed are hardly heard and cost a recogniser nothing, but a code of 256 ms
that is 0.3 % too short no longer fits. Trying every speed on the whole band would take seconds.
The lower the band and the shorter the stretch that is looked at, the coarser the grid of speeds
may be, so this search looks at 0.5-1.9 kHz in the 1.5 s that say most. The same goes for a shift
of all frequencies by some 10 Hz. It finds less than the search at the right speed and pitch, and
finds it anywhere in the range.

Its evidence is an e-value as in :mod:`earmark.nonce.spread.search`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy import fft

from earmark.filters import band_pass, convolved, decimated
from earmark.nonce.shift import shifted
from earmark.nonce.spread.correlate import least_norm
from earmark.nonce.spread.evidence import all_codes
from earmark.nonce.spread.shape import CHIPS, CODES, PIECE, PIECES
from earmark.signal import RATE_HZ, Signal

DECIMATION = 4
"""From 16 kHz to 4 kHz: the low band ends below 2 kHz."""

LOW_HZ = (450.0, 1850.0)
"""The low band, Hz. Above, one more grid point of speed is needed for every 60 Hz."""

LOW_TAPS = 129
"""Length of its filter at 16 kHz, samples: edges 200 Hz wide."""

LOW_DELAY = LOW_TAPS // 2
"""Its delay, samples at 16 kHz."""

SPEED_STEP = 0.003
"""Grid of speeds, relative: at 1.5 kHz a piece of 128 ms slips 0.29 periods at most (1.2 dB)."""

SHIFT_STEP_HZ = 4.0
"""Grid of frequency shifts: a piece of 128 ms turns by a quarter at most (1 dB)."""

WINDOW_S = 1.5
"""Length of what is looked at, s: six slots. Twice as long takes twice as long."""

BIN = 2
"""Grid of lags, samples at 4 kHz: half a millisecond."""

PRIOR = 15.0
"""Expected square of z of a piece in this band."""

GAIN = 0.5 * PRIOR / (1.0 + PRIOR)
COST = 0.5 * PIECES * float(np.log1p(PRIOR)) + float(np.log(2 * BIN))
"""As in the search on the whole band, for a whole slot."""

MOST = 32_767
"""Largest 16-bit number."""

RINGING = 64
"""Samples at 16 kHz by which the resampler that stretches a piece rings beyond its ends: 40 dB
down from there on."""


class OwnSlot(NamedTuple):
    """A stretch in which a code of the current nonce or its echo sounds: samples at 16 kHz."""

    code: int
    first: float
    last: float


class Change(NamedTuple):
    """What an attacker did to a recording: played it faster by a share, or shifted it by Hz."""

    speed: float
    shift_hz: float


@dataclass(frozen=True, eq=False)
class Stretched:
    """The codes of a bank in the low band, changed in every way that is looked for.

    Parameters
    ----------
    changes : either speed or shift, never neither.
    pieces_f : conjugate spectra of the pieces, (changes, CODES * PIECES, 2 * bins): real and
        imaginary parts by turns, as whole 16-bit steps. Twice as large they would be a fifth of
        what the daemon needs; rounding is 86 dB down, far below the room that the norms leave.
    steps : the size of a step of each change, (changes,).
    taps : from chips to the low band at 16 kHz.
    size : length of the transforms.
    """

    changes: tuple[Change, ...]
    pieces_f: NDArray[np.int16]
    steps: NDArray[np.float32]
    taps: NDArray[np.float32]
    size: int

    @classmethod
    def of(
        cls,
        chips: NDArray[np.float32],
        band: NDArray[np.float32],
        max_percent: float,
        max_shift_hz: float,
    ) -> Stretched:
        """Prepare the search for speeds of up to `max_percent` off, and shifts (0.4 MB each).

        Parameters
        ----------
        chips : of the codes, (codes, chips).
        band : the filter that they are played through.
        """
        changes = [Change(speed, 0.0) for speed in _grid(max_percent / 100.0, SPEED_STEP)]
        changes += [Change(0.0, shift_hz) for shift_hz in _grid(max_shift_hz, SHIFT_STEP_HZ)]
        low = band_pass(LOW_TAPS, LOW_HZ, RATE_HZ)
        taps = np.convolve(band, low).astype(np.float32)
        cut = chips.reshape(-1, chips.shape[1] // PIECES)
        # Without the delay of the low band's filter, which the recording does not go through.
        shaped = convolved(cut, taps)[:, LOW_DELAY:].astype(np.float32).T
        rate_hz = RATE_HZ / DECIMATION
        sounds = [
            shifted(
                soxr.resample(shaped, RATE_HZ * (1.0 + change.speed), rate_hz).T,
                change.shift_hz,
                rate_hz=rate_hz,
            )
            for change in changes
        ]
        longest = max(sound.shape[1] for sound in sounds)
        size = fft.next_fast_len(round(WINDOW_S * rate_hz) + longest, real=True)
        shape = len(sounds), sounds[0].shape[0], 2 * (size // 2 + 1)
        pieces_f, steps = np.empty(shape, np.int16), np.empty(len(sounds), np.float32)
        for index, sound in enumerate(sounds):
            spectra = np.conj(fft.rfft(sound, size, axis=1)).astype(np.complex64)
            parts = spectra.view(np.float32)
            steps[index] = float(np.abs(parts).max()) / MOST
            pieces_f[index] = np.rint(parts / steps[index])
        return cls(tuple(changes), pieces_f, steps, taps, size)

    def log_e(self, white: Signal, own: Sequence[OwnSlot] = ()) -> tuple[float, Change]:
        """Evidence for an old nonce that was changed, and the change that fits best.

        Parameters
        ----------
        white : the whitened recording at 16 kHz, without the current nonce.
        own : where codes of the current nonce may still sound: there they say nothing.
        """
        low = decimated(white, DECIMATION)
        count = round(WINDOW_S * RATE_HZ / DECIMATION)
        if low.size < count:
            return 0.0, self.changes[0]
        power = np.concatenate([[0.0], np.cumsum(np.square(low, dtype=np.float64))])
        first = int(np.argmax(power[count:] - power[:-count]))
        part = low[first : first + count]
        inverse = self._inverse_norms(part)
        spectrum = fft.rfft(part, self.size)
        places = part.size // BIN
        scale = DECIMATION * BIN
        says = np.ones((CODES, places), np.bool_)
        for slot in own:
            a, b = (int(at / scale) - first // BIN for at in (slot.first, slot.last))
            says[slot.code, max(0, a - 1) : max(0, b + 2)] = False
        logs = [
            self._at_speed(
                (spectrum * step) * parts.astype(np.float32).view(np.complex64),
                inverse,
                change.speed,
                says,
            )
            for parts, step, change in zip(self.pieces_f, self.steps, self.changes, strict=True)
        ]
        best = int(np.argmax(logs))
        mean = float(np.logaddexp.reduce(logs)) - float(np.log(len(logs)))
        return mean, self.changes[best]

    def _inverse_norms(self, part: NDArray[np.float32]) -> NDArray[np.float32]:
        """One over the norm of a piece at any of the speeds; the largest of them."""
        raised = np.zeros(part.size * DECIMATION, np.float32)
        raised[::DECIMATION] = part
        begin = self.taps.size - 1 - LOW_DELAY
        seen = convolved(raised, self.taps[::-1])[begin:][: raised.size]
        energy = np.concatenate([[0.0], np.cumsum(np.square(seen, dtype=np.float64))])
        # A slow recording's piece is longer, and the resampler rings: over all of that.
        most = max(abs(change.speed) for change in self.changes)
        span = round(PIECE * (1.0 + most)) + 2 * RINGING
        norm = np.sqrt(np.maximum(energy[span:] - energy[:-span], 0.0))
        norm = norm[: norm.size // DECIMATION * DECIMATION : DECIMATION] * (1.0 + most)
        out = np.zeros(part.size, np.float32)
        before = RINGING // DECIMATION
        heard = norm > least_norm(norm)
        out[before : before + norm.size][heard] = 1.0 / norm[heard]
        return out

    def _at_speed(
        self,
        product: NDArray[np.complex64],
        inverse: NDArray[np.float32],
        speed: float,
        says: NDArray[np.bool_],
    ) -> float:
        places = inverse.size // BIN
        z = fft.irfft(product, self.size, axis=1)[:, : places * BIN] * inverse[: places * BIN]
        pieces = np.square(z, out=z).reshape(CODES, PIECES, places * BIN)
        square = np.zeros((CODES, places * BIN), np.float32)
        for piece in range(PIECES):
            ahead = round(piece * PIECE / DECIMATION / (1.0 + speed))
            square[:, : square.shape[1] - ahead] += pieces[:, piece, ahead:]
        top = np.maximum(square[:, ::2], square[:, 1::2])
        top[:, :-1] = np.maximum(top[:, :-1], top[:, 1:])
        top *= np.float32(GAIN)
        top -= np.float32(COST)
        top[~says] = -np.inf
        step = CHIPS / DECIMATION / BIN / (1.0 + speed)
        rows = int(places / step) + 1
        place = np.round(step * np.arange(rows)[:, None]).astype(np.int64) + np.arange(int(step))
        padded = np.concatenate([top, np.full((CODES, 1), -np.inf, np.float32)], axis=1)
        heard = padded[:, np.minimum(place, places)].max(axis=1)
        total = all_codes(heard - np.float32(np.log(rows)))
        return float(np.logaddexp.reduce(total)) - float(np.log(total.size))


def _grid(most: float, step: float) -> list[float]:
    """Multiples of `step` up to `most` on both sides, without 0."""
    side = math.ceil(most / step)
    return [step * index for index in range(-side, side + 1) if index]
