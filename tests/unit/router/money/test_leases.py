"""Requests of keys with a budget draw on leases: hardly a step of the ledger's, and not a cent beyond the budget."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_runtime.router.dialects.usage import Usage
from agent_runtime.router.money.budgets import BudgetError
from agent_runtime.router.money.charges import MEASURES, Charge, Series
from agent_runtime.router.money.leases import Lease, Leases, lease_nano_usd
from agent_runtime.router.money.ledger import Hold, Ledger, Limit, Refused
from agent_runtime.router.money.opening import make_purse
from agent_runtime.router.money.purse import Purse, Reservation
from agent_runtime.router.money.sqlite_ledger import JOURNALS_NAME
from tests.programs import REPOSITORY
from tests.unit.router.money.conftest import MakeLedger
from tests.unit.router.money.fleet import Clock, contract

pytestmark = pytest.mark.unit

TOKENS = 10
BUDGET_USD = 0.02
CLOCK = Clock()
MOST_NANO = 74 * 1389
"""What a request of the tests can cost: 64 tokens of a template and 10 of the answer, at 0.5 USD for 360,000."""
COST_NANO = 13_889
LEASE_NANO = 200_000
SERIES = Series("alice", "local", "assistant")


async def opened(data: Path, *, usd: float = BUDGET_USD, ledger: Ledger | None = None, clock: Clock = CLOCK) -> Purse:
    purse = make_purse(data) if ledger is None else Purse(ledger, data / JOURNALS_NAME, clock=clock)
    purse.update(contract(key_budgets={"alice": usd}))
    await purse.open()
    return purse


async def reserve(purse: Purse) -> Reservation:
    drawn = purse.draw(key="alice", model="assistant", prompt_bytes=0, max_tokens=TOKENS)
    if drawn is None:
        drawn = await purse.reserve(key="alice", tier="local", model="assistant", prompt_bytes=0, max_tokens=TOKENS)
    assert drawn is not None
    return drawn


def end(purse: Purse, reservation: Reservation) -> float:
    return purse.settle(reservation, Charge("alice", "local", "assistant", Usage(0, TOKENS), 0.1))


async def spend_all(purse: Purse) -> float:
    """Ask until there is too little left, and give what it came to."""
    spent = 0.0
    while True:
        try:
            spent += end(purse, await reserve(purse))
        except BudgetError:
            return spent


def reserved_nano(purse: Purse) -> int:
    return purse._books.totals.reserved.get("key:alice", 0)


def spent_nano(purse: Purse) -> int:
    return purse._books.totals.spent.get("key:alice", 0)


async def test_hardly_a_request_costs_a_step_of_the_ledgers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    purse = await opened(tmp_path, usd=10.0)
    steps: list[Hold] = []
    ask = purse._books.ledger.reserve

    async def counted(hold: Hold) -> Refused | None:
        steps.append(hold)
        return await ask(hold)

    monkeypatch.setattr(purse._books.ledger, "reserve", counted)
    for _ in range(1000):
        end(purse, await reserve(purse))
    assert len(steps) == 1
    assert steps[0].nano_usd == 50_000_000
    await purse.close()


async def test_one_worker_spends_a_budget_to_its_end_and_no_further(tmp_path: Path) -> None:
    purse = await opened(tmp_path)
    spent = await spend_all(purse)
    left_nano = BUDGET_USD * 1e9 - spent * 1e9
    assert 0 <= left_nano <= MOST_NANO + COST_NANO
    await purse._books.catch_up()
    assert spent_nano(purse) == round(spent * 1e9)
    await purse.close()


@pytest.mark.parametrize("seed", range(2))
async def test_several_workers_at_once_stay_within_a_budget(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    workers = [await opened(tmp_path) for _ in range(3)]
    spent: list[float] = []

    async def client(purse: Purse) -> None:
        for _ in range(80):
            try:
                reservation = await reserve(purse)
            except BudgetError:
                return
            await asyncio.sleep(0 if chance.random() < 0.9 else 0.001)
            if chance.random() < 0.1:
                purse.release(reservation)
            else:
                spent.append(end(purse, reservation))
            if chance.random() < 0.02:
                await purse._books.catch_up()

    async with asyncio.TaskGroup() as tasks:
        for purse in workers:
            for _ in range(5):
                tasks.create_task(client(purse))
    assert sum(spent) <= BUDGET_USD
    for purse in workers:
        await purse.close()
    # Whoever comes last finds everything that the others had set aside and not used.
    last = await opened(tmp_path)
    assert reserved_nano(last) == 0
    assert spent_nano(last) == round(sum(spent) * 1e9)
    whole_nano = round(1e9 * (sum(spent) + await spend_all(last)))
    assert BUDGET_USD * 1e9 - MOST_NANO - COST_NANO <= whole_nano <= BUDGET_USD * 1e9
    await last.close()


async def test_a_lease_that_nobody_uses_goes_back(tmp_path: Path, make_ledger: MakeLedger, clock: Clock) -> None:
    purse = await opened(tmp_path, ledger=make_ledger(), clock=clock)
    reservation = await reserve(purse)
    await purse._books.catch_up()
    assert reserved_nano(purse) == LEASE_NANO
    clock.at += 60
    purse.tick()
    await purse._books.catch_up()
    assert reserved_nano(purse) == LEASE_NANO, "a request is on its way on it"
    end(purse, reservation)
    purse.tick()
    await purse._books.catch_up()
    assert reserved_nano(purse) == 0
    assert spent_nano(purse) == COST_NANO
    await purse.close()


async def test_what_ends_after_its_month_is_charged_to_it(
    tmp_path: Path, make_ledger: MakeLedger, clock: Clock
) -> None:
    clock.set("2026-11-30T23:59:59")
    purse = await opened(tmp_path, ledger=make_ledger(), clock=clock)
    reservation = await reserve(purse)
    clock.set("2026-12-01T00:00:01")
    end(purse, reservation)
    end(purse, await reserve(purse))
    await purse._books.catch_up()
    rows = await purse._books.ledger.rows("2026-11-01", "2026-12-31")
    assert [(row.day, row.measures[MEASURES.index("requests")]) for row in rows] == [
        ("2026-11-30", 1),
        ("2026-12-01", 1),
    ]
    await purse.close()


async def test_another_budget_takes_the_leases_of_the_old_one_away(tmp_path: Path) -> None:
    purse = await opened(tmp_path)
    end(purse, await reserve(purse))
    purse.update(contract(key_budgets={"alice": BUDGET_USD}))
    assert purse._leases.left_nano_usd("alice") > 0, "the same budget"
    purse.update(contract(key_budgets={"alice": 0.00001}))
    assert purse._leases.left_nano_usd("alice") == 0
    with pytest.raises(BudgetError):
        await reserve(purse)
    await purse.close()


WORKER = """
import asyncio, os, sys
from pathlib import Path
from tests.unit.router.money.test_leases import end, opened, reserve

