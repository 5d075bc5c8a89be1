"""The purse: what may be spent, what is set aside, and what is booked, through every kind of trouble."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_runtime.router.dialects.usage import Usage
from agent_runtime.router.money.budgets import BudgetError
from agent_runtime.router.money.charges import MEASURES, Charge
from agent_runtime.router.money.ledger import Ledger, LedgerError
from agent_runtime.router.money.opening import make_purse
from agent_runtime.router.money.purse import Purse, Reservation
from agent_runtime.router.money.sqlite_ledger import SqliteLedger
from fleet_spec.contract import FleetContract
from fleet_spec.errors import BadInputError
from fleet_spec.governance_spec import Tier
from tests.unit.router.money.conftest import MakeLedger
from tests.unit.router.money.fleet import Clock, contract


async def purse(ledger: Ledger, found: FleetContract, clock: Clock, journals: Path | None = None) -> Purse:
    made = Purse(ledger, journals, clock=clock)
    made.update(found)
    await made.open()
    return made


async def caught_up(found: Purse) -> None:
    """Let everything that waits reach the ledger, as ticks do."""
    await found._books.flush()


async def reserve(found: Purse, *, tier: Tier = "commercial", key: str = "alice", **more: Any) -> Reservation:
    arguments: dict[str, Any] = {"model": "assistant", "prompt_bytes": 0, "max_tokens": 36, **more}
    made = await found.reserve(tier=tier, key=key, **arguments)
    assert made is not None
    return made


def charge(tier: Tier = "commercial", key: str = "alice", tokens: int = 100, **more: Any) -> Charge:
    arguments: dict[str, Any] = {"model": "assistant", "usage": Usage(0, tokens), "duration_seconds": 0.1, **more}
    return Charge(key=key, tier=tier, **arguments)


async def test_money_is_set_aside_and_what_is_over_comes_back(make_ledger: MakeLedger, clock: Clock) -> None:
    found = await purse(make_ledger(), contract(), clock)
    # At a dollar for a million tokens: 100 bytes and 64 tokens of template, and 36 tokens of answer.
    reservation = await reserve(found, prompt_bytes=100)
    assert reservation.nano_usd == 200 * 1000
    await caught_up(found)
    assert found.spending().fleet.reserved_usd == pytest.approx(200e-6)
    assert found.settle(reservation, charge(usage=Usage(20, 10))) == pytest.approx(30e-6)
    await caught_up(found)
    fleet = found.spending().fleet
    assert (fleet.reserved_usd, fleet.spent_usd) == (0, pytest.approx(30e-6))
    await found.close()


async def test_a_charge_is_booked_once(make_ledger: MakeLedger, clock: Clock) -> None:
    found = await purse(make_ledger(), contract(), clock)
    reservation, ended = await reserve(found), charge()
    assert found.settle(reservation, ended) > 0
    assert found.settle(reservation, ended) == 0
    found.settle(reservation, charge())  # another record of the same attempt: the ledger knows the hold is settled
    await caught_up(found)
    assert found.spending().fleet.spent_usd == pytest.approx(100e-6)
    await found.close()


async def test_past_the_soft_limit_the_commercial_tier_is_for_high_priority(
    make_ledger: MakeLedger, clock: Clock
) -> None:
    found = await purse(make_ledger(), contract(monthly_usd=0.001), clock)
    assert found.refusal("commercial", "alice") is None
    found.settle(await reserve(found, max_tokens=736), charge(tokens=800))
    await caught_up(found)
    assert found.spending().state == "soft"
    assert "0.00 USD a month" in str(found.refusal("commercial", "alice", "normal"))
    assert found.refusal("commercial", "alice", "high") is None
    assert found.refusal("cloud", "alice", "low") is None
    assert found.refusal("local", "alice", "low") is None
    with pytest.raises(BudgetError):
        await reserve(found)
    found.settle(await reserve(found, priority="high", max_tokens=136), charge(tokens=200))
    await caught_up(found)
    assert found.spending().state == "closed"
    assert found.refusal("commercial", "alice", "high") is not None
    assert found.refusal("cloud", "alice", "high") is not None
    assert found.refusal("local", "alice") is None
    await found.close()


async def test_a_tier_has_a_budget_of_its_own(make_ledger: MakeLedger, clock: Clock) -> None:
    found = await purse(make_ledger(), contract(tier_budgets={"commercial": 0.0001}), clock)
    found.settle(await reserve(found), charge())
    await caught_up(found)
    assert "commercial tier's budget" in str(found.refusal("commercial", "alice", "high"))
    assert found.refusal("cloud", "alice") is None
    await found.close()


async def test_a_keys_budget_is_for_all_tiers_and_says_when_it_begins_anew(
    make_ledger: MakeLedger, clock: Clock
) -> None:
    found = await purse(make_ledger(), contract(key_budgets={"alice": 0.001}, usd_per_hour=3600), clock)
    assert found.must_reserve("local", "alice")
    assert not found.must_reserve("local", "bob")
    assert found.must_reserve("commercial", "bob")
    # An own tier at 3600 USD an hour and 100 tokens/s: a cent a token.
    with pytest.raises(BudgetError) as refused:
        await reserve(found, tier="local", key="alice")
    assert (refused.value.status, refused.value.code) == (429, "budget_exceeded")
    assert "2026-12-01T00:00:00Z" in refused.value.message
    assert int(refused.value.headers["Retry-After"]) == int(20.5 * 86_400)
    assert await reserve(found, tier="local", key="bob")
    await found.close()


async def test_an_error_says_why_the_last_tier_was_refused(clock: Clock) -> None:
    found = await purse(SqliteLedger(None, clock=clock), contract(monthly_usd=0, price={}), clock)
    assert found.error("commercial", "alice").code == "budget_exceeded"
    found.update(contract(price={}))
    await found._list.complete()
    unknown = found.error("commercial", "alice", model="assistant")
    assert (unknown.status, unknown.code) == (503, "price_unknown")
    assert "tiers.commercial.prices" in unknown.message
    await found.close()


async def test_an_unknown_price_is_a_refusal_and_never_nothing(clock: Clock) -> None:
    found = await purse(SqliteLedger(None, clock=clock), contract(price={}), clock)
    reason = found.refusal("commercial", "alice", model="assistant")
    assert reason is not None
    assert "assistant (large)" in reason
    assert "usdPerThousandTokens" in reason
    with pytest.raises(BudgetError, match="nobody knows"):
        await reserve(found)
    found.update(contract(price={}, flat=0.03))
    assert (await reserve(found, prompt_bytes=100)).nano_usd == 200 * 30_000
    await found.close()


async def test_the_price_table_is_read_beside_the_requests(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "genai_prices", raising=False)
    published = contract(price={}, commercial_url="https://api.openai.com", commercial_model="gpt-4o-mini")
    found = await purse(SqliteLedger(None, clock=clock), contract(), clock)
    monkeypatch.delitem(sys.modules, "genai_prices", raising=False)
    found.update(published)
    assert "price table is being read" in str(found.refusal("commercial", "alice", model="assistant"))
    found.tick()
    deadline = asyncio.get_running_loop().time() + 20
    while found.price("commercial", "assistant") is None:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)
    assert found.refusal("commercial", "alice", model="assistant") is None
    await found.close()


async def test_budgets_change_while_running(make_ledger: MakeLedger, clock: Clock) -> None:
    found = await purse(make_ledger(), contract(monthly_usd=1), clock)
    in_flight = await reserve(found)
    found.update(contract(monthly_usd=0.00001, price={"inputUsdPerMillion": 9, "outputUsdPerMillion": 9}))
    await caught_up(found)
    assert found.refusal("commercial", "alice", "high") is not None
    assert found.settle(in_flight, charge()) == pytest.approx(100e-6), "at the price that it was reserved at"
    found.update(contract(monthly_usd=5))
    await caught_up(found)
    assert found.refusal("commercial", "alice") is None
    assert found.spending().fleet.spent_usd == pytest.approx(100e-6)
    found.update(contract(monthly_usd=None))
    assert (found.spending().state, found.spending().fleet.remaining_usd) == ("unlimited", None)
    assert await reserve(found)
    await found.close()


async def test_a_month_ends_and_a_clock_that_goes_back_finds_what_was_spent(
    make_ledger: MakeLedger, clock: Clock
) -> None:
    clock.set("2026-12-31T23:59:59")
    found = await purse(make_ledger(), contract(monthly_usd=0.0001, soft_limit=1), clock)
    over_midnight = await reserve(found)
    await caught_up(found)
    assert found.refusal("commercial", "alice", "high") is not None
    clock.set("2027-01-01T00:00:01")
    await caught_up(found)
    assert found.refusal("commercial", "alice") is None
    found.settle(over_midnight, charge())
    await caught_up(found)
    assert found.spending().fleet.spent_usd == 0, "a request belongs to the month in which it began"
    clock.set("2026-12-31T23:59:59")
    await caught_up(found)
    assert found.spending().fleet.spent_usd == pytest.approx(100e-6)
    assert found.refusal("commercial", "alice", "high") is not None
    with pytest.raises(BudgetError):
        await reserve(found, priority="high")
    await found.close()


async def test_ticks_go_on_though_the_clock_was_put_back(make_ledger: MakeLedger, clock: Clock) -> None:
    found = await purse(make_ledger(), contract(), clock)
    clock.set("2026-10-01T00:00:00")
    found.settle(None, charge("local"))
    found.tick()
    flushing = found._books._flushing
    assert flushing is not None
    await flushing
    assert found._books.waiting == 0
    assert found._books.totals.month == "2026-10"
    await found.close()


@pytest.mark.parametrize(
    ("ended", "tokens"),
    [
        (charge(usage=None, sent=False, failed=True, prompt_bytes=400), 0),
        (charge(usage=None, prompt_bytes=400, reply_bytes=0), 100),
        (charge(usage=None, prompt_bytes=400, reply_bytes=1200, streamed=True), 110),
        (charge(usage=None, prompt_bytes=400, reply_bytes=400), 200),
        (charge(usage=Usage(7, 3), prompt_bytes=400, reply_bytes=400), 10),
    ],
    ids=["never sent", "left before the first byte", "left in a stream", "left in a whole answer", "counted"],
)
async def test_what_was_produced_is_charged(clock: Clock, ended: Charge, tokens: int) -> None:
    found = await purse(SqliteLedger(None, clock=clock), contract(), clock)
    ended.booked = False
    assert found.settle(await reserve(found), ended) == pytest.approx(tokens * 1e-6)
    await found.close()


async def test_a_request_that_cost_more_than_was_set_aside_is_charged_in_full(clock: Clock) -> None:
    found = await purse(SqliteLedger(None, clock=clock), contract(), clock)
    assert found.settle(await reserve(found), charge(tokens=5000)) == pytest.approx(5000e-6)
    await found.close()


async def test_counts_that_are_nonsense_do_not_break_the_books(make_ledger: MakeLedger, clock: Clock) -> None:
    found = await purse(make_ledger(), contract(), clock)
    for _ in range(20):
        found.settle(None, charge("local", usage=Usage(10**30, 10**30)))
    found.settle(None, charge("local", usage=Usage(1, 1)))
    await caught_up(found)
    assert (found.problem, found._books.lost, found._books.waiting) == (None, 0, 0)
    await found.close()


async def test_what_was_set_aside_for_a_request_that_was_never_made_comes_back(
    make_ledger: MakeLedger, clock: Clock
) -> None:
    found = await purse(make_ledger(), contract(), clock)
    found.release(await reserve(found))
    found.release(None)
    await caught_up(found)
    assert found.spending().fleet.reserved_usd == 0
    await found.close()


class Broken(SqliteLedger):
    """A ledger that can be put out of order."""

    broken = False
    slow = False

    async def _do(self, work: Any) -> Any:
        if self.broken:
            raise LedgerError("the disk is full")
        answer = await super()._do(work)
        if self.slow:
            await asyncio.sleep(30)
        return answer


async def test_without_a_ledger_paid_tiers_are_closed_and_own_ones_go_on(tmp_path: Path, clock: Clock) -> None:
    ledger = Broken(tmp_path, clock=clock)
    made = Purse(ledger, tmp_path / "journals", clock=clock, journal_records=8)
    made.update(contract(key_budgets={"alice": 1.0}))
    await made.open()
    in_flight = await reserve(made)
    ledger.broken = True
    with pytest.raises(BudgetError) as refused:
        await reserve(made)
    assert (refused.value.status, refused.value.code) == (503, "ledger_unavailable")
    assert made.problem == made.refusal("commercial", "bob") == made.refusal("cloud", "bob") == "the disk is full"
    assert made.refusal("local", "alice") is None
    assert not made.must_reserve("local", "alice")
    assert await made.reserve(key="alice", tier="local", model="assistant", prompt_bytes=0, max_tokens=1) is None
    # More than the journal holds, and the end of a paid request among it.
    for _ in range(20):
        made.settle(None, charge("local", usage=Usage(1, 1)))
    made.settle(in_flight, charge())
    assert made._books.waiting == 21
    await caught_up(made)
    assert made._books.waiting == 21
    ledger.broken = False
    await caught_up(made)
    assert made.problem is None
    assert made._books.waiting == 0
    rows = await ledger.rows("2026-11-01", "2026-11-30")
    requests = {row.series.tier: row.measures[MEASURES.index("requests")] for row in rows}
    assert requests == {"local": 20, "commercial": 1}
    assert made.spending().fleet.spent_usd == pytest.approx(100e-6)
    assert made.spending().fleet.reserved_usd == 0
    await made.close()


async def test_what_was_reserved_while_the_client_left_comes_back(tmp_path: Path, clock: Clock) -> None:
    ledger = Broken(tmp_path, clock=clock)
    found = await purse(ledger, contract(), clock)
    ledger.slow = True
    asking = asyncio.create_task(reserve(found))
    deadline = asyncio.get_running_loop().time() + 10
    ledger.slow = True
    reader = SqliteLedger(tmp_path, clock=clock)
    await reader.open()
    while (await reader.totals("2026-11")).reserved.get("outer", 0) == 0:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.005)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    ledger.slow = False
    await caught_up(found)
    assert (await reader.totals("2026-11")).reserved["outer"] == 0
    await reader.close()
    await found.close()


async def test_a_data_directory_that_cannot_be_written_closes_paid_tiers_alone(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a directory should be")
    found = make_purse(tmp_path / "data")
    found.update(contract())
    await found.open()
    assert found.refusal("local", "alice") is None
    assert found.refusal("commercial", "alice") is not None
    found.settle(None, charge("local"))
    found.tick()
    assert found.problem is not None
    await found.close()


async def test_the_measured_throughput_becomes_the_price(clock: Clock) -> None:
    found = await purse(SqliteLedger(None, clock=clock), contract(usd_per_hour=3.6), clock)
    assert found.settle(None, charge("local", usage=Usage(50, 50))) == pytest.approx(100 / 100 * 3.6 / 3600)
    await caught_up(found)
    for _ in range(20):
        found.settle(None, charge("local", usage=Usage(5, 5), busy_seconds=1.0))
    await caught_up(found)
    # Ten tokens a second: a thousandth of a dollar a second, so a ten-thousandth a token.
    assert found.settle(None, charge("local", usage=Usage(0, 1))) == pytest.approx(1e-4, rel=0.2)
    await found.close()


async def test_the_measured_throughput_outlives_a_restart(make_ledger: MakeLedger, clock: Clock) -> None:
    found = await purse(make_ledger(), contract(usd_per_hour=3.6), clock)
    found.settle(None, charge("local", usage=Usage(0, 1000), busy_seconds=100.0))
    await found.close()
    again = await purse(make_ledger(), contract(usd_per_hour=3.6), clock)
    price = again.price("local", "assistant")
    assert price is not None
    assert price.output_usd_per_million == pytest.approx(3.6 / 3600 / 10 * 1e6)
    await again.close()


async def test_metrics_tell_of_spend_budget_and_ledger(make_ledger: MakeLedger, clock: Clock) -> None:
    found = await purse(make_ledger(), contract(key_budgets={"alice": 2.0}), clock)
    found.settle(await reserve(found), charge())
    await caught_up(found)
    samples = {(one.name, labels): value for one in found.metrics() for _, labels, value in one.samples}
    spender = (("tier", "commercial"), ("key", "alice"))
    assert samples["paddock_spend_usd_total", spender] == pytest.approx(100e-6)
    assert samples["paddock_month_spend_usd", spender] == pytest.approx(100e-6)
    assert samples["paddock_budget_usd", (("scope", "fleet"),)] == 1
    assert samples["paddock_budget_remaining_usd", (("scope", "key:alice"),)] == pytest.approx(2 - 100e-6)
    # Noon of the tenth of thirty days: nine and a half have gone by.
    assert samples["paddock_forecast_usd", (("scope", "fleet"),)] == pytest.approx(100e-6 * 30 / 9.5)
    assert samples["paddock_ledger_up", ()] == 1
    assert samples["paddock_ledger_waiting_charges", ()] == 0
    await found.close()


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60), st.integers(0, 60), st.booleans()), max_size=60),
    st.integers(0, 2000),
)
@settings(max_examples=60, deadline=None)
def test_no_budget_is_ever_overspent(requests: list[tuple[int, int, int, bool]], budget_tokens: int) -> None:
    """Requests of several keys through two workers, some at once, some left unsettled: nothing passes any limit."""

    async def run() -> None:
        clock = Clock()
        ledger = SqliteLedger(None, clock=clock)
        limits = contract(
            monthly_usd=budget_tokens / 1e6,
            key_budgets={"k0": 200e-6, "k1": 300e-6},
            tier_budgets={"commercial": 0.001},
        )
        workers = [await purse(ledger, limits, clock) for _ in range(2)]

        async def one(number: int, key: int, most: int, used: int, high: bool) -> int:
            worker = workers[number % 2]
            try:
                made = await reserve(worker, key=f"k{key}", max_tokens=most, priority="high" if high else "normal")
            except BudgetError:
                return 0
            if used % 7:
                worker.settle(made, charge(key=f"k{key}", tokens=min(used, most)))
            await caught_up(worker)
            totals = worker._books.totals
            assert totals.committed("outer") <= budget_tokens * 1000
            assert totals.committed("tier:commercial") <= 1_000_000
            assert totals.committed("key:k0") <= 200_000
            assert totals.committed("key:k1") <= 300_000
            return min(used, most) if used % 7 else 0

        spent = await asyncio.gather(*(one(number, *request) for number, request in enumerate(requests)))
        for worker in workers:
            await caught_up(worker)
        assert workers[0].spending().fleet.spent_usd * 1e6 == pytest.approx(sum(spent))
        for worker in workers:
            await worker.close()

    asyncio.run(run())


def test_a_valkey_without_its_client_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "agent_runtime.router.money.valkey_ledger", None)
    with pytest.raises(BadInputError, match=r"paddock\[valkey\]"):
        make_purse(None, valkey_url="valkey://127.0.0.1:1")
