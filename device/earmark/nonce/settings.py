"""Settings of the acoustic nonce: what is played, how loud, and when it counts as received."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

SPREAD_SLOT_S = 0.256
"""Duration of a slot of codes, s; it carries 4 bits. See ``spread/bank.py`` for why."""


class BfskSettings(BaseModel):
    """The faithful waveform: BFSK with frequency hopping (AEOLUS, sections 3.2 and 4.2)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bit_rate_hz: float = Field(
        20.0,
        ge=10.0,
        le=40.0,
        description="Bits per second. Above 20 the paper's bit error rate rises, because the room "
        "lets neighbouring bits overlap; below 10 the shift could not be told from its multiples.",
    )
    band_low_hz: float = Field(
        4000.0,
        ge=300.0,
        le=7500.0,
        description="Lower edge of the hop set, Hz. The paper's figures use 4-5 kHz, its text "
        "1 and 5 kHz; above 4 kHz speech is weak.",
    )
    band_high_hz: float = Field(
        6000.0,
        ge=300.0,
        le=7500.0,
        description="Upper edge of the hop set, Hz. 2 kHz take 16 channels well apart, and "
        "recordings of phones reach up to there.",
    )
    channels: int = Field(
        16,
        ge=4,
        le=32,
        description="Hop channels, each a pair of tones (one for 0, one for 1), drawn anew for "
        "every bit. Sixteen in 2 kHz leave 62.5 Hz between tones: three times the bit rate. The "
        "more there are, the shorter a replay can be and is still recognised; with fewer than "
        "four the hops alone do not tell a nonce from noise.",
    )
    ramp_s: float = Field(
        0.005,
        ge=0.001,
        le=0.02,
        description="Raised-cosine fade at both ends of each tone, s: no audible click.",
    )
    search_count: int = Field(
        1000,
        ge=0,
        le=10_000,
        description="Most remembered nonces in tones that a recording is searched for, the newest "
        "first. Each is looked for on its own: 1,000 cost about 0.2 s of CPU.",
    )

    @model_validator(mode="after")
    def _hop_set_fits(self) -> Self:
        width = self.band_high_hz - self.band_low_hz
        need = 2 * self.channels * self.bit_rate_hz * 1.5
        if width < need:
            raise ValueError(
                f"a hop set of {self.channels} channels at {self.bit_rate_hz:g} bit/s needs "
                f"{need:g} Hz between band_low_hz and band_high_hz, not {width:g}"
            )
        if self.ramp_s * 4 > 1.0 / self.bit_rate_hz:
            raise ValueError("ramp_s must be at most a quarter of a bit (1 / bit_rate_hz)")
        return self


