"""Is the current nonce in the recording: complete, and where?

Non-coherent BFSK reception. Synchronisation uses the hop sequence alone, never the payload
(a search that maximised the match of the payload would find some of it anywhere), so the
bits are decided blindly and their errors count: with L bits and at most e errors allowed, a
recording without the nonce passes with probability sum_{i<=e} binom(L, i) / 2**L, whatever
the noise.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from earmark.nonce.bfsk.demodulate import (
    STEPS_PER_SLOT,
    ToneGrid,
    to_baseband,
    tone_grid,
    whitened,
)
from earmark.nonce.bfsk.estimate import estimate_clock
from earmark.nonce.bfsk.waveform import Bfsk, Nonce
from earmark.nonce.report import Report
from earmark.nonce.settings import NonceSettings
from earmark.signal import Signal

PRESENT_OVER_CHANCE = 0.25
"""The nonce counts as present when the hopped channels hold this much more of the tones' power
than by chance (1 in 16 with 16 channels). A whole cycle of another nonce, searched over all
delays and shifts, reaches 0.17; one's own at -5 dB SNR 0.45."""

SPOILT_SLOTS = 2
"""A gap in the cover needs this many spoilt slots: one alone is a bit error."""

HEARD_SLOTS = 3
"""A gap ends when so many slots in a row fit: one fits by chance in 1 of 16 with 8 channels,
three in 1 of 4,096. A gap of 1.5 s was cut in two by chance in one of 30 recordings with two."""


