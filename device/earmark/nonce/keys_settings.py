"""Settings of the keys of the spread nonce."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class KeysSettings(BaseModel):
    """Where the household secret is kept, how long an epoch is, how many are searched for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path = Field(
        Path("/var/lib/earmark/keys.json"),
        description="The file; the default is in systemd's state folder of the service.",
    )
    epoch_days: int = Field(
        180,
        ge=1,
        le=3650,
        description="Length of an epoch, days; the same at every device of a household. All "
        "nonces of an epoch share one bank of codes, so a shorter one gives whoever learns its "
        "codes less, and a longer one recognises older recordings at the same cost.",
    )
    epochs_kept: int = Field(
        2,
        ge=1,
        le=24,
        description="Epochs whose recordings are recognised, the current one included. With 2 of "
        "180 days a recording is recognised for half a year at least. Each is one bank: every "
        "recording is searched once more.",
    )
    max_banks: int = Field(
        4,
        ge=2,
        le=48,
        description="Most banks that a recording is searched for, which bounds the time of a "
        "verdict. Above epochs_kept, so that a new epoch always has room; the rest is for "
        "replaced secrets and for epochs that a wrong clock opened.",
    )

    @model_validator(mode="after")
    def _a_new_epoch_has_room(self) -> Self:
        if self.max_banks <= self.epochs_kept:
            raise ValueError(f"max_banks must be over epochs_kept ({self.epochs_kept})")
        return self
