"""Settings of forwarding over Wyoming."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from earmark.forward.wyoming.address import Address, Peers

_ADDRESS = "tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH"


class WyomingSettings(BaseModel):
    """A speech recogniser that commands are sent to, and who may connect to this device."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str = Field(
        default="tcp://127.0.0.1:10300",
        description=f"The speech recogniser (ASR) of `wyoming_asr` and `wyoming_proxy`: {_ADDRESS}."
        " With tls its certificate and name are checked.",
    )
    ca_file: Path | None = Field(
        default=None,
        description="Certificates of the authorities that the recogniser's is checked with; null"
        " takes the system's.",
    )
    language: str | None = Field(
        default=None,
        min_length=2,
        max_length=16,
        description="Language of the commands, as `en`; null leaves it to the recogniser. The"
        " proxy announces it (null: `en`) and then takes the one that it is asked for.",
    )
    model: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="Model that the recogniser should use; null leaves it to the recogniser.",
    )
    then: Literal["folder", "command"] = Field(
        default="folder",
        description="What a command and its transcript are handed to by `wyoming_asr`: the kind"
        " `folder` or `command` with the settings of that kind. The JSON line has `text` in it.",
    )
    listen: str | None = Field(
        default=None,
        description=f"Where `wyoming_satellite` and `wyoming_proxy` are connected to: {_ADDRESS}."
        " Null takes tcp://0.0.0.0 and the usual port (satellite 10700, recogniser 10300).",
    )
    peers: tuple[str, ...] = Field(
        default=("127.0.0.1", "::1"),
        max_length=32,
        description="Addresses and networks that may connect by tcp or tls, as 192.168.1.5 or"
        " fd00::/8. The default is this machine alone: whoever runs the satellite gets every"
        " allowed command and may speak through the device, so name Home Assistant, not the"
        " network. A refused address is logged.",
    )
    cert_file: Path | None = Field(
        default=None, description="Certificate of this device for `listen: tls://...`, PEM."
    )
    key_file: Path | None = Field(default=None, description="Its private key, PEM.")
    client_ca_file: Path | None = Field(
        default=None,
        description="Who connects by tls must show a certificate of these authorities; null asks"
        " for none.",
    )
    keep_s: float = Field(
        default=1.5,
        ge=0.0,
        le=4.0,
        description="How long an allowed command is kept while the peer is away, s; then it is"
        " refused, which the room hears (`offline`). Home Assistant is back after a restart of"
        " the link in 3 s or more, which is too long for a person to wait.",
    )
    answers: bool = Field(
        default=True,
        description="Ask Home Assistant for spoken answers. Set it to false where its pipeline has"
        " no text-to-speech: Home Assistant would drop the command without a word.",
    )
    verdict_s: float = Field(
        default=4.0,
        ge=0.5,
        le=15.0,
        description="How long the proxy waits for the verdict after the end of what it was asked"
        " to transcribe, s: Earmark may hear the command end 1 s later, and decides in 0.3 s.",
    )
    announce: bool = Field(
        default=False,
        description="Announce the satellite or the proxy in the local network (mDNS), so that Home"
        " Assistant finds it. Needs a tcp address to listen at.",
    )
    identity: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9-]{1,63}$",
        description="Name in the announcement, by which Home Assistant knows the device again; null"
        " derives one from the machine's identity, the same after each start.",
    )

    @field_validator("uri", "listen")
    @classmethod
    def _an_address(cls, value: str | None) -> str | None:
        if value is not None:
            Address.parse(value)
        return value

    @field_validator("peers")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        Peers(value)
        return value

    @model_validator(mode="after")
    def _announced_by_port(self) -> Self:
        listen = None if self.listen is None else Address.parse(self.listen)
        if self.announce and listen is not None and (listen.tls or listen.path is not None):
            raise ValueError(
                "announce needs listen: tcp://..., which is what Home Assistant speaks"
            )
        return self

    @model_validator(mode="after")
    def _certificate_for_tls(self) -> Self:
        tls = self.listen is not None and Address.parse(self.listen).tls
        if tls and (self.cert_file is None or self.key_file is None):
            raise ValueError("listen: tls://... needs cert_file and key_file")
        return self
