"""Settings of the ledger of issued nonces."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class LedgerSettings(BaseModel):
    """Where issued nonces are kept, for how long, and how many."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path = Field(
        Path("/var/lib/earmark/ledger.sqlite"),
        description="The file; the default is in systemd's state folder of the service.",
    )
    keep_days: float = Field(
        365.0,
        ge=1.0,
        le=3650.0,
        description="Age up to which an entry is kept, days in use. Long enough to name a "
        "recording made last year; the ledger tells when somebody was at home, so not for ever.",
    )
    keep_count: int = Field(
        20_000,
        ge=10,
        le=200_000,
        description="Most entries of this device: a year at 50 commands a day, 8 MB. Nonces in "
        "codes are recognised without the ledger, which only names them.",
    )
    keep_imported: int = Field(
        10_000,
        ge=0,
        le=10_000,
        description="Most entries imported from other devices, bounded on their own so that an "
        "import never drives out an entry of this device.",
    )
    busy_timeout_s: float = Field(
        0.5,
        ge=0.0,
        le=10.0,
        description="Longest wait for another process that reads the ledger (an export), s. Half "
        "of the time in which a session must have its nonce.",
    )
