"""Workers that are killed in the middle, over and over: nothing is lost, nothing is counted twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from agent_runtime.router.money.charges import MEASURES
from agent_runtime.router.money.ledger import Ledger
from agent_runtime.router.money.opening import make_purse
from agent_runtime.router.money.sqlite_ledger import SqliteLedger
from tests.programs import REPOSITORY
from tests.unit.router.money.fleet import contract
from tests.unit.router.money.worker import TOKENS

PAID_NANO = TOKENS * 1000
RESERVED_NANO = (TOKENS + 64) * 1000
PLENTY_USD = 1000.0


def start(data: Path, url: str, monthly_usd: float, requests: int, every: int = 3) -> subprocess.Popen[bytes]:
    """A worker that hands its charges in every so many requests."""
    numbers = [str(number) for number in (monthly_usd, requests, every)]
    arguments = [sys.executable, "-m", "tests.unit.router.money.worker", str(data), url, *numbers]
    return subprocess.Popen(arguments, cwd=REPOSITORY, stdout=subprocess.PIPE)


def run_until_killed(worker: subprocess.Popen[bytes], lines: int) -> Counter[str]:
    """What a worker said until it was killed, just after so many lines."""
    assert worker.stdout is not None
    said = [worker.stdout.readline() for _ in range(lines)]
    os.kill(worker.pid, signal.SIGKILL)
    said += worker.stdout.readlines()
    worker.wait(10)
    worker.stdout.close()
    assert said[0] == b"open\n"
    return Counter(line.decode().strip() for line in said)


async def measured(ledger: Ledger, tier: str, name: str) -> int:
    rows = await ledger.rows("2000-01-01" if isinstance(ledger, SqliteLedger) else "2026-01-01", "2027-12-31")
    return sum(row.measures[MEASURES.index(name)] for row in rows if row.series.tier == tier)


async def test_workers_killed_in_the_middle_lose_nothing_and_count_nothing_twice(tmp_path: Path) -> None:
    said: Counter[str] = Counter()
    for round_number in range(6):
        said += run_until_killed(start(tmp_path, "", PLENTY_USD, 100_000), 20 + 37 * round_number)
    # Whoever opens the ledger next books what they left.
    heir = make_purse(tmp_path)
    heir.update(contract())
    await heir.open()
    ledger = SqliteLedger(tmp_path)
    await ledger.open()
    own = await measured(ledger, "local", "requests")
    assert said["own!"] <= own <= said["own?"], "a charge that was kept is booked; only the last of each may be either"
    assert await measured(ledger, "local", "completion_tokens") == own * TOKENS
    paid_tokens = await measured(ledger, "commercial", "completion_tokens")
    settled, rest = divmod(paid_tokens, TOKENS)
    assert rest == 0
    assert said["paid!"] <= settled <= said["sent"]
    paid = await measured(ledger, "commercial", "requests")
    assert said["sent"] <= paid <= said["paid?"], "what may have been sent is charged"
    assert await measured(ledger, "commercial", "nano_usd") == settled * PAID_NANO + (paid - settled) * RESERVED_NANO
    assert heir.spending().fleet.reserved_usd == 0
    assert heir.spending().fleet.spent_usd * 1e9 == pytest.approx(await measured(ledger, "commercial", "nano_usd"))
    assert heir._books.lost == 0
    await heir.close()
    await ledger.close()
    assert list((tmp_path / "journals").iterdir()) == []


async def test_a_living_worker_takes_a_dead_ones_charges_over(tmp_path: Path) -> None:
    living = make_purse(tmp_path)
    living.update(contract())
    await living.open()
    said = run_until_killed(start(tmp_path, "", PLENTY_USD, 100_000), 40)
    living._books._next_recovery = 0.0
    await living._books.flush()
    assert living.spending().fleet.reserved_usd == 0
    assert living.spending().fleet.spent_usd * 1e9 >= said["paid!"] * PAID_NANO
    await living.close()


async def test_a_journal_that_cannot_be_read_is_kept_aside_and_stops_nobody(tmp_path: Path) -> None:
    run_until_killed(start(tmp_path, "", PLENTY_USD, 100_000), 40)
    (names,) = (tmp_path / "journals").glob("*.names")
    names.write_text("[not JSON\n")
    purse = make_purse(tmp_path)
    purse.update(contract())
    await purse.open()
    assert purse.problem is None
    assert purse.spending().fleet.reserved_usd == 0
    await purse.close()
    assert len(list((tmp_path / "journals").glob("*.damaged"))) == 1


@pytest.mark.parametrize("kind", ["sqlite", "valkey"])
async def test_several_processes_share_a_budget_and_do_not_overspend_it(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("valkey_url") if kind == "valkey" else ""
    # Enough for 30 requests, and for setting aside the most that one more may cost.
    budget_nano = 30 * PAID_NANO + RESERVED_NANO
    said: Counter[str] = Counter()
    # The last one is alone, and finds what others' requests in flight had left over.
    for count in (3, 1):
        workers = [start(tmp_path, url, budget_nano / 1e9, 40, every=1) for _ in range(count)]
        for worker in workers:
            output, _ = worker.communicate(timeout=60)
            assert worker.returncode == 0
            said += Counter(output.decode().split())
        assert said["paid!"] * PAID_NANO <= budget_nano
    assert said["paid!"] == 31
    assert said["own!"] == 4 * 40
    purse = make_purse(tmp_path, valkey_url=url or None)
    await purse.open()
    spending = purse.spending()
    await purse.close()
    assert spending.fleet.reserved_usd == 0
    assert round(spending.fleet.spent_usd * 1e9) == 31 * PAID_NANO
