"""The ledger's tables in SQLite, and what is done with them, each within a transaction of the caller's."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from typing import Final, cast

from agent_runtime.router.money.charges import COUNTS, MEASURES, Series
from agent_runtime.router.money.ledger import Batch, Hold, Refused, Row, Settlement, Totals, scopes
from agent_runtime.router.money.months import DAY_SECONDS, month_of_day

SCHEMA_VERSION: Final = 1
_KEPT_SECONDS: Final = 2 * DAY_SECONDS
"""How long it is remembered that a hold was settled, or how far a journal was taken."""
_COLUMNS: Final = ", ".join(MEASURES)
_SCHEMA: Final = f"""
CREATE TABLE charges (day TEXT NOT NULL, key TEXT NOT NULL, tier TEXT NOT NULL, model TEXT NOT NULL,
    {", ".join(f"{name} INTEGER NOT NULL" for name in MEASURES)},
    PRIMARY KEY (day, key, tier, model)) WITHOUT ROWID;
CREATE TABLE totals (month TEXT NOT NULL, scope TEXT NOT NULL, spent INTEGER NOT NULL, reserved INTEGER NOT NULL,
    PRIMARY KEY (month, scope)) WITHOUT ROWID;
CREATE TABLE holds (id TEXT PRIMARY KEY, owner TEXT NOT NULL, day TEXT NOT NULL, key TEXT NOT NULL,
    tier TEXT NOT NULL, model TEXT NOT NULL, nano_usd INTEGER NOT NULL, at REAL NOT NULL, state TEXT NOT NULL)
    WITHOUT ROWID;
