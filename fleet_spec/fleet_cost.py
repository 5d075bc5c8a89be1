"""What each model of a fleet takes of machines and storage, and what all of it costs at most."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from fleet_spec.cost import MonthlyCost, Occupation, monthly_cost, total
from fleet_spec.load import Capacity
from fleet_spec.model_spec import ModelSpec
from fleet_spec.own_parts import Part, own_parts
from fleet_spec.price_spec import PricesSpec
from fleet_spec.prices.hourly import HourlyPrice, decided_prices, gpu_price
from fleet_spec.prices.unit_prices import Unit, UnitPrice, unit_price
from fleet_spec.quantities import amount
from fleet_spec.spec import FleetSpec

_GIB = 2**30
_MIG_SLICES = 7
"""Compute slices of a whole NVIDIA GPU (NVIDIA MIG user guide, "Partitioning")."""

THIS_MACHINE = HourlyPrice(0.0, "this machine, which is there anyway")


@dataclass(frozen=True)
class PartCost:
    """One of the fleet's own parts, priced."""

    part: Part
    cost: MonthlyCost
    prices: tuple[UnitPrice, ...]
    """What it was priced by."""
    unpriced: tuple[Unit, ...]
    """What nobody knows the price of."""


class FleetCosts:
    """Prices a fleet. Looks every price up once, however many models share it."""

    def __init__(self, spec: FleetSpec) -> None:
        self._spec = spec
        self.prices: PricesSpec = decided_prices(spec)
        self.storage_price: UnitPrice | None = unit_price(self.prices, "storage")
        self._spot = {pool.gpu_type: pool.spot for pool in spec.gpu_pools.values()}
        self._gpu_price = lru_cache(maxsize=None)(self._look_up)

    def occupation(self, name: str, capacity: Capacity | None = None) -> Occupation:
        """What a model takes.

        Args:
            name: The model's, in the config.
            capacity: What a replica does of the expected load, where that is known.
        """
        model = self._spec.models[name]
        per_replica_gib, shared_gib = self._storage(model)
        return Occupation(
            least_replicas=model.replicas.min,
            most_replicas=model.replicas.max,
            price=self._replica_price(model),
            storage_gib_per_replica=per_replica_gib,
            storage_gib_shared=shared_gib,
            usd_per_gib_month=self.storage_price.usd if self.storage_price is not None else None,
            capacity=capacity,
        )

    def parts(self) -> tuple[PartCost, ...]:
        """The fleet's own parts, by what their pods request. How many routers a load takes is not known: the fewest
        are expected."""
        return tuple(self._part(part) for part in own_parts(self._spec))

    def most_monthly_usd(self) -> float | None:
        """What the fleet costs in a month with every replica that it may have; None where a price is not known."""
        models = [monthly_cost(self.occupation(name)).most_usd for name in self._spec.models]
        return total([*models, *(one.cost.most_usd for one in self.parts())])

    def _part(self, part: Part) -> PartCost:
        asked: dict[Unit, float] = {"core": part.cpus, "memory": part.memory_gib, "load balancer": part.load_balancers}
        each: dict[Unit, float] = {unit: many for unit, many in asked.items() if many}
        found: dict[Unit, UnitPrice | None] = {unit: unit_price(self.prices, unit) for unit in each}
        one = total(None if (price := found[unit]) is None else many * price.monthly_usd for unit, many in each.items())
        if part.storage_gib:
            found["storage"] = self.storage_price
        storage: float | None = 0.0
        if part.storage_gib:
            storage = None if self.storage_price is None else part.storage_gib * self.storage_price.usd
        least, most = (
            None if one is None or storage is None else replicas * one + storage
            for replicas in (part.least_replicas, part.most_replicas)
        )
        return PartCost(
            part=part,
            cost=MonthlyCost(least, least, most, storage, storage),
            prices=tuple(price for price in found.values() if price is not None),
            unpriced=tuple(unit for unit, price in found.items() if price is None),
        )

    def _replica_price(self, model: ModelSpec) -> HourlyPrice | None:
        if model.usd_per_hour is not None:
            return HourlyPrice(model.usd_per_hour, "the model's usdPerHour")
        if model.gpu is not None:
            price = self._gpu_price(model.gpu.type, model.gpu.count)
            if price is None or model.gpu.mig_profile is None:
                return price
            slices = int(model.gpu.mig_profile.partition("g.")[0])
            share = slices / _MIG_SLICES
            return replace(price, usd=price.usd * share, source=f"{slices} of 7 slices of {price.source}")
        if self.prices.cpu_usd_per_hour is not None:
            return HourlyPrice(self.prices.cpu_usd_per_hour, "the stack's prices.cpuUsdPerHour")
        return THIS_MACHINE if self._spec.target == "local" else None

    def _look_up(self, gpu: str, gpus: int) -> HourlyPrice | None:
        return gpu_price(self.prices, gpu, gpus=gpus, spot=self._spot.get(gpu, False))

    def _storage(self, model: ModelSpec) -> tuple[float, float]:
        """GiB for each replica, and GiB that all replicas share."""
        if self._spec.target != "kubernetes":
            return 0.0, 0.0
        mode = model.storage.mode or self._spec.storage.mode
        gib = amount(model.storage.size or self._spec.storage.size) / _GIB
        if mode == "image":
            return 0.0, 0.0
        return (0.0, gib) if mode == "shared" else (gib, 0.0)
