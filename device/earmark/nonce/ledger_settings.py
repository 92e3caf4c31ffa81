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
        90.0,
        ge=1.0,
        le=3650.0,
        description="Age up to which an entry is kept, days in use. Long enough to recognise a "
        "recording made last season; the ledger tells when somebody was at home, so not for ever.",
    )
    keep_count: int = Field(
        1000,
        ge=10,
        le=10_000,
        description="Most entries of this device. The search for stale nonces costs about 0.2 s "
        "of CPU for 1,000; that is a month at 30 commands a day.",
    )
    keep_imported: int = Field(
        1000,
        ge=0,
        le=10_000,
        description="Most entries imported from other devices, bounded on their own so that an "
        "import never drives out an entry of this device. As many as keep_count, same cost.",
    )
    busy_timeout_s: float = Field(
        0.5,
        ge=0.0,
        le=10.0,
        description="Longest wait for another process that reads the ledger (an export), s. Half "
        "of the time in which a session must have its nonce.",
    )
