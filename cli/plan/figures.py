"""The prices that a plan rests on, each with where it is known from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cli.plan.model_plan import ModelPlan
from fleet_spec.fleet_cost import PartCost
from fleet_spec.prices.unit_prices import UNITS, UnitPrice


@dataclass(frozen=True)
class Figure:
    """A price."""

    usd: float
    unit: str
    """What it is of: ``USD an hour of a replica``."""
    source: str
    confirmed: bool
    """False where the price table has it from somewhere that could not be looked up."""

    def to_mapping(self) -> dict[str, object]:
        """As plain JSON data."""
        return {"usd": round(self.usd, 6), "unit": self.unit, "source": self.source, "confirmed": self.confirmed}


def figures(models: Iterable[ModelPlan], parts: Iterable[PartCost], storage: UnitPrice | None) -> tuple[Figure, ...]:
    """Every price that is used, each once."""
    found: dict[Figure, None] = {}
    for model in models:
        price = model.occupation.price
        if price is not None:
            found[Figure(price.usd, "USD an hour of a replica", price.source, price.confirmed)] = None
        if model.storage_gib[1] and storage is not None:
            found[_of_unit(storage)] = None
    for part in parts:
        found |= {_of_unit(price): None for price in part.prices}
    return tuple(found)


def _of_unit(price: UnitPrice) -> Figure:
    return Figure(price.usd, UNITS[price.unit], price.source, price.confirmed)
