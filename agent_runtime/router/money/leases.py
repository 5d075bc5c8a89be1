"""Slices of keys' budgets that a worker sets aside ahead of time, and hands out from memory.

A request on an own model costs thousandths of a cent, and a step of the ledger's for each would cost more than all
else that the router does for it. So a worker reserves a slice of the key's budget, a lease, in one step, and lets
requests draw on it. For the ledger a lease is a hold like any other: reserved until it is released, and charged as a
whole where its worker is gone. No budget is overspent; what a lease has not used is out of others' reach until it is
given back, after ten seconds without a request at the latest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from agent_runtime.router.money.ledger import Hold, Limit, Refused
from agent_runtime.router.money.months import month_bounds, month_of_day

_SHARE: Final = 100
"""A lease is at most this part of the key's monthly budget: one percent."""
_NANO_USD: Final = 50_000_000
"""Five cents: as large as a lease is where requests are cheap."""
_REQUESTS: Final = 16
"""A lease is large enough for so many requests at once, if its share of the budget allows that."""
_IDLE_SECONDS: Final = 10.0


def lease_nano_usd(limits: Sequence[Limit], most_nano_usd: int) -> int:
    """How large a lease is, in billionths of a dollar; 0 where it would not do for one request, or there is no limit.

    Args:
        limits: what the key may spend in a month.
        most_nano_usd: the most that the request can cost for which one is wanted.
    """
    limit_nano_usd = min((limit.nano_usd for limit in limits), default=0)
    size = min(limit_nano_usd // _SHARE, max(_NANO_USD, _REQUESTS * most_nano_usd))
    return size if size >= most_nano_usd else 0


class Holds(Protocol):
    """Sets money aside, and gives it back: a worker's books."""

    async def reserve(self, hold: Hold) -> Refused | None:
        """Ask the ledger for a hold."""
        ...

    def release(self, hold_id: str) -> None:
        """Give a hold back, after everything that was booked before has reached the ledger."""
        ...


@dataclass(slots=True, eq=False)
class Lease:
    """A slice of a key's budget."""

    hold_id: str
    at: float
    """Unix time at which it was made. Whatever is drawn on it is charged to its month."""
    until: float
    """The end of that month."""
    left_nano_usd: int
    used_at: float
    draws: int = 0
    """Requests that have drawn on it and have not ended."""
    closed: bool = False
    """Whether nothing may be drawn on it any more. It is released when the last draw has ended."""


class Leases:
    """One worker's leases, by the name of the key."""

    def __init__(self, holds: Holds) -> None:
        self._holds = holds
        self._open: dict[str, Lease] = {}
        self._asked_for: set[str] = set()
        """The keys for which the ledger is being asked."""

    def draw(self, key: str, nano_usd: int, now: float) -> Lease | None:
        """Take the most that a request can cost out of the key's lease. None: there is none with so much left."""
        lease = self._open.get(key)
        if lease is None:
            return None
        if lease.left_nano_usd < nano_usd or now >= lease.until:
            self.close(key)
            return None
        lease.left_nano_usd -= nano_usd
        lease.draws += 1
        lease.used_at = now
        return lease

    def give_back(self, lease: Lease, nano_usd: int) -> None:
        """A draw has ended, and ``nano_usd`` of it were not used. What was used has been booked."""
        lease.left_nano_usd += nano_usd
        lease.draws -= 1
        if lease.closed and lease.draws == 0:
            self._holds.release(lease.hold_id)

    async def have(self, key: str, nano_usd: int, make: Callable[[], Hold]) -> bool:
        """See to it that so much can be drawn. False: there is too little left for it, or somebody else is about it.

        Args:
            key: whose lease it is.
            nano_usd: what is to be drawn.
            make: what to ask the ledger for.

        Raises:
            LedgerError: the ledger cannot be used.
        """
        if self.left_nano_usd(key) >= nano_usd > 0:
            return True
        if key in self._asked_for:
            return False
        hold = make()
        self._asked_for.add(key)
        try:
            if await self._holds.reserve(hold) is not None:
                return False
        except asyncio.CancelledError:
            self._holds.release(hold.id)
            raise
        finally:
            self._asked_for.discard(key)
        self._begin(key, hold)
        return True

    def _begin(self, key: str, hold: Hold) -> None:
        """Let requests draw on a hold that the ledger has made; on the one before no longer."""
        self.close(key)
        _, until = month_bounds(month_of_day(hold.day))
        self._open[key] = Lease(hold.id, hold.at, until, hold.nano_usd, hold.at)

    def left_nano_usd(self, key: str) -> int:
        """What may still be drawn: reserved in the ledger, and spent on nothing yet."""
        lease = self._open.get(key)
        return 0 if lease is None else max(0, lease.left_nano_usd)

    def close(self, key: str) -> None:
        """Let nothing more be drawn on the key's lease."""
        lease = self._open.pop(key, None)
        if lease is not None:
            lease.closed = True
            if lease.draws == 0:
                self._holds.release(lease.hold_id)

    def close_all(self) -> None:
        """Let nothing more be drawn on any."""
        for key in list(self._open):
            self.close(key)

    def tick(self, now: float) -> None:
        """Give back what nobody uses."""
        for key, lease in list(self._open.items()):
            if lease.draws == 0 and not 0 <= now - lease.used_at < _IDLE_SECONDS:
                self.close(key)
