"""The search for old nonces: finds what is there, and no more often than it says what is not."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import soxr
from scipy import fft, stats
from scipy.signal import fftconvolve, lfilter

from earmark.nonce import SpreadCarrier
from earmark.nonce.spread import CHIPS, Bank, Find, Trace, search
from earmark.nonce.spread.bank import BLOCK, STEP
from earmark.nonce.spread.correlate import inverse_norms, spectra
from earmark.nonce.spread.search import BIN, WINDOW, _evidence
from earmark.nonce.spread.shape import CODES, PIECE, PIECES, TAIL
from earmark.nonce.spread.whitening import whitened
from earmark.signal import RATE_HZ, Signal

BankOf = Callable[[int], Bank]
InCodes = Callable[..., SpreadCarrier]
Sound = Callable[..., Signal]
RecordingOf = Callable[..., Signal]

SLOTS = 12
FOUND = 3.0
"""Decimal logarithm of the evidence that comes by chance once in 1,000."""

ECHO_S = 0.5
DRIFT_PPM = 300.0


def look(x: Signal, *banks: Bank, trace: Trace | None = None, drift_ppm: float = DRIFT_PPM) -> Find:
    return search(np.asarray(x, np.float32), banks, trace, drift_ppm, ECHO_S)


def planted(under: Signal, sound: Signal, at: int, level_db: float) -> Signal:
    """`sound` at sample `at` of `under`, so much louder than it (or below: negative)."""
    out = under.astype(np.float64)
    level = np.sqrt(np.mean(out**2)) * 10.0 ** (level_db / 20.0)
    part = out[at : at + sound.size]
    part += level * sound[: part.size]
    return out.astype(np.float32)


def trace_of(carrier: SpreadCarrier, slots: int, start: float = 0.0) -> Trace:
    codes = carrier.bank.codes(carrier.payload, 0, slots)
    return Trace(carrier.bank, codes, start + CHIPS * np.arange(slots, dtype=np.float64))


def room(seed: int) -> Signal:
    """Direct sound and, 20 dB below, a room of RT60 0.4 s."""
    decay = 10.0 ** (-3.0 * np.arange(6400) / RATE_HZ / 0.4)
    taps = np.random.default_rng(seed).standard_normal(decay.size) * decay
    taps *= 0.1 / np.sqrt(np.sum(taps**2))
    taps[0] = 1.0
    return taps


def like_the_codes(bank: Bank, samples: int, seed: int) -> Signal:
    """Noise with the spectrum and the power of a nonce, and a little of everything."""
    rng = np.random.default_rng([seed, 3])
    shaped = lfilter(bank.taps, 1.0, rng.standard_normal(samples))
    return np.asarray(shaped + 0.01 * rng.standard_normal(samples), np.float32)


# What is there


@pytest.mark.parametrize(
    ("kind", "level_db"),
    [("voice", -30.0), ("coloured", -30.0), ("modulated", -30.0), ("white", -20.0)],
)
def test_an_old_nonce_far_below_the_recording_is_found(
    in_codes: InCodes, sound: Sound, recording_of: RecordingOf, kind: str, level_db: float
) -> None:
    old = in_codes(7)
    rng = np.random.default_rng(1)
    for seed in range(2):
        at = int(rng.integers(0, 16_000))
        under = recording_of(kind, SLOTS * CHIPS + TAIL + 16_000, seed)
        find = look(planted(under, sound(old, SLOTS), at, level_db), old.bank)
        assert find.log10_evidence > FOUND
        assert find.bank is old.bank
        # It begins with a slot of the nonce; one at its edge may be lost or won by chance.
        slot, off = divmod(round(find.starts_at_s * RATE_HZ) - at + WINDOW, CHIPS)
        assert off <= 2 * WINDOW
        assert -1 <= slot <= 2
        first = max(0, slot)
        codes = old.bank.codes(old.payload, first, SLOTS - first)
        read = np.argmax(find.evidence[first - slot :][: codes.size], axis=1)
        assert read.size >= SLOTS - 3
        assert np.mean(read == codes[: read.size]) > 0.8
        assert find.evidence.shape[1] == CODES


def test_it_is_found_wherever_the_recording_begins_and_ends(
    in_codes: InCodes, sound: Sound, recording_of: RecordingOf
) -> None:
    old = in_codes(8)
    whole = sound(old, 60)
    rng = np.random.default_rng(2)
    for _ in range(4):
        cut = int(rng.integers(0, 50 * CHIPS))
        part = whole[cut : cut + 9 * CHIPS]
        find = look(planted(recording_of("coloured", part.size), part, 0, -20.0), old.bank)
        assert find.log10_evidence > FOUND
        assert (round(find.starts_at_s * RATE_HZ) + cut + WINDOW) % CHIPS <= 2 * WINDOW


@pytest.mark.parametrize("drift_ppm", [-400.0, -150.0, 400.0])
@pytest.mark.parametrize("slots", [SLOTS, 40])
def test_another_clock(
    in_codes: InCodes, sound: Sound, recording_of: RecordingOf, drift_ppm: float, slots: int
) -> None:
    old = in_codes(9)
    slow = soxr.resample(sound(old, slots), RATE_HZ * (1.0 + drift_ppm * 1e-6), RATE_HZ, "VHQ")
    under = recording_of("coloured", slow.size + 5000)
    on_time = look(planted(under, sound(old, slots), 2500, -24.0), old.bank)
    find = look(planted(under, slow, 2500, -24.0), old.bank)
    assert find.log10_evidence > FOUND
    assert find.log10_evidence > 0.35 * on_time.log10_evidence
    assert len(find.evidence) > 0.8 * slots


@pytest.mark.parametrize("shift_hz", [-3.0, 3.0])
def test_slightly_shifted_frequencies(
    in_codes: InCodes, sound: Sound, recording_of: RecordingOf, shift_hz: float
) -> None:
    old = in_codes(10)
    x = np.fft.rfft(sound(old, SLOTS), 65_536)
    x[0] = x[-1] = 0.0
    analytic = fft.ifft(np.concatenate([2.0 * x, np.zeros(32_767)]))
    turn = np.exp(2j * np.pi * shift_hz * np.arange(65_536) / RATE_HZ)
    find = look(
        planted(recording_of("coloured", 65_536), (analytic * turn).real, 0, -20.0), old.bank
    )
    assert find.log10_evidence > FOUND


def test_the_bank_is_named(
    in_codes: InCodes, bank: Bank, bank_of: BankOf, sound: Sound, recording_of: RecordingOf
) -> None:
    old = in_codes(11)
    x = planted(recording_of("coloured", 70_000), sound(old, SLOTS), 9000, -24.0)
    alone = look(x, bank)
    for banks in ((bank, bank_of(1)), (bank_of(1), bank), (bank_of(1), bank_of(2), bank)):
        find = look(x, *banks)
        assert find.bank is bank
        assert find.starts_at_s == alone.starts_at_s
        # The mean of the e-values: more banks cost their number and no more.
        cost = np.log10(len(banks))
        assert find.log10_evidence == pytest.approx(alone.log10_evidence - cost, abs=1e-3)


def test_it_costs_the_same_however_many_were_issued(
    bank: Bank, bank_of: BankOf, recording_of: RecordingOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search is not given the ledger; its transforms depend on the banks alone."""
    parameters = inspect.signature(search).parameters
    assert not {"payloads", "ledger", "issues", "candidates"} & set(parameters)
    calls: list[int] = []
    real = fft.irfft

    def counted(x: Signal, *args: object, **kwargs: object) -> Signal:
        calls.append(int(np.prod(x.shape[:-1])))
        return np.asarray(real(x, *args, **kwargs))

    x = recording_of("white", 40_000)
    whitening = whitened(x)  # warm: its own transform is not counted below
    module = sys.modules[search.__module__]  # its name is also that of its function
    monkeypatch.setattr(module, "whitened", lambda cleaned: whitening)
    monkeypatch.setattr(fft, "irfft", counted)
    look(x, bank, bank_of(1))
    assert sum(calls) == 2 * CODES * PIECES * -(-x.size // STEP)


# Not the current one


@pytest.mark.parametrize("left_db", [-60.0, -20.0, 0.0, 30.0])
def test_what_is_left_of_the_current_nonce_is_no_old_one(
    in_codes: InCodes, sound: Sound, left_db: float
) -> None:
    """Also when the canceller took nothing out at all."""
    for seed in range(3):
        current = in_codes(20 + seed)
        echo = fftconvolve(sound(current, SLOTS), room(seed))[: SLOTS * CHIPS + 8000]
        under = like_the_codes(current.bank, echo.size + 4000, seed)
        x = planted(under, echo, 4000, left_db)
        find = look(x, current.bank, trace=trace_of(current, SLOTS, 4000.0))
        assert find.log10_evidence < FOUND
        if left_db >= 0.0:
            assert look(x, current.bank).log10_evidence > FOUND  # it was the trace that helped


def test_what_is_left_of_it_is_no_old_one_at_another_speed(in_codes: InCodes, sound: Sound) -> None:
    """A code fits itself a little even when it is stretched."""
    current = in_codes(20)
    x = planted(like_the_codes(current.bank, 55_000, 1), sound(current, SLOTS), 2000, 30.0)
    trace = trace_of(current, SLOTS, 2000.0)
    find = search(x, [current.bank], trace, DRIFT_PPM, ECHO_S, max_speed_percent=3.0)
    assert find.log10_evidence < FOUND


@pytest.mark.parametrize("speed_percent", [-3.0, -1.0, 0.5, 2.0])
def test_a_recording_at_another_speed(
    in_codes: InCodes, sound: Sound, recording_of: RecordingOf, speed_percent: float
) -> None:
    old = in_codes(21)
    rate_hz = RATE_HZ * (1.0 + speed_percent / 100.0)
    under = recording_of("coloured", 62_000)
    x = soxr.resample(planted(under, sound(old, 14), 1000, -14.0), rate_hz, RATE_HZ, "VHQ")
    find = search(x, [old.bank], None, DRIFT_PPM, ECHO_S, max_speed_percent=3.0)
    assert find.log10_evidence > FOUND
    assert find.bank is old.bank
    codes = set(enumerate(old.bank.codes(old.payload, 0, 14).tolist()))
    read = np.argmax(find.evidence, axis=1).tolist()
    most = max(len(codes & set(enumerate(read, first))) for first in range(-4, 14))
    assert most >= 8  # enough to name it


def test_its_bank_may_have_been_made_anew(in_codes: InCodes, sound: Sound) -> None:
    """Banks are kept in a small cache: the same epoch may come as another object."""
    current = in_codes(23)
    again = replace(current.bank)
    assert again is not current.bank
    x = planted(like_the_codes(again, 60_000, 1), sound(current, SLOTS), 0, 0.0)
    assert look(x, again, trace=trace_of(current, SLOTS)).log10_evidence < FOUND


def test_slots_beyond_the_recording_do_no_harm(in_codes: InCodes, sound: Sound) -> None:
    current = in_codes(24)
    x = planted(like_the_codes(current.bank, 30_000, 1), sound(current, 60)[30_000:], 0, 10.0)
    find = look(x, current.bank, trace=trace_of(current, 60, -30_000.0))
    assert find.log10_evidence < FOUND
    nowhere = look(x, current.bank, trace=trace_of(current, 60, 1e7))
    assert nowhere.log10_evidence > FOUND
    assert nowhere.self_noise_db == 0.0


@pytest.mark.parametrize("left_db", [0.0, 3.0, 6.0, 10.0, 20.0])
@pytest.mark.parametrize("path", ["direct", "room"])
def test_it_says_how_much_the_current_one_disturbs(
    in_codes: InCodes, sound: Sound, left_db: float, path: str
) -> None:
    """Else nobody learns that an old nonce could lie under it."""
    current = in_codes(25)
    whole = sound(current, SLOTS)
    if path == "room":  # no direct sound: what a canceller leaves
        late = room(1)
        late[0] = 0.0
        whole = fftconvolve(whole, late)[: whole.size]
        whole /= np.sqrt(np.mean(whole**2))
    x = planted(like_the_codes(current.bank, whole.size, 2), whole, 0, left_db)
    raised_db = 10.0 * np.log10(1.0 + 10.0 ** (left_db / 10.0))
    find = look(x, current.bank, trace=trace_of(current, SLOTS))
    # In a room it reads less, as the late echoes are not added up; but above the limit it is.
    low = 0.7 if path == "direct" else 0.4
    assert min(low * raised_db, raised_db - 1.5) <= find.self_noise_db
    assert find.self_noise_db <= max(1.3 * raised_db, raised_db + 1.5)


def test_without_anything_left_it_disturbs_nothing(in_codes: InCodes) -> None:
    current = in_codes(26)
    x = like_the_codes(current.bank, 60_000, 4)
    find = look(x, current.bank, trace=trace_of(current, SLOTS))
    assert 0.0 <= find.self_noise_db < 0.5
    assert look(x, current.bank).self_noise_db == 0.0


def test_an_old_one_at_exactly_the_same_time_is_found(
    in_codes: InCodes, sound: Sound, recording_of: RecordingOf
) -> None:
    """The interference of old and new: only where both have the same code is one the other."""
    current, old = in_codes(30), in_codes(31)
    both = sound(current, SLOTS) + sound(old, SLOTS)
    x = planted(recording_of("coloured", both.size + 3000), both, 1500, -20.0)
    find = look(x, current.bank, trace=trace_of(current, SLOTS, 1500.0))
    assert find.log10_evidence > FOUND
    codes = old.bank.codes(old.payload, 0, SLOTS)
    slot = round((find.starts_at_s * RATE_HZ - 1500) / CHIPS)
    read = np.argmax(find.evidence, axis=1)[: SLOTS - slot]
    assert np.mean(read == codes[slot : slot + read.size]) > 0.6


@pytest.mark.parametrize("at", [0, 700, 5000])
def test_an_old_one_under_a_current_one_is_found(
    in_codes: InCodes, sound: Sound, recording_of: RecordingOf, at: int
) -> None:
    """The canceller has left 20 dB less than what it left of the speech, and so is the old one."""
    current, old = in_codes(32), in_codes(33)
    x = planted(recording_of("voice", 60_000), sound(current, 14), 0, -20.0)
    x = planted(x, sound(old, SLOTS), at, -24.0)
    assert look(x, current.bank, trace=trace_of(current, 14)).log10_evidence > FOUND


def test_the_current_one_of_another_bank_hides_nothing(
    in_codes: InCodes, bank_of: BankOf, sound: Sound, recording_of: RecordingOf
) -> None:
    """The first session of a new epoch, and a replay of the epoch before."""
    current, old = in_codes(34), in_codes(35, bank_of(2))
    x = planted(recording_of("coloured", 60_000), sound(old, SLOTS), 3000, -24.0)
    trace = trace_of(current, SLOTS)
    find = look(x, current.bank, old.bank, trace=trace)
    assert find.log10_evidence > FOUND
    assert find.bank is old.bank


# Nothing there


@pytest.mark.parametrize(
    "kind", ["white", "coloured", "modulated", "tone", "voice", "clicks", "burst", "third"]
)
def test_evidence_by_chance_obeys_markov(
    bank_of: BankOf, recording_of: RecordingOf, kind: str
) -> None:
    """Over banks drawn at random the mean of the e-value is 1 at most, for one recording."""
    draws = 40
    x = recording_of(kind, 14_080)
    log10_e = np.array([look(x, bank_of(seed)).log10_evidence for seed in range(draws)])
    assert np.isfinite(log10_e).all()
    # Each of these is improbable by Markov's inequality alone: 1/50, and binomial tails.
    assert np.mean(10.0 ** np.minimum(log10_e, 99.0)) < 50.0
    for height in (2.0, 5.0, 20.0):
        often = np.count_nonzero(log10_e >= np.log10(height))
        assert stats.binom.sf(often - 1, draws, 1.0 / height) > 1e-3
    assert log10_e.max() < np.log10(draws) + 3.0


@pytest.mark.parametrize("kind", ["white", "modulated", "tone", "voice", "third"])
def test_every_place_has_an_e_value(bank_of: BankOf, recording_of: RecordingOf, kind: str) -> None:
    """Before anything is combined: the mean over random codes is 1 at most at every place."""
    white = whitened(recording_of(kind, STEP))
    inverse = inverse_norms(white, bank_of(0).taps, PIECE)
    blocks = spectra(white, BLOCK, STEP)
    banks = [bank_of(seed) for seed in range(20)]
    e = np.concatenate([np.exp(_evidence(blocks, inverse, each, None)[0]) for each in banks])
    assert e.shape == (20 * CODES, STEP // BIN)
    means = e.mean(axis=0)
    # Heavy tails: a mean of 320 may exceed 1 here and there, not over all places together.
    assert float(means.mean()) < 1.0
    assert float(np.median(means)) < 1.0


@pytest.mark.parametrize("kind", ["white", "modulated", "syllables", "voice", "clicks"])
def test_evidence_at_any_speed_obeys_markov(
    bank_of: BankOf, recording_of: RecordingOf, kind: str
) -> None:
    draws = 4
    if kind == "syllables":  # noise 60 dB above its pauses
        x = recording_of("white", 32_000)
        x[(np.arange(x.size) // 2700) % 2 == 1] *= 1e-3
    else:
        x = recording_of(kind, 32_000)
    white = whitened(x)
    log_e = np.array([bank_of(seed).stretched(3.0, 20.0).log_e(white)[0] for seed in range(draws)])
    assert np.isfinite(log_e).all()
    assert log_e.max() < np.log(draws * 1000.0)
    assert np.median(log_e) < np.log(20.0)


def test_random_banks_on_a_live_command(
    in_codes: InCodes, bank_of: BankOf, sound: Sound, recording_of: RecordingOf
) -> None:
    """The current nonce, badly cancelled, is no evidence for any other epoch."""
    current = in_codes(40)
    x = planted(recording_of("voice", 40_000), sound(current, 9), 0, 0.0)
    log10_e = [look(x, bank_of(seed)).log10_evidence for seed in range(10)]
    assert max(log10_e) < np.log10(10) + 2.0


def test_a_tone_with_the_period_of_a_slot(bank_of: BankOf) -> None:
    """The same in every slot, so the same codes fit in each: it must still not count twice."""
    tone = np.sin(2.0 * np.pi * 1000.0 * np.arange(8 * RATE_HZ) / RATE_HZ)
    tone += 1e-3 * np.random.default_rng(1).standard_normal(tone.size)
    log10_e = [look(tone, bank_of(seed)).log10_evidence for seed in range(6)]
    assert max(log10_e) < FOUND


# Bad input


def test_no_banks_or_no_slot(bank: Bank) -> None:
    for x, banks in (
        (np.ones(RATE_HZ, np.float32), ()),
        (np.ones(CHIPS, np.float32), (bank,)),
        (np.zeros(0, np.float32), (bank,)),
    ):
        find = look(x, *banks)
        assert (find.log10_evidence, find.bank, find.starts_at_s) == (0.0, None, 0.0)
        assert find.evidence.shape == (0, CODES)


def test_silence_is_no_evidence(bank: Bank) -> None:
    find = look(np.zeros(3 * RATE_HZ, np.float32), bank)
    assert find.log10_evidence <= 0.0


@pytest.mark.parametrize("samples", [CHIPS + WINDOW, CHIPS + WINDOW + 1, 2 * CHIPS - 1, 14_081])
def test_any_length(bank: Bank, in_codes: InCodes, sound: Sound, samples: int) -> None:
    x = sound(in_codes(50), 5)[:samples] + like_the_codes(bank, samples, 1) * 0.3
    find = look(x, bank)
    assert np.isfinite(find.log10_evidence)
    assert 0.0 <= find.starts_at_s <= samples / RATE_HZ


def test_the_level_does_not_matter(
    in_codes: InCodes, sound: Sound, recording_of: RecordingOf
) -> None:
    old = in_codes(51)
    x = planted(recording_of("coloured", 60_000), sound(old, SLOTS), 0, -24.0)
    at_one = look(x, old.bank).log10_evidence
    for level in (1e-4, 30.0):
        assert look(level * x, old.bank).log10_evidence == pytest.approx(at_one, rel=0.01)


def test_one_loud_click_does_not_hide_it(
    in_codes: InCodes, sound: Sound, recording_of: RecordingOf
) -> None:
    old = in_codes(52)
    x = planted(recording_of("coloured", 60_000), sound(old, SLOTS), 0, -24.0)
    clicked = x.copy()
    clicked[30_000:30_005] = 1000.0
    assert look(clicked, old.bank).log10_evidence > 0.7 * look(x, old.bank).log10_evidence
