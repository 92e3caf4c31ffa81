"""The derivation of keys: as RFC 5869 has it, and independent wherever anything differs."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import math

import numpy as np
import pytest
from pydantic import ValidationError

from earmark.nonce.keys import (
    DAY_S,
    MAX_EPOCH,
    MAX_STREAM_BYTES,
    EpochKey,
    epoch_key,
    epoch_of,
    hkdf_expand,
    hkdf_extract,
    secret_id_of,
)
from earmark.nonce.keys_settings import KeysSettings

SECRET = bytes(range(32))


@pytest.mark.parametrize(
    ("material", "salt", "info", "key", "output"),
    [
        (
            "0b" * 22,
            "000102030405060708090a0b0c",
            "f0f1f2f3f4f5f6f7f8f9",
            "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            "0b" * 22,
            "",
            "",
            "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ],
    ids=["A.1", "A.3"],
)
def test_hkdf_is_that_of_rfc_5869(
    material: str, salt: str, info: str, key: str, output: str
) -> None:
    extracted = hkdf_extract(bytes.fromhex(salt), bytes.fromhex(material))
    assert extracted.hex() == key
    assert hkdf_expand(extracted, bytes.fromhex(info), 42).hex() == output


def test_derivation_stays_as_it_was() -> None:
    """Computed with another implementation (cryptography 50.0.2).

    Whoever changes a label makes every device forget every recording: then a new version.
    """
    key = epoch_key(SECRET, 115)
    assert (key.secret_id, key.epoch) == ("9380d117", 115)
    assert key.key.hex() == "f822cb508feec456c0772e9d888728a8578c5e81b0572a6fca599ecf949fc26e"
    stream = key.stream("code", 7, MAX_STREAM_BYTES)
    assert stream[:16].hex() == "1913acb09ee9b86063414ff13118f2e2"
    digest = "9514e0901c3bd61d1c928786d5e15f380bc27b7801aaa4fdb23fe83c2c3bba47"
    assert hashlib.sha256(stream).hexdigest() == digest


def test_everything_that_differs_gives_another_stream() -> None:
    other = bytes(reversed(SECRET))
    keys = [epoch_key(s, e) for s in (SECRET, other) for e in (0, 1, 256, MAX_EPOCH)]
    places = itertools.product(("code", "slot", "c", "code-1"), (0, 1, 256, 2**64 - 1))
    arguments = [(key, *place) for key, place in itertools.product(keys, places)]
    streams = {key.stream(label, index, 16) for key, label, index in arguments}
    assert len(streams) == len(arguments)
    assert len({key.key for key in keys}) == len(keys)
    assert len({key.secret_id for key in keys}) == 2


def test_codes_of_a_bank_are_balanced_and_unrelated() -> None:
    """16 codes of 4,096 chips: means and correlations as of fair coins, within 6 sigma."""
    key = epoch_key(SECRET, 3)
    raw = [np.frombuffer(key.stream("code", index, 512), np.uint8) for index in range(16)]
    chips = 2.0 * np.unpackbits(np.array(raw), axis=1) - 1.0
    assert chips.shape == (16, 4096)
    limit = 6.0 / math.sqrt(4096)
    assert np.abs(chips.mean(axis=1)).max() < limit
    assert np.abs(chips @ chips.T / 4096 - np.eye(16)).max() < limit


def test_shorter_stream_is_the_beginning_of_a_longer_one() -> None:
    key = epoch_key(SECRET, 0)
    longest = key.stream("slot", 5, MAX_STREAM_BYTES)
    for size in (0, 1, 31, 32, 33, 512):
        assert key.stream("slot", 5, size) == longest[:size]


def test_no_key_is_printed() -> None:
    key = epoch_key(SECRET, 115)
    for text in (repr(key), str(key), f"{key}", repr([key])):
        assert "9380d117" in text
        assert key.key.hex() not in text
        assert repr(key.key)[2:-1] not in text


def test_epochs_follow_the_calendar() -> None:
    assert epoch_of(0.0, 180) == 0
    assert epoch_of(180 * DAY_S - 0.001, 180) == 0
    assert epoch_of(180 * DAY_S, 180) == 1
    assert epoch_of(1_800_000_000.0, 180) == 115
    assert epoch_of(1_800_000_000.0, 1) == 20_833


def test_times_off_the_calendar_count_as_its_ends() -> None:
    assert epoch_of(-1e30, 180) == 0
    assert epoch_of(1e30, 1) == MAX_EPOCH
    assert epoch_key(SECRET, epoch_of(1e30, 1)).epoch == MAX_EPOCH


# Failures


@pytest.mark.parametrize("unix_s", [math.nan, math.inf, -math.inf])
def test_time_that_is_none(unix_s: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        epoch_of(unix_s, 180)


def test_epoch_without_a_length() -> None:
    with pytest.raises(ValueError, match="at least a day"):
        epoch_of(0.0, 0)


@pytest.mark.parametrize("epoch", [-1, MAX_EPOCH + 1])
def test_epoch_out_of_range(epoch: int) -> None:
    with pytest.raises(ValueError, match="epoch must be 0 to"):
        epoch_key(SECRET, epoch)


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_secret_of_another_length(size: int) -> None:
    for derive in (secret_id_of, lambda secret: epoch_key(secret, 0)):
        with pytest.raises(ValueError, match="32 bytes"):
            derive(bytes(size))


def test_key_of_another_length() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        EpochKey("00000000", 0, bytes(16))
    with pytest.raises(ValueError, match="32 bytes"):
        dataclasses.replace(epoch_key(SECRET, 0), key=b"")


@pytest.mark.parametrize("label", ["", "Code", "code/1", "code\0", "a" * 33, "é"])
def test_label_that_is_none(label: str) -> None:
    with pytest.raises(ValueError, match="label"):
        epoch_key(SECRET, 0).stream(label, 0, 1)


@pytest.mark.parametrize(("index", "size"), [(-1, 1), (2**64, 1), (0, -1), (0, 8161)])
def test_index_or_size_out_of_range(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="must be 0 to"):
        epoch_key(SECRET, 0).stream("code", index, size)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"epoch_days": 0}, "epoch_days"),
        ({"epoch_days": 3651}, "epoch_days"),
        ({"epochs_kept": 0}, "epochs_kept"),
        ({"epochs_kept": 25, "max_banks": 48}, "epochs_kept"),
        ({"max_banks": 49}, "max_banks"),
        ({"epochs_kept": 4}, "max_banks must be over epochs_kept"),
        ({"secret": "x"}, "secret"),
    ],
)
def test_settings_out_of_range(settings: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        KeysSettings.model_validate(settings)
