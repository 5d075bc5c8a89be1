"""Carries one worker's charges from its journal to the ledger, and keeps a view of what the ledger holds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agent_runtime.router.money.charges import Series
from agent_runtime.router.money.journal import DEFAULT_RECORDS, Journal, Record
from agent_runtime.router.money.ledger import Batch, Hold, Ledger, LedgerError, Refused, Totals
from agent_runtime.router.money.months import month_of
from agent_runtime.router.money.recovery import MOST_RECORDS, hand_in_leftovers

_TOTALS_SECONDS: Final = 1.0
"""How old the view of the totals gets where other workers spend too."""
_BEAT_SECONDS: Final = 10.0
_RECOVERY_SECONDS: Final = 30.0
_FIRST_RETRY_SECONDS: Final = 1.0
_LAST_RETRY_SECONDS: Final = 15.0
_RESERVE_SECONDS: Final = 10.0
"""How long a request waits for the ledger. Locked or slow, it is then taken to be down."""
_MOST_OVERFLOW_SETTLEMENTS: Final = 10_000
"""How many ends of paid requests are remembered beyond a full journal. There are no more than were in flight when the
ledger failed, since no paid request is begun after that."""


class Bookkeeper:
    """One for each worker. ``book`` is for the request path; everything else happens in ticks."""

    def __init__(
        self,
        ledger: Ledger,
        journals: Path | None,
        *,
        clock: Callable[[], float],
        on_taken: Callable[[Batch], None],
        journal_records: int = DEFAULT_RECORDS,
    ) -> None:
        """Make one.

        Args:
            ledger: where the money is kept.
            journals: the directory of the workers' journals, None for memory alone.
            clock: Unix time.
            on_taken: called with each batch that the ledger has taken.
            journal_records: how many charges the journal holds.
        """
        self.ledger = ledger
        self.problem: str | None = None
        """Why the ledger cannot be used, or None."""
        self.journal_problem: str | None = None
        """Why charges wait in memory alone, or None."""
        self.totals = Totals(month_of(clock()))
        """The ledger's totals of this month, at the last look."""
        self.lost = 0
        """Charges that could not be kept anywhere."""
        self._clock = clock
        self._on_taken = on_taken
        self._journals = journals
        try:
            self._journal = Journal(journals, journal_records)
        except OSError as error:
            self.journal_problem = f"there is no journal in {journals}: {error.strerror}"
            self._journal = Journal(None, journal_records)
        self.owner = self._journal.name
        self._overflow = Batch(f"{self.owner}+", 0, 0)
        self._overflow_pending: Batch | None = None
        self._releases: set[str] = set()
        self._flushing: asyncio.Task[None] | None = None
        self._next_try = 0.0
        self._retry_seconds = _FIRST_RETRY_SECONDS
        self._next_look = 0.0
        self._next_beat = 0.0
        self._next_recovery = 0.0

    @property
    def waiting(self) -> int:
        """How many charges the ledger has not taken yet."""
        pending = 0 if self._overflow_pending is None else self._overflow_pending.upto - self._overflow_pending.first
        return self._journal.waiting + pending + self._overflow.upto - self._overflow.first

    def book(
        self,
        series: Series,
        hold: bytes | None,
        failed: bool,
        prompt_tokens: int,
        cached_tokens: int,
        completion_tokens: int,
        nano_usd: int,
        duration_seconds: float,
        busy_seconds: float,
        at: float,
    ) -> None:
        """Keep a charge: in the journal, or in memory where the journal is full because the ledger is down."""
        if self._journal.append(
            series,
            hold,
            failed,
            at,
            prompt_tokens,
            cached_tokens,
            completion_tokens,
            nano_usd,
            duration_seconds,
            busy_seconds,
        ):
            return
        overflow = self._overflow
        if hold is not None and len(overflow.settlements) >= _MOST_OVERFLOW_SETTLEMENTS:
            self.lost += 1
            return
        record = Record(
            hold or b"\0" * 16,
            0,
            int(failed),
            at,
            prompt_tokens,
            cached_tokens,
            completion_tokens,
            nano_usd,
            duration_seconds,
            busy_seconds,
        )
        overflow.put(series, record)
        overflow.upto += 1

    async def reserve(self, hold: Hold) -> Refused | None:
        """Ask the ledger for a hold.

        Raises:
            LedgerError: it cannot be written, or not in time. If the hold was made all the same, it is given back.
        """
        try:
            async with asyncio.timeout(_RESERVE_SECONDS):
                return await self.ledger.reserve(hold)
        except LedgerError as error:
            problem = error
        except TimeoutError:
            problem = LedgerError(f"the ledger did not answer within {_RESERVE_SECONDS:g} s")
        self.release(hold.id)
        self.failed(problem)
        raise problem

    def release(self, hold_id: str) -> None:
        """Give back, at the next tick, what was set aside for a request that was never sent."""
        self._releases.add(hold_id)

    def failed(self, error: LedgerError) -> None:
        """The ledger could not be used."""
        self.problem = str(error)
        self._next_try = self._clock() + self._retry_seconds
        self._retry_seconds = min(_LAST_RETRY_SECONDS, self._retry_seconds * 2)

    async def open(self) -> None:
        """Begin: book what killed workers left, and read the totals. A ledger that is down is tried again in ticks."""
        await self.flush(force=True)

    async def close(self) -> None:
        """End: everything goes to the ledger if that is possible, and waits in the journal if not."""
        if self._flushing is not None:
            await self._flushing
        await self.flush(force=True)
        self._journal.close()
        with contextlib.suppress(LedgerError):
            await self.ledger.close()

    def tick(self) -> None:
        """Carry on what is due, beside the requests."""
        now = self._clock()
        # A clock that was put back must not stop the tries for as long as it was put back.
        due = now >= self._next_try or now < self._next_try - _LAST_RETRY_SECONDS
        if due and (self._flushing is None or self._flushing.done()) and self._has_work(now):
            self._flushing = asyncio.get_running_loop().create_task(self.flush())

    async def catch_up(self) -> None:
        """Carry everything that has ended to the ledger now, and look at its totals."""
        if self._flushing is not None and not self._flushing.done():
            await asyncio.shield(self._flushing)
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.get_running_loop().create_task(self.flush())
        await asyncio.shield(self._flushing)

    def _has_work(self, now: float) -> bool:
        # The journal outlives a killed process, so that charges can wait: a step of the ledger's for each tick would
        # cost more than the requests that it is for.
        return (
            self.problem is not None
            or self._journal.waiting > MOST_RECORDS
            or not 0 < self._next_look - now <= _TOTALS_SECONDS
        )

    async def flush(self, *, force: bool = False) -> None:
        """Carry everything to the ledger, and look at its totals. Says in ``problem`` where that fails."""
        try:
            await self._flush(force)
        except LedgerError as error:
            self.failed(error)
        except Exception as error:  # the next tick tries again; until then paid tiers are closed
            self.failed(LedgerError(f"charges cannot be handed in: {error!r}"))
        else:
            self.problem = None
            self._next_try = 0.0
            self._retry_seconds = _FIRST_RETRY_SECONDS

    async def _flush(self, force: bool) -> None:
        now = self._clock()
        if self.problem is not None or force:
            await self.ledger.open()
        # Those of now: what is released while this goes on may have charges that this does not take any more.
        releases = list(self._releases)
        while self._journal.waiting:
            records = [(self._journal.series_of(record), record) for record in self._journal.read(MOST_RECORDS)]
            first = self._journal.head
            batch = Batch.of(self._journal.name, first, records)
            taken = await self.ledger.take(batch)
            self._journal.taken(taken)
            if taken == batch.upto:
                self._on_taken(batch)
        await self._flush_overflow()
        for hold_id in releases:
            await self.ledger.release(hold_id)
            self._releases.discard(hold_id)
        if force or not 0 <= self._next_beat - now <= _BEAT_SECONDS:
            await self.ledger.beat(self.owner)
            self._next_beat = now + _BEAT_SECONDS
        if force or not 0 <= self._next_recovery - now <= _RECOVERY_SECONDS:
            if self._journals is not None:
                await hand_in_leftovers(self.ledger, self._journals)
            await self.ledger.charge_abandoned()
            self._next_recovery = now + _RECOVERY_SECONDS
        self.totals = await self.ledger.totals(month_of(now))
        self._next_look = now + _TOTALS_SECONDS

    async def _flush_overflow(self) -> None:
        """Hand in what did not fit into the journal. A batch that may have been taken is handed in again unchanged."""
        if self._overflow_pending is None and self._overflow.upto > self._overflow.first:
            self._overflow_pending = self._overflow
            self._overflow = Batch(self._overflow.journal, self._overflow.upto, self._overflow.upto)
        if self._overflow_pending is not None:
            await self.ledger.take(self._overflow_pending)
            self._on_taken(self._overflow_pending)
            self._overflow_pending = None
