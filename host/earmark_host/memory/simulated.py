"""The four attacks of the query memory paper as simulated streams: their statistics, no victim.

The paper ran CommanderSong (CS), Devil's Whisper (DW), IRTA and the attack on DeepSpeech (DS)
against Kaldi, commercial services, Lingvo and DeepSpeech. None of them is at hand here. What a
query memory sees of an attack is how many queries come, what they start from, and how far each
is from the carrier and from the others; this module makes streams with these numbers from any
carrier. Nobody wins a simulated attack, and each stream says so in ``facts["simulated"]``.

What the paper states is quoted at each profile. The bodies of its tables 1, 2 and 4 are missing
in the text at hand, so the rest are assumptions:

- the first query is the carrier itself (Fig. 2: "for the first time x* = x");
- the SNR passes the paper's FSNR when the first alarm can come: at the 76th query (75 in the
  memory), for DW at the 80th ("require almost 80 queries", section "Parameter selection");
- before that the perturbation grows by one of two laws, see :class:`Growth`;
- a perturbation is a part that stays, where the optimiser is heading, and a part that is new in
  each query; how much stays is :attr:`Profile.persistent`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import signal as sps

from earmark.memory import CarrierKind
from earmark.signal import RATE_HZ, Signal, gain, rms
from earmark_host.memory.lazy import Lazy
from earmark_host.memory.stream import Query, Stream

INTERVAL_S = 10.0
"""Time between two queries, s: one is played (4 s) and answered. No detector depends on it."""

SETTLE_QUERIES = 25
"""Time constant of a bounded perturbation, queries: 95 % of the bound after 75, so that the
paper's FSNR, taken there, is about the SNR at the bound."""

SPEECH_CORNER_HZ = 500.0
"""The average spectrum of speech is flat up to about here, Hz (after Byrne et al. 1994)."""

SPEECH_SLOPE_DB = 9.0
"""... and falls by about this much an octave above, dB."""

MASK_FRAME = 512
"""Frame of the masked shape, samples: 32 ms, as a psychoacoustic model has it."""

Shape: TypeAlias = Literal["white", "speech", "masked"]
"""Spectrum of a perturbation: flat; as the long-term average of speech; as the carrier at each
moment, which hides it under the carrier (psychoacoustic masking)."""

_Vector: TypeAlias = NDArray[np.float64]


class Growth(Enum):
    """How the perturbation's level gets from its first value to its last."""

    BOUNDED = "bounded"
    """The amplitude nears its bound exponentially (:data:`SETTLE_QUERIES`) and stays there: a
    gradient attack whose steps are clipped to a range."""

    POWER = "power"
    """The amplitude is a power of the query's number, a straight line in dB over its logarithm:
    each candidate goes a little further than the last one."""


@dataclass(frozen=True)
class Profile:
    """The statistics of one attack.

    Parameters
    ----------
    name : its name in the paper, in small letters; a key in reports.
    about : where it is described.
    queries : number of queries of a whole attack, the first one included.
    carrier : what it starts from.
    length_s : length to which the carrier is cut, s.
    first_db : SNR of the first perturbed query, the second of the stream, dB.
    last_db : SNR of the last query of the whole attack, dB.
    growth : how the level gets from one to the other.
    persistent : share of the perturbation's power that is the same in all queries, 0 to 1; also
        the expected correlation of any two perturbations, successive ones included.
    shape : spectrum of the perturbation.
    """

    name: str
    about: str
    queries: int
    carrier: CarrierKind
    length_s: float
    first_db: float
    last_db: float
    growth: Growth
    persistent: float
    shape: Shape

    def snr_db(self, index: int) -> float | None:
        """SNR of query `index` (from 0), dB; None for the first, which has no perturbation.

        After the last query of the attack it stays where it is.
        """
        if index <= 0:
            return None
        last = self.queries - 1
        number = min(index, last)
        if self.growth is Growth.POWER:
            way = math.log(number) / math.log(last)
            return self.first_db + (self.last_db - self.first_db) * way
        low, high = gain(-self.first_db), gain(-self.last_db)
        left = math.exp(-(number - 1) / SETTLE_QUERIES)
        return -20.0 * math.log10(high - (high - low) * left)


CS = Profile(
    "cs",
    "CommanderSong on Kaldi (Guo et al. 2023, N1)",
    queries=300,
    carrier="music",
    length_s=4.0,
    first_db=27.0,
    last_db=7.0,
    growth=Growth.BOUNDED,
    persistent=0.9,
    shape="white",
)
"""N1: "an average of about 300 visits to the target model"; "the value of FSNR is only 7.38 dB";
"the length of audio ought to be no shorter than 4 s"; "the perturbation is constrained to a very
broad range" (hence bounded). Assumed: 20 dB lower at first, a white-box optimiser that changes
a tenth of the power from query to query, a flat spectrum. At the 76th query: 7.42 dB."""

DW = Profile(
    "dw",
    "Devil's Whisper on commercial services (Guo et al. 2023, N2)",
    queries=150,
    carrier="music",
    length_s=4.0,
    first_db=30.0,
    last_db=16.7,
    growth=Growth.POWER,
    persistent=0.5,
    shape="white",
)
"""N2: "50 % of CS in the average query"; "the FSNR value is 18.41dB". Assumed: 30 dB at first;
"a local substitution model" makes each candidate, so half of its power is new each time. At the
80th query: 18.39 dB."""