async def main() -> None:
    purse = await opened(Path(sys.argv[1]), usd=1.0)
    while True:
        reservation = await reserve(purse)
        os.write(1, b"begun\\n")
        end(purse, reservation)
        os.write(1, b"ended\\n")

asyncio.run(main())
"""


@pytest.mark.slow
async def test_a_killed_worker_loses_a_lease_at_most_and_hides_nothing(tmp_path: Path) -> None:
    ended = begun = 0
    rounds = 4
    for number in range(rounds):
        worker = subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path)], cwd=REPOSITORY, stdout=subprocess.PIPE)
        assert worker.stdout is not None
        said = [worker.stdout.readline() for _ in range(20 + 150 * number)]
        os.kill(worker.pid, signal.SIGKILL)
        said += worker.stdout.readlines()
        worker.wait(10)
        worker.stdout.close()
        begun += said.count(b"begun\n")
        ended += said.count(b"ended\n")
    heir = await opened(tmp_path, usd=1.0)
    assert reserved_nano(heir) == 0
    lease_nano = lease_nano_usd([Limit("key:alice", 1_000_000_000)], MOST_NANO)
    assert ended * COST_NANO <= spent_nano(heir) <= begun * COST_NANO + rounds * lease_nano
    await heir.close()


class Books:
    """Holds that are always granted."""

    def __init__(self) -> None:
        self.made: list[Hold] = []
        self.released: list[str] = []

    async def reserve(self, hold: Hold) -> Refused | None:
        self.made.append(hold)
        return None

    def release(self, hold_id: str) -> None:
        self.released.append(hold_id)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["draw", "end", "close", "wait"]), st.integers(0, 60)), max_size=60))
def test_no_lease_gives_more_than_it_has_and_each_goes_back_once(steps: list[tuple[str, int]]) -> None:
    async def play() -> None:
        books, now = Books(), 0.0
        leases = Leases(books)
        drawn: list[tuple[Lease, int, int]] = []
        used: dict[str, int] = {}
        for what, amount in steps:
            if what == "draw":
                hold = Hold(f"{len(books.made)}", "o", "2026-11-10", SERIES, 100, (), now)
                assert await leases.have("k", amount + 1, lambda hold=hold: hold)
                lease = leases.draw("k", amount + 1, now)
                assert lease is not None
                drawn.append((lease, amount + 1, amount // 2))
                used[lease.hold_id] = used.get(lease.hold_id, 0) + amount + 1
                assert used[lease.hold_id] <= 100
                assert lease.hold_id not in books.released
            elif what == "end" and drawn:
                ended, most, cost = drawn.pop(amount % len(drawn))
                leases.give_back(ended, most - cost)
                used[ended.hold_id] -= most - cost
            elif what == "close":
                leases.close("k")
            elif what == "wait":
                now += amount
                leases.tick(now)
        for ended, most, cost in drawn:
            leases.give_back(ended, most - cost)
        leases.close_all()
        assert sorted(books.released) == sorted(hold.id for hold in books.made)

    asyncio.run(play())


@pytest.mark.parametrize(
    ("limit", "most", "size"),
    [
        (10**10, 1000, 50_000_000),
        (10**9, 1000, 10_000_000),
        (10**12, 10_000_000, 160_000_000),
        (10**9, 20_000_000, 0),
        (0, 1, 0),
    ],
)
def test_a_lease_is_five_cents_or_a_hundredth_of_the_budget(limit: int, most: int, size: int) -> None:
    assert lease_nano_usd([Limit("key:alice", limit)], most) == size
    assert lease_nano_usd([], most) == 0
