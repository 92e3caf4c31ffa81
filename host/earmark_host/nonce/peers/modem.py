"""What the peers have in common: four bytes in, sound out, and back."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from earmark.signal import Signal

PAYLOAD_BYTES = 4
"""Payload of every peer: the 32 bits of a nonce (AEOLUS 3.2)."""


class Modem(Protocol):
    """Sends a payload as sound and finds it again in a recording, both at ``RATE_HZ``."""

    @property
    def name(self) -> str:
        """What tables and plots call it."""

    @property
    def payload_bytes(self) -> int:
        """Length of the payload, bytes."""

    @property
    def seconds(self) -> float:
        """Duration of one message, s."""

    def encode(self, payload: bytes) -> Signal:
        """The complete message once, float32, peak at most 1.

        Raises
        ------
        ValueError
            The payload has another length than `payload_bytes`.
        """

    def decode(self, recording: Signal) -> bytes | None:
        """The payload of a message anywhere in `recording`; None when nothing decodes.

        Raises
        ------
        ValueError
            The recording is not 1-D or not finite.
        """


def checked_payload(payload: bytes) -> bytes:
    """`payload`, or ValueError when it is not :data:`PAYLOAD_BYTES` long."""
    if len(payload) != PAYLOAD_BYTES:
        raise ValueError(f"a payload has {PAYLOAD_BYTES} bytes, not {len(payload)}")
    return payload


def checked_recording(recording: Signal) -> Signal:
    """`recording`, or ValueError when it is not a signal."""
    if recording.ndim != 1 or not np.isfinite(recording).all():
        raise ValueError("a recording is 1-D and finite")
    return recording


def at_most_full_scale(samples: Signal) -> Signal:
    """`samples` as float32, made quieter where their peak is above 1."""
    peak = float(np.max(np.abs(samples), initial=0.0))
    return np.asarray(samples / max(1.0, peak), np.float32)