CREATE INDEX holds_by_state ON holds (state, owner);
CREATE TABLE journals (name TEXT PRIMARY KEY, taken INTEGER NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
"""
_ADD_CHARGES: Final = (
    f"INSERT INTO charges (day, key, tier, model, {_COLUMNS}) VALUES ({', '.join('?' * (4 + len(MEASURES)))}) "  # noqa: S608 - column names of ours
    f"ON CONFLICT DO UPDATE SET {', '.join(f'{name} = {name} + excluded.{name}' for name in MEASURES)}"
)
_ADD_TOTAL: Final = (
    "INSERT INTO totals (month, scope, spent, reserved) VALUES (?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET spent = spent + excluded.spent, reserved = reserved + excluded.reserved"
)
_NANO_USD: Final = MEASURES.index("nano_usd")


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables where there are none.

    Raises:
        sqlite3.DatabaseError: the file is no database, is damaged, or was written by a newer release.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise sqlite3.DatabaseError(f"it is of version {version}, and this release reads up to {SCHEMA_VERSION}")
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"it is damaged: {verdict}")
    if version == 0:
        for statement in _SCHEMA.strip().split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def reserve(connection: sqlite3.Connection, hold: Hold) -> Refused | None:
    """See :meth:`Ledger.reserve`."""
    if connection.execute("SELECT 1 FROM holds WHERE id = ?", (hold.id,)).fetchone() is not None:
        return None
    month = month_of_day(hold.day)
    for limit in hold.limits:
        found = connection.execute(
            "SELECT spent + reserved FROM totals WHERE month = ? AND scope = ?", (month, limit.scope)
        ).fetchone()
        committed: int = 0 if found is None else found[0]
        if committed + hold.nano_usd > limit.nano_usd:
            return Refused(limit, committed)
    connection.execute(
        "INSERT INTO holds VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'open')",
        (hold.id, hold.owner, hold.day, *hold.series, hold.nano_usd, hold.at),
    )
    _add_total(connection, hold.day, hold.series, 0, hold.nano_usd)
    return None


def release(connection: sqlite3.Connection, hold_id: str) -> None:
    """See :meth:`Ledger.release`."""
    found = _hold(connection, hold_id)
    if found is not None and found[3] == "open":
        day, series, nano_usd, _ = found
        _add_total(connection, day, series, 0, -nano_usd)
        connection.execute("UPDATE holds SET state = 'settled' WHERE id = ?", (hold_id,))


def take(connection: sqlite3.Connection, batch: Batch, at: float) -> int:
    """See :meth:`Ledger.take`."""
    found = connection.execute("SELECT taken FROM journals WHERE name = ?", (batch.journal,)).fetchone()
    if found is not None and found[0] > batch.first:
        return found[0]
    for (day, series), sums in batch.sums.items():
        _charge(connection, day, series, sums)
        _add_total(connection, day, series, sums[_NANO_USD], 0)
    for settlement in batch.settlements:
        _settle(connection, settlement, at)
    connection.execute("INSERT OR REPLACE INTO journals VALUES (?, ?, ?)", (batch.journal, batch.upto, at))
    return batch.upto


def charge_abandoned(connection: sqlite3.Connection, living: Collection[str]) -> int:
    """See :meth:`Ledger.charge_abandoned`. ``living`` are the owners that are not gone."""
    rows = connection.execute("SELECT id, owner, day, key, tier, model, nano_usd FROM holds WHERE state = 'open'")
    count = 0
    for hold_id, owner, day, key, tier, model, nano_usd in rows.fetchall():
        if owner in living:
            continue
        series = Series(key, tier, model)
        sums = [0] * len(MEASURES)
        sums[: len(COUNTS)] = (1, 1, 0, 0, 0, nano_usd, 0, 0)
        _charge(connection, day, series, sums)
        _add_total(connection, day, series, nano_usd, -nano_usd)
        connection.execute("UPDATE holds SET state = 'abandoned' WHERE id = ?", (hold_id,))
        count += 1
    return count


def forget(connection: sqlite3.Connection, at: float) -> None:
    """Drop what is remembered only so that nothing is counted twice, once nobody can hand it in again."""
    connection.execute("DELETE FROM holds WHERE state <> 'open' AND at < ?", (at - _KEPT_SECONDS,))
    connection.execute("DELETE FROM journals WHERE at < ?", (at - 30 * _KEPT_SECONDS,))


def totals(connection: sqlite3.Connection, month: str) -> Totals:
    """See :meth:`Ledger.totals`."""
    found = Totals(month)
    for scope, spent, reserved in connection.execute(
        "SELECT scope, spent, reserved FROM totals WHERE month = ?", (month,)
    ):
        found.spent[scope] = spent
        found.reserved[scope] = reserved
    return found


def rows(connection: sqlite3.Connection, first_day: str, last_day: str) -> list[Row]:
    """See :meth:`Ledger.rows`."""
    found = connection.execute(
        f"SELECT day, key, tier, model, {_COLUMNS} FROM charges WHERE day BETWEEN ? AND ? ORDER BY day",  # noqa: S608 - column names of ours
        (first_day, last_day),
    )
    return [Row(day, Series(key, tier, model), sums) for day, key, tier, model, *sums in found]


def _settle(connection: sqlite3.Connection, settlement: Settlement, at: float) -> None:
    sums = settlement.measures
    found = _hold(connection, settlement.hold)
    if found is None:
        # The ledger was put back to an earlier state, or begun anew: what was used was used all the same.
        _charge(connection, settlement.day, settlement.series, sums)
        _add_total(connection, settlement.day, settlement.series, sums[_NANO_USD], 0)
        connection.execute(
            "INSERT INTO holds VALUES (?, '', ?, ?, ?, ?, 0, ?, 'settled')",
            (settlement.hold, settlement.day, *settlement.series, at),
        )
        return
    day, series, nano_usd, state = found
    if state == "settled":
        return
    if state == "abandoned":
        # It was counted as one failed request that cost all that was set aside for it.
        sums = list(sums)
        sums[0] -= 1
        sums[1] -= 1
        sums[_NANO_USD] -= nano_usd
        _add_total(connection, day, series, sums[_NANO_USD], 0)
    else:
        _add_total(connection, day, series, sums[_NANO_USD], -nano_usd)
    _charge(connection, day, series, sums)
    connection.execute("UPDATE holds SET state = 'settled' WHERE id = ?", (settlement.hold,))


def _hold(connection: sqlite3.Connection, hold_id: str) -> tuple[str, Series, int, str] | None:
    found = connection.execute(
        "SELECT day, key, tier, model, nano_usd, state FROM holds WHERE id = ?", (hold_id,)
    ).fetchone()
    if found is None:
        return None
    day, key, tier, model, nano_usd, state = cast("tuple[str, str, str, str, int, str]", found)
    return day, Series(key, tier, model), nano_usd, state  # pyright: ignore[reportArgumentType]


def _charge(connection: sqlite3.Connection, day: str, series: Series, sums: Iterable[int]) -> None:
    connection.execute(_ADD_CHARGES, (day, *series, *sums))


def _add_total(connection: sqlite3.Connection, day: str, series: Series, spent: int, reserved: int) -> None:
    month = month_of_day(day)
    connection.executemany(_ADD_TOTAL, [(month, scope, spent, reserved) for scope in scopes(series)])
