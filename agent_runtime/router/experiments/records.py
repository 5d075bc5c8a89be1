"""What is known of the arms, on disk: one SQLite file that all workers of a router add to.

Workers add differences, never totals, so that it does not matter who writes when. ``totals`` holds all time,
``minutes`` each minute of the last weeks, ``spreads`` the histograms, and ``votes`` the last vote on each request, as
long as it can be changed. The name of an experiment stands where these say ``alias``: an alias, and for a test that the
contract declares also when it began, so that each begins with nothing.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from agent_runtime.router.experiments.request_ids import KEY_BYTES, tag_of
from agent_runtime.router.experiments.tally import BOUNDS, COLUMNS, Spread, Tally
from fleet_spec.errors import BadInputError

FILE_NAME: Final = "experiments.sqlite3"
VOTE_SECONDS: Final = 30 * 86_400
"""How long after a request its vote is taken, and can be changed."""
_MINUTES_KEPT: Final = 35 * 24 * 60
_VOTES_KEPT: Final = 1_000_000
_LABELS_SHOWN: Final = 20
_BUSY_MS: Final = 5000
_VERSION: Final = 2

_SUMS: Final = ", ".join(f"{column} REAL NOT NULL" for column in COLUMNS)
_SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS totals (alias TEXT, arm TEXT, {_SUMS}, PRIMARY KEY (alias, arm)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS minutes (
    alias TEXT, arm TEXT, minute INTEGER, {_SUMS}, PRIMARY KEY (alias, arm, minute)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spreads (
    alias TEXT, arm TEXT, measure TEXT, bound_seconds REAL, requests INTEGER NOT NULL,
    PRIMARY KEY (alias, arm, measure, bound_seconds)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS votes (
    request_id TEXT PRIMARY KEY, alias TEXT, arm TEXT, minute INTEGER, score REAL NOT NULL, label TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS votes_by_minute ON votes (minute);
"""
_ADDED_TO: Final = ("totals", "minutes")
"""Tables to which later releases have added sums, always at the end."""

Arm = tuple[str, str]
"""An experiment, or the alias that is one, and one of its models."""


@dataclass(slots=True)
class Batch:
    """What was counted since the last time it was written down."""

    minutes: dict[tuple[str, str, int], Tally] = field(default_factory=dict[tuple[str, str, int], Tally])
    """By alias, arm and minute since 1970."""
    spreads: dict[Arm, Spread] = field(default_factory=dict[Arm, Spread])

    def add(self, other: Batch) -> None:
        """Add all that another one holds."""
        for place, tally in other.minutes.items():
            self.minutes.setdefault(place, Tally()).add(tally)
        for arm, spread in other.spreads.items():
            self.spreads.setdefault(arm, Spread()).add(spread)


@dataclass(slots=True)
class Vote:
    """What somebody thought of an answer."""

    request_id: str
    alias: str
    arm: str
    minute: int
    """When the request came."""
    score: float
    label: str | None


@dataclass(slots=True)
class Known:
    """All that the file says of an arm."""

    total: Tally
    spread: Spread
    labels: dict[str, int]
    """The most frequent labels of its votes, with how often each was given."""


