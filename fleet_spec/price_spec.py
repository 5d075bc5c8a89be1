"""What a stack's config may say of prices and of the load that it expects."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from fleet_spec.base import Identifier, SpecPart

Usd = Annotated[float, Field(ge=0)]
Requests = Annotated[float, Field(ge=0, le=1e9)]


class OwnHardware(SpecPart):
    """GPUs of your own: what an hour of one costs is its depreciation and its power."""

    usd_per_gpu: Usd
    """What one cost, with its share of the machine around it."""
    years: float = Field(default=4.0, gt=0, le=20)
    """Over how many years that is written off."""
    usd_per_kilowatt_hour: Usd = 0.15
    watts: float | None = Field(default=None, gt=0, le=10_000)
    """What one draws at work, with its share of the machine and of the cooling. Default: the maker's board power."""
    busy_share: float = Field(default=1.0, ge=0, le=1)
    """For which share of the time it draws that."""


class PricesSpec(SpecPart):
    """Prices in place of the table's, in US dollars."""

    provider: Identifier | None = None
    """Whose prices hold, by the price table's name: aws, gcp, azure, lambda, runpod. Default: whose nodes the GPU pools
    are, else aws."""
    spot: bool | None = None
    """Reckon with the price of spare capacity. Default: where the GPU pool says ``spot``."""
    gpu_hours: dict[Identifier, float] = Field(default_factory=dict)
    """GPU type -> what one costs an hour, in place of the table's."""
    own_hardware: dict[Identifier, OwnHardware] = Field(default_factory=dict)
    """GPU type -> what yours cost."""
    storage_usd_per_gib_month: Usd | None = None
    cpu_usd_per_hour: Usd | None = None
    """What an hour of a replica without a GPU costs. Default: not counted, and said so."""
    cpu_core_usd_per_hour: Usd | None = None
    """What an hour of one CPU costs that the router, the web UI or Valkey requests."""
    memory_usd_per_gib_hour: Usd | None = None
    """What an hour of a GiB of main memory costs that they request."""
    load_balancer_usd_per_hour: Usd | None = None
    """What the load balancer before the ingress costs. Say 0 for one that is there anyway."""
    compare_with: str = Field(default="gpt-4o-mini", min_length=1)
    """The commercial model that tokens are compared with, where the tier names none: one of the price table's."""


class LoadProfile(SpecPart):
    """What a model is expected to be asked."""

    requests_per_hour: Requests | tuple[Requests, ...] | None = None
    """A mean, or 24 numbers, one for each hour of the day from midnight on (UTC)."""
    input_tokens: int = Field(default=500, ge=1, le=10_000_000)
    """Of a request's prompt, on average."""
    output_tokens: int = Field(default=200, ge=1, le=10_000_000)
    """Of its answer."""
    tokens_per_second: float | None = Field(default=None, gt=0)
    """What one replica writes in all its requests together, as measured. Default: ``boundShare`` of what its GPU's
    memory bandwidth allows."""

    @model_validator(mode="after")
    def _a_day_long(self) -> Self:
        if isinstance(self.requests_per_hour, tuple) and len(self.requests_per_hour) != 24:
            raise ValueError(f"has {len(self.requests_per_hour)} hours; write one number, or 24")
        return self

    @property
    def hours(self) -> tuple[float, ...] | None:
        """Requests in each hour of the day; None where nobody said."""
        if isinstance(self.requests_per_hour, tuple):
            return self.requests_per_hour
        return None if self.requests_per_hour is None else (self.requests_per_hour,) * 24


class LoadSpec(LoadProfile):
    """The load that ``paddock plan`` reckons with: the same for every model, but for those named."""

    models: dict[Identifier, LoadProfile] = Field(default_factory=dict)
    """Model -> its own profile. What it leaves out is as above."""
    bound_share: float = Field(default=0.5, gt=0, le=1)
    """Which share of the bound from memory bandwidth a replica is taken to reach: an assumption, to be replaced by
    ``tokensPerSecond`` once it is measured."""

    def of(self, model: str) -> LoadProfile:
        """A model's profile."""
        own = self.models.get(model)
        if own is None:
            return self
        fields = {name: getattr(self, name) for name in LoadProfile.model_fields}
        return LoadProfile.model_validate(
            {**fields, **{name: getattr(own, name) for name in own.model_fields_set}}, by_name=True
        )
