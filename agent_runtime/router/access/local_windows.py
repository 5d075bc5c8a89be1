"""Counts for rate limits on this machine: in memory for one router, in a file for several that share a port.

They are Paddock's own because the in-memory storage of the ``limits`` package starts a thread for each request
that it counts, and because it has nothing that several processes of one machine can share without a server.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from agent_runtime.router.access.window import Taken, Want, Window, aligned, first_refused

_BUSY_SECONDS: Final = 0.2
"""How long to wait for another process: it holds the file for microseconds."""
_PREPARE_SECONDS: Final = 5.0
_PREPARATION: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = OFF",
    "CREATE TABLE IF NOT EXISTS counts "
    "(key TEXT, number INTEGER, count INTEGER, PRIMARY KEY (key, number)) WITHOUT ROWID",
)


class LocalWindows(Protocol):
    """Counts that can be asked at once."""

    def take(self, wants: tuple[Want, ...]) -> Taken:
        """Count all wants, or none of them where one does not fit."""
        ...

    def add(self, key: str, cost: int) -> None:
        """Count more, whether it fits or not."""
        ...

    def close(self) -> None:
        """Let go of what is held."""
        ...


class MemoryWindows:
    """Counts of this process. One entry for each limit; keys of the contract are few."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._counts: dict[str, tuple[int, int, int]] = {}
        """Key -> number of its current window, counts of the previous and the current one."""

    def take(self, wants: tuple[Want, ...]) -> Taken:
        """Count all wants, or none of them where one does not fit."""
        number, turnover = aligned(self._now())
        windows = tuple(self._window(want.key, number, turnover) for want in wants)
        refused = first_refused(wants, windows)
        if refused is not None:
            return Taken(windows, refused)
        after: list[Window] = []
        for want, window in zip(wants, windows, strict=True):
            self._counts[want.key] = number, window.previous, window.current + want.cost
            after.append(window._replace(current=window.current + want.cost))
        return Taken(tuple(after), None)

    def add(self, key: str, cost: int) -> None:
        """Count more, whether it fits or not."""
        number, turnover = aligned(self._now())
        window = self._window(key, number, turnover)
        self._counts[key] = number, window.previous, window.current + cost

    def close(self) -> None:
        """Nothing is held."""

    def _window(self, key: str, number: int, turnover: float) -> Window:
        counted, previous, current = self._counts.get(key, (number, 0, 0))
        if counted == number - 1:
            previous, current = current, 0
        elif counted < number:
            previous, current = 0, 0
        # A clock that went back leaves the counts where they are: the window only lasts longer.
        return Window(previous, turnover, current, turnover)


class FileWindows:
    """Counts in an SQLite file, shared by the processes that open it. What a crash loses is a minute's counts.

    Args:
        path: the file; it is made where there is none, readable by its owner alone.
        now: seconds since 1970, the same for all processes.

    Raises:
        OSError: the file cannot be made.
        sqlite3.Error: it is no database.
    """

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self._now = now
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._database = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
        self._prepare()
        self._swept = 0

    def _prepare(self) -> None:
        """Make the file what it has to be. Workers that start together may find it locked by each other."""
        deadline = time.monotonic() + _PREPARE_SECONDS
        while True:
            try:
                for line in _PREPARATION:
                    self._database.execute(line)
            except sqlite3.OperationalError as error:
                # Waiting for locks is SQLite's own work, but for the change to WAL.
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    self._database.close()
                    raise
                time.sleep(_BUSY_SECONDS / 20)
            except sqlite3.Error:
                self._database.close()
                raise
            else:
                return

    def take(self, wants: tuple[Want, ...]) -> Taken:
        """Count all wants, or none of them where one does not fit.

        Raises:
            sqlite3.Error: the file cannot be used, or another process held it for too long.
        """
        number, turnover = aligned(self._now())
        with self._transaction():
            windows = tuple(
                Window(self._count(want.key, number - 1), turnover, self._count(want.key, number), turnover)
                for want in wants
            )
            refused = first_refused(wants, windows)
            if refused is not None:
                return Taken(windows, refused)
            for want in wants:
                self._write(want.key, number, want.cost)
        after = (
            window._replace(current=window.current + want.cost) for want, window in zip(wants, windows, strict=True)
        )
        return Taken(tuple(after), None)

    def add(self, key: str, cost: int) -> None:
        """Count more, whether it fits or not.

        Raises:
            sqlite3.Error: as for :meth:`take`.
        """
        number, _ = aligned(self._now())
        with self._transaction():
            self._write(key, number, cost)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _transaction(self) -> contextlib.AbstractContextManager[object]:
        # IMMEDIATE: what is read must not change before it is written.
        self._database.execute("BEGIN IMMEDIATE")
        return self._database

    def _count(self, key: str, number: int) -> int:
        row = self._database.execute("SELECT count FROM counts WHERE key = ? AND number = ?", (key, number)).fetchone()
        return 0 if row is None else int(row[0])

    def _write(self, key: str, number: int, cost: int) -> None:
        if number != self._swept:
            self._swept = number
            self._database.execute("DELETE FROM counts WHERE number < ?", (number - 1,))
        self._database.execute(
            "INSERT INTO counts VALUES (?, ?, ?) "
            "ON CONFLICT (key, number) DO UPDATE SET count = count + excluded.count",
            (key, number, cost),
        )
