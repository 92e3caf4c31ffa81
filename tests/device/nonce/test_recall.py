"""From the memory of earlier sessions to what is told of a find, in tones and in codes."""

from __future__ import annotations

import json
import tracemalloc
import uuid
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pytest

from earmark.errors import LedgerError
from earmark.nonce import (
    Bank,
    Bfsk,
    BfskCarrier,
    Carrier,
    FixedKeys,
    Issue,
    Memory,
    Nonce,
    NonceSettings,
    Playing,
    Report,
    SpreadCarrier,
    SpreadSettings,
    StaleReport,
    clean,
    recall,
)
from earmark.nonce.recall import MARGIN_S
from earmark.signal import RATE_HZ, Signal

NonceOf = Callable[..., Nonce]
InTones = Callable[..., BfskCarrier]
InCodes = Callable[..., SpreadCarrier]
Make = Callable[..., Signal]
Recalled = Callable[..., StaleReport]

CURRENT = "f" * 32
"""The session that is on."""


@pytest.fixture(scope="session")
def issue(wave: Bfsk, nonce_of: NonceOf) -> Callable[..., Issue]:
    """An entry in tones."""

    def make(
        seed: int, slots: int | None = 60, *, form: Bfsk = wave, bits: int = 32, **other: object
    ) -> Issue:
        nonce = nonce_of(seed, bits)
        fields: dict[str, object] = {
            "session": uuid.UUID(int=seed).hex,
            "device": "hall",
            "place": "by the door",
            "issued_at": 1_700_000_000.0 + seed,
            "payload": nonce.payload,
            "hop_key": nonce.hop_key,
            "waveform": form.to_json(),
            "slots": slots,
        }
        return Issue(**(fields | other))

    return make


@pytest.fixture(scope="session")
def coded(in_codes: InCodes) -> Callable[..., Issue]:
    """An entry in codes."""

    def make(seed: int, slots: int | None = 12, **other: object) -> Issue:
        carrier = in_codes(seed)
        fields: dict[str, object] = {
            "session": uuid.UUID(int=seed).hex,
            "device": "hall",
            "place": "by the door",
            "issued_at": 1_700_000_000.0 + seed,
            "payload": carrier.payload,
            "hop_key": carrier.hop_key,
            "waveform": carrier.waveform,
            "slots": slots,
        }
        return Issue(**(fields | other))

    return make


@pytest.fixture(scope="session")
def recalled(settings: NonceSettings, in_tones: InTones, nonce_of: NonceOf) -> Recalled:
    """The search while a nonce in tones is on that the recording holds nothing of."""

    def search(
        recording: Signal,
        tones: Iterable[Issue] = (),
        chosen: NonceSettings = settings,
        *,
        banks: Sequence[Bank] = (),
        coded: Iterable[Issue] = (),
        speech: tuple[float, float] | None = None,
    ) -> StaleReport:
        playing = Playing(CURRENT, in_tones(nonce_of(999)), 40, Report.nothing(32, 0.0))
        memory = Memory(banks, tones, lambda bank: [i for i in coded if i.bank == of(bank)])
        return recall(recording, playing, memory, chosen, speech)

    return search


def of(bank: Bank) -> str:
    return f"{bank.secret_id}:{bank.epoch}"


def noise(seed: int, seconds: float, rms: float = 1.0) -> Signal:
    drawn = np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ))
    return (rms * drawn).astype(np.float32)


# In tones


def test_a_find_names_session_device_place_and_time(
    recalled: Recalled,
    issue: Callable[..., Issue],
    nonce_of: NonceOf,
    in_tones: InTones,
    played: Make,
    heard: Make,
) -> None:
    recording = heard(played(in_tones(nonce_of(3)), 60), snr_db=0.0)
    report = recalled(recording, [issue(seed) for seed in range(10)])
    assert report.found
    assert report.searched == 10
    assert report.chance < 1e-10
    assert report.score == pytest.approx(-np.log10(report.chance))
    assert (report.session, report.device, report.place, report.recorded_at) == (
        issue(3).session,
        "hall",
        "by the door",
        1_700_000_003.0,
    )


