"""Settings of forwarding."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from earmark.forward.wyoming.settings import WyomingSettings

WYOMING = ("wyoming_asr", "wyoming_satellite", "wyoming_proxy")
"""The kinds that speak Wyoming."""

_LEAST_WYOMING_S = 1.0
"""Shortest `timeout_s` of those, s: a command needs a moment on the way there and back."""


class ForwardSettings(BaseModel):
    """Where an allowed command goes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["folder", "command", "wyoming_asr", "wyoming_satellite", "wyoming_proxy"] = Field(
        default="folder",
        description="`folder`: a WAV file and a JSON line for each command. `command`: a"
        " program that reads a JSON line and the WAV file from its standard input. `wyoming_asr`:"
        " a speech recogniser, then one of these two. `wyoming_satellite`: Home Assistant, which"
        " connects to this device. `wyoming_proxy`: a recogniser, for another satellite's"
        " pipeline, which gets the transcript of what Earmark allowed.",
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
        description="Longest hand-over, s: a program is killed then, a connection is closed. Keep"
        " it below the session's forward_s (5 s), after which the person is told that it failed:"
        " what arrived later would be carried out all the same.",
    )
    wyoming: WyomingSettings = WyomingSettings()

    @model_validator(mode="after")
    def _program_named(self) -> Self:
        program = self.kind == "command" or (
            self.kind == "wyoming_asr" and self.wyoming.then == "command"
        )
        if program and not (self.argv and self.argv[0]):
            raise ValueError("kind `command` needs `argv`: the program and its arguments")
        return self

    @model_validator(mode="after")
    def _times_fit(self) -> Self:
        if self.kind in WYOMING and self.timeout_s < max(_LEAST_WYOMING_S, self.wyoming.keep_s):
            raise ValueError(f"timeout_s must be at least {_LEAST_WYOMING_S:g} and wyoming.keep_s")
        return self
