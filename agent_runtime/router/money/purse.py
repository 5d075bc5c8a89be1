"""The router's one door to its money."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent_runtime.router.exposition import Family
from agent_runtime.router.money.bookkeeper import Bookkeeper
from agent_runtime.router.money.budgets import BudgetError, Budgets, budget_error, describe
from agent_runtime.router.money.charges import MEASURES, Charge, Series
from agent_runtime.router.money.journal import DEFAULT_RECORDS
from agent_runtime.router.money.leases import Lease, Leases, lease_nano_usd
from agent_runtime.router.money.ledger import Batch, Hold, Ledger, LedgerError, Limit
from agent_runtime.router.money.metrics import MoneyMetrics, Spending
from agent_runtime.router.money.months import day_number, day_text, instant_text, to_usd
from agent_runtime.router.money.price_list import PriceList
from agent_runtime.router.money.prices import FREE, Price
from agent_runtime.router.money.report import cost_report
from agent_runtime.router.money.tokens import estimated_usage, most_completion_tokens, most_prompt_tokens
from fleet_spec.contract import FleetContract
from fleet_spec.governance_spec import Priority, Tier

_NANO_USD: Final = MEASURES.index("nano_usd")
_RETRY_AFTER_SECONDS: Final = 5
_MOST_TOKENS: Final = 1_000_000_000
"""More than any request has. A model server that counts more talks nonsense, which must not make sums overflow."""
_REMEMBERED_DAYS: Final = 7
"""How far back a starting router looks for throughputs."""


@dataclass(slots=True)
class Reservation:
    """Money set aside for one attempt at a request. Hand it to ``settle`` or ``release``, whatever happens."""

    hold: bytes | None
    """Its own hold in the ledger; None where it draws on a lease."""
    nano_usd: int
    """The most that the attempt was taken to cost."""
    price: Price
    most_tokens: int
    """The most tokens of prompt and answer that this stands for."""
    lease: Lease | None = None

    @property
    def usd(self) -> float:
        """The amount in US dollars."""
        return to_usd(self.nano_usd)


class Purse:
    """Prices, budgets and the ledger of one worker. It lives in one event loop.

    ``update``, ``refusal``, ``must_reserve``, ``draw``, ``settle``, ``release`` and ``tick`` are quick and never wait;
    ``settle`` and ``release`` never raise.
    """

    def __init__(
        self,
        ledger: Ledger,
        journals: Path | None = None,
        *,
        clock: Callable[[], float] = time.time,
        journal_records: int = DEFAULT_RECORDS,
    ) -> None:
        """Make a purse, in the worker's own process: a journal belongs to the process that made it.

        Args:
            ledger: shared by all workers and replicas.
            journals: the directory of the workers' journals, None for memory alone.
            clock: Unix time.
            journal_records: how many charges wait for a ledger that is down, before memory takes over.
        """
        self._clock = clock
        self._books = Bookkeeper(ledger, journals, clock=clock, on_taken=self._taken, journal_records=journal_records)
        self._budgets = Budgets(None, {})
        self._list = PriceList()
        self._metrics = MoneyMetrics()
        self._leases = Leases(self._books)
        self._holds = 0

    async def open(self) -> None:
        """Begin: prices, what killed workers left, the totals. A ledger that is down shows in ``problem``."""
        await self._list.complete()
        await self._books.open()
        await self._remember_throughputs()

    async def close(self) -> None:
        """End; what the ledger cannot take stays in the journal for whoever comes next."""
        await self._list.close()
        self._leases.close_all()
        await self._books.close()

    def update(self, contract: FleetContract) -> None:
        """Take a contract's budgets and prices in. What is reserved stays so, at the price it was reserved at."""
        before, self._budgets = self._budgets, Budgets.of(contract)
        if self._budgets.keys != before.keys:
            self._leases.close_all()
        self._list.update(contract)

    def price(self, tier: str, model: str) -> Price | None:
        """What a model costs, None where nobody knows."""
        return self._list.prices.get((tier, model))

    def refusal(self, tier: Tier, key: str, priority: Priority = "normal", model: str | None = None) -> str | None:
        """Why a tier may not be used now, or None where it may.

        It goes by the last look at the totals, at most a second old; :meth:`reserve` decides for good.

        Args:
            tier: where the request would go.
            key: the name of the key that asks.
            priority: of the request.
            model: also ask whether there is a price of this one.
        """
        leased = self._leases.left_nano_usd(key)
        limit = self._budgets.exhausted(tier, key, priority, self._books.totals, leased)
        if limit is not None:
            return describe(limit, self._clock())
        if tier == "local":
            return None
        if self._books.problem is not None:
            return self._books.problem
        if model is not None and (tier, model) not in self._list.prices:
            return self._list.missing(tier, model)
        return None

    def error(self, tier: Tier, key: str, priority: Priority = "normal", model: str | None = None) -> BudgetError:
        """What to answer where :meth:`refusal` refused the last tier that there was."""
        reason = self.refusal(tier, key, priority, model) or "there is too little left of a budget"
        leased = self._leases.left_nano_usd(key)
        if self._budgets.exhausted(tier, key, priority, self._books.totals, leased) is not None:
            return budget_error(reason, self._clock())
        return _unavailable(reason, "ledger_unavailable" if self._books.problem is not None else "price_unknown")

    def must_reserve(self, tier: Tier, key: str) -> bool:
        """Whether money must be set aside before a request is sent: paid tiers, and keys with a budget."""
        return tier != "local" or (key in self._budgets.keys and self._books.problem is None)

    def draw(
        self, *, key: str, model: str, prompt_bytes: int, max_tokens: int | None, choices: int = 1
    ) -> Reservation | None:
        """Set aside what an attempt on an own model can cost, if a lease of the key's has so much left.

        It is :meth:`reserve` for nearly every request of a key with a budget, without the wait; the arguments are the
        same. None: ask there.
        """
        price, entry = self._list.prices.get(("local", model)), self._list.entries.get(("local", model))
        if price is None or entry is None:
            return None
        most_prompt = most_prompt_tokens(prompt_bytes, entry.context_length)
        most_completion = most_completion_tokens(max_tokens, entry.context_length, choices)
        nano_usd = price.highest().cost_nano_usd(most_prompt, most_completion)
        lease = self._leases.draw(key, nano_usd, self._clock())
        return None if lease is None else Reservation(None, nano_usd, price, most_prompt + most_completion, lease)

    async def reserve(
        self,
        *,
        key: str,
        tier: Tier,
        model: str,
        priority: Priority = "normal",
        prompt_bytes: int,
        max_tokens: int | None,
        choices: int = 1,
    ) -> Reservation | None:
        """Set aside the most that an attempt at a request can cost. None: nothing need be, go on.

        The most is taken from the prompt's bytes, of which no tokenizer makes more tokens, and the longest answer that
        the request allows, both within the model's context. So no budget is overspent, however many requests there are
        at once; a small budget may refuse a request that would have turned out to be cheap.

        Args:
            key: the name of the key that asks.
            tier: where the request goes.
            model: the name in the contract.
            priority: of the request.
            prompt_bytes: size of the request's body.
            max_tokens: the longest answer that the request allows, None where it does not say.
            choices: how many answers it asks for.

        Raises:
            BudgetError: it may not be paid for, or a paid request cannot be written down.
        """
        if self._books.problem is not None:
            if tier == "local":
                return None
            raise _unavailable(self._books.problem, "ledger_unavailable")
        place = tier, model
        price, entry = self._list.prices.get(place), self._list.entries.get(place)
        if price is None or entry is None:
            raise _unavailable(self._list.missing(tier, model), "price_unknown")
        most_prompt = most_prompt_tokens(prompt_bytes, entry.context_length)
        most_completion = most_completion_tokens(max_tokens, entry.context_length, choices)
        now, most_tokens = self._clock(), most_prompt + most_completion
        nano_usd = price.highest().cost_nano_usd(most_prompt, most_completion)
        series, limits = Series(key, tier, model), self._budgets.limits(tier, key, priority)
        try:
            size = lease_nano_usd(limits, nano_usd) if tier == "local" else 0
            if size and await self._leases.have(key, nano_usd, lambda: self._hold(series, size, limits, now)):
                lease = self._leases.draw(key, nano_usd, now)
                if lease is not None:
                    return Reservation(None, nano_usd, price, most_tokens, lease)
        except LedgerError:
            return None
        hold = self._hold(series, nano_usd, limits, now)
        try:
            refused = await self._books.reserve(hold)
            if refused is not None:
                # What has ended may still be set aside in full, and a lease for nobody: that is settled and given
                # back, and the question put again.
                self._leases.close(key)
                await self._books.catch_up()
                refused = await self._books.reserve(hold)
        except asyncio.CancelledError:
            # The client left: nothing was sent.
            self._books.release(hold.id)
            raise
        except LedgerError as error:
            if tier == "local":
                return None
            raise _unavailable(str(error), "ledger_unavailable") from error
        if refused is not None:
            self._metrics.refused(tier)
            raise budget_error(describe(refused.limit, now), now)
        return Reservation(bytes.fromhex(hold.id), nano_usd, price, most_tokens)

    def _hold(self, series: Series, nano_usd: int, limits: tuple[Limit, ...], now: float) -> Hold:
        self._holds += 1
        return Hold(
            id=f"{self._books.owner[:16]}{self._holds:016x}",
            owner=self._books.owner,
            day=day_text(day_number(now)),
            series=series,
            nano_usd=nano_usd,
            limits=limits,
            at=now,
        )

    def settle(self, reservation: Reservation | None, charge: Charge) -> float:
        """Book an attempt that has ended, and give what it cost in US dollars. A charge is booked once.

        Without the engine's counts, what was produced is estimated from the bytes of prompt and answer; a model server
        that never took the request on costs nothing.
        """
        if charge.booked:
            return 0.0
        charge.booked = True
        usage = charge.usage
        if usage is not None:
            prompt, completion = usage.prompt_tokens, usage.completion_tokens
        elif charge.sent:
            usage = estimated_usage(charge.prompt_bytes, charge.reply_bytes, streamed=charge.streamed)
            prompt, completion = usage.prompt_tokens, usage.completion_tokens
        else:
            prompt = completion = 0
        if prompt > _MOST_TOKENS or completion > _MOST_TOKENS:
            prompt, completion = min(prompt, _MOST_TOKENS), min(completion, _MOST_TOKENS)
        cached = min(charge.cached_tokens, prompt)
        tier, model = charge.tier, charge.model
        now, lease = self._clock(), None
        if reservation is None:
            price = self._list.prices.get((tier, model), FREE)
            hold = None
        else:
            price, hold, lease = reservation.price, reservation.hold, reservation.lease
        nano_usd = 0 if price is FREE else price.cost_nano_usd(prompt, completion, cached)
        try:
            self._books.book(
                Series(charge.key, tier, model),
                hold,
                charge.failed,
                prompt,
                cached,
                completion,
                nano_usd,
                charge.duration_seconds,
                charge.busy_seconds,
                now if lease is None or now < lease.until else lease.at,
            )
        except Exception as error:  # a request's end is no place to fail: it is counted, and seen in the metrics
            self._books.lost += 1
            self._books.journal_problem = f"a charge could not be kept: {error!r}"
        if reservation is not None and lease is not None:
            self._leases.give_back(lease, reservation.nano_usd - nano_usd)
        return nano_usd / 1e9

    def release(self, reservation: Reservation | None) -> None:
        """Give back what was set aside for an attempt that was never made."""
        if reservation is None:
            return
        if reservation.lease is not None:
            self._leases.give_back(reservation.lease, reservation.nano_usd)
        elif reservation.hold is not None:
            self._books.release(reservation.hold.hex())

    def tick(self) -> None:
        """Carry on, beside the requests: to be called several times a second, from the event loop."""
        self._list.tick()
        self._leases.tick(self._clock())
        self._books.tick()

    @property
    def problem(self) -> str | None:
        """Why tiers beyond the fleet are closed, or charges wait in memory; None where all is well. For /readyz."""
        return self._books.problem or self._books.journal_problem

    def spending(self) -> Spending:
        """The month so far, the budget, and what is expected by its end."""
        return Spending.of(self._budgets, self._books.totals, self._clock())

    async def report(self, first_day: str, last_day: str) -> dict[str, Any]:
        """The cost report of some days, both included, such as ``2026-11-01``. For /api/paddock/costs.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        await self._books.catch_up()
        commercial = {model: price for (tier, model), price in self._list.prices.items() if tier == "commercial"}
        return cost_report(
            await self._books.ledger.rows(first_day, last_day),
            first_day=first_day,
            last_day=last_day,
            generated_at=instant_text(self._clock()),
            spending=self.spending(),
            commercial=commercial,
        )

    def metrics(self) -> list[Family]:
        """Families for Prometheus: name, kind, help, samples (labels, value)."""
        return self._metrics.families(
            self.spending(),
            ledger_up=self._books.problem is None,
            waiting=self._books.waiting,
            lost=self._books.lost,
            throughputs=self._list.throughputs(),
        )

    async def _remember_throughputs(self) -> None:
        """Go on with the throughputs that were measured before a restart."""
        today = day_number(self._clock())
        with contextlib.suppress(LedgerError):
            for row in await self._books.ledger.rows(day_text(today - _REMEMBERED_DAYS), day_text(today)):
                self._list.learn(row.series, row.measures)

    def _taken(self, batch: Batch) -> None:
        """Learn from charges that are now in the ledger."""
        seen = [(series, sums) for (_, series), sums in batch.sums.items()]
        seen += [(settlement.series, settlement.measures) for settlement in batch.settlements]
        for series, sums in seen:
            self._metrics.spent(series, sums[_NANO_USD])
            self._list.learn(series, sums)


def _unavailable(reason: str, code: str) -> BudgetError:
    error = BudgetError(503, reason, code=code)
    error.headers["Retry-After"] = str(_RETRY_AFTER_SECONDS)
    return error
