"""Settings of forwarding."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ForwardSettings(BaseModel):
    """Where an allowed command goes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["folder", "command"] = Field(
        default="folder",
        description="`folder`: a WAV file and a JSON line for each command. `command`: a"
        " program that reads a JSON line and the WAV file from its standard input.",
    )
    folder: Path = Field(
        default=Path("/var/lib/earmark/commands"),
        description="Folder for the kind `folder`, made with mode 0700 when it is missing. The"
        " default lies in the service's state directory.",
    )
    keep_count: int = Field(
        default=100,
        ge=1,
        le=10_000,
        description="Commands kept in the folder; older ones are removed. 100 commands of 15 s"
        " take 48 MB.",
    )
    argv: tuple[str, ...] = Field(
        default=(),
        description="Program and arguments for the kind `command`, run without a shell.",
    )
    timeout_s: float = Field(
        default=4.0,
        gt=0.0,
        le=120.0,
        description="Longest run of the program, s; then it is killed. Keep it below the"
        " session's forward_s (5 s), after which the person is told that it failed: what"
        " arrived later would be carried out all the same.",
    )

    @model_validator(mode="after")
    def _program_named(self) -> Self:
        if self.kind == "command" and not (self.argv and self.argv[0]):
            raise ValueError("kind `command` needs `argv`: the program and its arguments")
        return self