@pytest.mark.parametrize("bits", [32, 40, 64, 128])
def test_every_width_of_payload_is_recognised_beyond_its_first_cycle(
    recalled: Recalled,
    issue: Callable[..., Issue],
    nonce_of: NonceOf,
    in_tones: InTones,
    played: Make,
    heard: Make,
    bits: int,
) -> None:
    """Of a late part of the nonce, where a wrong width would have the wrong bits."""
    slots = 2 * bits + 24
    late = round((2 * bits) * 0.05 * RATE_HZ)
    recording = heard(played(in_tones(nonce_of(1, bits)), slots), snr_db=0.0)[late:]
    report = recalled(recording, [issue(k, slots, bits=bits) for k in (1, 2)])
    assert report.found
    assert report.session == issue(1).session


def test_nothing_found_names_nobody(
    recalled: Recalled, settings: NonceSettings, issue: Callable[..., Issue]
) -> None:
    report = recalled(noise(1, 2.0), [issue(seed) for seed in range(10)])
    assert not report.found
    assert report.searched == 10
    assert report.chance > settings.stale_false_alarm
    assert report.score == pytest.approx(-np.log10(report.chance))
    assert (report.session, report.device, report.place, report.recorded_at) == (None,) * 4


def test_the_limit_is_the_settings(
    recalled: Recalled,
    issue: Callable[..., Issue],
    nonce_of: NonceOf,
    in_tones: InTones,
    played: Make,
    heard: Make,
) -> None:
    recording = heard(played(in_tones(nonce_of(1)), 60), snr_db=-14.0, seed=2)
    chance = recalled(recording, [issue(1)]).chance
    assert 1e-30 < chance < 0.01
    for limit, found in ((min(0.01, 1.1 * chance), True), (0.9 * chance, False)):
        chosen = NonceSettings(stale_false_alarm=limit)
        assert recalled(recording, [issue(1)], chosen).found is found


def test_an_empty_memory_finds_nothing(recalled: Recalled) -> None:
    assert recalled(np.zeros(2 * RATE_HZ, np.float32)) == StaleReport(0, 1.0, False, 0.0)


def test_the_session_that_is_on_is_not_an_earlier_one(
    recalled: Recalled,
    issue: Callable[..., Issue],
    nonce_of: NonceOf,
    in_tones: InTones,
    played: Make,
    heard: Make,
) -> None:
    """The ledger has it already; what the canceller left of it would be found."""
    recording = heard(played(in_tones(nonce_of(8)), 60), snr_db=0.0)
    report = recalled(recording, [issue(8, session=CURRENT), issue(9)])
    assert (report.found, report.searched) == (False, 1)
    assert recalled(recording, [issue(8, session=CURRENT)]).searched == 0


def test_a_short_replay_is_found_in_the_command(
    recalled: Recalled,
    issue: Callable[..., Issue],
    nonce_of: NonceOf,
    in_tones: InTones,
    played: Make,
    heard: Make,
) -> None:
    """It would be diluted by what the attacker left silent."""
    replayed = heard(played(in_tones(nonce_of(5)), 20), snr_db=-2.0)
    recording = np.concatenate([noise(1, 4.0, 0.5), replayed, noise(2, 4.0, 0.5)])
    entries = [issue(seed) for seed in range(10)]
    speech = (4.0 + MARGIN_S, 4.0 + replayed.size / RATE_HZ - MARGIN_S)
    asked = recalled(recording, entries, speech=speech)
    assert asked.session == issue(5).session
    assert asked.chance < min(1e-4, recalled(recording, entries).chance)


def test_a_session_that_was_cut_off_is_found_all_the_same(
    recalled: Recalled,
    issue: Callable[..., Issue],
    nonce_of: NonceOf,
    in_tones: InTones,
    played: Make,
    heard: Make,
) -> None:
    """A power cut leaves no number of slots."""
    recording = heard(played(in_tones(nonce_of(4)), 60), snr_db=0.0)
    report = recalled(recording, [issue(4, None), issue(5, None)])
    assert report.found
    assert report.session == issue(4).session


