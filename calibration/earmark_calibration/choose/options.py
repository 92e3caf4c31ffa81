"""The options: the few settings of the nonce that are compared with each other.

The waveform stays what it is: tones can be filtered out of a recording for nothing, so they are
never chosen in the place of codes. With codes the band is chosen; their slot is fixed (256 ms).
With tones, the band and the bit rate. The level is found for each of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from earmark.nonce import BfskSettings, NonceSettings
from earmark.signal import Signal
from earmark_calibration.choose.loudness import (
    BANDS_HZ,
    Levels,
    in_dbspl,
    loudness_sone,
    phon_of,
    power_spectrum,
    response_power,
    third_octaves,
)
from earmark_calibration.choose.place import Place
from earmark_calibration.choose.trial import NOW_S, source

SPREAD_BANDS_HZ = ((500.0, 7000.0), (300.0, 5000.0), (500.0, 4000.0), (1000.0, 7000.0))
"""Bands of codes: the default; lower, where ears are dull and small loudspeakers still radiate;
speech's own, for recordings that keep little else; and without what fans and traffic drown."""

BFSK = ((20.0, 4000.0, 6000.0, 16), (12.5, 4000.0, 6000.0, 16), (20.0, 2500.0, 4500.0, 16))
"""Bit rate, band and channels of tones: the default; slower, for rooms that ring; and lower, where
a small loudspeaker is stronger."""

STEP_DB = 2.0
"""Steps of the level: a difference of loudness that is just heard."""

LEAST_DBSPL_1M = 24.0
"""Lowest level that is tried, dB SPL at 1 m: the noise of the quietest bedrooms."""


def parameters(settings: NonceSettings) -> dict[str, float | int | str]:
    """The parameters that are chosen, by their key in the device's settings."""
    found: dict[str, float | int | str] = {
        "nonce.waveform": settings.waveform,
        "nonce.level_dbspl_1m": settings.level_dbspl_1m,
        "nonce.max_bit_error_rate": settings.max_bit_error_rate,
        "nonce.min_covered_s": settings.min_covered_s,
    }
    if settings.waveform == "spread":
        found["nonce.spread.band_low_hz"] = settings.spread.band_low_hz
        found["nonce.spread.band_high_hz"] = settings.spread.band_high_hz
    else:
        found["nonce.bfsk.bit_rate_hz"] = settings.bfsk.bit_rate_hz
        found["nonce.bfsk.band_low_hz"] = settings.bfsk.band_low_hz
        found["nonce.bfsk.band_high_hz"] = settings.bfsk.band_high_hz
    return found


def shapes(now: NonceSettings) -> tuple[NonceSettings, ...]:
    """The settings of today and their alternatives, at the level of today."""
    if now.waveform == "spread":
        others = [
            now.spread.model_copy(update={"band_low_hz": low, "band_high_hz": high})
            for low, high in SPREAD_BANDS_HZ
        ]
        found = [now, *(now.model_copy(update={"spread": each}) for each in others)]
    else:
        tones = [
            BfskSettings(
                **(
                    now.bfsk.model_dump()
                    | {
                        "bit_rate_hz": rate,
                        "band_low_hz": low,
                        "band_high_hz": high,
                        "channels": channels,
                    }
                )
            )
            for rate, low, high, channels in BFSK
        ]
        found = [now, *(now.model_copy(update={"bfsk": each}) for each in tones)]
    return tuple(dict.fromkeys(found))


def levels(cap_dbspl_1m: float) -> tuple[float, ...]:
    """The levels that are tried, ascending, up to the cap."""
    count = int((cap_dbspl_1m - LEAST_DBSPL_1M) / STEP_DB + 1e-9)
    # From the cap downwards, so that the cap itself is among them.
    return tuple(cap_dbspl_1m - STEP_DB * (count - index) for index in range(count + 1))


def at_level(settings: NonceSettings, level_dbspl_1m: float) -> NonceSettings:
    """The same nonce at another level."""
    return settings.model_copy(update={"level_dbspl_1m": level_dbspl_1m})


def described(settings: NonceSettings) -> str:
    """The settings in words."""
    level = f"{settings.level_dbspl_1m:g} dB SPL at 1 m"
    if settings.waveform == "spread":
        codes = settings.spread
        return f"codes of {codes.band_low_hz:g}-{codes.band_high_hz:g} Hz at {level}"
    tones = settings.bfsk
    return (
        f"tones of {tones.band_low_hz:g}-{tones.band_high_hz:g} Hz at {tones.bit_rate_hz:g} bit/s "
        f"and {level}"
    )


@dataclass(frozen=True)
class Heard:
    """How the nonce sounds to somebody at 1 m.

    Parameters
    ----------
    sone, phon : loudness and loudness level of the nonce alone.
    added_sone : by how much it raises the loudness of the room.
    over_ambient_db : its level over the noise in its band, dB.
    """

    sone: float
    phon: float
    added_sone: float
    over_ambient_db: float


def heard_at_1m(settings: NonceSettings, place: Place) -> Heard:
    """How loud the nonce is at 1 m in this place: the loudspeaker's colour and the noise count."""
    nonce = _third_octaves_at_1m(settings, place)
    ambient = in_dbspl(third_octaves(place.noise_psd), place.audio)
    both = 10.0 * np.log10(10.0 ** (nonce / 10.0) + 10.0 ** (ambient / 10.0))
    sone = loudness_sone(nonce)
    low, high = source(settings, _ANY_SECRET).draw(_zeros, NOW_S).band_hz
    inside = (np.array(BANDS_HZ) >= low * 0.99) & (np.array(BANDS_HZ) <= high * 1.01)
    return Heard(
        sone=sone,
        phon=phon_of(sone),
        added_sone=max(0.0, loudness_sone(both) - loudness_sone(ambient)),
        over_ambient_db=_sum_db(nonce[inside]) - _sum_db(ambient[inside]),
    )


_ANY_SECRET = bytes(32)
"""The loudness does not depend on the codes: a band filter has shaped all of them."""


def _third_octaves_at_1m(settings: NonceSettings, place: Place) -> Levels:
    """Third-octave levels of the nonce at 1 m, dB SPL: in sum, the settings' level."""
    sound: Signal = source(settings, _ANY_SECRET).draw(_counted, NOW_S).render(0, 32_768)
    psd = power_spectrum(sound) * response_power(_own_response(place))
    psd *= 10.0 ** (settings.level_dbspl_1m / 10.0) / float(psd.sum())
    return third_octaves(psd)


def _own_response(place: Place) -> Signal:
    """The loudspeaker's own response: the first 3 ms."""
    first = max(0, place.direct - 32)
    return place.at_1m[first : place.direct + 48]


def _sum_db(levels_db: Levels) -> float:
    return float(10.0 * np.log10(np.sum(10.0 ** (levels_db / 10.0))))


def _zeros(count: int) -> bytes:
    return bytes(count)


def _counted(count: int) -> bytes:
    """Bits with every symbol in them."""
    return bytes((37 * index + 11) % 256 for index in range(count))