IRTA = Profile(
    "irta",
    "IRTA on Lingvo (Guo et al. 2023, N3)",
    queries=1000,
    carrier="speech",
    length_s=3.5,
    first_db=60.5,
    last_db=40.5,
    growth=Growth.BOUNDED,
    persistent=0.9,
    shape="masked",
)
"""N3: "a remarkable number of queries", counted by N4's "query numbers above 1000+"; "the FSNR
can reach 40.97dB in which the psychoacoustic masking model plays an important role" (hence
masked). Appendix, Fig. 8: "3s or 4s". Assumed: exactly 1,000 queries, 3.5 s, 20 dB lower at
first, bounded, a tenth new. The second stage of the real attack, which lowers the perturbation
again, is left out. At the 76th query: 40.92 dB."""

DS = Profile(
    "ds",
    "the attack on DeepSpeech (Guo et al. 2023, N4)",
    queries=1000,
    carrier="speech",
    length_s=3.5,
    first_db=49.3,
    last_db=29.3,
    growth=Growth.BOUNDED,
    persistent=0.9,
    shape="speech",
)
"""N4: "relatively heavily perturbed" and "relatively poorer FSNR" than IRTA, but "the general
FSNR is superior to the former" (CS and DW): assumed half way between 18.41 and 40.97, 29.69 dB,
near the -31 dB that Carlini and Wagner (2018) report for this attack. "Query numbers above
1000+": assumed exactly 1,000. The rest as for IRTA, with the average spectrum of speech. At the
76th query: 29.72 dB."""

ATTACK_PROFILES: Mapping[str, Profile] = MappingProxyType(
    {profile.name: profile for profile in (CS, DW, IRTA, DS)}
)
"""Profiles by name, in the order of the paper's N1 to N4."""


def simulate(
    profile: Profile, carrier_signal: Signal, rng: np.random.Generator, queries: int | None = None
) -> Stream:
    """A stream with the statistics of `profile` that starts from a given carrier.

    Query t is the carrier plus delta_t, scaled down where the sum leaves [-1, 1] (a quieter
    clip, the SNR stays).

    Parameters
    ----------
    profile : whose statistics.
    carrier_signal : shape (n,), float32 at 16 kHz, not silent in its first `profile.length_s`;
        what is longer is cut, what is shorter stays so.
    rng : the perturbations.
    queries : how many of the attack's queries to make, from its beginning, >= 1; None: all.

    Returns
    -------
    Stream
        Lazy: a query is made when it is asked for, the same each time. ``won_at`` is None and
        ``facts["simulated"]`` True.

    Raises
    ------
    ValueError
        The carrier is silent or not 1-D, or `queries` below 1.
    """
    count = profile.queries if queries is None else queries
    if count < 1:
        raise ValueError(f"{count} queries: at least 1")
    carrier = carrier_signal[: round(profile.length_s * RATE_HZ)]
    if carrier.ndim != 1 or rms(carrier) <= 0.0:
        raise ValueError("the carrier is silent or not 1-D")
    stays = _shaped(profile.shape, carrier, rng)
    seeds = rng.integers(2**63, size=count)

    def query(index: int) -> Query:
        snr_db = profile.snr_db(index)
        if snr_db is None:
            return Query(carrier, at_s=0.0)
        fresh = _shaped(profile.shape, carrier, np.random.default_rng(seeds[index]))
        share = profile.persistent
        delta = math.sqrt(share) * stays + math.sqrt(1.0 - share) * fresh
        delta *= rms(carrier) * gain(-snr_db) / math.sqrt(float(np.mean(delta**2)))
        heard = carrier + delta
        heard /= max(1.0, float(np.abs(heard).max()))
        return Query(heard.astype(np.float32), index * INTERVAL_S, snr_db=snr_db)

    facts: dict[str, object] = {
        "simulated": True,
        "about": profile.about,
        "whole_attack_queries": profile.queries,
        "growth": profile.growth.value,
        "persistent": profile.persistent,
        "shape": profile.shape,
    }
    return Stream(profile.name, profile.carrier, Lazy(range(count), query), None, facts)


def _shaped(shape: Shape, carrier: Signal, rng: np.random.Generator) -> _Vector:
    """Noise of a shape, as long as the carrier, rms 1."""
    noise = rng.standard_normal(carrier.size)
    if shape == "speech":
        at_hz = np.fft.rfftfreq(carrier.size, 1.0 / RATE_HZ)
        octaves = np.log2(np.maximum(at_hz, SPEECH_CORNER_HZ) / SPEECH_CORNER_HZ)
        curve = 10.0 ** (-SPEECH_SLOPE_DB * octaves / 20.0)
        noise = np.fft.irfft(np.fft.rfft(noise) * curve, carrier.size)
    elif shape == "masked":
        frame = min(MASK_FRAME, carrier.size)
        spectrum = sps.stft(noise, nperseg=frame)[2]
        mask = np.abs(sps.stft(carrier.astype(np.float64), nperseg=frame)[2])
        noise = sps.istft(spectrum * mask, nperseg=frame)[1][: carrier.size]
    return np.asarray(noise / math.sqrt(float(np.mean(noise**2))), np.float64)
