"""Two clocks: what was played, in the recorder's time; and finding how the clocks differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import fftconvolve

from earmark.nonce import LiveCanceller, NoncePlayer, NonceSettings, SpreadCarrier, clean
from earmark.nonce.cancel import Clock, as_heard, stretch
from earmark.signal import BLOCK, RATE_HZ, Signal

InCodes = Callable[..., SpreadCarrier]
Make = Callable[..., Signal]

SLOTS = 12
CLOCKS = [(0.0, 0.0), (300.0, 0.0), (-300.0, 0.0), (3.7, 0.0), (0.0, 5.0), (120.0, -18.0)]


def power_db(signal: Signal) -> float:
    return float(10.0 * np.log10(np.mean(signal.astype(np.float64) ** 2) + 1e-30))


def room(seed: int) -> Signal:
    """Direct sound and, 20 dB below, a room of RT60 0.4 s."""
    decay = 10.0 ** (-3.0 * np.arange(4800) / RATE_HZ / 0.4)
    taps = np.random.default_rng(seed).standard_normal(decay.size) * decay
    taps *= 0.1 / np.sqrt(np.sum(taps**2))
    taps[10] = 1.0
    return taps


@pytest.fixture(scope="module")
def carrier(in_codes: InCodes) -> SpreadCarrier:
    return in_codes(3)


@pytest.fixture(scope="module")
def played_codes(carrier: SpreadCarrier, played: Make) -> Signal:
    return played(carrier, SLOTS)


# The recorder's time


@pytest.mark.parametrize("drift_ppm", [300.0, -300.0, 1.0])
@pytest.mark.parametrize("hz", [700.0, 3000.0, 6500.0])
def test_a_faster_player_sounds_higher_and_ends_earlier(drift_ppm: float, hz: float) -> None:
    """Against the formula: the player's second is (1 + drift) of its samples."""
    time = np.arange(2 * RATE_HZ) / RATE_HZ
    tone = np.sin(2.0 * np.pi * hz * time).astype(np.float32)
    expected = np.sin(2.0 * np.pi * hz * time * (1.0 + drift_ppm * 1e-6))
    clock = Clock(drift_ppm, 0.0)
    inner = slice(200, time.size - 200)  # beyond, the tone begins and ends
    for out in (as_heard(tone, time.size, clock), stretch(tone, 0, time.size, clock)):
        assert out.dtype == np.float32
        assert power_db(expected[inner]) - power_db((out - expected)[inner]) > 60.0


@pytest.mark.parametrize("shift_hz", [20.0, -20.0, 0.5])
def test_shifted_frequencies_are_higher_by_so_much(shift_hz: float) -> None:
    time = np.arange(RATE_HZ) / RATE_HZ
    tone = np.cos(2.0 * np.pi * 1000.0 * time).astype(np.float32)
    expected = np.cos(2.0 * np.pi * (1000.0 + shift_hz) * time)
    for out in (as_heard(tone, RATE_HZ, Clock(0.0, shift_hz)),):
        assert power_db(expected) - power_db(out - expected) > 40.0


def test_one_clock_changes_nothing(played_codes: Signal) -> None:
    size = played_codes.size
    same = Clock(0.0, 0.0)
    assert as_heard(played_codes, size, same).tobytes() == played_codes.tobytes()
    assert stretch(played_codes, 0, size, same).tobytes() == played_codes.tobytes()


@pytest.mark.parametrize("samples", [0, 1000, 80_000])
def test_it_has_the_length_that_was_asked_for(played_codes: Signal, samples: int) -> None:
    for clock in (Clock(0.0, 0.0), Clock(300.0, 0.0)):
        for out in (
            as_heard(played_codes, samples, clock),
            stretch(played_codes, 0, samples, clock),
        ):
            assert out.shape == (samples,)
            assert not out[played_codes.size + 100 :].any()


@pytest.mark.parametrize(("drift_ppm", "shift_hz"), CLOCKS)
def test_both_ways_say_the_same(played_codes: Signal, drift_ppm: float, shift_hz: float) -> None:
    clock = Clock(drift_ppm, shift_hz)
    whole = as_heard(played_codes, played_codes.size, clock)
    for start, samples in ((0, 9000), (12_345, 4320), (40_000, 320 + 4000)):
        part = stretch(played_codes, start, samples, clock)
        # At its own ends a cut piece knows less of what was before and comes after.
        inner = slice(64, samples - 64) if shift_hz else slice(0, samples)
        expected = whole[start : start + samples]
        assert power_db(expected) - power_db((part - expected)[inner]) > (30 if shift_hz else 55)


@pytest.mark.parametrize("shift_hz", [5.0, -18.0])
def test_the_last_block_is_as_good_as_the_others(played_codes: Signal, shift_hz: float) -> None:
    """The live canceller uses the end of what it asks for, and that alone."""
    clock = Clock(0.0, shift_hz)
    whole = as_heard(played_codes, played_codes.size, clock)
    wanted = []
    given = []
    for end in range(20_000, 40_000, 5 * BLOCK):
        wanted.append(whole[end - BLOCK : end])
        given.append(stretch(played_codes, end - 4320, 4320, clock)[-BLOCK:])
    expected, out = np.concatenate(wanted), np.concatenate(given)
    assert power_db(expected) - power_db(out - expected) > 20.0


