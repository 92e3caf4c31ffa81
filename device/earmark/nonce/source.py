"""Where a session's nonce comes from: fresh random bits, in the waveform of the settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from earmark.nonce.bfsk import BfskCarrier, Nonce, entropy_bytes
from earmark.nonce.carrier import Carrier
from earmark.nonce.keys import EpochKey, epoch_key, epoch_of
from earmark.nonce.settings import NonceSettings
from earmark.nonce.spread import Bank, Banks, SpreadCarrier


class Keys(Protocol):
    """The keys of the codes; the key ring, or one in memory."""

    def current(self, now: float) -> EpochKey:
        """The epoch to issue nonces in at wall-clock time `now` (s since 1970)."""
        ...

    def note_used(self, key: EpochKey, now: float) -> None:
        """Remember an epoch before the first nonce of it is played."""
        ...

    def remembered(self, now: float) -> Sequence[EpochKey]:
        """Every epoch whose nonces are to be recognised."""
        ...


class FixedKeys:
    """Keys of one secret in memory, for benches and tests.

    Parameters
    ----------
    secret : 32 bytes.
    epoch_days, epochs_kept : as in the settings.
    """

    def __init__(self, secret: bytes, epoch_days: int = 180, epochs_kept: int = 2) -> None:
        self._secret = secret
        self._epoch_days = epoch_days
        self._epochs_kept = epochs_kept

    def current(self, now: float) -> EpochKey:
        """The epoch of `now`."""
        return epoch_key(self._secret, epoch_of(now, self._epoch_days))

    def note_used(self, key: EpochKey, now: float) -> None:
        """Nothing: all epochs follow from the clock."""

    def remembered(self, now: float) -> Sequence[EpochKey]:
        """The epoch of `now` and those before it."""
        last = epoch_of(now, self._epoch_days)
        first = max(0, last - self._epochs_kept + 1)
        return [epoch_key(self._secret, epoch) for epoch in range(last, first - 1, -1)]


class Source:
    """Draws nonces, and knows the banks of those that were drawn before.

    Parameters
    ----------
    settings : waveform and its parameters.
    keys : of the codes. May read and write a file: call the methods beside the audio.
    """

    def __init__(self, settings: NonceSettings, keys: Keys) -> None:
        self._settings = settings
        self._keys = keys
        self._banks = Banks(settings.spread.band_low_hz, settings.spread.band_high_hz)

    def draw(self, entropy: Callable[[int], bytes], now: float) -> Carrier:
        """A fresh nonce.

        Parameters
        ----------
        entropy : gives so many random bytes.
        now : wall clock, s since 1970.

        Raises
        ------
        KeyringError
            The epoch cannot be read or noted: no nonce may be played.
        """
        bits = self._settings.payload_bits
        if self._settings.waveform == "bfsk":
            nonce = Nonce.from_entropy(bits, entropy(entropy_bytes(bits)))
            return BfskCarrier(nonce, self._settings)
        key = self._keys.current(now)
        self._keys.note_used(key, now)
        return SpreadCarrier(entropy(bits // 8), self._banks.of(key), self._settings)

    def prepare(self, now: float) -> None:
        """Make what the first session would otherwise wait for (about a second on a Pi)."""
        percent = self._settings.spread.max_speed_percent
        for bank in self.banks(now)[:1]:
            bank.pieces_f  # noqa: B018 - computed once, when first asked for
            if percent:
                bank.stretched(percent, self._settings.max_shift_hz)

    def banks(self, now: float) -> list[Bank]:
        """The banks whose nonces are to be recognised, whatever is played now.

        Raises
        ------
        KeyringError
            The keys cannot be read.
        """
        return [self._banks.of(key) for key in self._keys.remembered(now)]
