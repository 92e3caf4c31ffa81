"""Where peers are, and who may connect."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Self

_TCP = re.compile(
    r"(?P<scheme>tcp|tls)://(?:\[(?P<v6>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[\w.-]+)):(?P<port>\d{1,5})"
)
_UNIX = re.compile(r"unix://(?P<path>/.+)")

MAX_SOCKET_PATH_BYTES = 100
"""Longest path of a socket, bytes: the system takes 107."""


@dataclass(frozen=True)
class Address:
    """Where a service is: host and port, with TLS or without, or else the path of a socket."""

    host: str = ""
    port: int = 0
    tls: bool = False
    path: Path | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``tcp://host:port``, ``tls://host:port`` or ``unix:///path``.

        Raises
        ------
        ValueError
            It is none of these.
        """
        if found := _UNIX.fullmatch(text):
            if len(text.encode()) > MAX_SOCKET_PATH_BYTES:
                raise ValueError(f"a socket's path has at most {MAX_SOCKET_PATH_BYTES} bytes")
            return cls(path=Path(found["path"]))
        found = _TCP.fullmatch(text)
        if found is None or not 0 < int(found["port"]) < 65536:
            raise ValueError("give tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH")
        return cls(found["v6"] or found["host"], int(found["port"]), found["scheme"] == "tls")

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tls' if self.tls else 'tcp'}://{host}:{self.port}"


class Peers:
    """The addresses that may connect.

    Parameters
    ----------
    networks : addresses and networks: ``192.168.1.5``, ``192.168.1.0/24``, ``fd00::/8``.

    Raises
    ------
    ValueError
        One of them is neither.
    """

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [_network(text) for text in networks]

    def __contains__(self, address: str) -> bool:
        """Whether `address` (as the system gives a peer's) may connect."""
        try:
            found = _plain(address)
        except ValueError:
            return False
        return any(found in network for network in self._networks)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no address or network ({error})") from None


def _plain(address: str) -> IPv4Address | IPv6Address:
    """Without the interface of a link-local address; IPv4 as itself where IPv6 carries it."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found
