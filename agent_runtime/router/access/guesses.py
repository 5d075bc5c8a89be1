"""Counts keys that were wrong, by the address they came from, so that nobody can try many."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from typing import Final

MOST_GUESSES: Final = 30
"""Wrong keys of one address in :data:`WINDOW_SECONDS`, after which no key new to it is looked at for the rest."""
WINDOW_SECONDS: Final = 60.0
MOST_ADDRESSES: Final = 4096
"""How many addresses are remembered; the one that has been quiet for longest goes first."""


class Guesses:
    """The wrong keys of the last minute. A restart forgets them."""

    __slots__ = ("_windows",)

    def __init__(self) -> None:
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()
        """The address's network -> the end of its window, wrong keys in it."""

    def __bool__(self) -> bool:
        """Whether any address is remembered: while none is, there is nothing to ask."""
        return bool(self._windows)

    def wrong(self, address: str, now: float) -> None:
        """A wrong key came."""
        network = _network(address)
        ends, count = self._windows.pop(network, (0.0, 0))
        if ends <= now:
            ends, count = now + WINDOW_SECONDS, 0
        self._windows[network] = ends, count + 1
        while len(self._windows) > MOST_ADDRESSES:
            self._windows.popitem(last=False)

    def seconds_closed(self, address: str, now: float) -> float:
        """For how long no new key of this address is looked at; 0 where it is."""
        network = _network(address)
        ends, count = self._windows.get(network, (0.0, 0))
        if ends <= now:
            self._windows.pop(network, None)
            return 0.0
        return ends - now if count >= MOST_GUESSES else 0.0


def _network(address: str) -> str:
    """The address, or the /64 that an IPv6 one is in: one machine may use all of that."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))
