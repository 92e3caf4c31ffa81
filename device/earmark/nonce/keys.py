"""Keys of the spread nonce: household secret -> epoch key -> keyed streams. Pure.

HKDF with SHA-256 (RFC 5869), from ``hmac`` of the standard library: it is ten lines, and
``cryptography`` would put 15 MB on the device for them. The secret is extracted once, with a
salt of our own; what is derived from it differs by a versioned label. An epoch key is uniform
already, so its streams are expanded from it directly (RFC 5869, section 3.3).

Whoever knows the secret can make and find every nonce of the household, of whoever knows an
epoch key those of the epoch. Neither leads back up.
"""

from __future__ import annotations

import hmac
import math
import re
from dataclasses import dataclass, field

DAY_S = 86_400.0
"""One day, s."""

SECRET_BYTES = 32
"""Length of a household secret: as long as what SHA-256 makes of it."""

HASH_BYTES = 32
"""Output of SHA-256, bytes."""

MAX_STREAM_BYTES = 255 * HASH_BYTES
"""Longest stream, bytes: HKDF counts its blocks in one octet (RFC 5869, section 2.3)."""

MAX_UNIX_S = 253_402_300_799.0
"""End of the year 9999, s since 1970: no calendar here goes further."""

MAX_EPOCH = int(MAX_UNIX_S // DAY_S)
"""Highest epoch: the last one of the shortest, a day."""

_SALT = b"earmark/spread/1"
"""A new number here means new keys for everything: old recordings are no longer recognised."""

_LABEL = re.compile(r"[a-z0-9-]{1,32}")


@dataclass(frozen=True)
class EpochKey:
    """The key of one epoch of one secret. Never logged.

    Parameters
    ----------
    secret_id : name of the secret, 8 hexadecimal digits (:func:`secret_id_of`).
    epoch : number of the epoch since 1970 (:func:`epoch_of`).
    key : 32 bytes.
    """

    secret_id: str
    epoch: int
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) != HASH_BYTES:
            raise ValueError(f"an epoch key has {HASH_BYTES} bytes")

    def stream(self, label: str, index: int, size: int) -> bytes:
        """`size` bytes that look random to whoever lacks the key.

        Parameters
        ----------
        label : what they are for, as ``code`` or ``slot``; 1 to 32 of ``a-z``, ``0-9``, ``-``.
        index : which of them, 0 to 2**64 - 1. Every (label, index) is independent.
        size : 0 to 8,160. A shorter stream is the beginning of a longer one.

        Raises
        ------
        ValueError
            An argument is out of its range.
        """
        if not _LABEL.fullmatch(label):
            raise ValueError("label must be 1 to 32 of a-z, 0-9 and -")
        if not 0 <= index < 2**64:
            raise ValueError("index must be 0 to 2**64 - 1")
        # No label holds a zero byte, so that no two (label, index) share their bytes.
        return hkdf_expand(self.key, _info("stream", label.encode() + b"\0", index), size)


def epoch_of(unix_s: float, epoch_days: int) -> int:
    """The epoch at wall-clock time `unix_s` (s since 1970), of `epoch_days` days each.

    A time before 1970 counts as 1970, one after the year 9999 as its end.

    Raises
    ------
    ValueError
        `unix_s` is not finite, or `epoch_days` is not positive.
    """
    if not math.isfinite(unix_s):
        raise ValueError("the time must be finite")
    if epoch_days < 1:
        raise ValueError("an epoch has at least a day")
    return int(min(max(unix_s, 0.0), MAX_UNIX_S) // (epoch_days * DAY_S))


def secret_id_of(secret: bytes) -> str:
    """The name of a secret for display and lookup, 8 hexadecimal digits: 32 bits of its hash.

    Raises
    ------
    ValueError
        The secret has not 32 bytes.
    """
    return hkdf_expand(_extracted(secret), _info("id"), 4).hex()


def epoch_key(secret: bytes, epoch: int) -> EpochKey:
    """The key of `epoch` (0 to :data:`MAX_EPOCH`) of a secret (32 bytes).

    Raises
    ------
    ValueError
        The secret has not 32 bytes, or the epoch is out of its range.
    """
    if not 0 <= epoch <= MAX_EPOCH:
        raise ValueError(f"epoch must be 0 to {MAX_EPOCH}")
    key = hkdf_expand(_extracted(secret), _info("epoch", b"", epoch), HASH_BYTES)
    return EpochKey(secret_id_of(secret), epoch, key)


def hkdf_extract(salt: bytes, material: bytes) -> bytes:
    """A uniform key of 32 bytes out of `material` (RFC 5869, section 2.2)."""
    return hmac.digest(salt, material, "sha256")


def hkdf_expand(key: bytes, info: bytes, size: int) -> bytes:
    """`size` (0 to 8,160) bytes for the purpose `info` (RFC 5869, section 2.3)."""
    if not 0 <= size <= MAX_STREAM_BYTES:
        raise ValueError(f"size must be 0 to {MAX_STREAM_BYTES}")
    blocks = [b""]
    for number in range(1, math.ceil(size / HASH_BYTES) + 1):
        blocks.append(hmac.digest(key, blocks[-1] + info + bytes([number]), "sha256"))
    return b"".join(blocks)[:size]


def _extracted(secret: bytes) -> bytes:
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"a household secret has {SECRET_BYTES} bytes")
    return hkdf_extract(_SALT, secret)


def _info(purpose: str, detail: bytes = b"", index: int = 0) -> bytes:
    return b"earmark/spread/1/" + purpose.encode() + b"\0" + detail + index.to_bytes(8, "big")
