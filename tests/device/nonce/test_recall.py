"""From the ledger's entries to what is told of a find."""

from __future__ import annotations

import json
import tracemalloc
import uuid
from collections.abc import Callable

import numpy as np
import pytest

from earmark.errors import LedgerError
from earmark.nonce import Bfsk, Issue, Nonce, NonceSettings, StaleReport, recall
from earmark.signal import RATE_HZ, Signal

NonceOf = Callable[..., Nonce]
Make = Callable[..., Signal]


@pytest.fixture(scope="session")
def issue(wave: Bfsk, nonce_of: NonceOf) -> Callable[..., Issue]:
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


def test_a_find_names_session_device_place_and_time(
    settings: NonceSettings,
    issue: Callable[..., Issue],
    nonce_of: NonceOf,
    played: Make,
    heard: Make,
) -> None:
    recording = heard(played(nonce_of(3), 60), snr_db=0.0)
    report = recall(recording, [issue(seed) for seed in range(10)], settings)
    assert report.found
    assert report.searched == 10
    assert report.chance < 1e-10
    assert report.score > 8.0
    assert (report.session, report.device, report.place, report.recorded_at) == (
        issue(3).session,
        "hall",
        "by the door",
        1_700_000_003.0,
    )


@pytest.mark.parametrize("bits", [32, 40, 64, 128])
def test_every_width_of_payload_is_recognised_beyond_its_first_cycle(
    issue: Callable[..., Issue], nonce_of: NonceOf, played: Make, heard: Make, bits: int
) -> None:
    """Of a late part of the nonce, where a wrong width would have the wrong bits."""
    settings = NonceSettings(payload_bits=bits)
    slots = 2 * bits + 24
    late = round((2 * bits) * 0.05 * RATE_HZ)
    recording = heard(played(nonce_of(1, bits), slots), snr_db=0.0)[late:]
    report = recall(recording, [issue(k, slots, bits=bits) for k in (1, 2)], settings)
    assert report.found
    assert report.session == issue(1).session


def test_nothing_found_names_nobody(settings: NonceSettings, issue: Callable[..., Issue]) -> None:
    noise = np.random.default_rng(1).standard_normal(2 * RATE_HZ).astype(np.float32)
    report = recall(noise, [issue(seed) for seed in range(10)], settings)
    assert not report.found
    assert report.chance > settings.stale_false_alarm
    assert (report.session, report.device, report.place, report.recorded_at) == (None,) * 4


def test_the_limit_is_the_settings(
    settings: NonceSettings,
    issue: Callable[..., Issue],
    nonce_of: NonceOf,
    played: Make,
    heard: Make,
) -> None:
    recording = heard(played(nonce_of(1), 60), snr_db=-14.0, seed=2)
    chance = recall(recording, [issue(1)], settings).chance
    assert 1e-30 < chance < 0.01
    for limit, found in ((min(0.01, 1.1 * chance), True), (0.9 * chance, False)):
        chosen = NonceSettings(stale_false_alarm=limit)
        assert recall(recording, [issue(1)], chosen).found is found


def test_an_empty_ledger_finds_nothing(settings: NonceSettings) -> None:
    noise = np.zeros(2 * RATE_HZ, np.float32)
    assert recall(noise, [], settings) == StaleReport(0, 1.0, False, 0.0)


def test_a_session_that_was_cut_off_is_found_all_the_same(
    settings: NonceSettings,
    issue: Callable[..., Issue],
    nonce_of: NonceOf,
    played: Make,
    heard: Make,
) -> None:
    """A power cut leaves no number of slots."""
    recording = heard(played(nonce_of(4), 60), snr_db=0.0)
    report = recall(recording, [issue(4, None), issue(5, None)], settings)
    assert report.found
    assert report.session == issue(4).session


def test_one_of_an_earlier_setting_is_recognised(
    settings: NonceSettings,
    issue: Callable[..., Issue],
    nonce_of: NonceOf,
    played: Make,
    heard: Make,
) -> None:
    old = Bfsk(16.0, 1000.0, 4000.0, 16, 0.01)
    recording = heard(played(nonce_of(6), 40, old), snr_db=0.0)
    report = recall(recording, [issue(6, 40, form=old), issue(7)], settings)
    assert report.found
    assert report.session == issue(6).session


def test_an_entry_that_claims_to_be_endless_costs_no_more_memory(
    settings: NonceSettings, issue: Callable[..., Issue]
) -> None:
    """100,000 slots are what the ledger takes; the search would need 2 GB for them."""
    noise = np.random.default_rng(1).standard_normal(2 * RATE_HZ).astype(np.float32)
    tracemalloc.start()
    report = recall(noise, [issue(k, 100_000) for k in range(8)], settings)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert not report.found
    assert peak < 100e6


# Failures


@pytest.mark.parametrize(
    "other",
    [
        {"waveform": '{"kind": "spread"}'},
        {"waveform": "{}"},
        {"hop_key": b"short"},
    ],
)
def test_an_entry_that_cannot_be_searched_for_is_an_error(
    settings: NonceSettings, issue: Callable[..., Issue], other: dict[str, object]
) -> None:
    """Not skipped: a recording with that nonce would pass for fresh."""
    noise = np.zeros(2 * RATE_HZ, np.float32)
    with pytest.raises(LedgerError, match=r"cannot look for .*(waveform|hop key).*update Earmark"):
        recall(noise, [issue(1), issue(2, **other)], settings)


def test_a_waveform_out_of_range_is_an_error(
    settings: NonceSettings, issue: Callable[..., Issue], wave: Bfsk
) -> None:
    text = json.dumps(json.loads(wave.to_json()) | {"channels": 10**9})
    with pytest.raises(LedgerError, match="out of range"):
        recall(np.zeros(2 * RATE_HZ, np.float32), [issue(1, waveform=text)], settings)
