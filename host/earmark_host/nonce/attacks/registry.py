"""Every attack by its stable name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from earmark_host.nonce.attacks.channel import (
    AddNoise,
    Equaliser,
    LinearPhase,
    PhoneLoudspeaker,
    stop_taps,
)
from earmark_host.nonce.attacks.codecs import Transcode
from earmark_host.nonce.attacks.denoisers import DeepFilterNet
from earmark_host.nonce.attacks.gating import Gate, OracleMask
from earmark_host.nonce.attacks.loot import Attack, Untouched
from earmark_host.nonce.attacks.reference import ReferenceMic
from earmark_host.nonce.attacks.timing import Shift, Speed, Splice, SplicePauses, Stretch, Vocode

_ALL: tuple[Attack, ...] = (
    Untouched("none", "the recording as it is"),
    Transcode("mp3", 32),
    Transcode("mp3", 64),
    Transcode("opus", 32),
    Transcode("opus", 64),
    Transcode("opus", 8),
    *(Speed(percent) for percent in (-3.0, -1.0, -0.5, 0.5, 1.0, 3.0)),
    Shift(10.0),
    LinearPhase("bandstop", "4 to 6 kHz taken out: the hops of bfsk", stop_taps(4000.0, 6000.0)),
    LinearPhase("lowpass_4k", "everything above 4 kHz taken out", stop_taps(4000.0, None)),
    Equaliser("equaliser", "an octave equaliser at random, up to 6 dB either way"),
    AddNoise(20.0),
    PhoneLoudspeaker("phone", "played by a phone: 400 Hz to 7 kHz, 3 % distortion"),
    Gate("gating_stationary", "spectral gating after a stretch of nonce alone", stationary=True),
    Gate("gating_adaptive", "spectral gating that follows the recording", stationary=False),
    DeepFilterNet("deepfilternet", "the denoiser DeepFilterNet 3", delay=1440),
    ReferenceMic("reference_mic", "cancelled with a recorder near the device", trained=False),
    ReferenceMic("reference_trained", "the same, fitted on nonce without speech", trained=True),
    Splice("splice", "8 to 20 ms cut out about every 128 ms, where it is not heard"),
    SplicePauses("splice_pauses", "the pauses between words cut out"),
    *(Stretch(percent) for percent in (-3.0, 3.0)),
    *(Vocode(percent) for percent in (-3.0, 3.0)),
    OracleMask("oracle_mask", "ideal ratio mask of speech and nonce: nobody has it"),
)

ATTACKS: Mapping[str, Attack] = MappingProxyType({attack.name: attack for attack in _ALL})
"""Attacks by name, in the order of a report's rows."""
