"""What an hour of a GPU costs a stack: its own word first, then the table."""

from __future__ import annotations

from dataclasses import dataclass

from fleet_spec.price_spec import OwnHardware, PricesSpec
from fleet_spec.prices.table import HOURS_PER_MONTH, Offer, PriceTable, load_price_table
from fleet_spec.spec import FleetSpec

_HOURS_PER_YEAR = HOURS_PER_MONTH * 12


@dataclass(frozen=True)
class HourlyPrice:
    """What an hour costs, and where that is known from."""

    usd: float
    source: str
    confirmed: bool = True
    """False where nobody confirmed the table's figure."""


def decided_prices(spec: FleetSpec) -> PricesSpec:
    """A stack's prices with a provider: the named one, else whose nodes its GPU pools are, else aws."""
    if spec.prices.provider is not None:
        return spec.prices
    provider = "aws"
    for pool in spec.gpu_pools.values():
        if pool.azure is not None:
            provider = "azure"
        elif pool.provisioner == "gkeComputeClass":
            provider = "gcp"
    return spec.prices.model_copy(update={"provider": provider})


def own_hardware_usd_per_hour(hardware: OwnHardware, watts: float) -> float:
    """Straight-line depreciation and power: ``price / (years x 8760) + kW x price of a kWh x share of the time``.

    Args:
        hardware: What was said of it.
        watts: What it draws where ``hardware`` does not say.
    """
    kilowatts = (hardware.watts or watts) / 1000
    depreciation = hardware.usd_per_gpu / (hardware.years * _HOURS_PER_YEAR)
    return depreciation + kilowatts * hardware.usd_per_kilowatt_hour * hardware.busy_share


def gpu_price(
    prices: PricesSpec, gpu: str, *, gpus: int = 1, spot: bool = False, table: PriceTable | None = None
) -> HourlyPrice | None:
    """What the GPUs of one replica cost an hour; None where nobody knows, which is never taken for 0.

    A replica pays for its share of a machine with at least as many GPUs: whoever leaves the rest of it idle pays more.

    Args:
        prices: What the stack's config says.
        gpu: Which kind.
        gpus: How many one replica takes, all of one machine.
        spot: Whether they are spare capacity, where ``prices`` does not decide that.
        table: In place of the shipped one.
    """
    table = table or load_price_table()
    own = prices.own_hardware.get(gpu)
    if own is not None:
        watts = table.watts.get(gpu, 0.0)
        return HourlyPrice(gpus * own_hardware_usd_per_hour(own, watts), "own hardware: depreciation and power")
    if gpu in prices.gpu_hours:
        return HourlyPrice(gpus * prices.gpu_hours[gpu], "the stack's prices.gpuHours")
    found = cheapest_offer(gpu, gpus=gpus, provider=prices.provider, spot=_spot(prices, spot), table=table)
    if found is None:
        return None
    provider, offer = found
    usd = offer.hourly_usd(spot=_spot(prices, spot)) * gpus / offer.gpus
    day = offer.as_of or table.providers[provider].date
    return HourlyPrice(usd, f"{offer.instance} at {provider}, {day}", offer.confirmed)


def cheapest_offer(
    gpu: str, *, gpus: int, provider: str | None, spot: bool, table: PriceTable
) -> tuple[str, Offer] | None:
    """The machine whose GPUs of a kind are cheapest, and its provider; None where there is none.

    The price of a GPU decides; among equals the smaller machine.
    """
    offers = [
        (name, offer)
        for name, one in table.providers.items()
        if provider in (None, name)
        for offer in one.offers_of(gpu, at_least=gpus)
    ]
    return min(offers, key=lambda found: (found[1].hourly_usd(spot=spot) / found[1].gpus, found[1].gpus), default=None)


def _spot(prices: PricesSpec, spot: bool) -> bool:
    return spot if prices.spot is None else prices.spot
