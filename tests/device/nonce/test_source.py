"""Where nonces come from: fresh bits in the waveform of the settings, and the banks of before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from earmark.errors import KeyringError
from earmark.nonce import (
    BfskCarrier,
    FixedKeys,
    NonceSettings,
    Source,
    SpreadCarrier,
    SpreadSettings,
    entropy_bytes,
)
from earmark.nonce.keys import DAY_S, EpochKey, epoch_key

NOW = 1_800_000_000.0
SECRET = bytes(range(32))
TONES = NonceSettings(waveform="bfsk")
CODES = NonceSettings(waveform="spread")


class Dice:
    """Random bytes from a seed; keeps what it gave."""

    def __init__(self, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        self.given: list[bytes] = []

    def __call__(self, count: int) -> bytes:
        self.given.append(self._random.bytes(count))
        return self.given[-1]


class Noted(FixedKeys):
    """Keys that tell what they were asked, and can fail."""

    def __init__(self, fails: str = "") -> None:
        super().__init__(SECRET)
        self.asked: list[tuple[str, float]] = []
        self._fails = fails

    def _ask(self, what: str, now: float) -> None:
        self.asked.append((what, now))
        if what == self._fails:
            raise KeyringError("the keys cannot be read", "restore them")

    def current(self, now: float) -> EpochKey:
        self._ask("current", now)
        return super().current(now)

    def note_used(self, key: EpochKey, now: float) -> None:
        self._ask("note_used", now)

    def remembered(self, now: float) -> Sequence[EpochKey]:
        self._ask("remembered", now)
        return super().remembered(now)


# What is drawn


@pytest.mark.parametrize("bits", [32, 64, 256])
def test_tones_are_their_entropy_bit_for_bit(bits: int) -> None:
    dice, keys = Dice(), Noted()
    settings = NonceSettings(waveform="bfsk", payload_bits=bits)
    carrier = Source(settings, keys).draw(dice, NOW)
    assert isinstance(carrier, BfskCarrier)
    assert dice.given == [carrier.payload + carrier.hop_key]
    assert (len(carrier.payload), len(dice.given[0])) == (bits // 8, entropy_bytes(bits))
    assert keys.asked == [], "tones need no key"


@pytest.mark.parametrize("bits", [32, 64, 256])
def test_codes_are_their_entropy_in_the_bank_of_the_epoch(bits: int) -> None:
    dice, keys = Dice(), Noted()
    settings = NonceSettings(waveform="spread", payload_bits=bits)
    carrier = Source(settings, keys).draw(dice, NOW)
    assert isinstance(carrier, SpreadCarrier)
    assert dice.given == [carrier.payload]
    assert (len(carrier.payload), carrier.hop_key) == (bits // 8, b"")
    key = FixedKeys(SECRET).current(NOW)
    assert (carrier.bank.secret_id, carrier.bank.epoch) == (key.secret_id, key.epoch)
    # An epoch is remembered before anything of it can be played.
    assert keys.asked == [("current", NOW), ("note_used", NOW)]


@pytest.mark.parametrize("settings", [TONES, CODES], ids=lambda s: s.waveform)
def test_every_draw_is_fresh_and_lasts_as_the_settings_say(settings: NonceSettings) -> None:
    source, dice = Source(settings, FixedKeys(SECRET)), Dice()
    carriers = [source.draw(dice, NOW) for _ in range(20)]
    assert len({carrier.payload for carrier in carriers}) == 20
    assert [carrier.cycle_s for carrier in carriers] == pytest.approx([settings.cycle_s] * 20)


def test_the_band_is_that_of_the_settings() -> None:
    settings = NonceSettings(spread=SpreadSettings(band_low_hz=300.0, band_high_hz=5000.0))
    source = Source(settings, FixedKeys(SECRET))
    carrier = source.draw(Dice(), NOW)
    assert carrier.band_hz == (300.0, 5000.0)
    assert {bank.band_hz for bank in source.banks(NOW)} == {(300.0, 5000.0)}


# The banks of before


@pytest.mark.parametrize("settings", [TONES, CODES], ids=lambda s: s.waveform)
def test_old_codes_are_recognised_whatever_is_played_now(settings: NonceSettings) -> None:
    source = Source(settings, FixedKeys(SECRET, epoch_days=10, epochs_kept=3))
    last = int(NOW // (10 * DAY_S))
    assert [bank.epoch for bank in source.banks(NOW)] == [last, last - 1, last - 2]


def test_the_bank_of_a_draw_is_among_them_and_made_once() -> None:
    """The search leaves the current nonce out by its very bank."""
    source = Source(CODES, FixedKeys(SECRET))
    first, second = (source.draw(Dice(seed), NOW) for seed in (1, 2))
    assert isinstance(first, SpreadCarrier)
    assert isinstance(second, SpreadCarrier)
    assert first.bank is second.bank is source.banks(NOW)[0]
    assert source.banks(NOW) == source.banks(NOW + 1.0)


def test_a_new_epoch_has_a_bank_of_its_own_and_the_old_one_is_kept() -> None:
    source = Source(CODES, FixedKeys(SECRET, epoch_days=10))
    then, now = NOW, NOW + 10 * DAY_S
    old, new = source.draw(Dice(), then), source.draw(Dice(), now)
    assert isinstance(old, SpreadCarrier)
    assert isinstance(new, SpreadCarrier)
    assert new.bank.epoch == old.bank.epoch + 1
    assert source.banks(now) == [new.bank, old.bank]
    assert not np.array_equal(new.bank.chips, old.bank.chips)


# Keys in memory


def test_fixed_keys_are_those_of_the_secret() -> None:
    keys = FixedKeys(SECRET, epoch_days=10, epochs_kept=3)
    epoch = int(NOW // (10 * DAY_S))
    assert keys.current(NOW) == epoch_key(SECRET, epoch)
    assert keys.remembered(NOW) == [epoch_key(SECRET, epoch - k) for k in range(3)]
    assert FixedKeys(bytes(32), epoch_days=10).current(NOW) != keys.current(NOW)


@pytest.mark.parametrize(("now", "epochs"), [(0.0, [0]), (11 * DAY_S, [1, 0]), (-5.0, [0])])
def test_before_the_first_epoch_there_are_none(now: float, epochs: list[int]) -> None:
    keys = FixedKeys(SECRET, epoch_days=10, epochs_kept=4)
    assert [key.epoch for key in keys.remembered(now)] == epochs


# Failures


@pytest.mark.parametrize("fails", ["current", "note_used"])
def test_without_its_key_no_nonce_is_drawn(fails: str) -> None:
    source = Source(CODES, Noted(fails))
    with pytest.raises(KeyringError):
        source.draw(Dice(), NOW)


def test_without_keys_there_are_no_banks() -> None:
    with pytest.raises(KeyringError):
        Source(TONES, Noted("remembered")).banks(NOW)


@pytest.mark.parametrize("given", [0, 1, 3, 19])
def test_too_little_entropy_makes_no_tones(given: int) -> None:
    with pytest.raises(ValueError, match="byte"):
        Source(TONES, FixedKeys(SECRET)).draw(lambda _: bytes(given), NOW)


def test_more_banks_than_are_kept_in_memory_are_still_the_current_one() -> None:
    """The key ring allows up to 48; the current nonce must be known as such with any number."""
    source = Source(CODES, FixedKeys(SECRET, epoch_days=1, epochs_kept=12))
    carrier = source.draw(Dice(), NOW)
    assert isinstance(carrier, SpreadCarrier)
    for _ in range(2):
        assert any(bank.name == carrier.bank.name for bank in source.banks(NOW))
