"""The nonce and its sound: random bits, hopping channels, click-free tones.

AEOLUS (Zhang et al., RAID 2021), section 3.2: a random number of at least 32 bits, each bit
one cosine (BFSK), the operating frequencies hopping at random (FHSS), repeated for as long
as the user speaks. Here every bit draws its own channel. The channel sequence is drawn from
a key of the session, so it does not repeat with the payload: nobody who has heard one cycle
knows where the next one will be.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from earmark.nonce.settings import NonceSettings
from earmark.signal import RATE_HZ, Signal

HOP_KEY_BYTES = 16
"""Length of the key of a session's hop sequence: 128 bits cannot be guessed."""


@dataclass(frozen=True)
class Nonce:
    """One session's secret: what is sent and where it hops. Never logged.

    Parameters
    ----------
    payload : the random number, `bits` wide, most significant bit first.
    bits : its width.
    hop_key : key of the hop sequence, ``HOP_KEY_BYTES`` long.
    """

    payload: bytes = field(repr=False)
    bits: int
    hop_key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.payload) != math.ceil(self.bits / 8):
            raise ValueError(f"{self.bits} bits need {math.ceil(self.bits / 8)} bytes")
        if len(self.hop_key) != HOP_KEY_BYTES:
            raise ValueError(f"a hop key has {HOP_KEY_BYTES} bytes")

    @classmethod
    def from_entropy(cls, bits: int, entropy: bytes) -> Self:
        """Make a nonce of `bits` bits from fresh random bytes (see :func:`entropy_bytes`)."""
        size = math.ceil(bits / 8)
        return cls(entropy[:size], bits, entropy[size : size + HOP_KEY_BYTES])

    def bit_array(self) -> NDArray[np.int8]:
        """The payload as an array of 0 and 1, shape (bits,)."""
        return np.unpackbits(np.frombuffer(self.payload, np.uint8))[: self.bits].astype(np.int8)


def entropy_bytes(bits: int) -> int:
    """How many random bytes one nonce of `bits` bits needs."""
    return math.ceil(bits / 8) + HOP_KEY_BYTES


@dataclass(frozen=True)
class Bfsk:
    """A BFSK waveform with frequency hopping.

    Parameters
    ----------
    bit_rate_hz : bits (slots) per second.
    low_hz, high_hz : edges of the hop set.
    channels : number of hop channels, two tones each.
    ramp_s : raised-cosine fade at both ends of a tone.

    Raises
    ------
    ValueError
        A parameter is of another type or makes no sense: they may come out of an import.
    """

    bit_rate_hz: float
    low_hz: float
    high_hz: float
    channels: int
    ramp_s: float

    def __post_init__(self) -> None:
        numbers = (self.bit_rate_hz, self.low_hz, self.high_hz, self.ramp_s)
        if not all(isinstance(value, int | float) for value in numbers) or not (
            isinstance(self.channels, int)
            and 1.0 <= self.bit_rate_hz <= 100.0
            and 0.0 <= self.low_hz < self.high_hz <= RATE_HZ / 2
            and 1 <= self.channels <= 64
            and 0.0 < self.ramp_s <= 0.5 / self.bit_rate_hz
        ):
            raise ValueError("not a BFSK waveform: a parameter is out of range")

    @classmethod
    def from_settings(cls, settings: NonceSettings) -> Self:
        """The waveform that the settings describe."""
        return cls(
            settings.bfsk.bit_rate_hz,
            settings.bfsk.band_low_hz,
            settings.bfsk.band_high_hz,
            settings.bfsk.channels,
            settings.bfsk.ramp_s,
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Inverse of :meth:`to_json`. ValueError when the text is not of a BFSK waveform."""
        try:
            fields = json.loads(text)
            if fields.pop("kind", "bfsk") != "bfsk":  # entries of the first version have none
                raise ValueError("not a BFSK waveform")
            return cls(**fields)
        except (TypeError, AttributeError) as error:
            raise ValueError("not a BFSK waveform") from error

    def to_json(self) -> str:
        """The parameters as JSON, kept in the ledger beside each nonce."""
        return json.dumps({"kind": "bfsk", **asdict(self)})

    @property
    def slot_s(self) -> float:
        """Duration of one tone, s."""
        return 1.0 / self.bit_rate_hz

    @property
    def tone_spacing_hz(self) -> float:
        """Distance of neighbouring tones, Hz."""
        return (self.high_hz - self.low_hz) / (2 * self.channels)

    @property
    def tone_hz(self) -> NDArray[np.float64]:
        """All tones, Hz, shape (2 * channels,): tone ``2 c + b`` sends bit b on channel c."""
        return np.asarray(
            self.low_hz + self.tone_spacing_hz * (np.arange(2 * self.channels) + 0.5), np.float64
        )

    def hops(self, nonce: Nonce, slots: int) -> NDArray[np.int64]:
        """Channel of each of the first `slots` slots, drawn from the hop key by SHAKE-256."""
        # Words modulo the channel count: the bias of 2**32 over at most 32 channels is < 1e-8.
        words = np.frombuffer(hashlib.shake_256(nonce.hop_key).digest(4 * slots), "<u4")
        return (words % self.channels).astype(np.int64)

    def tones(self, nonce: Nonce, slots: int) -> NDArray[np.int64]:
        """Tone of each of the first `slots` slots; the payload repeats, the hops do not."""
        bits = np.resize(nonce.bit_array(), slots)
        return 2 * self.hops(nonce, slots) + bits

    def render(
        self,
        nonce: Nonce,
        samples: int,
        *,
        start_s: float = 0.0,
        drift_ppm: float = 0.0,
        shift_hz: float = 0.0,
        rate_hz: int = RATE_HZ,
    ) -> Signal:
        """The nonce as sound, with peak amplitude 1.

        Parameters
        ----------
        samples : how many to render.
        start_s : time within the nonce of the first sample, s; before 0 there is silence.
        drift_ppm : how much faster the player's clock runs than the one of these samples.
        shift_hz : added to every tone.
        rate_hz : sampling rate of the result.

        Returns
        -------
        float32 array of shape (samples,) in [-1, 1].
        """
        clock = start_s + np.arange(samples) / rate_hz
        time = clock * (1.0 + drift_ppm * 1e-6)
        slot = np.floor(time * self.bit_rate_hz).astype(np.int64)
        live = slot >= 0
        if not live.any():
            return np.zeros(samples, np.float32)
        frequency = self.tone_hz[self.tones(nonce, int(slot[-1]) + 1)][np.maximum(slot, 0)]
        within = time - slot * self.slot_s
        edge = np.minimum(within, self.slot_s - within) / self.ramp_s
        envelope = np.where(edge < 1.0, 0.5 - 0.5 * np.cos(np.pi * np.clip(edge, 0, 1)), 1.0)
        # Each tone starts at phase 0 of its own slot: slots stay independent (AEOLUS 3.2),
        # and the fades hide the jump.
        wave = envelope * np.cos(2.0 * np.pi * (frequency * within + shift_hz * clock))
        return np.where(live, wave, 0.0).astype(np.float32)
