"""What a step cost: as the router's replies say, else by the prices in the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_runtime.agents.teams.records import CostSource

if TYPE_CHECKING:
    from agent_runtime.agents.result import Usage
    from fleet_spec.contract import FleetContract


def cost_of(usage: Usage, contract: FleetContract | None, model: str) -> tuple[float | None, CostSource]:
    """What a run of an agent cost in US dollars, and who says so.

    Args:
        usage: what it took.
        contract: the fleet's.
        model: the model or alias that was asked.
    """
    if usage.cost_usd is not None:
        return usage.cost_usd, "router"
    if contract is None:
        return None, "unknown"
    arms = contract.aliases.get(model, {})
    entry = contract.models.get(max(arms, key=arms.__getitem__) if arms else model)
    if entry is None or (entry.price is None and entry.usd_per_hour is None):
        return None, "unknown"
    from agent_runtime.router.money.prices import own_price

    nano_usd = own_price(entry, None).cost_nano_usd(usage.input_tokens, usage.output_tokens)
    return nano_usd / 1e9, "contract"