def test_beyond_the_end_is_silence(played_codes: Signal) -> None:
    for clock in (Clock(0.0, 0.0), Clock(-300.0, 0.0), Clock(300.0, 0.0)):
        assert not stretch(played_codes, played_codes.size + 200, BLOCK, clock).any()


def test_a_minute_later_the_clocks_are_still_in_step() -> None:
    rng = np.random.default_rng(1)
    played = rng.standard_normal(61 * RATE_HZ).astype(np.float32)
    clock = Clock(-300.0, 0.0)
    at = 60 * RATE_HZ
    part = stretch(played, at, 4000, clock)
    expected = as_heard(played, at + 4000, clock)[at:]
    # White noise up to 8 kHz, where both filters end: what they share is below 7.
    assert np.corrcoef(part, expected)[0, 1] > 0.97


# Finding the clock


@pytest.fixture(scope="module")
def heard_codes(played_codes: Signal, heard: Make) -> Callable[..., tuple[Signal, Signal]]:
    """The nonce at the microphone after a room, and the recording with noise 50 dB below it."""

    def make(drift_ppm: float, shift_hz: float) -> tuple[Signal, Signal]:
        dry = heard(played_codes, drift_ppm=drift_ppm, shift_hz=shift_hz)
        echo = fftconvolve(dry, room(1))[: dry.size]
        noise = 3e-4 * np.random.default_rng(2).standard_normal(dry.size)
        return echo.astype(np.float32), (echo + noise).astype(np.float32)

    return make


@pytest.mark.parametrize(
    ("drift_ppm", "shift_hz"),
    [(0.0, 0.0), (1.5, 0.0), (20.0, 0.0), (300.0, 0.0), (-287.3, 0.0), (0.0, 11.0), (150.0, -6.0)],
)
def test_the_canceller_finds_the_clock_and_goes_deep(
    carrier: SpreadCarrier,
    played_codes: Signal,
    heard_codes: Callable[..., tuple[Signal, Signal]],
    drift_ppm: float,
    shift_hz: float,
) -> None:
    echo, recording = heard_codes(drift_ppm, shift_hz)
    report = carrier.verify(recording, 0.0, SLOTS)
    assert report.present
    result = clean(recording, played_codes, 0.0, report, carrier, NonceSettings())
    assert result.drift_ppm == pytest.approx(drift_ppm, abs=0.2)
    left = result.signal - (recording - echo)
    assert power_db(echo) - power_db(left) > 38.0


@pytest.mark.parametrize("off_ppm", [-5.0, 1.0, 5.0])
@pytest.mark.parametrize("off_hz", [0.0, 0.05])
def test_it_corrects_what_the_receiver_got_wrong(
    carrier: SpreadCarrier,
    played_codes: Signal,
    heard_codes: Callable[..., tuple[Signal, Signal]],
    off_ppm: float,
    off_hz: float,
) -> None:
    shift_hz = 7.0 if off_hz else 0.0
    echo, recording = heard_codes(200.0, shift_hz)
    report = carrier.verify(recording, 0.0, SLOTS)
    wrong = replace(report, drift_ppm=200.0 + off_ppm, shift_hz=shift_hz + off_hz)
    result = clean(recording, played_codes, 0.0, wrong, carrier, NonceSettings())
    assert result.drift_ppm == pytest.approx(200.0, abs=0.2)
    left = result.signal - (recording - echo)
    assert power_db(echo) - power_db(left) > 38.0


def test_one_clock_stays_one(
    carrier: SpreadCarrier,
    played_codes: Signal,
    heard_codes: Callable[..., tuple[Signal, Signal]],
) -> None:
    """Noise of the estimate makes no difference of clocks where there is none."""
    _, recording = heard_codes(0.0, 0.0)
    report = replace(carrier.verify(recording, 0.0, SLOTS), drift_ppm=0.3, shift_hz=0.0)
    result = clean(recording, played_codes, 0.0, report, carrier, NonceSettings())
    assert result.drift_ppm == 0.0


def test_without_a_nonce_no_clock_is_sought(carrier: SpreadCarrier, played_codes: Signal) -> None:
    noise = np.random.default_rng(4).standard_normal(4 * RATE_HZ).astype(np.float32)
    report = replace(carrier.verify(noise[:RATE_HZ], 0.0, 0), drift_ppm=100.0)
    result = clean(noise, played_codes, 0.0, report, carrier, NonceSettings())
    assert result.signal.tobytes() == noise.tobytes()


@pytest.mark.parametrize(("drift_ppm", "shift_hz"), [(0.0, 0.0), (-300.0, 0.0), (0.0, 6.0)])
def test_live_with_two_clocks(
    carrier: SpreadCarrier,
    heard_codes: Callable[..., tuple[Signal, Signal]],
    drift_ppm: float,
    shift_hz: float,
) -> None:
    echo, recording = heard_codes(drift_ppm, shift_hz)
    player = NoncePlayer(carrier, 0.1)
    canceller = LiveCanceller(carrier, player, NonceSettings())
    parts = []
    for at in range(0, 2 * RATE_HZ, BLOCK):
        player.block()
        parts.append(canceller.feed(recording[at : at + BLOCK]))
    out = np.concatenate(parts)
    assert out.size == 2 * RATE_HZ
    late = slice(round(1.6 * RATE_HZ), 2 * RATE_HZ)
    left = out[late] - (recording - echo)[late]
    assert power_db(echo[late]) - power_db(left) > 15.0
