"""Settings of the control socket."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

MAX_PATH_BYTES = 107
"""Longest path of a unix socket on Linux, bytes (unix(7), less the final zero)."""


class ControlSettings(BaseModel):
    """Where `earmark status`, `mute` and `doctor` reach the running daemon."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path | None = Field(
        default=Path("/run/earmark/control.sock"),
        description="The socket, mode 0600; the default is in systemd's runtime folder of the"
        " service. Without one (null) the daemon cannot be asked or muted from outside.",
    )
    mute_file: Path | None = Field(
        default=Path("/var/lib/earmark/muted"),
        description="File that is there while the microphone is muted, in systemd's state folder"
        " of the service: who muted it finds it muted after a restart and a power cut. Without"
        " one (null) a restart unmutes.",
    )

    @field_validator("path")
    @classmethod
    def _fits(cls, value: Path | None) -> Path | None:
        if value is not None and (not value.is_absolute() or len(bytes(value)) > MAX_PATH_BYTES):
            raise ValueError(f"give an absolute path of at most {MAX_PATH_BYTES} bytes, or null")
        return value
