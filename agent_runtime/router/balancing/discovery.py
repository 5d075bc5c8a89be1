"""Endpoints by name: every address that a host's name stands for, looked up again every few seconds.

A headless Service of Kubernetes has one address for each ready pod. A name that stands for nothing has no
endpoints: the model sleeps, or starts. A look-up that fails says nothing about that, and the last addresses stay.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from typing import Final

_EVERY_SECONDS: Final = 5.0
_LOOKUP_SECONDS: Final = 5.0
_AFTER_FAILURE_SECONDS: Final = 0.5
"""How soon a name is looked up again after one of its addresses could not be reached, at the soonest."""
_NOTHING_THERE: Final = {
    code for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY") if (code := getattr(socket, name, None)) is not None
}


class HostName:
    """A name and what it stands for."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.addresses: tuple[str, ...] | None = None
        """In order; None until it was looked up with success."""
        self.problem = ""
        """Why the last look-up failed."""
        self.due = 0.0
        """When it is to be looked up, in the event loop's time."""
        self._looked_up = float("-inf")

    def look_again(self, now: float) -> None:
        """One of its addresses could not be reached: there may be others by now."""
        self.due = min(self.due, max(now, self._looked_up + _AFTER_FAILURE_SECONDS))

    async def resolve(self) -> bool:
        """Look it up. True where it stands for something else than before, or the look-up began or ceased to fail."""
        before = self.addresses, self.problem
        try:
            async with asyncio.timeout(_LOOKUP_SECONDS):
                self.addresses = await lookup(self.host, self.port)
            self.problem = ""
        except TimeoutError:
            self.problem = f"{self.host} was not looked up in {_LOOKUP_SECONDS:g} s"
        except OSError as error:
            if isinstance(error, socket.gaierror) and error.errno in _NOTHING_THERE:
                self.addresses, self.problem = (), ""
            else:
                self.problem = f"{self.host} cannot be looked up: {error.strerror or error}"
        now = asyncio.get_running_loop().time()
        self._looked_up, self.due = now, now + _EVERY_SECONDS
        return (self.addresses, self.problem) != before


async def lookup(host: str, port: int) -> tuple[str, ...]:
    """The addresses of a name, IPv4 and IPv6, in order.

    Raises:
        OSError: it cannot be looked up; socket.gaierror where there is no such name.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(sorted({str(item[4][0]) for item in found}))


class Resolver:
    """Keeps names looked up."""

    def __init__(self) -> None:
        self._running: dict[HostName, asyncio.Task[None]] = {}
        self._changed: set[HostName] = set()

    def tick(self, names: Iterable[HostName], now: float) -> list[HostName]:
        """Start the look-ups that are due, and give the names of which something new is known since last time."""
        for name in names:
            if now >= name.due and name not in self._running:
                self._running[name] = asyncio.get_running_loop().create_task(self._resolve(name))
        changed, self._changed = list(self._changed), set[HostName]()
        return changed

    async def _resolve(self, name: HostName) -> None:
        try:
            if await name.resolve():
                self._changed.add(name)
        finally:
            self._running.pop(name, None)

    async def stop(self) -> None:
        """Give the running look-ups up."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
