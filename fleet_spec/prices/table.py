"""The shipped price table: offers of providers, storage, commercial tokens, each with its date and source."""

from __future__ import annotations

import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from fleet_spec.governance_spec import TokenPrice
from fleet_spec.gpus import GPUS

HOURS_PER_MONTH: Final = 730.0
"""A year of 8,760 hours in twelve, as the providers' own calculators have it."""


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class Offer(_Part):
    """A machine with GPUs of one kind, paid whole by the hour."""

    type: str
    """The GPU, by its name in :data:`fleet_spec.gpus.GPUS`."""
    instance: str
    gpus: int = Field(default=1, ge=1)
    usd_per_hour: float = Field(gt=0)
    spot_usd_per_hour: float | None = Field(default=None, gt=0)
    """The price of spare capacity, which may be taken away; None where none was seen."""
    source: str | None = None
    """Where the figure was looked up, if not where the provider's others were."""
    as_of: datetime.date | None = None
    """The day that the source gives for it, where that is not the day on which it was looked up."""
    confirmed: bool = True
    """False for a figure that neither the provider nor a table drawn from its own price list confirmed."""

    @model_validator(mode="after")
    def _known_gpu(self) -> Self:
        if self.type not in GPUS:
            raise ValueError(f"{self.type!r} is no known GPU")
        return self

    def hourly_usd(self, *, spot: bool) -> float:
        """What the whole machine costs an hour; where there is no spot price, the ordinary one."""
        return self.spot_usd_per_hour if spot and self.spot_usd_per_hour is not None else self.usd_per_hour


class UnitListPrice(_Part):
    """What a provider asks for one of something."""

    name: str
    source: str
    confirmed: bool = True
    """False for a figure that neither the provider nor a table drawn from its own price list confirmed."""


class StoragePrice(UnitListPrice):
    """What a provider's usual block storage costs."""

    usd_per_gib_month: float = Field(ge=0)


class CpuPrice(UnitListPrice):
    """What a provider's usual machines cost, by what a pod requests of them."""

    usd_per_core_hour: float = Field(gt=0)
    usd_per_gib_hour: float = Field(gt=0)


class LoadBalancerPrice(UnitListPrice):
    """What a provider's load balancer for HTTP costs, without the traffic through it."""

    usd_per_hour: float = Field(gt=0)


class Provider(_Part):
    """A provider's offers."""

    name: str
    date: datetime.date
    """When they were looked up."""
    source: str
    storage: StoragePrice
    cpus: CpuPrice | None = None
    """None at providers that offer machines with GPUs alone."""
    load_balancer: LoadBalancerPrice | None = None
    offers: tuple[Offer, ...]

    def offers_of(self, gpu: str, *, at_least: int = 1) -> tuple[Offer, ...]:
        """The machines with so many GPUs of a kind, or more."""
        return tuple(offer for offer in self.offers if offer.type == gpu and offer.gpus >= at_least)


class CommercialPrice(TokenPrice):
    """What a commercial API asks for a model."""

    provider: str
    """As genai-prices calls it."""


class CommercialPrices(_Part):
    """What commercial APIs ask."""

    date: datetime.date
    source: str
    models: dict[str, CommercialPrice]


class PriceTable(_Part):
    """All of it. The shipped one comes from :func:`load_price_table`."""

    providers: dict[str, Provider]
    commercial: CommercialPrices
    watts: dict[str, float]


@cache
def load_price_table() -> PriceTable:
    """The shipped table. Read and checked at the first call, remembered after."""
    text = Path(__file__).with_name("prices.yaml").read_text("utf-8")
    data: Any = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    return PriceTable.model_validate(data)
