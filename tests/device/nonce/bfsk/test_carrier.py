"""A nonce in tones as the rest of Earmark sees it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import astuple

import numpy as np
import pytest

from earmark.nonce import Bfsk, BfskCarrier, Nonce, NonceSettings
from earmark.nonce.bfsk import verify
from earmark.signal import RATE_HZ, Signal

NonceOf = Callable[..., Nonce]
Make = Callable[..., Signal]
FORMS = [Bfsk(rate, 3000.0, 6000.0, 8, ramp_s) for rate, ramp_s in ((20.0, 5e-3), (23.0, 2e-3))]


@pytest.fixture(params=FORMS, ids=lambda form: f"{form.bit_rate_hz:g} bit/s")
def carrier(
    request: pytest.FixtureRequest, in_tones: Callable[..., BfskCarrier], nonce_of: NonceOf
) -> BfskCarrier:
    return in_tones(nonce_of(1), request.param)


def test_it_tells_the_ledger_all_that_it_takes_to_rebuild_it(carrier: BfskCarrier) -> None:
    nonce = Nonce(carrier.payload, 8 * len(carrier.payload), carrier.hop_key)
    assert nonce == carrier.nonce
    assert Bfsk.from_json(carrier.waveform) == carrier.wave


def test_its_times_and_band_are_those_of_the_waveform(carrier: BfskCarrier) -> None:
    assert carrier.slot_s == 1.0 / carrier.wave.bit_rate_hz
    assert carrier.cycle_s == pytest.approx(32 * carrier.slot_s)
    assert carrier.cycle_s == pytest.approx(carrier.settings.cycle_s)
    assert carrier.band_hz == (3000.0, 6000.0)
    assert carrier.tail == 0


def test_its_sound_is_the_waveform_at_root_mean_square_1(carrier: BfskCarrier) -> None:
    sound = carrier.render(0, round(40 * carrier.slot_s * RATE_HZ))
    assert sound.dtype == np.float32
    assert np.sqrt(np.mean(sound.astype(np.float64) ** 2)) == pytest.approx(1.0, rel=0.01)
    wave = carrier.wave.render(carrier.nonce, sound.size)
    assert sound / np.abs(sound).max() == pytest.approx(wave / np.abs(wave).max(), abs=1e-6)


@pytest.mark.parametrize("slots", [None, 0, 7])
def test_in_pieces_it_is_the_same_sound_and_ends_with_the_slots(
    carrier: BfskCarrier, slots: int | None
) -> None:
    whole = carrier.render(0, 10_000, slots)
    edges = [0, 1, 320, 777, 5000, 5001, 9990, 10_000]
    pieces = [carrier.render(a, b - a, slots) for a, b in itertools.pairwise(edges)]
    assert np.concatenate(pieces) == pytest.approx(whole, abs=1e-5)
    if slots is not None:
        end = round(slots * carrier.slot_s * RATE_HZ)
        assert not whole[end:].any()
        assert whole[:end] == pytest.approx(carrier.render(0, end), abs=1e-6)


def test_it_finds_itself_as_its_receiver_does(
    settings: NonceSettings, nonce_of: NonceOf, played: Make, heard: Make
) -> None:
    nonce = nonce_of(2)
    recording = heard(played(nonce, 40), snr_db=10.0)
    report = BfskCarrier(nonce, settings).verify(recording, 0.0, 40)
    assert report.bit_errors == 0
    assert astuple(report) == astuple(verify(recording, nonce, 0.0, 40, settings))


def test_it_does_not_show_its_secrets(carrier: BfskCarrier) -> None:
    for secret in (carrier.payload, carrier.hop_key):
        assert secret.hex() not in repr(carrier)
        assert repr(secret)[2:-1] not in repr(carrier)
