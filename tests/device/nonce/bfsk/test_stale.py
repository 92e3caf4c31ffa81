"""The search for earlier nonces: finds what is there, and its chance holds where nothing is."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from scipy import stats

from earmark.demo.clips import load_clips
from earmark.nonce import Bfsk, Nonce
from earmark.nonce.bfsk.stale import MIN_OVERLAP_SLOTS, Candidate, _chance, search
from earmark.signal import RATE_HZ, Signal

NonceOf = Callable[..., Nonce]
Make = Callable[..., Signal]
DELAY_S = 0.137
MAX_SHIFT_HZ = 20.0
ALPHA = 0.05


@pytest.fixture(scope="session")
def remembered(wave: Bfsk, nonce_of: NonceOf) -> Callable[..., Candidate]:
    def make(seed: int, slots: int = 60, form: Bfsk = wave) -> Candidate:
        return Candidate(f"session {seed}", nonce_of(seed), form, slots)

    return make


def noise(seed: int, seconds: float) -> Signal:
    return np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ)).astype(np.float32)


@cache
def speech() -> Signal:
    """Several people, 3 s, at the level of a nonce."""
    part = load_clips().television()[: 3 * RATE_HZ]
    return (part * (0.1 / np.sqrt(np.mean(part**2)))).astype(np.float32)


# What is there


@pytest.mark.parametrize(
    ("drift_ppm", "shift_hz", "snr_db"),
    [(0.0, 0.0, 0.0), (-300.0, 20.0, 0.0), (300.0, -20.0, 0.0), (50.0, 8.0, -8.0)],
)
def test_a_remembered_nonce_is_found_among_others(
    remembered: Callable[..., Candidate],
    played: Make,
    heard: Make,
    drift_ppm: float,
    shift_hz: float,
    snr_db: float,
) -> None:
    played_then = remembered(1)
    recording = heard(
        played(played_then.nonce, 60), drift_ppm=drift_ppm, shift_hz=shift_hz, snr_db=snr_db
    )
    hit = search(recording, [remembered(seed) for seed in range(20)], MAX_SHIFT_HZ)
    assert hit is not None
    assert hit.session == played_then.session
    assert hit.chance < 1e-12
    assert hit.score > 8.0
    assert hit.starts_at_s == pytest.approx(DELAY_S, abs=0.05 / 8)
    assert hit.shift_hz == pytest.approx(shift_hz, abs=10.0)
    assert hit.slots == 60


@pytest.mark.parametrize("cut_s", [0.4, 0.9013, 1.73])
def test_it_is_found_when_its_beginning_is_cut_off(
    remembered: Callable[..., Candidate], played: Make, heard: Make, cut_s: float
) -> None:
    recording = heard(played(remembered(2).nonce, 60), snr_db=0.0)[round(cut_s * RATE_HZ) :]
    hit = search(recording, [remembered(seed) for seed in range(5)], MAX_SHIFT_HZ)
    assert hit is not None
    assert hit.session == remembered(2).session
    assert hit.chance < 1e-6
    assert hit.starts_at_s == pytest.approx(DELAY_S - cut_s, abs=0.01)


@pytest.mark.parametrize("late_s", [0.0, 0.51, 1.333, 4.02])
def test_it_is_found_wherever_it_begins(
    remembered: Callable[..., Candidate], played: Make, heard: Make, late_s: float
) -> None:
    recording = np.concatenate(
        [0.1 * noise(7, late_s), heard(played(remembered(3).nonce, 60), snr_db=0.0)]
    )
    hit = search(recording, [remembered(seed) for seed in range(5)], MAX_SHIFT_HZ)
    assert hit is not None
    assert hit.session == remembered(3).session
    assert hit.chance < 1e-12
    assert hit.starts_at_s == pytest.approx(late_s + DELAY_S, abs=0.01)


def test_it_is_found_under_speech(
    remembered: Callable[..., Candidate], played: Make, heard: Make
) -> None:
    recording = 0.05 * heard(played(remembered(4).nonce, 60))[: speech().size] + speech()
    hit = search(recording, [remembered(seed) for seed in range(5)], MAX_SHIFT_HZ)
    assert hit is not None
    assert hit.session == remembered(4).session
    assert hit.chance < 1e-6


def test_one_of_an_earlier_setting_is_found_beside_todays(
    remembered: Callable[..., Candidate], played: Make, heard: Make
) -> None:
    """Another band, rate and number of channels: each waveform is looked for in its own way."""
    old = Bfsk(30.0, 2000.0, 6000.0, 16, 0.004)
    then = remembered(5, 90, old)
    recording = heard(played(then.nonce, 90, old), snr_db=0.0)
    others = [remembered(seed) for seed in range(100, 110)]
    hit = search(recording, [*others, remembered(6, 90, old), then], MAX_SHIFT_HZ)
    assert hit is not None
    assert (hit.session, hit.slots) == (then.session, 90)
    assert hit.chance < 1e-12


def test_more_nonces_than_a_chunk_are_all_looked_for(
    remembered: Callable[..., Candidate], played: Make, heard: Make
) -> None:
    recording = heard(played(remembered(149).nonce, 40), snr_db=0.0)
    hit = search(recording, [remembered(seed, 40) for seed in range(150)], MAX_SHIFT_HZ)
    assert hit is not None
    assert hit.session == "session 149"
    assert hit.chance < 1e-6


def test_a_short_replay_is_found_in_the_span_that_holds_it(
    remembered: Callable[..., Candidate], played: Make, heard: Make
) -> None:
    """Diluted by 8 s of noise it is less sure; the times are those of the whole recording."""
    replayed = heard(played(remembered(5, 20).nonce, 20), snr_db=-2.0)
    recording = np.concatenate([0.5 * noise(1, 4.0), replayed, 0.5 * noise(2, 4.0)])
    group = [remembered(seed, 60) for seed in range(10)]
    span = (4.0, 4.0 + replayed.size / RATE_HZ)
    whole = search(recording, group, MAX_SHIFT_HZ)
    hit = search(recording, group, MAX_SHIFT_HZ, [span])
    assert whole is not None
    assert hit is not None
    assert hit.session == remembered(5).session
    assert hit.chance < min(whole.chance, 1e-4)
    assert hit.starts_at_s == pytest.approx(4.0 + DELAY_S, abs=0.02)


def test_a_span_of_nearly_all_is_not_searched_twice(
    remembered: Callable[..., Candidate],
) -> None:
    """Each search multiplies the chance."""
    group = [remembered(1, 40)]
    recording = noise(3, 1.5)
    assert search(recording, group, MAX_SHIFT_HZ, [(0.0, 1.5)]) == search(
        recording, group, MAX_SHIFT_HZ
    )


@pytest.mark.parametrize("span", [(-0.2, 0.3), (5.0, 6.0), (1.0, 0.5), (0.2, 0.2)])
def test_a_span_beyond_the_recording_is_harmless(
    remembered: Callable[..., Candidate], span: tuple[float, float]
) -> None:
    assert search(noise(4, 1.5), [remembered(1, 40)], MAX_SHIFT_HZ, [span]) is not None


# What is not there


def test_a_wrong_key_is_not_found(
    remembered: Callable[..., Candidate], nonce_of: NonceOf, wave: Bfsk, played: Make, heard: Make
) -> None:
    real = nonce_of(8)
    recording = heard(played(real, 60), snr_db=20.0)
    forged = Candidate("forged", Nonce(real.payload, 32, nonce_of(9).hop_key), wave, 60)
    hit = search(recording, [forged], MAX_SHIFT_HZ)
    assert hit is not None
    assert hit.chance > 1e-3


def not_too_often(chances: list[float]) -> None:
    """Claim: the chance is at most alpha no more often than alpha."""
    below = sum(chance <= ALPHA for chance in chances)
    assert stats.binomtest(below, len(chances), ALPHA, alternative="greater").pvalue > 0.01
    assert min(chances) > 1e-4
    assert all(0.0 < chance <= 1.0 for chance in chances)


def test_the_chance_holds_in_noise(remembered: Callable[..., Candidate]) -> None:
    chances = []
    for trial in range(150):
        group = [remembered(1000 + 3 * trial + k, 40) for k in range(3)]
        hit = search(noise(trial, 1.2), group, MAX_SHIFT_HZ, [(0.3, 1.0)])
        assert hit is not None
        chances.append(hit.chance)
    not_too_often(chances)


@pytest.mark.parametrize("kind", ["another nonce", "speech", "tone", "silence"])
def test_the_chance_holds_whatever_is_heard(
    remembered: Callable[..., Candidate], played: Make, heard: Make, kind: str
) -> None:
    """The nonces are random to the recording, so the recording may be anything."""
    time = np.arange(round(1.5 * RATE_HZ)) / RATE_HZ
    recording = {
        "another nonce": heard(played(remembered(0, 30).nonce, 30)),
        "speech": speech()[: time.size],
        "tone": np.sin(2 * np.pi * 4222.0 * time).astype(np.float32),
        "silence": np.zeros(time.size, np.float32),
    }[kind]
    chances = []
    for trial in range(60):
        hit = search(recording, [remembered(2000 + trial, 40)], MAX_SHIFT_HZ)
        assert hit is not None
        chances.append(hit.chance)
    not_too_often(chances)


def small_case(wave: Bfsk, bits: int, slots: int, rise: float) -> tuple[np.ndarray, Candidate]:
    """Evidence that leans towards a nonce, and that nonce."""
    random = np.random.default_rng(bits)
    payload = random.bytes(-(-bits // 8))
    candidate = Candidate("s", Nonce(payload, bits, random.bytes(16)), wave, slots)
    rows = random.exponential(size=(slots, 2 * wave.channels))
    rows[np.arange(slots), wave.tones(candidate.nonce, slots)] += rise
    return (rows / rows.sum(axis=1, keepdims=True)).astype(np.float32), candidate


@pytest.mark.parametrize(("bits", "slots", "rise"), [(8, 16, 0.6), (32, 14, 0.6), (16, 48, 0.3)])
def test_the_bound_is_above_the_true_tail_and_not_far_above(
    bits: int, slots: int, rise: float
) -> None:
    """Against a Monte Carlo of the draw it claims to bound: shared bits, free channels."""
    wave = Bfsk(20.0, 4000.0, 5000.0, 4, 0.005)
    rows, candidate = small_case(wave, bits, slots, rise)
    total = rows[np.arange(slots), wave.tones(candidate.nonce, slots)].sum(dtype=np.float64)

    random, draws = np.random.default_rng(1), 200_000
    channel = random.integers(wave.channels, size=(draws, slots))
    bit = random.integers(2, size=(draws, bits))[:, np.arange(slots) % bits]
    drawn = rows[np.arange(slots), 2 * channel + bit].sum(axis=1, dtype=np.float64)
    above = int(np.count_nonzero(drawn >= total))

    bound = _chance(rows, candidate, 0)
    assert 20 <= above <= draws / 5, "a tail that can be counted"
    assert bound >= above / draws - 3.0 * np.sqrt(above) / draws
    assert bound < 20.0 * above / draws


def test_repetitions_of_the_payload_are_not_counted_as_chances_of_their_own() -> None:
    """All bits at once may fit by chance: with two cycles of 8 bits that is 1 in 256, no rarer."""
    wave = Bfsk(20.0, 4000.0, 5000.0, 1, 0.005)
    slots, bits = 64, 8
    candidate = Candidate("s", Nonce(b"\xa5", bits, bytes(16)), wave, slots)
    rows = np.zeros((slots, 2), np.float32)
    rows[np.arange(slots), wave.tones(candidate.nonce, slots)] = 1.0
    assert _chance(rows, candidate, 0) == pytest.approx(2.0**-bits)


# What is left out


def test_a_nonce_of_too_few_slots_is_skipped(
    remembered: Callable[..., Candidate], played: Make, heard: Make
) -> None:
    short = remembered(10, MIN_OVERLAP_SLOTS - 1)
    recording = heard(played(short.nonce, 60), snr_db=20.0)
    assert search(recording, [short], MAX_SHIFT_HZ) is None
    hit = search(recording, [short, remembered(11)], MAX_SHIFT_HZ)
    assert hit is not None
    assert hit.session == "session 11"


def test_the_fewest_slots_are_enough(
    remembered: Callable[..., Candidate], played: Make, heard: Make
) -> None:
    recording = heard(played(remembered(12).nonce, MIN_OVERLAP_SLOTS), snr_db=10.0)
    hit = search(recording, [remembered(12, MIN_OVERLAP_SLOTS)], MAX_SHIFT_HZ)
    assert hit is not None
    assert hit.chance < 1e-4


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.35])
def test_too_short_a_recording_is_compared_with_nothing(
    remembered: Callable[..., Candidate], seconds: float
) -> None:
    assert search(noise(1, seconds), [remembered(1)], MAX_SHIFT_HZ) is None


def test_no_candidates_no_hit() -> None:
    assert search(noise(1, 2.0), [], MAX_SHIFT_HZ) is None


def test_a_thousand_nonces_fit_in_a_small_memory(remembered: Callable[..., Candidate]) -> None:
    group = [remembered(seed, 100) for seed in range(200)]
    tracemalloc.start()
    search(noise(1, 15.0), group, MAX_SHIFT_HZ)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80e6  # the chunks are of 64, so that more nonces take no more
