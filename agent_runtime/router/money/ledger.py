"""What a ledger is: the one account of a fleet's money, shared by every worker and replica of its router."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, Protocol

from agent_runtime.router.money.charges import MEASURES, Series, count_in
from agent_runtime.router.money.journal import Record
from agent_runtime.router.money.months import DAY_SECONDS, day_text
from fleet_spec.errors import PaddockError

_NO_RESERVATION = b"\0" * 16
_day = lru_cache(maxsize=8)(day_text)
OUTER = "outer"
"""The scope of the fleet's budget: every tier beyond the fleet."""


class LedgerError(PaddockError):
    """The ledger cannot be read or written now."""


def tier_scope(tier: str) -> str:
    """Whatever is spent on a tier."""
    return f"tier:{tier}"


def key_scope(key: str) -> str:
    """Whatever is spent by a key."""
    return f"key:{key}"


def spend_scope(tier: str, key: str) -> str:
    """Whatever is spent on a tier by a key."""
    return f"spend:{tier}:{key}"


def scopes(series: Series) -> tuple[str, ...]:
    """The totals of a month in which a charge counts."""
    own = (tier_scope(series.tier), key_scope(series.key), spend_scope(series.tier, series.key))
    return own if series.tier == "local" else (OUTER, *own)


class Limit(NamedTuple):
    """The most that may be spent and reserved in a scope in a month."""

    scope: str
    nano_usd: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Money that is set aside before a request is sent: the most that it can cost."""

    id: str
    """32 hex digits, never used twice."""
    owner: str
    """The journal of the worker that holds it."""
    day: str
    """The day, and so the month, that its charge belongs to, however late the request ends."""
    series: Series
    nano_usd: int
    limits: tuple[Limit, ...]
    at: float
    """Unix time at which it was made."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a hold was not made: there is too little left in a scope."""

    limit: Limit
    committed_nano_usd: int
    """What is spent and reserved there."""


class Settlement(NamedTuple):
    """The end of a hold: its money goes back, and what was used is charged."""

    hold: str
    day: str
    """Where the charge goes if the ledger does not know the hold."""
    series: Series
    measures: list[int]


@dataclass(slots=True)
class Batch:
    """Records of one journal, in order, for the ledger to take all together or not at all."""

    journal: str
    first: int
    """The number of its first record."""
    upto: int
    """The number after that of its last record."""
    sums: dict[tuple[str, Series], list[int]] = field(default_factory=dict[tuple[str, Series], list[int]])
    """Charges without a hold, by day and series."""
    settlements: list[Settlement] = field(default_factory=list[Settlement])

    @classmethod
    def of(cls, journal: str, first: int, records: Sequence[tuple[Series, Record]]) -> Batch:
        """Add up records that begin at a number."""
        batch = cls(journal, first, first + len(records))
        for series, record in records:
            batch.put(series, record)
        return batch

    def put(self, series: Series, record: Record) -> None:
        """Add a record."""
        held, _, failed, at, prompt, cached, completion, nano_usd, duration_seconds, busy_seconds = record
        day = _day(int(at // DAY_SECONDS))
        if held != _NO_RESERVATION:
            total = [0] * len(MEASURES)
            self.settlements.append(Settlement(held.hex(), day, series, total))
        else:
            found = self.sums.get((day, series))
            total = found or [0] * len(MEASURES)
            if found is None:
                self.sums[day, series] = total
        count_in(total, failed, prompt, cached, completion, nano_usd, duration_seconds, busy_seconds)


@dataclass(slots=True)
class Totals:
    """A month's totals, in billionths of a dollar, by scope."""

    month: str
    spent: dict[str, int] = field(default_factory=dict[str, int])
    reserved: dict[str, int] = field(default_factory=dict[str, int])

    def committed(self, scope: str) -> int:
        """What is spent and what is set aside."""
        return self.spent.get(scope, 0) + self.reserved.get(scope, 0)


class Row(NamedTuple):
    """A day's charges of one series."""

    day: str
    series: Series
    measures: list[int]


class Ledger(Protocol):
    """Where money is kept. Everything may raise :class:`LedgerError`; nothing is then changed, or all of it was."""

    async def open(self) -> None:
        """Begin."""
        ...

    async def close(self) -> None:
        """End."""
        ...

    async def reserve(self, hold: Hold) -> Refused | None:
        """Set money aside where every limit leaves room for it: one step, however many routers do it at once.

        Asked again with the same hold, it says yes and sets nothing more aside.
        """
        ...

    async def release(self, hold_id: str) -> None:
        """Give back what is set aside for a request that was not sent. A hold that is unknown or settled stays so."""
        ...

    async def take(self, batch: Batch) -> int:
        """Take a journal's records over, and give the number of the first one that it has not taken.

        A batch that it has taken already, or a part of it, changes nothing. A settlement of a hold that was settled
        changes nothing; of one whose owner was taken for dead, it puts the real charge in place of the reserved one.
        """
        ...

    async def totals(self, month: str) -> Totals:
        """A month's totals."""
        ...

    async def charge_abandoned(self) -> int:
        """Charge the holds of owners that are gone as reserved, since their requests may have been answered."""
        ...

    async def beat(self, owner: str) -> None:
        """Say that an owner is alive, at least every ten seconds, where the ledger cannot see that by itself."""
        ...

    async def rows(self, first_day: str, last_day: str) -> list[Row]:
        """Charges by day and series, both days included."""
        ...
