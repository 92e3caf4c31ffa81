"""How far the product's own canceller takes the nonce out, on this hardware in this room.

The nonce is played as in a session and taken out as in a session, by the same code. Its depth
cannot be seen below the noise of the room, so what is judged is by how much that which is left
raises the noise: in this the search for old nonces has to work.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import signal as sps

from earmark.nonce import Carrier, NoncePlayer, NonceSettings, clean
from earmark.signal import RATE_HZ, Signal

TAIL_S = 1.0
"""To be recorded after the nonce, s: the round trip and the decay."""

FRAME = 1024
"""Length of a frame of the spectrum, samples."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What the canceller reached.

    Parameters
    ----------
    received : the nonce was there and every bit of it was right.
    snr_db : nonce over everything else in its band.
    depth_db : how far the level in the band fell; the nonce itself fell by at least this.
    left_db : what the nonce's band holds afterwards, over the noise of the room before.
    delay_s : round trip that the receiver found, s.
    """

    received: bool
    snr_db: float
    depth_db: float
    left_db: float
    delay_s: float


def one_cycle(carrier: Carrier, rms: float) -> tuple[Signal, int]:
    """A whole nonce as the player hands it out, and its slots."""
    player = NoncePlayer(carrier, rms)
    while player.slots * carrier.slot_s < carrier.cycle_s - 0.5 / RATE_HZ:
        player.block()
    player.stop()
    return player.whole(), player.slots


def take_out(
    recorded: Signal,
    played: Signal,
    slots: int,
    carrier: Carrier,
    settings: NonceSettings,
    noise: Signal,
) -> Cancelled:
    """Verify a nonce and take it out, as a session does.

    Parameters
    ----------
    recorded : from the nonce's first sample on.
    played, slots : from :func:`one_cycle`.
    noise : a recording of the room without the nonce.
    """
    report = carrier.verify(recorded, 0.0, slots)
    cleaned = clean(recorded, played, 0.0, report, carrier, settings)
    first, last = (max(0, round(at * RATE_HZ)) for at in report.covered)
    covered = cleaned.signal[first:last]
    if not report.present or covered.size < FRAME:
        return Cancelled(False, report.snr_db, 0.0, float("nan"), report.offset_s)
    left = _band_power(covered, carrier.band_hz) / _band_power(noise, carrier.band_hz)
    return Cancelled(
        received=report.complete and report.bit_error_rate <= settings.max_bit_error_rate,
        snr_db=report.snr_db,
        depth_db=cleaned.suppression_db,
        left_db=10.0 * float(np.log10(left)),
        delay_s=report.offset_s,
    )


def _band_power(signal: Signal, band_hz: tuple[float, float]) -> float:
    hz, density = sps.welch(signal.astype(np.float64), RATE_HZ, nperseg=FRAME)
    inside = (hz >= band_hz[0]) & (hz <= band_hz[1])
    return float(density[inside].sum()) + 1e-20
