"""Settings of the acoustic nonce: what is played, how loud, and when it counts as received."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class NonceSettings(BaseModel):
    """The BFSK nonce with frequency hopping (AEOLUS, sections 3.2 and 4.2)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    payload_bits: int = Field(
        32,
        ge=32,
        le=256,
        multiple_of=8,
        description="Random bits of a session's nonce, in whole bytes, as the ledger keeps them. "
        "32 is the paper's minimum; one cycle lasts "
        "payload_bits / bit_rate_hz seconds, and no command is accepted before a whole cycle.",
    )
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
    level_dbspl_1m: float = Field(
        45.0,
        ge=20.0,
        le=65.0,
        description="Loudness at 1 m, dB SPL: 15 dB under speech (60 dB SPL).",
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
        0.1,
        ge=0.0,
        le=0.25,
        description="Largest share of wrong bits of a current nonce. 3 of 32 wrong by chance has "
        "probability 1.3e-6.",
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

    @property
    def cycle_s(self) -> float:
        """Duration of one whole nonce, s."""
        return self.payload_bits / self.bit_rate_hz
