"""What CPUs, main memory, storage and load balancers cost a stack: its own word first, then the table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fleet_spec.price_spec import PricesSpec
from fleet_spec.prices.table import HOURS_PER_MONTH, PriceTable, UnitListPrice, load_price_table

Unit = Literal["core", "memory", "storage", "load balancer"]
UNITS: dict[Unit, str] = {
    "core": "USD an hour of a CPU",
    "memory": "USD an hour of a GiB of main memory",
    "storage": "USD a month of a GiB of storage",
    "load balancer": "USD an hour of a load balancer",
}
KEYS: dict[Unit, str] = {
    "core": "prices.cpuCoreUsdPerHour",
    "memory": "prices.memoryUsdPerGibHour",
    "storage": "prices.storageUsdPerGibMonth",
    "load balancer": "prices.loadBalancerUsdPerHour",
}
"""Where a stack's config says its own."""


@dataclass(frozen=True)
class UnitPrice:
    """What one of something costs, and where that is known from."""

    unit: Unit
    usd: float
    source: str
    confirmed: bool = True

    @property
    def monthly_usd(self) -> float:
        """Of one, all month."""
        return self.usd if self.unit == "storage" else self.usd * HOURS_PER_MONTH


def unit_price(prices: PricesSpec, unit: Unit, table: PriceTable | None = None) -> UnitPrice | None:
    """What one costs; None where nobody knows, which is never taken for 0.

    Args:
        prices: What the stack's config says, with its provider decided.
        unit: Of what.
        table: In place of the shipped one.
    """
    own = {
        "core": prices.cpu_core_usd_per_hour,
        "memory": prices.memory_usd_per_gib_hour,
        "storage": prices.storage_usd_per_gib_month,
        "load balancer": prices.load_balancer_usd_per_hour,
    }[unit]
    if own is not None:
        return UnitPrice(unit, own, f"the stack's {KEYS[unit]}")
    table = table or load_price_table()
    name = prices.provider or ""
    provider = table.providers.get(name)
    if provider is None:
        return None

    def listed(price: UnitListPrice | None, usd: float) -> UnitPrice | None:
        if price is None:
            return None
        return UnitPrice(unit, usd, f"{price.name} at {name}, {provider.date}", price.confirmed)

    if unit == "storage":
        return listed(provider.storage, provider.storage.usd_per_gib_month)
    if unit == "load balancer":
        balancer = provider.load_balancer
        return listed(balancer, balancer.usd_per_hour if balancer is not None else 0.0)
    cpus = provider.cpus
    if cpus is None:
        return None
    return listed(cpus, cpus.usd_per_core_hour if unit == "core" else cpus.usd_per_gib_hour)
