"""What each model of a fleet takes of machines and storage, and what all of it costs at most."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from fleet_spec.cost import MonthlyCost, Occupation, monthly_cost, total
from fleet_spec.load import Capacity
from fleet_spec.model_spec import ModelSpec
from fleet_spec.price_spec import PricesSpec
from fleet_spec.prices.hourly import HourlyPrice, decided_prices, gpu_price, storage_usd_per_gib_month
from fleet_spec.quantities import amount
from fleet_spec.spec import FleetSpec

_GIB = 2**30
_MIG_SLICES = 7
"""Compute slices of a whole NVIDIA GPU (NVIDIA MIG user guide, "Partitioning")."""

THIS_MACHINE = HourlyPrice(0.0, "this machine, which is there anyway")


class FleetCosts:
    """Prices a fleet. Looks every price up once, however many models share it."""

    def __init__(self, spec: FleetSpec) -> None:
        self._spec = spec
        self.prices: PricesSpec = decided_prices(spec)
        self._storage_usd = storage_usd_per_gib_month(self.prices)
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
            usd_per_gib_month=self._storage_usd,
            capacity=capacity,
        )

    def rest(self) -> MonthlyCost:
        """What the fleet's own parts take of storage: the web UI's data and Valkey's. Their CPUs are not counted."""
        spec, gib = self._spec, 0.0
        if spec.target == "kubernetes":
            gib += amount(spec.web_ui.size) / _GIB if spec.web_ui.enabled else 0.0
            gib += amount(spec.valkey.size) / _GIB if spec.valkey.mode == "fleet" else 0.0
        usd = 0.0 if gib == 0 else None if self._storage_usd is None else gib * self._storage_usd
        return MonthlyCost(usd, usd, usd, usd, usd)

    def most_monthly_usd(self) -> float | None:
        """What the fleet costs in a month with every replica that it may have; None where a price is not known."""
        models = [monthly_cost(self.occupation(name)).most_usd for name in self._spec.models]
        return total([*models, self.rest().most_usd])

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
