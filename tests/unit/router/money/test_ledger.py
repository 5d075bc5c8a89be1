"""The ledger, on SQLite and on a real Valkey: one account, whatever is handed in twice, late or by the dead."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent_runtime.router.money.charges import MEASURES, Series, count_in
from agent_runtime.router.money.ledger import (
    OUTER,
    Batch,
    Hold,
    Ledger,
    LedgerError,
    Limit,
    Refused,
    Settlement,
    key_scope,
    tier_scope,
)
from agent_runtime.router.money.sqlite_ledger import SqliteLedger
from tests.unit.router.money.conftest import MakeLedger
from tests.unit.router.money.fleet import DAY, MONTH, Clock

PAID = Series("alice", "commercial", "assistant")
OWN = Series("bob", "local", "assistant")
NANO = MEASURES.index("nano_usd")


def hold(number: int, nano_usd: int, *limits: Limit, owner: str = "worker", series: Series = PAID) -> Hold:
    return Hold(f"{number:032x}", owner, DAY, series, nano_usd, limits, at=0.0)


def used(nano_usd: int, *, failed: bool = False) -> list[int]:
    columns = [0] * len(MEASURES)
    count_in(columns, int(failed), 10, 0, 5, nano_usd, 0.5, 0.25)
    return columns


def settled(number: int, nano_usd: int, *, journal: str = "j", position: int = 0) -> Batch:
    found = Settlement(f"{number:032x}", DAY, PAID, used(nano_usd))
    return Batch(journal, position, position + 1, settlements=[found])


async def sum_of(ledger: Ledger, measure: str) -> int:
    return sum(row.measures[MEASURES.index(measure)] for row in await ledger.rows("2026-11-01", "2026-11-30"))


async def test_a_hold_counts_until_it_is_settled_and_then_what_was_used(make_ledger: MakeLedger) -> None:
    ledger = make_ledger()
    await ledger.open()
    assert await ledger.reserve(hold(1, 100)) is None
    totals = await ledger.totals(MONTH)
    assert (totals.spent.get(OUTER, 0), totals.reserved[OUTER]) == (0, 100)
    await ledger.take(settled(1, 40))
    totals = await ledger.totals(MONTH)
    for scope in (OUTER, tier_scope("commercial"), key_scope("alice")):
        assert (totals.spent[scope], totals.reserved[scope]) == (40, 0)
    (row,) = await ledger.rows(DAY, DAY)
    assert (row.day, row.series, row.measures) == (DAY, PAID, used(40))
    await ledger.close()


async def test_a_limit_is_reached_and_not_passed(make_ledger: MakeLedger) -> None:
    ledger = make_ledger()
    await ledger.open()
    limit = Limit(OUTER, 100)
    assert await ledger.reserve(hold(1, 60, limit)) is None
    refused = await ledger.reserve(hold(2, 41, limit))
    assert refused == Refused(limit, 60)
    assert await ledger.reserve(hold(3, 40, limit)) is None
    assert (await ledger.totals(MONTH)).reserved[OUTER] == 100
    await ledger.close()


async def test_the_same_hold_is_made_once(make_ledger: MakeLedger) -> None:
    ledger = make_ledger()
    await ledger.open()
    limit = Limit(OUTER, 100)
    assert await ledger.reserve(hold(1, 100, limit)) is None
    assert await ledger.reserve(hold(1, 100, limit)) is None
    assert (await ledger.totals(MONTH)).reserved[OUTER] == 100
    await ledger.close()


async def test_a_released_hold_leaves_nothing_and_is_released_once(make_ledger: MakeLedger) -> None:
    ledger = make_ledger()
    await ledger.open()
    await ledger.reserve(hold(1, 100))
    await ledger.release(hold(1, 100).id)
    await ledger.release(hold(1, 100).id)
    await ledger.release(hold(2, 0).id)
    totals = await ledger.totals(MONTH)
    assert totals.committed(OUTER) == 0
    assert await ledger.rows(DAY, DAY) == []
    await ledger.close()


async def test_own_tiers_count_for_keys_and_not_for_the_fleets_budget(make_ledger: MakeLedger) -> None:
    ledger = make_ledger()
    await ledger.open()
    batch = Batch("j", 0, 3, sums={(DAY, OWN): used(7), ("2026-12-01", OWN): used(9)})
    assert await ledger.take(batch) == 3
    totals = await ledger.totals(MONTH)
    assert OUTER not in totals.spent
    assert totals.spent[key_scope("bob")] == totals.spent[tier_scope("local")] == 7
    assert (await ledger.totals("2026-12")).spent[key_scope("bob")] == 9
    await ledger.close()


async def test_a_batch_that_is_handed_in_again_changes_nothing(make_ledger: MakeLedger) -> None:
    ledger = make_ledger()
    await ledger.open()
    batch = Batch("j", 0, 2, sums={(DAY, OWN): used(7)})
    later = Batch("j", 2, 5, sums={(DAY, OWN): used(1)})
    assert await ledger.take(batch) == 2
    assert await ledger.take(batch) == 2
    assert await ledger.take(later) == 5
    assert await ledger.take(batch) == 5
    assert await sum_of(ledger, "nano_usd") == 8
    await ledger.close()


async def test_a_second_settlement_of_a_hold_changes_nothing(make_ledger: MakeLedger) -> None:
    ledger = make_ledger()
    await ledger.open()
    await ledger.reserve(hold(1, 100))
    await ledger.take(settled(1, 40))
    await ledger.take(settled(1, 60, journal="another"))
    assert (await ledger.totals(MONTH)).committed(OUTER) == 40
    assert await sum_of(ledger, "requests") == 1
    await ledger.close()


async def test_what_was_used_is_charged_even_where_the_hold_is_unknown(make_ledger: MakeLedger) -> None:
    ledger = make_ledger()
    await ledger.open()
    await ledger.take(settled(1, 40))
    await ledger.take(settled(1, 40, journal="another"))
    assert (await ledger.totals(MONTH)).spent[OUTER] == 40
    await ledger.close()


async def test_holds_of_the_dead_are_charged_as_reserved_until_what_was_used_is_known(
    make_ledger: MakeLedger, clock: Clock
) -> None:
    ledger = make_ledger()
    await ledger.open()
    await ledger.reserve(hold(1, 100, owner="dead"))
    assert await ledger.charge_abandoned() == 1
    assert await ledger.charge_abandoned() == 0
    totals = await ledger.totals(MONTH)
    assert (totals.spent[OUTER], totals.reserved[OUTER]) == (100, 0)
    assert await sum_of(ledger, "errors") == 1
    # Its journal turns up after all.
    await ledger.take(settled(1, 30))
    totals = await ledger.totals(MONTH)
    assert (totals.spent[OUTER], totals.reserved[OUTER]) == (30, 0)
    assert [await sum_of(ledger, name) for name in ("requests", "errors", "nano_usd")] == [1, 0, 30]
    await ledger.close()


async def test_totals_are_the_sums_of_the_charges(make_ledger: MakeLedger) -> None:
    ledger = make_ledger()
    await ledger.open()
    for number in range(5):
        await ledger.reserve(hold(number, 100))
        await ledger.take(settled(number, 10 * number, journal=f"j{number}"))
    assert (await ledger.totals(MONTH)).spent[OUTER] == await sum_of(ledger, "nano_usd") == 100
    await ledger.close()


@pytest.mark.parametrize("routers", [1, 3])
async def test_many_at_once_never_reserve_more_than_there_is(make_ledger: MakeLedger, routers: int) -> None:
    ledgers = [make_ledger() for _ in range(routers)]
    for ledger in ledgers:
        await ledger.open()
    limit = Limit(OUTER, 1000)
    answers = await asyncio.gather(
        *(ledgers[number % routers].reserve(hold(number, 7 + number % 5, limit)) for number in range(300))
    )
    granted = sum(7 + number % 5 for number, answer in enumerate(answers) if answer is None)
    assert (await ledgers[0].totals(MONTH)).reserved[OUTER] == granted
    assert 1000 - 11 < granted <= 1000
    for ledger in ledgers:
        await ledger.close()


async def test_a_damaged_file_is_left_as_it_is_and_said(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    file.write_bytes(b"this is no database, but somebody may still read it" * 50)
    before = file.read_bytes()
    ledger = SqliteLedger(tmp_path)
    with pytest.raises(LedgerError, match=r"ledger\.db cannot be used.*not a database.*left as it is"):
        await ledger.open()
    assert file.read_bytes() == before
    await ledger.close()


async def test_a_page_that_was_destroyed_is_found_when_the_ledger_is_opened(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path)
    await ledger.open()
    for number in range(200):
        await ledger.reserve(hold(number, 1))
    await ledger.close()
    file = tmp_path / "ledger.db"
    content = bytearray(file.read_bytes())
    content[8192:12288] = b"\xff" * 4096
    file.write_bytes(content)
    damaged = SqliteLedger(tmp_path)
    with pytest.raises(LedgerError, match="left as it is"):
        await damaged.open()
    assert file.read_bytes() == bytes(content)
    await damaged.close()


async def test_a_ledger_of_a_later_release_is_not_touched(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path)
    await ledger.open()
    await ledger._do(lambda connection: connection.execute("PRAGMA user_version = 99"))
    await ledger.close()
    later = SqliteLedger(tmp_path)
    with pytest.raises(LedgerError, match="version 99"):
        await later.open()
    await later.close()


async def test_a_fault_within_a_transaction_is_told_and_the_next_one_goes_on(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path)
    await ledger.open()

    def fault(connection: object) -> None:
        raise ValueError("a fault")

    with pytest.raises(LedgerError, match="a fault"):
        await ledger._do(fault)
    assert await ledger.reserve(hold(1, 10)) is None
    assert (tmp_path / "ledger.db").stat().st_mode & 0o077 == 0
    await ledger.close()


async def test_a_server_that_would_throw_the_ledger_away_is_refused(valkey_url: str) -> None:
    import valkey.asyncio

    from agent_runtime.router.money.valkey_ledger import ValkeyLedger

    async with valkey.asyncio.Valkey.from_url(valkey_url) as client:
        await client.config_set("maxmemory-policy", "allkeys-lru")
        ledger = ValkeyLedger(valkey_url)
        try:
            with pytest.raises(LedgerError, match="noeviction"):
                await ledger.open()
        finally:
            await client.config_set("maxmemory-policy", "noeviction")
            await ledger.close()


async def test_a_server_that_is_not_there_is_said_without_its_password() -> None:
    from agent_runtime.router.money.valkey_ledger import ValkeyLedger
    from tests.ports import free_port

    secret = "-".join(("not", "to", "be", "seen"))
    ledger = ValkeyLedger(f"valkey://:{secret}@127.0.0.1:{free_port()}")
    with pytest.raises(LedgerError) as refused:
        await ledger.open()
    assert "127.0.0.1" in str(refused.value)
    assert secret not in str(refused.value)
    await ledger.close()
