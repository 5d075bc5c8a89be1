"""Which addresses of the web a tool may ask for, and where they really are."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import httpx

from agent_runtime.agents.tools.errors import ToolError, ToolSetupError

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a host, by its name and port."""
_PORTS = {"http": 80, "https": 443}
_ENTRY = re.compile(r"^(?P<wildcard>\*\.)?(?P<host>\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::(?P<port>\d{1,5}))?$")


@dataclass(frozen=True)
class AllowedHost:
    """One entry of the list: ``docs.python.org``, ``*.wikipedia.org``, ``127.0.0.1:8080``."""

    host: str
    port: int | None
    """None: the usual ports of HTTP and HTTPS."""
    with_subdomains: bool

    @classmethod
    def parse(cls, text: str) -> AllowedHost:
        """Read an entry.

        Raises:
            ToolSetupError: it is none.
        """
        match = _ENTRY.match(text.strip())
        if match is None or (match["port"] and not 1 <= int(match["port"]) <= 65535):
            raise ToolSetupError(f"{text!r} is no host. fix: such as docs.python.org, *.wikipedia.org, 127.0.0.1:8080")
        host = match["host"].strip("[]").lower().rstrip(".")
        return cls(host, int(match["port"]) if match["port"] else None, bool(match["wildcard"]))

    def covers(self, host: str, port: int) -> bool:
        """Whether it allows the host at the port."""
        named = host == self.host or (self.with_subdomains and host.endswith(f".{self.host}"))
        return named and (port == self.port or (self.port is None and port in _PORTS.values()))

    @property
    def allows_private(self) -> bool:
        """Whether it names a machine that is not on the public internet: an address, or ``localhost``, with its port.

        Only then may the connection go to a private address. A public name that leads to one is an attack.
        """
        return (
            self.port is not None and not self.with_subdomains and (_is_address(self.host) or self.host == "localhost")
        )


@dataclass(frozen=True)
class Destination:
    """Where a request goes: the address that was checked, and the name that the server is asked for."""

    url: httpx.URL
    """The URL with the address in the host's place, so that nobody looks the name up a second time."""
    host_header: str
    server_name: str


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, by the system's resolver."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(one[4][0]) for one in found]


async def destination(url: httpx.URL, allowed: Sequence[AllowedHost], find: Resolve = resolve) -> Destination:
    """Where a request for the URL goes.

    Raises:
        ToolError: it is not allowed there: the host is not in the list, its address is private, or it is no
            URL of HTTP.
    """
    if url.scheme not in _PORTS or not url.host:
        raise ToolError(f"{str(url)[:200]!r} cannot be fetched. fix: a URL that begins with https:// or http://")
    if url.userinfo:
        raise ToolError("a URL with a user name or password in it is not fetched. fix: leave them out")
    host, port = url.host.lower().rstrip("."), url.port or _PORTS[url.scheme]
    entry = next((one for one in allowed if one.covers(host, port)), None)
    if entry is None:
        names = ", ".join(_entry_text(one) for one in allowed) or "none"
        raise ToolError(f"{host}:{port} is not among the allowed hosts. Allowed: {names}")
    try:
        addresses = await find(host, port)
    except OSError as error:
        raise ToolError(f"{host} has no address: {error}") from error
    if not addresses:
        raise ToolError(f"{host} has no address")
    if not entry.allows_private:
        private = [address for address in addresses if not _is_public(address)]
        if private:
            raise ToolError(f"{host} leads to {private[0]}, which is not on the public internet. It is not fetched")
    # A machine without a way to IPv6 has one to IPv4 nearly always; the other way round is rare.
    address = min(addresses, key=lambda one: ":" in one).partition("%")[0]
    return Destination(url.copy_with(host=address), url.netloc.decode("ascii"), url.host)


def _entry_text(entry: AllowedHost) -> str:
    return f"{'*.' if entry.with_subdomains else ''}{entry.host}{f':{entry.port}' if entry.port else ''}"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_public(address: str) -> bool:
    """Whether an address is on the public internet, whatever other address it is wrapped in."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is not None and not _is_public(str(inner)):
            return False
        if found in _NAT64:
            return _is_public(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
        if found.is_reserved or found.is_site_local:
            return False
    return found.is_global and not found.is_multicast


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