def test_one_of_an_earlier_setting_is_recognised(
    recalled: Recalled,
    issue: Callable[..., Issue],
    nonce_of: NonceOf,
    in_tones: InTones,
    played: Make,
    heard: Make,
) -> None:
    old = Bfsk(16.0, 1000.0, 4000.0, 16, 0.01)
    recording = heard(played(in_tones(nonce_of(6), old), 40), snr_db=0.0)
    report = recalled(recording, [issue(6, 40, form=old), issue(7)])
    assert report.found
    assert report.session == issue(6).session


def test_an_entry_that_claims_to_be_endless_costs_no_more_memory(
    recalled: Recalled, issue: Callable[..., Issue]
) -> None:
    """100,000 slots are what the ledger takes; the search would need 2 GB for them."""
    tracemalloc.start()
    report = recalled(noise(1, 2.0), [issue(k, 100_000) for k in range(8)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert not report.found
    assert peak < 100e6


# In codes


def test_a_find_in_codes_names_session_device_place_and_time(
    recalled: Recalled,
    coded: Callable[..., Issue],
    bank: Bank,
    in_codes: InCodes,
    played: Make,
    heard: Make,
) -> None:
    recording = heard(played(in_codes(3), 12), snr_db=0.0)
    report = recalled(recording, banks=[bank], coded=[coded(seed) for seed in range(10)])
    assert report.found
    assert report.searched == 1, "one bank, however many were issued from it"
    assert report.chance < 1e-10
    assert report.score == pytest.approx(-np.log10(report.chance))
    assert (report.session, report.device, report.place) == (
        coded(3).session,
        "hall",
        "by the door",
    )
    assert report.recorded_at == pytest.approx(1_700_000_003.0)
    assert not report.undetermined


def test_a_part_from_the_middle_is_dated_by_its_place_in_the_session(
    recalled: Recalled,
    coded: Callable[..., Issue],
    bank: Bank,
    in_codes: InCodes,
    played: Make,
    heard: Make,
) -> None:
    recording = heard(played(in_codes(4), 30), snr_db=0.0)[round(5.0 * RATE_HZ) :]
    report = recalled(recording, banks=[bank], coded=[coded(seed, 30) for seed in range(10)])
    assert report.session == coded(4).session
    assert report.recorded_at == pytest.approx(1_700_000_004.0 + 5.0, abs=0.6)


def test_an_unfinished_session_in_codes_is_named_all_the_same(
    recalled: Recalled,
    coded: Callable[..., Issue],
    bank: Bank,
    in_codes: InCodes,
    played: Make,
    heard: Make,
) -> None:
    recording = heard(played(in_codes(5), 12), snr_db=0.0)
    entries = [coded(seed, None) for seed in range(4, 8)]
    report = recalled(recording, banks=[bank], coded=entries)
    assert report.session == coded(5).session


def test_what_the_ledger_has_forgotten_is_a_replay_without_a_name(
    recalled: Recalled,
    coded: Callable[..., Issue],
    bank: Bank,
    in_codes: InCodes,
    played: Make,
    heard: Make,
) -> None:
    """The codes alone give it away: the ledger only names."""
    recording = heard(played(in_codes(6), 12), snr_db=0.0)
    for entries in ([], [coded(seed) for seed in range(100, 120)]):
        report = recalled(recording, banks=[bank], coded=entries)
        assert report.found
        assert (report.session, report.device, report.place, report.recorded_at) == (None,) * 4


def test_the_ledger_is_asked_only_after_a_find_and_only_for_its_bank(
    settings: NonceSettings,
    bank: Bank,
    in_tones: InTones,
    nonce_of: NonceOf,
    in_codes: InCodes,
    played: Make,
    heard: Make,
) -> None:
    asked: list[str] = []
    other = Bank.of(FixedKeys(bytes(32)).current(0.0), 500.0, 7000.0)
    playing = Playing(CURRENT, in_tones(nonce_of(999)), 40, Report.nothing(32, 0.0))
    memory = Memory([other, bank], [], lambda found: asked.append(of(found)) or [])
    assert not recall(noise(3, 2.0, 0.1), playing, memory, settings).found
    assert asked == []
    assert recall(heard(played(in_codes(7), 12), snr_db=0.0), playing, memory, settings).found
    assert asked == [of(bank)]


def test_a_household_of_another_secret_is_not_recognised(
    recalled: Recalled, bank: Bank, in_codes: InCodes, played: Make, heard: Make
) -> None:
    other = Bank.of(FixedKeys(bytes(32)).current(0.0), 500.0, 7000.0)
    report = recalled(heard(played(in_codes(1, other), 12), snr_db=10.0), banks=[bank])
    assert (report.found, report.searched) == (False, 1)


# Both: an old nonce is recognised whatever is played now


@pytest.mark.parametrize("kind", ["tones", "codes"])
def test_either_kind_is_found_beside_the_other(
    recalled: Recalled,
    issue: Callable[..., Issue],
    coded: Callable[..., Issue],
    bank: Bank,
    nonce_of: NonceOf,
    in_tones: InTones,
    in_codes: InCodes,
    played: Make,
    heard: Make,
    kind: str,
) -> None:
    carrier: Carrier = in_codes(20) if kind == "codes" else in_tones(nonce_of(20))
    recording = heard(played(carrier, 12 if kind == "codes" else 60), snr_db=0.0)
    report = recalled(
        recording,
        [issue(seed) for seed in (10, 11, 20)],
        banks=[bank],
        coded=[coded(seed, device="attic") for seed in (10, 11, 20)],
    )
    assert report.found
    assert report.searched == 3 + 1
    assert report.session == uuid.UUID(int=20).hex
    assert report.device == ("attic" if kind == "codes" else "hall")


def test_nothing_of_either_kind_is_one_report_on_both(
    recalled: Recalled, settings: NonceSettings, issue: Callable[..., Issue], bank: Bank
) -> None:
    report = recalled(noise(5, 2.0), [issue(seed) for seed in range(3)], banks=[bank, bank])
    assert (report.found, report.searched) == (False, 3 + 2)
    assert settings.stale_false_alarm < report.chance <= 1.0
    assert report.score == pytest.approx(-np.log10(report.chance))


def test_two_searches_share_the_accepted_share_of_false_alarms(
    recalled: Recalled,
    issue: Callable[..., Issue],
    bank: Bank,
    nonce_of: NonceOf,
    in_tones: InTones,
    played: Make,
    heard: Make,
) -> None:
    """Either alone at the full rate would make twice as many together."""
    recording = heard(played(in_tones(nonce_of(1)), 60), snr_db=-14.0, seed=2)
    alone = recalled(recording, [issue(1)]).chance
    both = recalled(recording, [issue(1)], banks=[bank])
    assert both.chance == pytest.approx(2.0 * alone)
    limits = {1.5: (True, False), 2.5: (True, True), 0.9: (False, False)}
    for times, found in limits.items():
        chosen = NonceSettings(stale_false_alarm=times * alone)
        each = [
            recalled(recording, [issue(1)], chosen, banks=banks).found for banks in ([], [bank])
        ]
        assert tuple(each) == found, times


# While a nonce in codes is on


def session(
    carrier: SpreadCarrier, echo: Signal, rest: Signal, played: Signal, settings: NonceSettings
) -> tuple[Signal, Playing]:
    """What a session hands to the search: the current nonce taken out."""
    recording = echo + rest
    report = carrier.verify(recording, 0.0, 12)
    assert report.present
    cleaned = clean(recording, played, 0.0, report, carrier, settings)
    return cleaned.signal, Playing(CURRENT, carrier, 12, report, cleaned.suppression_db)


def test_what_is_left_of_the_current_nonce_is_not_an_earlier_one(
    coded: Callable[..., Issue], bank: Bank, in_codes: InCodes, played: Make, heard: Make
) -> None:
    carrier, settings = in_codes(30), NonceSettings()
    out = played(carrier, 12)
    echo = heard(out)
    cleaned, playing = session(carrier, echo, noise(1, echo.size / RATE_HZ, 1e-4), out, settings)
    entries = [coded(30, session=CURRENT), coded(31)]
    report = recall(cleaned, playing, Memory([bank], [], lambda _: entries), settings)
    assert not report.found
    # Noise 60 dB below the nonce: what is left is above it, but deep enough.
    assert not report.undetermined


def test_an_earlier_nonce_under_the_current_one_is_found_and_named(
    coded: Callable[..., Issue], bank: Bank, in_codes: InCodes, played: Make, heard: Make
) -> None:
    """30 dB below it, as from a replay in the room."""
    carrier, settings = in_codes(30), NonceSettings()
    out = played(carrier, 12)
    echo = heard(out)
    replayed = 10.0 ** (-30.0 / 20.0) * played(in_codes(31), 12)
    old = np.concatenate([np.zeros(5000), replayed, np.zeros(5000)])[: echo.size]
    rest = old.astype(np.float32) + noise(1, echo.size / RATE_HZ, 1e-4)
    cleaned, playing = session(carrier, echo, rest, out, settings)
    entries = [coded(30, session=CURRENT), coded(31), coded(32)]
    report = recall(cleaned, playing, Memory([bank], [], lambda _: entries), settings)
    assert report.found
    assert report.session == coded(31).session
    assert not report.undetermined


def test_where_too_much_of_the_current_nonce_is_left_nothing_is_determined(
    bank: Bank, issue: Callable[..., Issue], in_codes: InCodes, played: Make, heard: Make
) -> None:
    """Nothing was taken out at all: its echoes are left out, but they hide what lies below."""
    carrier, settings = in_codes(30), NonceSettings()
    recording = heard(played(carrier, 12), snr_db=30.0)
    report = carrier.verify(recording, 0.0, 12)
    playing = Playing(CURRENT, carrier, 12, report)
    for tones in ([], [issue(1)]):
        memory = Memory([bank], tones, lambda _: [])
        stale = recall(recording, playing, memory, settings)
        assert stale.self_noise_db > settings.spread.max_self_noise_db
        assert (stale.found, stale.undetermined) == (False, True)


def test_deep_enough_is_determined_whatever_is_left(
    bank: Bank, in_codes: InCodes, played: Make, heard: Make
) -> None:
    """In a silent room the rest stands out of the noise, and yet no old nonce is so weak."""
    carrier, settings = in_codes(30), NonceSettings()
    recording = heard(played(carrier, 12), snr_db=30.0)
    report = carrier.verify(recording, 0.0, 12)
    limit_db = settings.spread.enough_suppression_db
    for fell_db, undetermined in ((limit_db - 0.1, True), (limit_db, False)):
        playing = Playing(CURRENT, carrier, 12, report, fell_db)
        stale = recall(recording, playing, Memory([bank], [], lambda _: []), settings)
        assert (stale.found, stale.undetermined) == (False, undetermined)


def test_without_the_current_nonce_nothing_is_determined(bank: Bank, in_codes: InCodes) -> None:
    """Nothing could be taken out, so nothing is said of what lies under it."""
    carrier, settings = in_codes(30), NonceSettings()
    recording = noise(2, 3.0, 0.1)
    report = carrier.verify(recording, 0.0, 10)
    assert not report.present
    for banks, undetermined in (([bank], True), ([], False)):
        memory = Memory(banks, [], lambda _: [])
        stale = recall(recording, Playing(CURRENT, carrier, 10, report), memory, settings)
        assert (stale.found, stale.undetermined) == (False, undetermined)


@pytest.mark.parametrize("limit_db", [0.5, 20.0])
def test_how_much_may_be_left_is_a_setting(
    bank: Bank, in_codes: InCodes, played: Make, heard: Make, limit_db: float
) -> None:
    settings = NonceSettings(spread=SpreadSettings(max_self_noise_db=limit_db))
    carrier = in_codes(30)
    recording = heard(played(carrier, 12), snr_db=0.0)
    playing = Playing(CURRENT, carrier, 12, carrier.verify(recording, 0.0, 12))
    stale = recall(recording, playing, Memory([bank], [], lambda _: []), settings)
    assert 0.5 < stale.self_noise_db < 20.0
    assert not stale.found
    assert stale.undetermined is (limit_db < stale.self_noise_db)


@pytest.mark.parametrize("fault", ["late", "lost blocks", "inserted blocks"])
def test_the_current_nonce_where_nobody_expected_it_is_no_replay(
    coded: Callable[..., Issue],
    bank: Bank,
    in_codes: InCodes,
    played: Make,
    heard: Make,
    fault: str,
) -> None:
    """Later than the largest delay, or after a stream that stumbled: asked for again."""
    carrier = in_codes(33)
    out = played(carrier, 12)
    sound = heard(out, snr_db=20.0)
    at, jump = round(1.5 * RATE_HZ), round(0.02 * RATE_HZ)
    recording = {
        "late": np.concatenate([noise(1, 0.6, 0.01), sound]),
        "lost blocks": np.concatenate([sound[:at], sound[at + jump :]]),
        "inserted blocks": np.concatenate([sound[:at], np.zeros(jump, np.float32), sound[at:]]),
    }[fault]
    others = [coded(seed) for seed in range(34, 40)]
    for known in (others, [coded(33, session=CURRENT), *others]):
        stale = recalled_beside(carrier, out, recording, bank, known)
        assert (stale.found, stale.session) == (False, None)
        # Of lost blocks the first half lies where echoes are expected: it counts as left over.
        assert stale.undetermined or (fault == "lost blocks" and stale.self_noise_db > 2.0)


@pytest.mark.parametrize("at_s", [2.03, 2.2, 2.34])
def test_two_slots_after_a_stumble_are_no_replay(
    coded: Callable[..., Issue],
    bank: Bank,
    in_codes: InCodes,
    played: Make,
    heard: Make,
    at_s: float,
) -> None:
    """Too few to tell one session of many by, yet the current nonce is known."""
    carrier = in_codes(33)
    out = played(carrier, 12)
    sound = heard(out, snr_db=0.0)
    at, jump = round(at_s * RATE_HZ), round(0.0213 * RATE_HZ)
    recording = np.concatenate([sound[:at], sound[at + jump :]])
    others = [coded(seed) for seed in range(34, 40)]
    stale = recalled_beside(carrier, out, recording, bank, others)
    assert (stale.found, stale.undetermined) == (False, True)


def recalled_beside(
    carrier: SpreadCarrier, out: Signal, recording: Signal, bank: Bank, known: Sequence[Issue]
) -> StaleReport:
    """The search in a recording of `out`, which plays `carrier` as the current nonce."""
    settings = NonceSettings()
    report = carrier.verify(recording, 0.0, 12)
    cleaned = clean(recording, out, 0.0, report, carrier, settings)
    playing = Playing(CURRENT, carrier, 12, report)
    return recall(cleaned.signal, playing, Memory([bank], [], lambda _: known), settings)


# Failures


@pytest.mark.parametrize(
    "other",
    [
        {"waveform": '{"kind": "chirp"}'},
        {"waveform": "{}"},
        {"hop_key": b"short"},
    ],
)
def test_an_entry_that_cannot_be_searched_for_is_an_error(
    recalled: Recalled, issue: Callable[..., Issue], other: dict[str, object]
) -> None:
    """Not skipped: a recording with that nonce would pass for fresh."""
    with pytest.raises(LedgerError, match=r"cannot look for .*(waveform|hop key).*update Earmark"):
        recalled(np.zeros(2 * RATE_HZ, np.float32), [issue(1), issue(2, **other)])


def test_a_waveform_out_of_range_is_an_error(
    recalled: Recalled, issue: Callable[..., Issue], wave: Bfsk
) -> None:
    text = json.dumps(json.loads(wave.to_json()) | {"channels": 10**9})
    with pytest.raises(LedgerError, match="out of range"):
        recalled(np.zeros(2 * RATE_HZ, np.float32), [issue(1, waveform=text)])


def test_a_ledger_that_cannot_be_read_after_a_find_is_an_error(
    settings: NonceSettings,
    bank: Bank,
    in_tones: InTones,
    nonce_of: NonceOf,
    in_codes: InCodes,
    played: Make,
    heard: Make,
) -> None:
    def unreadable(_: Bank) -> Iterable[Issue]:
        raise LedgerError("reading failed", "check the disk")

    playing = Playing(CURRENT, in_tones(nonce_of(999)), 40, Report.nothing(32, 0.0))
    recording = heard(played(in_codes(7), 12), snr_db=0.0)
    with pytest.raises(LedgerError, match="reading failed"):
        recall(recording, playing, Memory([bank], [], unreadable), settings)
