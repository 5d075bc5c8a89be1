"""The ledger in a SQLite file, shared by the workers of one machine.

All work is done in one thread, so that the event loop never waits for the disk. What is asked for while a transaction
is being written goes into the next one together: many requests share the price of one ``fsync``.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

from agent_runtime.router.money import sqlite_store as store
from agent_runtime.router.money.journal import living
from agent_runtime.router.money.ledger import Batch, Hold, LedgerError, Refused, Row, Totals

FILE_NAME: Final = "ledger.db"
JOURNALS_NAME: Final = "journals"
_BUSY_SECONDS: Final = 5.0
"""How long a transaction waits for those of other workers."""

_Work = Callable[[sqlite3.Connection], Any]


class SqliteLedger:
    """See :class:`~agent_runtime.router.money.ledger.Ledger`."""

    def __init__(self, directory: Path | None, *, clock: Callable[[], float] = time.time) -> None:
        """Make a ledger; ``open`` begins it.

        Args:
            directory: where its file and the workers' journals are, None for memory alone.
            clock: Unix time.
        """
        self._directory = directory
        self._clock = clock
        self._executor: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None
        self._guard = threading.Lock()
        self._waiting: list[tuple[_Work, asyncio.Future[Any]]] = []
        self._draining = False

    @property
    def place(self) -> str:
        """Where it is, for a person."""
        return "memory" if self._directory is None else str(self._directory / FILE_NAME)

    async def open(self) -> None:
        """Begin.

        Raises:
            LedgerError: the file cannot be opened or used. It is left as it is.
        """
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        await self._do(partial(store.forget, at=self._clock()))

    async def close(self) -> None:
        """End, after what was asked for is done."""
        executor, self._executor = self._executor, None
        if executor is not None:
            await asyncio.get_running_loop().run_in_executor(executor, self._disconnect)
            executor.shutdown()

    async def reserve(self, hold: Hold) -> Refused | None:
        """See :meth:`Ledger.reserve`."""
        return cast("Refused | None", await self._do(partial(store.reserve, hold=hold)))

    async def release(self, hold_id: str) -> None:
        """See :meth:`Ledger.release`."""
        await self._do(partial(store.release, hold_id=hold_id))

    async def take(self, batch: Batch) -> int:
        """See :meth:`Ledger.take`."""
        return cast("int", await self._do(partial(store.take, batch=batch, at=self._clock())))

    async def totals(self, month: str) -> Totals:
        """See :meth:`Ledger.totals`."""
        return cast("Totals", await self._do(partial(store.totals, month=month)))

    async def charge_abandoned(self) -> int:
        """See :meth:`Ledger.charge_abandoned`. An owner is gone when nobody holds the lock on its journal."""
        if self._directory is None:
            return 0
        journals = self._directory / JOURNALS_NAME

        def charge(connection: sqlite3.Connection) -> int:
            # Looked at within the transaction: whoever made a hold before it had its journal before that.
            return store.charge_abandoned(connection, living(journals))

        return cast("int", await self._do(charge))

    async def beat(self, owner: str) -> None:
        """Nothing: the lock on an owner's journal tells."""

    async def rows(self, first_day: str, last_day: str) -> list[Row]:
        """See :meth:`Ledger.rows`."""
        return cast("list[Row]", await self._do(partial(store.rows, first_day=first_day, last_day=last_day)))

    async def _do(self, work: _Work) -> Any:
        executor = self._executor
        if executor is None:
            raise LedgerError(f"the ledger {self.place} is closed")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        with self._guard:
            self._waiting.append((work, future))
            start = not self._draining
            self._draining = True
        if start:
            executor.submit(self._drain)
        return await future

    def _drain(self) -> None:
        while True:
            with self._guard:
                group, self._waiting = self._waiting, []
                if not group:
                    self._draining = False
                    return
            try:
                outcome: list[Any] | LedgerError = self._transact([work for work, _ in group])
            except Exception as error:  # whatever it is, those who wait must hear of it, and the next must have a go
                self._disconnect()
                outcome = LedgerError(f"the ledger {self.place} cannot be used: {error}.{self._fix(error)}")
            for number, (_, future) in enumerate(group):
                answer = outcome if isinstance(outcome, LedgerError) else outcome[number]
                # The loop is closed where the router was ended in the middle; then nobody waits.
                with contextlib.suppress(RuntimeError):
                    future.get_loop().call_soon_threadsafe(_resolve, future, answer)

    def _transact(self, works: list[_Work]) -> list[Any]:
        connection = self._connection or self._connect()
        connection.execute("BEGIN IMMEDIATE")
        try:
            results = [work(connection) for work in works]
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        return results

    def _connect(self) -> sqlite3.Connection:
        if self._directory is not None:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Who asked for what, and how much: for this user alone. SQLite's other files take the mode over.
            (self._directory / FILE_NAME).touch(0o600)
        path = ":memory:" if self._directory is None else self._directory / FILE_NAME
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            # A reservation must be on the disk before its request is sent, whatever the machine does then.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            store.prepare(connection)
            connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        # In memory, the connection is the ledger: an error is then no reason to lose it.
        if connection is not None and (self._directory is not None or self._executor is None):
            connection.close()
        elif connection is not None:
            self._connection = connection

    def _fix(self, error: Exception) -> str:
        if isinstance(error, sqlite3.OperationalError) or not isinstance(error, sqlite3.DatabaseError):
            return ""
        return (
            " It is left as it is, and tiers beyond the fleet stay closed. Put a backup of it in its place, or move it"
            " and the files beside it of the same name away to begin with nothing spent."
        )


def _resolve(future: asyncio.Future[Any], answer: Any) -> None:
    if future.done():
        return
    if isinstance(answer, LedgerError):
        future.set_exception(answer)
    else:
        future.set_result(answer)
