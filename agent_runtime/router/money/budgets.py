"""What may be spent: the contract's budgets, and what a month's totals leave of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.money.ledger import OUTER, Limit, Totals, key_scope, tier_scope
from agent_runtime.router.money.months import instant_text, month_bounds, month_of, to_nano_usd, to_usd
from fleet_spec.contract import Budget, FleetContract
from fleet_spec.governance_spec import Priority

BUDGET_EXCEEDED: Final = "budget_exceeded"


class BudgetError(RequestError):
    """A request that may not be paid for. Its text goes to the client, in the client's dialect.

    Codes: ``budget_exceeded`` (429, with Retry-After: the end of the month), ``ledger_unavailable`` and
    ``price_unknown`` (503).
    """


@dataclass(frozen=True, slots=True)
class Budgets:
    """The limits of a contract, in billionths of a dollar a month."""

    budget: Budget | None
    keys: dict[str, int]
    """What a key may spend, all tiers together, by its name."""

    @classmethod
    def of(cls, contract: FleetContract) -> Budgets:
        """The limits of a contract."""
        keys = {
            name: to_nano_usd(key.monthly_usd) for name, key in contract.keys.items() if key.monthly_usd is not None
        }
        return cls(contract.budget, keys)

    def limits(self, tier: str, key: str, priority: Priority) -> tuple[Limit, ...]:
        """Every limit that a request on a tier must stay within.

        The fleet's budget is for the tiers beyond it. A commercial request whose priority is not high has only the
        part below the soft limit, so that the rest is there for those that matter.
        """
        found: list[Limit] = []
        if key in self.keys:
            found.append(Limit(key_scope(key), self.keys[key]))
        budget = self.budget
        if budget is not None and tier != "local":
            share = budget.soft_limit if tier == "commercial" and priority != "high" else 1.0
            found.append(Limit(OUTER, to_nano_usd(budget.monthly_usd * share)))
            # The contract's keys of tiers are those that may be here: cloud and commercial.
            of_tier = {str(name): usd for name, usd in budget.tiers.items()}.get(tier)
            if of_tier is not None:
                found.append(Limit(tier_scope(tier), to_nano_usd(of_tier)))
        return tuple(found)

    def exhausted(
        self, tier: str, key: str, priority: Priority, totals: Totals, leased_nano_usd: int = 0
    ) -> Limit | None:
        """The first limit of which nothing is left.

        Args:
            tier: where the money would be spent.
            key: by whom.
            priority: for what kind of request.
            totals: what is spent and set aside.
            leased_nano_usd: what of that is set aside for this key and has been spent on nothing yet.
        """
        if tier == "local" and key not in self.keys:
            return None
        for limit in self.limits(tier, key, priority):
            unspent = leased_nano_usd if limit.scope == key_scope(key) else 0
            if totals.committed(limit.scope) - unspent >= limit.nano_usd:
                return limit
        return None

    def state(self, totals: Totals) -> Literal["open", "soft", "closed", "unlimited"]:
        """Where the fleet's budget stands: past its soft limit, or all spent."""
        if self.budget is None:
            return "unlimited"
        committed = to_usd(totals.committed(OUTER))
        if committed >= self.budget.monthly_usd:
            return "closed"
        return "soft" if committed >= self.budget.monthly_usd * self.budget.soft_limit else "open"


def describe(limit: Limit, at: float) -> str:
    """Why a limit stands in the way, for whoever asked, with when that ends. It names no other key."""
    _, end = month_bounds(month_of(at))
    amount = f"{to_usd(limit.nano_usd):.2f} USD"
    if limit.scope == OUTER:
        what = f"what the fleet's budget leaves for this request, {amount} a month for tiers beyond the fleet"
    elif limit.scope.startswith("tier:"):
        what = f"the {limit.scope.removeprefix('tier:')} tier's budget of {amount} a month"
    else:
        what = f"this key's budget of {amount} a month"
    return f"{what}, is used up or too small for this request; it begins anew at {instant_text(end)}"


def budget_error(reason: str, at: float) -> BudgetError:
    """The refusal for want of money."""
    _, end = month_bounds(month_of(at))
    error = BudgetError(429, reason, code=BUDGET_EXCEEDED)
    error.headers["Retry-After"] = str(max(1, int(end - at)))
    return error
