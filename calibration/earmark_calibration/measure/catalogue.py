"""Every measurement that is taken, declared: its unit, its limits, and what to do outside them.

A limit that the device itself has (the largest clock difference that it compensates, the longest
round trip that it searches) is taken from its settings, so that the two cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass

from earmark.nonce import NonceSettings
from earmark_calibration.declared import Band, Declared

SILENT_DBFS = -96.0
"""Below this a microphone is silent: what the last bit of a 16-bit converter alone gives (-98)."""

WEAK_DB = -30.0
"""A loudspeaker whose sound arrives so much weaker than it was handed over, dB, is too weak.
Beside the microphone it arrives about as strong as it was; a nonce of 40 dB SPL at 1 m would be
33 dB SPL there, as weak as the microphone's own noise."""

SWING_DB = 6.0
"""Noise that swings by more is made by somebody: speech and music swing by 10 dB and more. Steady
noise of so little width as a refrigerator's hum swings by 3 dB in steps of 0.25 s."""

DRIFT_ERROR_PPM = 5.0
"""What the reading of a clock difference may be off by, ppm: one at the limit is within it."""

SHIFT_ERROR_HZ = 0.5
"""The same for a frequency shift, Hz."""

MOST_HEADROOM_DB = 60.0
"""A microphone that the loudest step leaves so far below full scale is turned down too much."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The declarations, by what they are of."""

    noise_level: Declared
    noise_dbspl: Declared
    noise_swing: Declared
    headroom: Declared
    loop_gain: Declared
    delay: Declared
    delay_samples: Declared
    delay_jitter: Declared
    drift: Declared
    frequency_shift: Declared
    response_ripple: Declared
    upper_edge: Declared
    distortion: Declared
    rt60: Declared
    canceller_depth: Declared
    canceller_left: Declared

    @classmethod
    def of(cls, nonce: NonceSettings) -> Catalogue:
        """The declarations for a device with these settings."""
        drift, shift = nonce.max_drift_ppm, nonce.max_shift_hz
        one_clock = "take loudspeaker and microphone from one sound card: two have two clocks"
        no_shift = "turn off what shifts frequencies, such as a feedback suppressor"
        return cls(
            noise_level=Declared(
                "noise_level",
                "dBFS",
                "Level of the room when nothing is played, unweighted, from 10 Hz up.",
                passes=Band(-90.0, -50.0),
                marginal=Band(SILENT_DBFS, -40.0),
                too_low="check that the microphone is plugged in and turned up",
                too_high="make the room quieter, or move the device away from the noise",
            ),
            noise_dbspl=Declared(
                "noise_dbspl",
                "dB SPL",
                "The same as sound pressure, by the stated reference. Speech at 1 m is 60.",
                passes=Band(high=50.0),
                marginal=Band(high=60.0),
                too_high="make the room quieter, or move the device away from the noise",
            ),
            noise_swing=Declared(
                "noise_swing",
                "dB",
                "From the level exceeded 90 % of the time to the one exceeded 10 %.",
                passes=Band(high=SWING_DB),
                too_high="wait until nobody speaks and nothing else plays, and measure again",
            ),
            headroom=Declared(
                "headroom",
                "dB",
                "How far the loudest playback (70 dB SPL at 1 m) stays below the converter's "
                "full scale.",
                passes=Band(6.0, MOST_HEADROOM_DB - 10.0),
                marginal=Band(1.0, MOST_HEADROOM_DB),
                too_low="turn the microphone's gain down",
                too_high="turn the microphone's gain up",
            ),
            loop_gain=Declared(
                "loop_gain",
                "dB",
                "Level of the recording over that of the playback, direct sound alone.",
                passes=Band(WEAK_DB + 10.0, 30.0),
                marginal=Band(WEAK_DB, 40.0),
                too_low="turn the loudspeaker up, and see that nothing covers it",
                too_high="turn the loudspeaker or the microphone's gain down",
            ),
            delay=Declared(
                "delay",
                "s",
                "From handing a sample to the port to getting it back. The device searches up "
                f"to {nonce.max_delay_s:g} s.",
                passes=Band(0.0, 0.8 * nonce.max_delay_s),
                marginal=Band(0.0, nonce.max_delay_s),
                too_low="look at the clocks: a sound cannot come back before it was played",
                too_high="give the sound server a shorter latency, or use ALSA directly",
            ),
            delay_samples=Declared(
                "delay_samples",
                "samples at 48 kHz",
                "The same, with its fraction: one is 21 microseconds.",
                passes=Band(),
            ),
            delay_jitter=Declared(
                "delay_jitter",
                "µs",
                "Standard deviation of the delay about its line over 8 s. The nonce is blurred "
                "once it nears half a period of its highest tones (70 µs).",
                passes=Band(high=10.0),
                marginal=Band(high=35.0),
                too_high="use ALSA directly: a resampler that adapts is in the way",
            ),
            drift=Declared(
                "drift",
                "ppm",
                "How much faster the playback's clock runs than the recording's. The device "
                f"compensates up to {drift:g}.",
                passes=Band(-2.0 / 3.0 * drift, 2.0 / 3.0 * drift),
                marginal=Band(-drift - DRIFT_ERROR_PPM, drift + DRIFT_ERROR_PPM),
                too_low=one_clock,
                too_high=one_clock,
            ),
            frequency_shift=Declared(
                "frequency_shift",
                "Hz",
                "Shift of all frequencies by the same amount. The device compensates up to "
                f"{shift:g}.",
                passes=Band(-0.5 * shift, 0.5 * shift),
                marginal=Band(-shift - SHIFT_ERROR_HZ, shift + SHIFT_ERROR_HZ),
                too_low=no_shift,
                too_high=no_shift,
            ),
            response_ripple=Declared(
                "response_ripple",
                "dB",
                "Between the strongest and the weakest third of an octave of the nonce's band.",
                passes=Band(high=20.0),
                marginal=Band(high=30.0),
                too_high="move the device away from walls, and see that nothing covers "
                "loudspeaker or microphone",
            ),
            upper_edge=Declared(
                "upper_edge",
                "Hz",
                "Highest third of an octave within 20 dB of the middle one.",
                passes=Band(low=6000.0),
                marginal=Band(low=4900.0),
                too_low="look for cloth over the loudspeaker, and for a link of low rate "
                "(Bluetooth hands-free) in between",
            ),
            distortion=Declared(
                "distortion",
                "%",
                "Second and third harmonic, median of the thirds of octaves from 300 Hz to 2 kHz, "
                "at the level of the sweep.",
                passes=Band(high=3.0),
                marginal=Band(high=10.0),
                too_high="turn the loudspeaker down, and look for what rattles",
            ),
            rt60=Declared(
                "rt60",
                "s",
                "Time in which the room's sound falls by 60 dB, from 200 Hz to 7 kHz.",
                passes=Band(high=0.8),
                marginal=Band(high=1.2),
                too_high="curtains, a carpet or another place make the room ring less",
            ),
            canceller_depth=Declared(
                "canceller_depth",
                "dB",
                "How far the level in the nonce's band falls when the nonce is taken out: at "
                "most down to the noise of the room.",
                passes=Band(),
            ),
            canceller_left=Declared(
                "canceller_left",
                "dB",
                "What is left in the nonce's band, over the noise of the room. Old nonces are "
                "looked for in it.",
                passes=Band(high=3.0),
                marginal=Band(high=nonce.spread.max_self_noise_db),
                too_high="look at distortion, clocks and delay: they limit the canceller",
            ),
        )