class Records:
    """The file, or the same in memory. Its methods wait for the disk: call them in a thread."""

    def __init__(self, directory: Path | None) -> None:
        """Open the file in ``directory``, and make it where there is none; without a directory nothing outlives this.

        Raises:
            BadInputError: it cannot be read or written, or is of another release.
        """
        self._lock = threading.Lock()
        self._path = None if directory is None else directory / FILE_NAME
        try:
            self._db = self._open()
            self.key: bytes = self._shared_key()
        except (OSError, sqlite3.Error) as error:
            raise BadInputError(
                f"the record of A/B tests {self._path} cannot be used: {error}. Move the file away to begin a new one."
            ) from error

    def _open(self) -> sqlite3.Connection:
        if self._path is not None:
            # It holds the key of the request ids: nobody else may read it.
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        db = sqlite3.connect(
            self._path or ":memory:", timeout=_BUSY_MS / 1000, isolation_level=None, check_same_thread=False
        )
        # After a loss of power the last seconds may be missing; the file stays whole.
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        version: int = db.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, 1, _VERSION):
            db.close()
            raise sqlite3.DatabaseError(f"it is of version {version}, and this router writes version {_VERSION}")
        db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
        if version == 1:
            _add_columns(db)
        return db

    def _shared_key(self) -> bytes:
        self._db.execute("INSERT OR IGNORE INTO secrets VALUES ('request_ids', ?)", (secrets.token_bytes(KEY_BYTES),))
        return self._db.execute("SELECT value FROM secrets WHERE name = 'request_ids'").fetchone()[0]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def write(self, batch: Batch) -> None:
        """Add what was counted, all of it or nothing.

        Raises:
            sqlite3.Error: the disk is full, or the file is locked for longer than five seconds.
        """
        with self.transaction():
            _add(self._db, batch.minutes.items())
            self._db.executemany(
                "INSERT INTO spreads VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET requests = requests + excluded.requests",
                [
                    (alias, arm, measure, bound, count)
                    for (alias, arm), spread in batch.spreads.items()
                    for measure, counts in (("duration", spread.duration), ("first_byte", spread.first_byte))
                    for bound, count in zip(BOUNDS, counts, strict=True)
                    if count
                ],
            )

    def vote(self, vote: Vote) -> float | None:
        """Take a vote. Gives the score of the earlier one on the same request, whose place it takes, if there is one.

        Raises:
            sqlite3.Error: as for :meth:`write`.
        """
        with self.transaction():
            found = self._db.execute("SELECT score FROM votes WHERE request_id = ?", (vote.request_id,)).fetchone()
            change = Tally(votes=1, score=vote.score, score_squared=vote.score**2)
            if found is not None:
                change.add(Tally(votes=-1, score=-found[0], score_squared=-(found[0] ** 2)))
            self._db.execute(
                "INSERT OR REPLACE INTO votes VALUES (?, ?, ?, ?, ?, ?)",
                (vote.request_id, vote.alias, vote.arm, vote.minute, vote.score, vote.label),
            )
            _add(self._db, [((vote.alias, vote.arm, vote.minute), change)])
        return None if found is None else found[0]

    def arm_of(self, tag: bytes) -> Arm | None:
        """The alias and arm of a tag, among those that were ever written down."""
        with self._lock:
            rows = self._db.execute("SELECT alias, arm FROM totals").fetchall()
        return next(((alias, arm) for alias, arm in rows if tag_of(alias, arm) == tag), None)

    def read(self) -> dict[Arm, Known]:
        """Everything but the minutes."""
        columns = ", ".join(COLUMNS)
        # One view of all tables, while others write.
        with self.transaction("DEFERRED"):
            totals = self._db.execute(f"SELECT alias, arm, {columns} FROM totals").fetchall()  # noqa: S608
            spreads = self._db.execute("SELECT * FROM spreads").fetchall()
            labels = self._db.execute(
                "SELECT alias, arm, label, COUNT(*) FROM votes WHERE label IS NOT NULL "
                "GROUP BY alias, arm, label ORDER BY COUNT(*) DESC, label"
            ).fetchall()
        known = {(alias, arm): Known(_tally(values), Spread(), {}) for alias, arm, *values in totals}
        for alias, arm, measure, bound, count in spreads:
            if (alias, arm) in known and bound in BOUNDS:
                spread = known[alias, arm].spread
                counts = spread.duration if measure == "duration" else spread.first_byte
                counts[BOUNDS.index(bound)] += count
        for alias, arm, label, count in labels:
            if len(known[alias, arm].labels) < _LABELS_SHOWN:
                known[alias, arm].labels[label] = count
        return known

    def sums(self, experiment: str) -> dict[str, Tally]:
        """The sums of one experiment, by arm."""
        columns = ", ".join(COLUMNS)
        with self._lock:
            rows = self._db.execute(
                f"SELECT arm, {columns} FROM totals WHERE alias = ?",  # noqa: S608
                (experiment,),
            ).fetchall()
        return {arm: _tally(values) for arm, *values in rows}

    def minutes(self, since_minute: int) -> dict[Arm, list[tuple[int, Tally]]]:
        """The minutes from this one on in which anything happened, in order, by arm."""
        columns = ", ".join(COLUMNS)
        with self._lock:
            rows = self._db.execute(
                f"SELECT alias, arm, minute, {columns} FROM minutes WHERE minute >= ? "  # noqa: S608
                "ORDER BY alias, arm, minute",
                (since_minute,),
            ).fetchall()
        found: dict[Arm, list[tuple[int, Tally]]] = {}
        for alias, arm, minute, *values in rows:
            found.setdefault((alias, arm), []).append((minute, _tally(values)))
        return found

    def prune(self, now_minute: int) -> None:
        """Drop the minutes and votes that are too old, and the oldest votes where there are too many.

        Raises:
            sqlite3.Error: as for :meth:`write`.
        """
        with self.transaction():
            self._db.execute("DELETE FROM minutes WHERE minute < ?", (now_minute - _MINUTES_KEPT,))
            self._db.execute("DELETE FROM votes WHERE minute < ?", (now_minute - VOTE_SECONDS // 60,))
            beyond = self._db.execute(
                "SELECT minute FROM votes ORDER BY minute DESC LIMIT 1 OFFSET ?", (_VOTES_KEPT,)
            ).fetchone()
            if beyond is not None:
                self._db.execute("DELETE FROM votes WHERE minute <= ?", beyond)

    @contextmanager
    def transaction(self, kind: str = "IMMEDIATE") -> Generator[sqlite3.Connection]:
        """The open file: all that is done to it meanwhile is done at once, or not at all.

        Raises:
            sqlite3.Error: the file is locked for longer than five seconds.
        """
        with self._lock:
            self._db.execute(f"BEGIN {kind}")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


def _add_columns(db: sqlite3.Connection) -> None:
    """Give a file of an earlier release the sums that it does not have yet."""
    db.execute("BEGIN IMMEDIATE")
    for table in _ADDED_TO:
        there = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
        for column in COLUMNS:
            if column not in there:
                db.execute(f"ALTER TABLE {table} ADD COLUMN {column} REAL NOT NULL DEFAULT 0")
    db.execute("COMMIT")


def _add(db: sqlite3.Connection, rows: Iterable[tuple[tuple[str, str, int], Tally]]) -> None:
    totals: dict[Arm, Tally] = {}
    minutes: list[tuple[Any, ...]] = []
    for (alias, arm, minute), tally in rows:
        minutes.append((alias, arm, minute, *tally.row()))
        totals.setdefault((alias, arm), Tally()).add(tally)
    db.executemany(_upsert("totals", 2), [(*arm, *tally.row()) for arm, tally in totals.items()])
    db.executemany(_upsert("minutes", 3), minutes)


def _upsert(table: str, keys: int) -> str:
    marks = ", ".join("?" * (keys + len(COLUMNS)))
    sums = ", ".join(f"{column} = {column} + excluded.{column}" for column in COLUMNS)
    return f"INSERT INTO {table} VALUES ({marks}) ON CONFLICT DO UPDATE SET {sums}"  # noqa: S608 - names of ours


def _tally(values: Iterable[float]) -> Tally:
    sums: Mapping[str, Any] = dict(zip(COLUMNS, values, strict=True))
    whole = {name: int(value) if isinstance(getattr(_ZERO, name), int) else value for name, value in sums.items()}
    return Tally(**whole)


_ZERO: Final = Tally()
