"""What Prometheus sees of the money."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent_runtime.router.exposition import Family, family
from agent_runtime.router.money.budgets import Budgets
from agent_runtime.router.money.charges import Series
from agent_runtime.router.money.ledger import OUTER, Totals, key_scope, tier_scope
from agent_runtime.router.money.months import forecast_usd, instant_text, month_bounds, month_of, to_usd


@dataclass(frozen=True, slots=True)
class Allowance:
    """One budget and what is left of it, in US dollars this month."""

    monthly_usd: float | None
    """None: no limit."""
    spent_usd: float
    reserved_usd: float
    """Set aside for requests in flight."""
    forecast_usd: float
    """What will have been spent by the end of the month, at the rate of the month so far."""

    @property
    def remaining_usd(self) -> float | None:
        """What is neither spent nor set aside, never below zero; None without a limit."""
        if self.monthly_usd is None:
            return None
        return max(0.0, self.monthly_usd - self.spent_usd - self.reserved_usd)

    def to_mapping(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "monthlyUsd": self.monthly_usd,
            "spentUsd": self.spent_usd,
            "reservedUsd": self.reserved_usd,
            "remainingUsd": self.remaining_usd,
            "forecastUsd": self.forecast_usd,
        }


@dataclass(frozen=True, slots=True)
class Spending:
    """The month so far, over all workers and replicas."""

    month: str
    resets_at: str
    state: str
    """``open``, ``soft`` (past the soft limit), ``closed`` (all spent) or ``unlimited``."""
    soft_limit: float | None
    fleet: Allowance
    """The fleet's budget, and what the tiers beyond it have spent."""
    tiers: dict[str, Allowance]
    keys: dict[str, Allowance]
    """Keys that have a budget or have spent something."""
    by_tier_and_key: dict[tuple[str, str], float]

    @classmethod
    def of(cls, budgets: Budgets, totals: Totals, at: float) -> Spending:
        """Read a month's totals against budgets."""
        budget = budgets.budget

        def allowance(scope: str, monthly_usd: float | None) -> Allowance:
            spent = to_usd(totals.spent.get(scope, 0))
            return Allowance(monthly_usd, spent, to_usd(totals.reserved.get(scope, 0)), forecast_usd(spent, at))

        limits = {} if budget is None else {str(name): usd for name, usd in budget.tiers.items()}
        tiers = {*limits, *(scope.removeprefix("tier:") for scope in totals.spent if scope.startswith("tier:"))}
        keys = {*budgets.keys, *(scope.removeprefix("key:") for scope in totals.spent if scope.startswith("key:"))}
        pairs = {
            (tier, key): to_usd(nano)
            for scope, nano in totals.spent.items()
            if scope.startswith("spend:")
            for tier, key in [_pair(scope)]
        }
        return cls(
            month=totals.month,
            resets_at=instant_text(month_bounds(month_of(at))[1]),
            state=budgets.state(totals),
            soft_limit=None if budget is None else budget.soft_limit,
            fleet=allowance(OUTER, None if budget is None else budget.monthly_usd),
            tiers={tier: allowance(tier_scope(tier), limits.get(tier)) for tier in sorted(tiers)},
            keys={
                key: allowance(key_scope(key), to_usd(budgets.keys[key]) if key in budgets.keys else None)
                for key in sorted(keys)
            },
            by_tier_and_key=pairs,
        )

    def to_mapping(self) -> dict[str, Any]:
        """As JSON data, for a report."""
        return {
            "month": self.month,
            "resetsAt": self.resets_at,
            "state": self.state,
            "softLimit": self.soft_limit,
            **self.fleet.to_mapping(),
            "tiers": {name: allowance.to_mapping() for name, allowance in self.tiers.items()},
            "keys": {name: allowance.to_mapping() for name, allowance in self.keys.items()},
        }


class MoneyMetrics:
    """What one worker counts, beside what all of them share."""

    def __init__(self) -> None:
        self._spent: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._refused: defaultdict[str, int] = defaultdict(int)

    def spent(self, series: Series, nano_usd: int) -> None:
        """Count what this worker has charged."""
        self._spent[series.tier, series.key] += nano_usd

    def refused(self, tier: str) -> None:
        """Count a request that may not be paid for."""
        self._refused[tier] += 1

    def families(
        self,
        spending: Spending,
        *,
        ledger_up: bool,
        waiting: int,
        lost: int,
        throughputs: Mapping[tuple[str, str], float],
    ) -> list[Family]:
        """Counters are this worker's own and add up over workers; gauges of the month are the same on every one."""
        named = [("fleet", spending.fleet)]
        named += [(f"tier:{name}", allowance) for name, allowance in spending.tiers.items()]
        named += [(f"key:{name}", allowance) for name, allowance in spending.keys.items()]
        return [
            family(
                "paddock_spend_usd_total",
                "counter",
                "US dollars charged by this worker.",
                [((("tier", tier), ("key", key)), to_usd(nano)) for (tier, key), nano in self._spent.items()],
            ),
            family(
                "paddock_month_spend_usd",
                "gauge",
                "US dollars charged this calendar month (UTC), over all workers and replicas.",
                [((("tier", tier), ("key", key)), usd) for (tier, key), usd in spending.by_tier_and_key.items()],
            ),
            family(
                "paddock_budget_usd",
                "gauge",
                "Budgets in US dollars a calendar month.",
                [((("scope", name),), found.monthly_usd) for name, found in named if found.monthly_usd is not None],
            ),
            family(
                "paddock_budget_remaining_usd",
                "gauge",
                "What is neither spent nor set aside of a budget.",
                [((("scope", name),), found.remaining_usd) for name, found in named if found.remaining_usd is not None],
            ),
            family(
                "paddock_budget_reserved_usd",
                "gauge",
                "Set aside for requests in flight.",
                [((("scope", name),), found.reserved_usd) for name, found in named],
            ),
            family(
                "paddock_forecast_usd",
                "gauge",
                "What will have been spent by the end of the month, at the rate of the month so far.",
                [((("scope", name),), found.forecast_usd) for name, found in named],
            ),
            family(
                "paddock_budget_refusals_total",
                "counter",
                "Requests that a tier was refused for want of money.",
                [((("tier", tier),), count) for tier, count in self._refused.items()],
            ),
            family(
                "paddock_measured_tokens_per_second",
                "gauge",
                "What one replica computes, prompt and answer, as this worker has seen it.",
                [((("tier", tier), ("model", model)), value) for (tier, model), value in throughputs.items()],
            ),
            family("paddock_ledger_up", "gauge", "Whether spending can be written down.", [((), int(ledger_up))]),
            family(
                "paddock_ledger_waiting_charges", "gauge", "Charges that the ledger has not taken.", [((), waiting)]
            ),
            family("paddock_ledger_lost_charges_total", "counter", "Charges that could not be kept.", [((), lost)]),
        ]


def _pair(scope: str) -> tuple[str, str]:
    _, tier, key = scope.split(":", 2)
    return tier, key
