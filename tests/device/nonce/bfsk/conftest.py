"""Nonces in tones."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from earmark.nonce import Bfsk, BfskCarrier, Nonce
from earmark.signal import Signal


@pytest.fixture(scope="session")
def played(
    played: Callable[..., Signal], in_tones: Callable[..., BfskCarrier], wave: Bfsk
) -> Callable[..., Signal]:
    """What the player hands out, to its last sample."""

    def play(nonce: Nonce, slots: int, form: Bfsk = wave) -> Signal:
        return played(in_tones(nonce, form), slots)

    return play