def verify(
    recording: Signal,
    nonce: Nonce,
    played_at_s: float,
    played_slots: int,
    settings: NonceSettings,
) -> Report:
    """Look for `nonce` in a recording.

    Parameters
    ----------
    recording : the microphone at ``RATE_HZ``, before anything was cancelled.
    played_at_s : time in the recording at which the player was handed the first sample.
    played_slots : how many slots were handed over.
    settings : hop set and search ranges.
    """
    wave = Bfsk.from_settings(settings)
    grid = tone_grid(to_baseband(recording, wave), wave, settings.max_shift_hz)
    steps_per_slot = round(wave.slot_s / grid.step_s)
    first = max(0, int(played_at_s / grid.step_s))
    lags = first + np.arange(int(np.ceil(settings.max_delay_s / grid.step_s)) + 1)
    # Only whole slots count: the last one must end within the recording.
    last_step = grid.total.size - steps_per_slot
    slots = min(played_slots, (last_step - first) // steps_per_slot + 1)
    if slots < 1:
        return Report.nothing(nonce.bits, played_at_s)
    channel = wave.hops(nonce, slots)
    share = _channel_share(grid.power)
    lag, shift_index = _synchronise(share, channel, lags, steps_per_slot)
    slots = min(slots, (last_step - lag) // steps_per_slot + 1)
    if slots < 1:
        return Report.nothing(nonce.bits, played_at_s)
    channel = channel[:slots]
    at = lag + steps_per_slot * np.arange(slots)
    power = grid.power[shift_index]
    zero, one = power[at, 2 * channel], power[at, 2 * channel + 1]
    soft = (one - zero) / np.maximum(one + zero, np.finfo(np.float32).tiny)

    bits = nonce.bits
    combined = np.bincount(np.arange(slots) % bits, weights=soft, minlength=bits)
    received = min(slots, bits)
    sent = nonce.bit_array()
    wrong = (combined > 0.0) != (sent > 0)
    bit_errors = int(np.count_nonzero(wrong[:received])) + bits - received
    slot_wrong = (soft > 0.0) != (np.resize(sent, slots) > 0)

    contrast = float(np.mean(share[shift_index, at, channel])) * wave.channels
    sent_tones = wave.tones(nonce, slots)
    tone = power[at, sent_tones]
    snr_db = _snr_db(tone, power[at], channel, (wave.high_hz - wave.low_hz) * wave.slot_s)
    clock = estimate_clock(
        recording,
        wave,
        sent_tones,
        *_start(grid, lag, at, sent_tones),
        settings.max_drift_ppm,
    )
    return Report(
        bits=bits,
        bits_received=received,
        bit_errors=bit_errors,
        slots=slots,
        slot_errors=int(np.count_nonzero(slot_wrong)),
        present=(contrast - 1.0) / wave.channels >= PRESENT_OVER_CHANCE,
        contrast=contrast,
        offset_s=clock.offset_s,
        drift_ppm=clock.drift_ppm,
        shift_hz=clock.shift_hz,
        snr_db=snr_db,
        gaps=_gaps(~_heard(power[at], sent_tones), clock.offset_s, wave.slot_s),
        covered=(clock.offset_s, clock.offset_s + slots * wave.slot_s),
        wrong_slots=tuple(np.flatnonzero(slot_wrong).tolist()),
        chance=sum(math.comb(bits, wrong) for wrong in range(bit_errors + 1)) / 2.0**bits,
    )


def _channel_share(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Share of each channel in its moment's power; bounded, so that no loud slot rules.

    Shape (shifts, steps, channels).
    """
    total = np.maximum(power.sum(axis=2, keepdims=True), 1e-30)
    return np.asarray((power[:, :, 0::2] + power[:, :, 1::2]) / total)


def _snr_db(
    tone: NDArray[np.float32],
    power: NDArray[np.float32],
    channel: NDArray[np.int64],
    independent: float,
) -> float:
    """Power of the sent tones over the noise in the band, dB.

    The noise is read from the tones of channels not next to the sent one (which leaks into its
    neighbours) and scaled to the band by the number of independent tones that fit in it.
    """
    tone_channel = np.arange(power.shape[1]) // 2
    away = np.abs(tone_channel[None, :] - channel[:, None]) >= 2
    noise = float(power[away].mean()) if away.any() else 0.0
    signal = max(float(tone.mean()) - noise, 1e-20)
    return 10.0 * float(np.log10(signal / max(noise * independent, 1e-20)))


def _synchronise(
    share: NDArray[np.float32],
    channel: NDArray[np.int64],
    lags: NDArray[np.int64],
    steps_per_slot: int,
) -> tuple[int, int]:
    """Lag (steps) and shift (index) at which the hopped channels hold most of the power."""
    steps = share.shape[1]
    at = lags[:, None] + steps_per_slot * np.arange(channel.size)
    valid = at < steps
    picked = share[:, np.minimum(at, steps - 1), channel]
    score = (picked * valid).sum(axis=2)
    shift_index, lag_index = np.unravel_index(int(np.argmax(score)), score.shape)
    return int(lags[lag_index]), int(shift_index)


def _start(
    grid: ToneGrid, lag: int, at: NDArray[np.int64], tones: NDArray[np.int64]
) -> tuple[float, float]:
    """Time (s) and shift (Hz) at which the sent tones are strongest, finer than `lag`.

    The bits are not read there, for these know them. The shift that shows the hops best says
    it less well: at 40 bit/s a tone is as wide as a channel, and it may lie 15 Hz away.
    """
    share = grid.power[:, at, tones] / np.maximum(grid.total[at], 1e-30)
    shift_index = int(np.argmax(share.sum(axis=1)))
    power = grid.power[shift_index]
    # A window that is off by x steps holds 1 - |x| / STEPS_PER_SLOT of the tone's amplitude.
    last = grid.total.size - 1
    before, after = (
        float(np.sqrt(np.mean(power[np.clip(at + step, 0, last), tones]))) for step in (-1, 1)
    )
    whole = (before + after) / (2.0 - 2.0 / STEPS_PER_SLOT)
    off = np.clip(0.5 * STEPS_PER_SLOT * (after - before) / max(whole, 1e-30), -1.0, 1.0)
    return (lag + float(off)) * grid.step_s, float(grid.shifts_hz[shift_index])


def _heard(power: NDArray[np.float32], tones: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the tone that was sent stands out most in its slot, shape (slots,).

    Most of all tones, not of its pair: where the nonce is missing a bit is right every second
    time, which would leave no gap of any length. Each tone is seen relative to its usual power,
    so that a whistle does not win every slot.
    """
    return np.asarray(np.argmax(whitened(power), axis=1) == tones)


def _gaps(
    spoilt: NDArray[np.bool_], offset_s: float, slot_s: float
) -> tuple[tuple[float, float], ...]:
    """Stretches with spoilt slots and no ``HEARD_SLOTS`` heard in a row, in recording time."""
    closed = spoilt.copy()
    for a, b in _runs(~spoilt):
        closed[a:b] |= b - a < HEARD_SLOTS
    return tuple(
        (offset_s + a * slot_s, offset_s + b * slot_s)
        for a, b in _runs(closed)
        if np.count_nonzero(spoilt[a:b]) >= SPOILT_SLOTS
    )


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Where `flags` is True: (first, one past the last) of each run."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[0::2], edges[1::2], strict=True)]