class SpreadSettings(BaseModel):
    """The default waveform: keyed wideband codes under the speech."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    band_low_hz: float = Field(
        500.0,
        ge=200.0,
        le=2000.0,
        description="Lower edge of the band, Hz: what small loudspeakers radiate. The energy must "
        "lie where speech is, or a filter takes it out.",
    )
    band_high_hz: float = Field(
        7000.0,
        ge=3000.0,
        le=7500.0,
        description="Upper edge of the band, Hz: what fits well below half of 16 kHz.",
    )
    self_echo_s: float = Field(
        0.5,
        ge=0.1,
        le=2.0,
        description="Time after each current slot in which its own code counts as its echo and "
        "not as an old nonce, s: 60 dB of decay in a room of RT60 0.5 s, on top of the canceller.",
    )
    max_speed_percent: float = Field(
        3.0,
        ge=0.0,
        le=5.0,
        description="How much too fast or too slowly a recording may be played and is still "
        "looked for, per cent; 3 is hardly heard. Costs 10 ms of CPU and 6 MB a per cent; 0 "
        "leaves it out.",
    )
    max_self_noise_db: float = Field(
        10.0,
        ge=0.5,
        le=20.0,
        description="Most that what the canceller left of the current nonce may raise the noise "
        "in which an old one is looked for, dB. Above, the search is undetermined.",
    )
    enough_suppression_db: float = Field(
        40.0,
        ge=20.0,
        le=80.0,
        description="Suppression of the current nonce that is enough whatever the noise, dB: one "
        "in a recording from beside the speaker's mouth is 37 dB below it when it is replayed.",
    )


class NonceSettings(BaseModel):
    """The nonce, in either waveform."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    waveform: Literal["spread", "bfsk"] = Field(
        "spread",
        description="Which waveform is played: the keyed wideband one, or AEOLUS's hopping tones. "
        "Old nonces of both are recognised, whichever is played now.",
    )
    payload_bits: int = Field(
        32,
        ge=32,
        le=256,
        multiple_of=8,
        description="Random bits of a session's nonce, in whole bytes, as the ledger keeps them. "
        "32 is the paper's minimum. No command is accepted before all of it was heard: 2.05 s with "
        "spread, 1.6 s with bfsk at 20 bit/s.",
    )
    level_dbspl_1m: float = Field(
        40.0,
        ge=20.0,
        le=65.0,
        description="Loudness at 1 m, dB SPL: 20 dB under speech (60 dB SPL), the level of a "
        "quiet room by day. Old nonces of spread are recognised from everywhere at 40; at 30 no "
        "longer from beside the person's mouth. bfsk wants 45.",
    )
    max_drift_ppm: float = Field(
        300.0,
        ge=0.0,
        le=1000.0,
        description="Largest clock difference between loudspeaker and microphone that is "
        "compensated, ppm: two consumer crystals.",
    )
    max_shift_hz: float = Field(
        20.0,
        ge=0.0,
        le=30.0,
        description="Largest frequency shift that is compensated, Hz.",
    )
    max_delay_s: float = Field(
        0.5,
        ge=0.01,
        le=2.0,
        description="Longest round trip from playing to recording that is searched, s: sound "
        "servers were measured at 0.13-0.28.",
    )
    max_bit_error_rate: float = Field(
        0.125,
        ge=0.0,
        le=0.25,
        description="Largest share of wrong bits of a current nonce: 1 of 8 symbols with spread "
        "(2.8e-8 by chance), 4 of 32 bits with bfsk (9.7e-6 by chance).",
    )
    max_uncovered_s: float = Field(
        1.2,
        ge=0.0,
        le=10.0,
        description="Most time of the command without the current nonce, s, all gaps together. "
        "A command that begins at once precedes its nonce by the pre-roll (0.5), the sound "
        "server (up to 0.3) and the ledger's write (seldom 0.3).",
    )
    min_covered_s: float = Field(
        0.0,
        ge=0.0,
        le=5.0,
        description="Least time of the command that the current nonce must cover, s. 0 lets "
        "single words through, of which a replay may hold too little of its nonce to be "
        "recognised; 1 closes that, at the price that short commands are asked for again.",
    )
    stale_false_alarm: float = Field(
        1e-3,
        gt=0.0,
        le=0.01,
        description="Bound on the probability that a live command is taken for a replay, per "
        "session, over all remembered nonces, lags and shifts together. The bound is loose: the "
        "true rate is lower.",
    )
    canceller_taps_s: float = Field(
        0.25,
        ge=0.02,
        le=0.5,
        description="Length of the echo path taken out, s: reverberation after 0.25 s is 40 dB "
        "down in a room of 0.4 s.",
    )
    spread: SpreadSettings = Field(SpreadSettings(), description="The keyed wideband codes.")
    bfsk: BfskSettings = Field(BfskSettings(), description="The paper's hopping tones.")

    @property
    def cycle_s(self) -> float:
        """Duration of one whole nonce, s."""
        if self.waveform == "spread":
            return self.payload_bits / 4 * SPREAD_SLOT_S
        return self.payload_bits / self.bfsk.bit_rate_hz
