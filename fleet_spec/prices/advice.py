"""Which GPUs of the price table hold a model, cheapest first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fleet_spec.gpus import GPUS
from fleet_spec.price_spec import PricesSpec
from fleet_spec.prices.hourly import HourlyPrice, gpu_price
from fleet_spec.prices.table import PriceTable
from fleet_spec.sizing.estimate import Engine, MemoryEstimate, fits

GPU_COUNTS = (1, 2, 4, 8)
"""GPUs that one replica may be spread over."""


@dataclass(frozen=True)
class Holding:
    """GPUs that hold a model, and what they cost."""

    gpu: str
    gpus: int
    price: HourlyPrice


def cheapest_holding(
    needed: Callable[[int], MemoryEstimate],
    *,
    engine: Engine,
    prices: PricesSpec,
    spot: bool = False,
    table: PriceTable | None = None,
) -> list[Holding]:
    """The GPUs that hold a model, cheapest first, each kind with the fewest that do.

    Args:
        needed: The memory of one replica over so many GPUs.
        engine: What runs it.
        prices: What the stack's config says of prices.
        spot: Whether spare capacity will do.
        table: In place of the shipped one.
    """
    found: list[Holding] = []
    for gpu in GPUS.values():
        holding = (n for n in GPU_COUNTS if fits(needed(n), engine=engine, gpu_memory_bytes=gpu.memory_bytes, gpus=n))
        count = next(holding, None)
        price = None if count is None else gpu_price(prices, gpu.name, gpus=count, spot=spot, table=table)
        if count is not None and price is not None:
            found.append(Holding(gpu.name, count, price))
    return sorted(found, key=lambda one: (one.price.usd, one.gpu))
