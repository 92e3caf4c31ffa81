"""The announcement in the local network (mDNS), by which Home Assistant finds this device."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import logging
import re
import socket
from collections.abc import Callable
from pathlib import Path

import ifaddr
from zeroconf import Error as ZeroconfError
from zeroconf import IPVersion, NonUniqueNameException
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from earmark.errors import ForwardError

_log = logging.getLogger(__name__)

SERVICE = "_wyoming._tcp.local."
"""The type of service that Home Assistant looks for."""

MACHINE_ID = Path("/etc/machine-id")

REFRESH_S = 60.0
"""How often the machine's addresses are looked at, s: a lease or a cable changes seldom."""

RETRY_FIRST_S = 2.0
"""Pause before a failed announcement is tried again, s: at boot the network comes late."""

RETRY_MAX_S = 60.0
"""Longest such pause, s; it doubles until then."""

_ID = re.compile(r"[0-9a-f]{32}")


def machine_identity(file: Path = MACHINE_ID) -> str:
    """The name of this machine in announcements: the same after each start and in each network.

    It is derived by a keyed hash, as machine-id(5) asks: the identity itself is not for others.

    Raises
    ------
    ForwardError
        The machine has none.
    """
    try:
        with file.open("rb") as stream:
            text = stream.read(64).decode("ascii", "replace").strip()
    except OSError:
        text = ""
    if not _ID.fullmatch(text):
        raise ForwardError(
            f"{file} holds no identity of this machine",
            "run `systemd-machine-id-setup`, or set forward.wyoming.identity",
        )
    key = bytes.fromhex(text)
    return "earmark-" + hmac.new(key, b"earmark wyoming", hashlib.sha256).hexdigest()[:12]


def own_addresses() -> list[str]:
    """The IPv4 addresses of this machine that others can reach, in order."""
    found = [ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips]
    return sorted(
        {ip for ip in found if isinstance(ip, str) and not ipaddress.ip_address(ip).is_loopback}
    )


async def announce(
    identity: str, port: int, addresses: Callable[[], list[str]] = own_addresses
) -> None:
    """Announce the service until cancelled, again whenever the addresses change.

    What goes wrong is logged and tried again: the link works without it.

    Parameters
    ----------
    identity : name of the instance; Home Assistant knows the device by it.
    port : of the service.
    addresses : gives the addresses where it can be reached.
    """
    pause_s, warned = RETRY_FIRST_S, False
    while True:
        try:
            if at := addresses():
                await _announced(identity, port, at, addresses)
                pause_s = RETRY_FIRST_S
                continue
        except NonUniqueNameException:
            _log.error(
                "forward: another device announces itself as %s: set forward.wyoming.identity,"
                " or give this machine an identity of its own",
                identity,
            )
            pause_s = RETRY_MAX_S
        except (OSError, ZeroconfError) as error:
            level = logging.DEBUG if warned else logging.WARNING
            _log.log(level, "forward: cannot announce this device: %s", type(error).__name__)
            warned = True
        await asyncio.sleep(pause_s)
        pause_s = min(RETRY_MAX_S, 2.0 * pause_s)


async def _announced(
    identity: str, port: int, at: list[str], addresses: Callable[[], list[str]]
) -> None:
    """Announce until the addresses are others; say goodbye at the end."""
    zeroconf = AsyncZeroconf(interfaces=at, ip_version=IPVersion.V4Only)
    try:
        info = AsyncServiceInfo(
            SERVICE,
            f"{identity}.{SERVICE}",
            addresses=[socket.inet_aton(address) for address in at],
            port=port,
            server=f"{identity}.local.",
        )
        # The first await sends the probes, the second waits until it is announced.
        await (await zeroconf.async_register_service(info))
        while addresses() == at:
            await asyncio.sleep(REFRESH_S)
    finally:
        await zeroconf.async_unregister_all_services()
        await zeroconf.async_close()
