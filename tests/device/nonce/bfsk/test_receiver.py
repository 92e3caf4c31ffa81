"""Finding the current nonce, and not finding it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from earmark.nonce import Bfsk, Nonce, NonceSettings, Report
from earmark.nonce.bfsk import verify
from earmark.signal import RATE_HZ, Signal

NonceOf = Callable[..., Nonce]
Make = Callable[..., Signal]

DELAY_S = 0.137
SLOTS = 60
"""3 s at 20 bit/s: nearly two cycles of 32 bits."""


def noise(seed: int, seconds: float, rms: float = 0.1) -> Signal:
    drawn = np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ)) * rms
    return drawn.astype(np.float32)


def span(first_s: float, last_s: float) -> slice:
    return slice(round(first_s * RATE_HZ), round(last_s * RATE_HZ))


# A nonce that is there

CASES = [(-300.0, -20.0), (300.0, 20.0), (137.0, 7.3), (0.0, 0.0), (-55.0, -12.2)]


@pytest.mark.parametrize(
    ("snr_db", "drift_within_ppm", "shift_within_hz"),
    [(None, 0.1, 0.005), (20.0, 6.0, 0.03), (10.0, 20.0, 0.1), (5.0, 30.0, 0.15), (-5.0, 90, 0.5)],
)
def test_bits_and_clock_through_drift_shift_and_noise(
    settings: NonceSettings,
    nonce_of: NonceOf,
    played: Make,
    heard: Make,
    snr_db: float | None,
    drift_within_ppm: float,
    shift_within_hz: float,
) -> None:
    """3 s of nonce; the limits are two to three times the largest error measured."""
    for seed, (drift_ppm, shift_hz) in enumerate(CASES):
        nonce = nonce_of(seed)
        recording = heard(
            played(nonce, SLOTS), drift_ppm=drift_ppm, shift_hz=shift_hz, snr_db=snr_db, seed=seed
        )
        report = verify(recording, nonce, 0.0, SLOTS, settings)
        assert report.present
        assert report.complete
        assert (report.bits, report.slots) == (32, SLOTS)
        assert (report.bit_errors, report.slot_errors, report.wrong_slots) == (0, 0, ())
        assert report.offset_s == pytest.approx(DELAY_S, abs=0.5e-3)
        assert report.drift_ppm == pytest.approx(drift_ppm, abs=drift_within_ppm)
        assert report.shift_hz == pytest.approx(shift_hz, abs=shift_within_hz)
        if snr_db is not None:
            assert report.snr_db == pytest.approx(snr_db, abs=1.5)
        assert report.covered == pytest.approx((DELAY_S, DELAY_S + 3.0), abs=1e-3)
        assert report.gaps == ()


@pytest.mark.parametrize("played_at_s", [0.0, 0.52, 1.2345])
def test_the_offset_counts_from_the_recordings_start(
    settings: NonceSettings, nonce_of: NonceOf, played: Make, heard: Make, played_at_s: float
) -> None:
    nonce = nonce_of(1)
    before = np.zeros(round(played_at_s * RATE_HZ), np.float32)
    recording = np.concatenate([before, heard(played(nonce, SLOTS), snr_db=10.0)])
    report = verify(recording, nonce, played_at_s, SLOTS, settings)
    assert report.bit_errors == 0
    assert report.offset_s == pytest.approx(played_at_s + DELAY_S, abs=0.5e-3)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"bit_rate_hz": 10.0},
        {"bit_rate_hz": 12.5},
        {"bit_rate_hz": 23.0},
        {"bit_rate_hz": 30.0},
        {"bit_rate_hz": 40.0},
        {"channels": 4},
        {"band_low_hz": 1000.0, "band_high_hz": 7000.0, "channels": 32},
        {"band_low_hz": 1000.0, "band_high_hz": 7000.0, "channels": 4},
        {"payload_bits": 64, "bit_rate_hz": 40.0, "band_high_hz": 6000.0},
    ],
)
def test_other_settings_work_as_well(
    nonce_of: NonceOf, played: Make, heard: Make, change: dict[str, float]
) -> None:
    bits = change.get("payload_bits", 32)
    tones = {name: value for name, value in change.items() if name != "payload_bits"}
    settings = NonceSettings.model_validate(
        {"waveform": "bfsk", "payload_bits": bits, "bfsk": tones}
    )
    nonce = nonce_of(2, settings.payload_bits)
    sound = played(nonce, 80, Bfsk.from_settings(settings))
    for shift_hz in (-20.0, 0.0, 11.1, 20.0):
        recording = heard(sound, drift_ppm=80.0, shift_hz=shift_hz, snr_db=10.0)
        report = verify(recording, nonce, 0.0, 80, settings)
        assert report.present
        assert report.complete
        assert report.bit_errors == 0
        # With tones far apart, the delay repeats at short distances (1.3 ms for 750 Hz).
        assert report.offset_s == pytest.approx(DELAY_S, abs=1.5e-3)
        assert report.drift_ppm == pytest.approx(80.0, abs=20.0)
        assert report.shift_hz == pytest.approx(shift_hz, abs=0.1)


def test_a_minute_of_nonce_is_followed_to_its_end(
    settings: NonceSettings, nonce_of: NonceOf, played: Make, heard: Make
) -> None:
    nonce, slots = nonce_of(3), 1180
    recording = heard(played(nonce, slots), drift_ppm=-250.0, shift_hz=9.0, snr_db=20.0)
    report = verify(recording, nonce, 0.0, slots, settings)
    assert report.slots == slots
    assert report.slot_errors == 0
    # 59 s give a far longer lever than 3 s; the canceller lives on it.
    assert report.drift_ppm == pytest.approx(-250.0, abs=0.2)
    assert report.shift_hz == pytest.approx(9.0, abs=0.002)


# A nonce that is not there


def binomial(errors: list[int], bits: int) -> None:
    """Claim: the errors are those of `bits` fair coins."""
    trials = len(errors)
    assert np.mean(errors) == pytest.approx(bits / 2, abs=4.0 * np.sqrt(bits / 4 / trials))
    assert np.var(errors) == pytest.approx(bits / 4, rel=4.0 * np.sqrt(2.0 / trials))
    # The share of each, pooled so that each class is expected at least 15 times.
    edges = [0, 13, 14, 15, 16, 17, 18, 19, bits + 1]
    chance = np.diff(stats.binom(bits, 0.5).cdf(np.array(edges) - 1))
    seen = np.histogram(errors, bins=edges)[0]
    assert stats.chisquare(seen, trials * chance).pvalue > 0.01


def test_in_noise_bits_are_the_toss_of_a_coin(settings: NonceSettings, nonce_of: NonceOf) -> None:
    reports = [verify(noise(k, 2.0), nonce_of(1000 + k), 0.0, 40, settings) for k in range(200)]
    binomial([report.bit_errors for report in reports], 32)
    assert min(report.bit_errors for report in reports) > 3
    assert not any(report.present for report in reports)


def test_under_another_nonce_bits_are_the_toss_of_a_coin(
    settings: NonceSettings, nonce_of: NonceOf, played: Make, heard: Make
) -> None:
    recording = heard(played(nonce_of(0), 40), snr_db=20.0)
    reports = [verify(recording, nonce_of(2000 + k), 0.0, 40, settings) for k in range(200)]
    binomial([report.bit_errors for report in reports], 32)
    assert min(report.bit_errors for report in reports) > 3


def test_the_right_payload_on_other_hops_is_not_present(
    settings: NonceSettings, nonce_of: NonceOf, played: Make, heard: Make
) -> None:
    """Who knows the number but not the hops has nothing."""
    real = nonce_of(4)
    forged = Nonce(real.payload, 32, nonce_of(5).hop_key)
    report = verify(heard(played(forged, SLOTS)), real, 0.0, SLOTS, settings)
    assert not report.present
    assert report.bit_errors > 3


def test_the_right_hops_with_another_payload_are_current_but_wrong(
    settings: NonceSettings, nonce_of: NonceOf, played: Make, heard: Make
) -> None:
    real = nonce_of(6)
    flipped = Nonce(bytes(b ^ 0xFF for b in real.payload), 32, real.hop_key)
    report = verify(heard(played(flipped, SLOTS)), real, 0.0, SLOTS, settings)
    assert report.present
    assert report.bit_errors == 32
    assert report.slot_errors == SLOTS


def test_beyond_the_searched_delay_it_is_not_found(
    settings: NonceSettings, nonce_of: NonceOf, played: Make, heard: Make
) -> None:
    nonce = nonce_of(7)
    late = np.concatenate([np.zeros(RATE_HZ, np.float32), heard(played(nonce, SLOTS))])
    assert not verify(late, nonce, 0.0, SLOTS, settings).present


@pytest.mark.parametrize(("wrong", "chance"), [(0, 2.0**-32), (4, 9.65e-6), (5, 5.65e-5)])
def test_the_chance_is_that_of_so_few_errors_in_32_fair_coins(
    settings: NonceSettings,
    nonce_of: NonceOf,
    played: Make,
    heard: Make,
    wrong: int,
    chance: float,
) -> None:
    sent = nonce_of(13)
    asked = bytes([*sent.payload[:3], sent.payload[3] ^ (2**wrong - 1)])
    recording = heard(played(sent, 40), snr_db=20.0)
    report = verify(recording, Nonce(asked, 32, sent.hop_key), 0.0, 40, settings)
    assert report.bit_errors == wrong
    assert report.chance == pytest.approx(chance, rel=0.01)


# A part of it


def test_of_a_recording_that_is_cut_off_the_missing_bits_count_as_wrong(
    settings: NonceSettings, nonce_of: NonceOf, played: Make, heard: Make
) -> None:
    nonce = nonce_of(8)
    recording = heard(played(nonce, SLOTS), snr_db=20.0)[: round((DELAY_S + 1.02) * RATE_HZ)]
    report = verify(recording, nonce, 0.0, SLOTS, settings)
    assert report.present
    assert not report.complete
    assert report.slots == report.bits_received == 20
    assert report.bit_errors == 12
    assert report.bit_error_rate == pytest.approx(12 / 32)
    assert report.covered == pytest.approx((DELAY_S, DELAY_S + 1.0), abs=1e-3)


def test_only_what_was_played_is_looked_for(
    settings: NonceSettings, nonce_of: NonceOf, played: Make, heard: Make
) -> None:
    nonce = nonce_of(9)
    recording = np.concatenate([heard(played(nonce, 40), snr_db=20.0), noise(9, 2.0, 0.01)])
    report = verify(recording, nonce, 0.0, 40, settings)
    assert report.slots == 40
    assert report.bit_errors == report.slot_errors == 0
    assert report.covered[1] == pytest.approx(DELAY_S + 2.0, abs=1e-3)


@pytest.mark.parametrize("level", [2.0, 0.3, 0.001])
def test_a_stretch_without_the_nonce_is_a_gap_of_its_length(
    settings: NonceSettings, nonce_of: NonceOf, played: Make, heard: Make, level: float
) -> None:
    """Drowned in noise 20 dB above, replaced by noise, by next to nothing: 2 s are missing."""
    nonce, slots = nonce_of(10), 100
    recording = heard(played(nonce, slots))
    hole = span(1.5, 3.5)
    kept = 1.0 if level > 1.0 else 0.0
    recording[hole] = kept * recording[hole] + noise(10, 2.0, 2.0 * level)
    report = verify(recording, nonce, 0.0, slots, settings)
    assert report.present
    missing = sum(b - a for a, b in report.gaps)
    assert missing == pytest.approx(2.0, abs=0.3)
    assert max(b - a for a, b in report.gaps) > settings.max_uncovered_s
    assert report.gaps[0][0] == pytest.approx(1.5, abs=0.15)
    assert report.gaps[-1][1] == pytest.approx(3.5, abs=0.15)


def test_a_gap_is_found_wherever_the_nonce_is_missing(
    settings: NonceSettings, nonce_of: NonceOf, played: Make, heard: Make
) -> None:
    """A second and a half is missing in 30 recordings: each time more than a second is reported."""
    for seed in range(30):
        nonce = nonce_of(seed)
        recording = heard(played(nonce, 80), snr_db=20.0, seed=seed)
        start_s = 0.3 + 0.07 * seed
        recording[span(start_s, start_s + 1.5)] = noise(100 + seed, 1.5)
        report = verify(recording, nonce, 0.0, 80, settings)
        assert max((b - a for a, b in report.gaps), default=0.0) > 1.0, seed


def test_a_whistle_as_loud_as_the_nonce_hides_little(
    settings: NonceSettings, nonce_of: NonceOf, played: Make, heard: Make
) -> None:
    nonce = nonce_of(11)
    recording = heard(played(nonce, SLOTS), snr_db=20.0)
    time = np.arange(recording.size) / RATE_HZ
    whistle = (0.14 * np.sin(2 * np.pi * 4345.0 * time)).astype(np.float32)
    report = verify(recording + whistle, nonce, 0.0, SLOTS, settings)
    assert report.bit_errors == 0
    assert max((b - a for a, b in report.gaps), default=0.0) < 0.3


def test_one_spoilt_slot_is_a_bit_error_and_no_gap(
    settings: NonceSettings, nonce_of: NonceOf, played: Make, heard: Make
) -> None:
    nonce = nonce_of(12)
    recording = heard(played(nonce, SLOTS), snr_db=30.0)
    tone = Bfsk.from_settings(settings).tones(nonce, SLOTS)[20]
    other_hz = Bfsk.from_settings(settings).tone_hz[tone ^ 1]
    slot = span(DELAY_S + 1.0, DELAY_S + 1.05)
    time = np.arange(slot.stop - slot.start) / RATE_HZ
    recording[slot] = 0.3 * np.sin(2 * np.pi * other_hz * time)
    report = verify(recording, nonce, 0.0, SLOTS, settings)
    assert report.wrong_slots == (20,)
    assert report.gaps == ()


@pytest.mark.parametrize("samples", [0, 1, 63, 320, 799, 2000])
def test_of_next_to_nothing_nothing_is_received(
    settings: NonceSettings, nonce_of: NonceOf, samples: int
) -> None:
    report = verify(noise(1, samples / RATE_HZ), nonce_of(1), 0.0, 40, settings)
    assert not report.present or report.slots <= 2
    assert not report.complete
    assert report.bit_errors >= 30
    assert report.bits_received == report.slots


def test_nothing_played_is_nothing_found(settings: NonceSettings, nonce_of: NonceOf) -> None:
    report = verify(noise(2, 3.0), nonce_of(2), 0.5, 0, settings)
    assert (report.present, report.slots, report.bit_errors) == (False, 0, 32)
    assert report.covered == (0.5, 0.5)
    assert report.snr_db == -np.inf


def test_played_after_the_recording_ended_is_nothing(
    settings: NonceSettings, nonce_of: NonceOf
) -> None:
    assert verify(noise(3, 1.0), nonce_of(3), 2.0, 40, settings).slots == 0


def test_silence_has_no_nonce(settings: NonceSettings, nonce_of: NonceOf) -> None:
    report = verify(np.zeros(3 * RATE_HZ, np.float32), nonce_of(4), 0.0, 50, settings)
    assert not report.present
    assert np.isfinite([report.contrast, report.offset_s, report.drift_ppm, report.shift_hz]).all()


# What of the command it covers


def report(covered: tuple[float, float], *gaps: tuple[float, float]) -> Report:
    return Report(
        *(32, 32, 0, 40, 0, True, 7.9),
        *(covered[0], 0.0, 0.0, 20.0),
        gaps=gaps,
        covered=covered,
    )


@pytest.mark.parametrize(
    ("found", "speech", "expected"),
    [
        (report((1.0, 3.0)), (1.2, 2.8), ()),
        (report((1.0, 3.0)), (0.5, 2.8), ((0.5, 1.0),)),
        (report((1.0, 3.0)), (1.5, 3.5), ((3.0, 3.5),)),
        (report((1.0, 3.0)), (0.0, 0.8), ((0.0, 0.8),)),
        (report((1.0, 3.0)), (3.1, 3.9), ((3.1, 3.9),)),
        (report((1.0, 3.0), (1.5, 2.0)), (0.5, 3.5), ((0.5, 1.0), (1.5, 2.0), (3.0, 3.5))),
        (report((1.0, 3.0), (1.5, 2.0)), (1.7, 1.8), ((1.7, 1.8),)),
        # What touches is one stretch: 0.9 s and 0.9 s without the nonce are 1.8 s.
        (report((1.0, 3.0), (2.1, 3.0)), (1.0, 3.9), ((2.1, 3.9),)),
        (report((1.0, 3.0), (1.0, 1.9)), (0.1, 2.5), ((0.1, 1.9),)),
        (report((1.0, 1.0)), (0.5, 1.5), ((0.5, 1.5),)),
    ],
)
def test_uncovered_stretches(
    found: Report, speech: tuple[float, float], expected: tuple[tuple[float, float], ...]
) -> None:
    assert found.uncovered(*speech) == expected
