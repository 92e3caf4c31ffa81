"""The current nonce in a recording: found where it is, and only there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import resample_poly

from earmark.demo.clips import load_clips
from earmark.nonce import NonceSettings, Report, SpreadCarrier
from earmark.nonce.spread import CHIPS, Bank
from earmark.nonce.spread.receiver import DRIFT_STEP_PPM, PRESENT_CHANCE, SHIFT_STEP_HZ, _chance
from earmark.nonce.spread.shape import CODES, TAIL
from earmark.signal import RATE_HZ, Signal

InCodes = Callable[..., SpreadCarrier]
Sound = Callable[..., Signal]
Microphone = Callable[..., Signal]

SLOTS = 12
DELAY_S = 0.137
SLOT_S = CHIPS / RATE_HZ


@pytest.fixture(scope="module")
def carrier(in_codes: InCodes) -> SpreadCarrier:
    return in_codes(1)


@pytest.fixture(scope="module")
def nonce(carrier: SpreadCarrier, sound: Sound) -> Signal:
    return sound(carrier, SLOTS)


@pytest.fixture(scope="module")
def quick(spread_settings: NonceSettings) -> NonceSettings:
    """One codec: neither clock nor frequencies differ."""
    return spread_settings.model_copy(update={"max_drift_ppm": 0.0, "max_shift_hz": 0.0})


def assert_whole(report: Report, delay_s: float = DELAY_S, slots: int = SLOTS) -> None:
    assert report.present
    assert report.complete
    assert (report.bits, report.bits_received, report.bit_errors) == (32, 32, 0)
    assert (report.slots, report.slot_errors, report.wrong_slots, report.gaps) == (slots, 0, (), ())
    assert report.chance < PRESENT_CHANCE
    assert report.offset_s == pytest.approx(delay_s, abs=2e-4)
    slot_s = SLOT_S / (1.0 + report.drift_ppm * 1e-6)
    assert report.covered == pytest.approx((report.offset_s, report.offset_s + slots * slot_s))
    assert report.contrast > 8.0


# What is there


@pytest.mark.parametrize("snr_db", [60.0, 20.0, 0.0, -12.0])
def test_clean_and_in_noise(
    carrier: SpreadCarrier, nonce: Signal, microphone: Microphone, snr_db: float
) -> None:
    report = carrier.verify(microphone(nonce, snr_db=snr_db), 0.0, SLOTS)
    assert_whole(report)
    assert report.shift_hz == 0.0
    assert abs(report.drift_ppm) < (0.5 if snr_db > 10.0 else 20.0)


@pytest.mark.parametrize("snr_db", [10.0, 0.0, -10.0])
def test_it_says_how_strong_the_nonce_is(
    carrier: SpreadCarrier, nonce: Signal, microphone: Microphone, snr_db: float
) -> None:
    # White noise has 19 % of its power outside the band.
    in_band_db = snr_db - 10.0 * np.log10(6500.0 / 8000.0)
    report = carrier.verify(microphone(nonce, snr_db=snr_db), 0.0, SLOTS)
    assert report.snr_db == pytest.approx(in_band_db, abs=3.0)


@pytest.mark.parametrize("delay_s", [0.0, 0.0001, 0.25, 0.4999])
def test_any_delay(
    carrier: SpreadCarrier, nonce: Signal, microphone: Microphone, delay_s: float
) -> None:
    assert_whole(carrier.verify(microphone(nonce, delay_s=delay_s), 0.0, SLOTS), delay_s)


def test_a_delay_beyond_the_search_is_not_taken_for_another(
    carrier: SpreadCarrier, nonce: Signal, microphone: Microphone, quick: NonceSettings
) -> None:
    recording = microphone(nonce, delay_s=0.6)
    assert not replace(carrier, settings=quick).verify(recording, 0.0, SLOTS).present


def test_a_nonce_that_began_within_the_recording(
    carrier: SpreadCarrier, nonce: Signal, microphone: Microphone
) -> None:
    recording = microphone(nonce, delay_s=1.3 + DELAY_S, snr_db=0.0)
    assert_whole(carrier.verify(recording, 1.3, SLOTS), 1.3 + DELAY_S)


@pytest.mark.parametrize("drift_ppm", [-300.0, -77.0, -8.0, 3.0, 40.0, 150.0, 300.0])
def test_another_clock(
    carrier: SpreadCarrier, nonce: Signal, microphone: Microphone, drift_ppm: float
) -> None:
    report = carrier.verify(microphone(nonce, drift_ppm=drift_ppm, snr_db=20.0), 0.0, SLOTS)
    assert_whole(report)
    # The canceller corrects what is missing (test_clock.py): it reaches 10 ppm and more.
    assert report.drift_ppm == pytest.approx(drift_ppm, abs=8.0)
    assert abs(report.shift_hz) < 0.05


def test_another_clock_over_a_long_command(
    carrier: SpreadCarrier, sound: Sound, microphone: Microphone
) -> None:
    recording = microphone(sound(carrier, 60), drift_ppm=-287.0, snr_db=0.0)
    report = carrier.verify(recording, 0.0, 60)
    assert_whole(report, slots=60)
    assert report.drift_ppm == pytest.approx(-287.0, abs=1.0)


@pytest.mark.parametrize("shift_hz", [-20.0, -7.3, -1.0, 0.4, 2.0, 3.1, 11.0, 20.0])
def test_shifted_frequencies(
    carrier: SpreadCarrier, nonce: Signal, microphone: Microphone, shift_hz: float
) -> None:
    report = carrier.verify(microphone(nonce, shift_hz=shift_hz, snr_db=10.0), 0.0, SLOTS)
    assert_whole(report)
    assert report.shift_hz == pytest.approx(shift_hz, abs=0.1)


@pytest.mark.parametrize(("drift_ppm", "shift_hz"), [(300.0, 20.0), (-300.0, -13.0), (60.0, -2.0)])
def test_another_clock_and_shifted_frequencies(
    carrier: SpreadCarrier,
    nonce: Signal,
    microphone: Microphone,
    drift_ppm: float,
    shift_hz: float,
) -> None:
    recording = microphone(nonce, drift_ppm=drift_ppm, shift_hz=shift_hz, snr_db=10.0)
    report = carrier.verify(recording, 0.0, SLOTS)
    assert_whole(report)
    # A clock turns phases as well: 1 ppm by 2 mHz at the middle of the band.
    assert report.drift_ppm == pytest.approx(drift_ppm, abs=10.0)
    assert report.shift_hz == pytest.approx(shift_hz, abs=0.2)


def test_under_speech(
    carrier: SpreadCarrier, nonce: Signal, microphone: Microphone, recording_of: Sound
) -> None:
    recording = microphone(nonce, snr_db=30.0)
    voice = recording_of("voice", recording.size) * 10.0 ** (12.0 / 20.0)
    assert_whole(carrier.verify(recording + voice, 0.0, SLOTS))


def test_under_a_command_through_an_echo(
    carrier: SpreadCarrier, nonce: Signal, microphone: Microphone
) -> None:
    spoken = load_clips().command("toast").spoken
    recording = microphone(nonce + 0.5 * np.roll(nonce, 190) + 0.3 * np.roll(nonce, 420))
    part = spoken[: recording.size - RATE_HZ // 2]
    recording[RATE_HZ // 2 :][: part.size] += 3.0 * part / np.sqrt(np.mean(part**2))
    assert_whole(carrier.verify(recording, 0.0, SLOTS))


def test_through_a_narrow_channel(
    carrier: SpreadCarrier, nonce: Signal, microphone: Microphone
) -> None:
    narrow = resample_poly(resample_poly(nonce, 1, 2), 2, 1)[: nonce.size].astype(np.float32)
    report = carrier.verify(microphone(narrow, snr_db=20.0), 0.0, SLOTS)
    assert report.present
    assert report.bit_errors == 0


def test_longer_payloads(bank: Bank, sound: Sound, microphone: Microphone) -> None:
    long = SpreadCarrier(np.random.default_rng(1).bytes(8), bank, NonceSettings(payload_bits=64))
    report = long.verify(microphone(sound(long, 20), snr_db=0.0), 0.0, 20)
    assert (report.bits, report.bits_received, report.bit_errors) == (64, 64, 0)
    assert report.present


# What is missing


def test_too_short_to_be_complete(
    carrier: SpreadCarrier, nonce: Signal, microphone: Microphone
) -> None:
    recording = microphone(nonce)[: round((DELAY_S + 7.5 * SLOT_S) * RATE_HZ)]
    report = carrier.verify(recording, 0.0, 8)
    assert not report.complete
    assert report.slots == 7
    assert report.bits_received == 28
    assert report.bit_errors == 4  # what is missing counts as wrong
    assert report.covered[1] == pytest.approx(DELAY_S + 7 * SLOT_S, abs=1e-3)


def test_stopped_early(carrier: SpreadCarrier, sound: Sound, microphone: Microphone) -> None:
    report = carrier.verify(microphone(sound(carrier, 3), after_s=2.0), 0.0, 3)
    assert not report.complete
    assert report.slots == 3
    assert (report.bits_received, report.bit_errors) == (12, 20)


@pytest.mark.parametrize("first_slot", [0, 5, 12])
def test_a_second_cut_out_is_a_gap(
    carrier: SpreadCarrier, sound: Sound, microphone: Microphone, first_slot: int
) -> None:
    gone = sound(carrier, 16)
    gone[first_slot * CHIPS : (first_slot + 4) * CHIPS] = 0.0
    recording = microphone(gone, snr_db=10.0, seed=first_slot)
    report = carrier.verify(recording, 0.0, 16)
    start_s = DELAY_S + first_slot * SLOT_S
    assert report.present
    assert report.bit_errors == 0  # the payload was heard elsewhere
    # By chance, the code played is the strongest in one of sixteen slots without any.
    assert 3 <= report.slot_errors <= 4
    assert set(report.wrong_slots) <= set(range(first_slot, first_slot + 4))
    missing = sum(end - start for start, end in report.gaps)
    assert missing == pytest.approx(report.slot_errors * SLOT_S, abs=1e-3)
    for start, end in report.gaps:
        assert start_s - 1e-3 < start < end < start_s + 4 * SLOT_S + 1e-3


def test_a_second_of_another_nonce_is_a_gap(
    carrier: SpreadCarrier, nonce: Signal, in_codes: InCodes, sound: Sound, microphone: Microphone
) -> None:
    """As if somebody had spliced an old recording in: the evidence is for other codes."""
    spliced = nonce.copy()
    other = sound(in_codes(2), SLOTS)
    spliced[4 * CHIPS : 8 * CHIPS] = other[4 * CHIPS : 8 * CHIPS]
    report = carrier.verify(microphone(spliced, snr_db=20.0), 0.0, SLOTS)
    same = np.count_nonzero(
        carrier.bank.codes(carrier.payload, 4, 4) == carrier.bank.codes(in_codes(2).payload, 4, 4)
    )
    assert report.slot_errors == 4 - same
    assert same < 2


def test_cut_off_in_the_middle(
    carrier: SpreadCarrier, nonce: Signal, microphone: Microphone
) -> None:
    """The loudspeaker is unplugged after five of twelve slots."""
    gone = nonce.copy()
    gone[5 * CHIPS :] = 0.0
    report = carrier.verify(microphone(gone, snr_db=10.0), 0.0, SLOTS)
    assert report.bit_errors >= 8 or not report.present
    assert report.uncovered(0.0, 3.0)[-1][1] == 3.0


# What is not there


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_another_payload_is_not_present(
    nonce: Signal, in_codes: InCodes, microphone: Microphone, quick: NonceSettings, seed: int
) -> None:
    """The signal of a replay: the codes of the right epoch, loud and clear, of an old payload."""
    report = replace(in_codes(seed), settings=quick).verify(microphone(nonce), 0.0, SLOTS)
    assert not report.present
    assert report.bit_errors >= 16
    assert report.chance > PRESENT_CHANCE


def test_another_payload_is_not_present_after_every_shift_was_tried(
    nonce: Signal, in_codes: InCodes, microphone: Microphone
) -> None:
    report = in_codes(5).verify(microphone(nonce), 0.0, SLOTS)
    assert not report.present
    assert report.bit_errors >= 16


def test_another_bank_is_not_present(
    carrier: SpreadCarrier,
    nonce: Signal,
    bank_of: Callable[[int], Bank],
    microphone: Microphone,
    quick: NonceSettings,
) -> None:
    other = SpreadCarrier(carrier.payload, bank_of(1), quick)
    report = other.verify(microphone(nonce), 0.0, SLOTS)
    assert not report.present
    assert report.contrast < 4.0


@pytest.mark.parametrize(
    "kind", ["white", "coloured", "modulated", "tone", "voice", "clicks", "burst", "third"]
)
def test_nothing_is_not_present(
    carrier: SpreadCarrier, recording_of: Sound, quick: NonceSettings, kind: str
) -> None:
    for seed in range(2):
        recording = recording_of(kind, 3 * RATE_HZ, seed)
        report = replace(carrier, settings=quick).verify(recording, 0.0, 10)
        assert not report.present
        assert report.bit_errors >= 8


def test_silence_is_not_present(carrier: SpreadCarrier, quick: NonceSettings) -> None:
    report = replace(carrier, settings=quick).verify(np.zeros(3 * RATE_HZ, np.float32), 0.0, 10)
    assert not report.present


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_not_present(
    carrier: SpreadCarrier, nonce: Signal, microphone: Microphone, quick: NonceSettings, bad: float
) -> None:
    recording = microphone(nonce)
    recording[20_000] = bad
    with np.errstate(invalid="ignore"):
        report = replace(carrier, settings=quick).verify(recording, 0.0, SLOTS)
    assert not report.present


@pytest.mark.parametrize("samples", [0, 100, CHIPS, CHIPS + TAIL - 1])
def test_not_even_a_slot(carrier: SpreadCarrier, samples: int) -> None:
    report = carrier.verify(np.ones(samples, np.float32), 0.0, 8)
    assert report == Report.nothing(32, 0.0)


def test_played_after_the_end_or_never(carrier: SpreadCarrier) -> None:
    recording = np.ones(3 * RATE_HZ, np.float32)
    assert carrier.verify(recording, 4.0, 8) == Report.nothing(32, 4.0)
    assert carrier.verify(recording, 0.0, 0) == Report.nothing(32, 0.0)


# The chance holds


def test_the_bound_holds_for_random_payloads_in_a_place() -> None:
    """At a given place: no more random payloads reach their own bound than the bound says."""
    rng = np.random.default_rng(1)
    draws = 300
    for concentration in (0.05, 0.3, 3.0):  # one code rules each slot .. none does
        for slots in (8, 12, 20):
            shares = rng.dirichlet(np.full(CODES, concentration), slots)
            spots = np.arange(slots) % 8
            payloads = rng.integers(0, CODES, (draws, 8))
            totals = shares[np.arange(slots), payloads[:, spots]].sum(axis=1)
            chances = np.array([_chance(shares, spots, float(total)) for total in totals])
            for level in (0.5, 0.1, 0.02):
                allowed = level * draws + 4.0 * np.sqrt(level * draws)
                assert np.count_nonzero(chances <= level) <= allowed
            # It is no idle bound either: the best of the payloads would be named improbable.
            best = _chance(shares, spots, float(shares.reshape(-1, CODES).max(axis=1).sum()))
            assert best < 0.05


def test_the_bound_is_never_below_the_chance_of_guessing() -> None:
    """A random payload is the right one with probability 16**-8, however strong the evidence."""
    sure = np.eye(CODES)[np.arange(24) % 8]
    assert _chance(sure, np.arange(24) % 8, 24.0) >= 16.0**-8 * 0.99
    assert _chance(sure[:3], np.arange(3), 3.0) >= 16.0**-3 * 0.99


@pytest.mark.parametrize("kind", ["nonce", "voice"])
def test_random_payloads_reach_their_chance_no_more_often_than_allowed(
    nonce: Signal,
    bank: Bank,
    microphone: Microphone,
    recording_of: Sound,
    quick: NonceSettings,
    kind: str,
) -> None:
    """Against one recording, over all delays: an old nonce of the same bank, or a voice."""
    part = nonce[: 8 * CHIPS + TAIL]
    recording = (
        microphone(part, delay_s=0.003, after_s=0.01, snr_db=0.0)
        if kind == "nonce"
        else recording_of("voice", part.size + 300)
    )
    settings = quick.model_copy(update={"max_delay_s": 0.01})
    rng = np.random.default_rng(3)
    draws = 60
    chances = np.array(
        [
            SpreadCarrier(rng.bytes(4), bank, settings).verify(recording, 0.0, 8).chance
            for _ in range(draws)
        ]
    )
    for level in (0.5, 0.1, 0.02):
        assert np.count_nonzero(chances <= level) <= level * draws + 4.0 * np.sqrt(level * draws)


def test_the_chance_counts_everything_that_was_tried(
    carrier: SpreadCarrier, nonce: Signal, microphone: Microphone, spread_settings: NonceSettings
) -> None:
    """Delays and clocks, and the frequencies where those were tried too."""
    places = spread_settings.max_delay_s * RATE_HZ
    places *= 2.0 * spread_settings.max_drift_ppm / DRIFT_STEP_PPM + 1.0
    plain = carrier.verify(microphone(nonce), 0.0, SLOTS)
    assert plain.chance >= 0.99 * places * 16.0**-8
    shifts = 2.0 * spread_settings.max_shift_hz / SHIFT_STEP_HZ + 1.0
    shifted = carrier.verify(microphone(nonce, shift_hz=18.0), 0.0, SLOTS)
    assert shifted.present
    assert shifted.chance >= 0.99 * shifts * places * 16.0**-8


def test_one_wrong_symbol_of_eight_is_what_the_settings_allow(
    nonce: Signal, carrier: SpreadCarrier, microphone: Microphone, spread_settings: NonceSettings
) -> None:
    """``max_bit_error_rate`` accepts one; a report that is never "present" then contradicts it."""
    payload = carrier.payload[:3] + bytes([carrier.payload[3] ^ 1])
    report = replace(carrier, payload=payload).verify(microphone(nonce), 0.0, SLOTS)
    assert report.bit_error_rate == spread_settings.max_bit_error_rate
    assert report.present
