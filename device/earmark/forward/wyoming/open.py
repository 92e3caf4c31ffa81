"""Builds the forwarders that speak Wyoming from their settings."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from earmark.errors import ForwardError
from earmark.forward.device import Device
from earmark.forward.folder import FolderForwarder
from earmark.forward.forwarder import Forwarder
from earmark.forward.program import StdinForwarder
from earmark.forward.settings import ForwardSettings
from earmark.forward.wyoming.address import Address, Peers
from earmark.forward.wyoming.asr import AsrForwarder, Recogniser
from earmark.forward.wyoming.connection import client_context, server_context
from earmark.forward.wyoming.listener import Handle, Listener
from earmark.forward.wyoming.proxy import ProxyForwarder
from earmark.forward.wyoming.satellite import SatelliteForwarder
from earmark.forward.wyoming.settings import WyomingSettings
from earmark.signal import Signal

ASR_PORT = 10_300
"""Where recognisers listen, by custom."""

SATELLITE_PORT = 10_700
"""Where satellites listen, by custom."""


def open_wyoming(
    settings: ForwardSettings, device: Device, speak: Callable[[Signal], None] | None
) -> Forwarder:
    """Return the forwarder that `settings` ask for; see :func:`earmark.forward.open_forwarder`."""
    wyoming = settings.wyoming
    if settings.kind == "wyoming_satellite":
        return SatelliteForwarder(
            partial(_listener, wyoming, SATELLITE_PORT),
            device,
            speak,
            settings.timeout_s,
            wyoming.keep_s,
            wyoming.answers,
            _announcement(wyoming),
        )
    if settings.kind == "wyoming_proxy":
        return ProxyForwarder(
            partial(_listener, wyoming, ASR_PORT),
            _recogniser(wyoming),
            device,
            settings.timeout_s,
            wyoming.keep_s,
            wyoming.verdict_s,
            time.time,
            _announcement(wyoming),
        )
    return _asr(settings)


def _announcement(settings: WyomingSettings) -> Callable[[int], Coroutine[Any, Any, None]] | None:
    if not settings.announce:
        return None
    from earmark.forward.wyoming.announce import announce, machine_identity  # noqa: PLC0415 - 3 MB

    return partial(announce, settings.identity or machine_identity())


def _listener(settings: WyomingSettings, port: int, handle: Handle) -> Listener:
    address = Address("0.0.0.0", port)
    if settings.listen is not None:
        address = Address.parse(settings.listen)
    tls: ssl.SSLContext | None = None
    if address.tls and settings.cert_file is not None and settings.key_file is not None:
        try:
            tls = server_context(settings.cert_file, settings.key_file, settings.client_ca_file)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise ForwardError(
                f"the certificate of this device cannot be used ({why})",
                "correct forward.wyoming.cert_file, key_file and client_ca_file",
            ) from error
    return Listener(address, Peers(settings.peers), tls, handle)


def _asr(settings: ForwardSettings) -> Forwarder:
    recogniser = _recogniser(settings.wyoming)
    if settings.wyoming.then == "command":
        program = StdinForwarder(settings.argv, settings.timeout_s)
        return AsrForwarder(recogniser, program.send, program.close, settings.timeout_s)
    folder = FolderForwarder(settings.folder, settings.keep_count)
    return AsrForwarder(
        recogniser, lambda command, _: folder.send(command), folder.close, settings.timeout_s
    )


def _recogniser(settings: WyomingSettings) -> Recogniser:
    address = Address.parse(settings.uri)
    tls: ssl.SSLContext | None = None
    if address.tls:
        try:
            tls = client_context(settings.ca_file)
        except OSError as error:
            raise ForwardError(
                f"{settings.ca_file} cannot be used ({error.strerror or 'no certificates'})",
                "correct forward.wyoming.ca_file",
            ) from error
    return Recogniser(address, tls, settings.language, settings.model, settings.keep_s)
