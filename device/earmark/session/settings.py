"""Settings of the session: its time-outs in audio seconds, and its patience."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class SessionSettings(BaseModel):
    """How long the session waits, and when it stops giving further tries.

    All times are audio seconds: what the microphone has delivered, not what a clock says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    issue_s: float = Field(
        1.0,
        ge=0.1,
        le=5.0,
        description="Longest wait for the ledger to record a nonce, s. Writing to a card takes "
        "milliseconds, seldom a few hundred; speech before the nonce is unprotected, so a card "
        "that stalls for a second ends the session.",
    )
    no_speech_s: float = Field(
        5.0,
        ge=1.0,
        le=15.0,
        description="Longest silence after the wake word, s. Time to think, but the nonce sounds "
        "all the while, also when a television has woken the device.",
    )
    max_command_s: float = Field(
        15.0,
        ge=3.0,
        le=60.0,
        description="Longest command, counted from the wake word, s. AEOLUS 3.2 puts the average "
        "interaction at 3 s; five times that also bounds memory and the time to verify.",
    )
    verify_s: float = Field(
        5.0,
        ge=0.5,
        le=30.0,
        description="Longest wait for a verdict, s. It should come within 0.3 s of the end; a "
        "verdict seconds later helps nobody, so this only catches a check that hangs.",
    )
    forward_s: float = Field(
        5.0,
        ge=0.5,
        le=60.0,
        description="Longest wait for the hand-over, s. At most 0.5 MB on the local network, "
        "with one lost connection attempt; later than that the person has tried again.",
    )
    feedback_s: float = Field(
        5.0,
        ge=0.5,
        le=30.0,
        description="Longest wait for the end of a cue, s. Earcons take under 1 s, a spoken "
        "sentence 3 s; this only catches a player that never reports.",
    )
    max_retries: int = Field(
        2,
        ge=0,
        le=5,
        description="Retries in a row that a verdict may give; the next becomes a rejection. Two "
        "tries help a person who spoke too quietly, endless ones would help an attacker.",
    )
    lock_after: int = Field(
        3,
        ge=1,
        le=10,
        description="Consecutive rejections until the device locks. With 2 % false rejects three "
        "in a row hit the owner once in 125,000 commands.",
    )
    lock_first_s: float = Field(
        30.0,
        ge=1.0,
        le=600.0,
        description="Length of the first lock, s; each further rejection doubles it. A person "
        "waits it out, a row of replays is slowed several times over.",
    )
    lock_max_s: float = Field(
        900.0,
        ge=1.0,
        le=86_400.0,
        description="Longest lock, s. A quarter of an hour leaves an attacker about a "
        "hundred tries a day and the household never without its speaker for long.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.no_speech_s >= self.max_command_s:
            raise ValueError("no_speech_s must be less than max_command_s")
        if self.lock_first_s > self.lock_max_s:
            raise ValueError("lock_first_s must be at most lock_max_s")
        return self
