"""What a stack's config may say of money, privacy and the tiers beyond the fleet."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from fleet_spec.base import Identifier, SpecPart


class CloudTier(SpecPart):
    """Your own models elsewhere: another stack of Paddock, or addresses."""

    stack: str | None = None
    """A stack whose contract tells the endpoints: ``organization/project/stack``."""
    urls: tuple[str, ...] = ()
    """Base addresses that speak OpenAI's API, where it is no stack of Paddock."""
    api_key: SecretStr | None = None
    models: dict[Identifier, str] = Field(default_factory=dict)
    """Names of the fleet -> names over there. Default: the same."""
    usd_per_hour: float = Field(default=0.80, ge=0)
    """What one replica costs there in US dollars an hour."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.stack is None) == (not self.urls):
            raise ValueError("needs exactly one of 'stack' and 'urls'")
        return self


class CommercialTier(SpecPart):
    """An API that is paid by the token."""

    url: str = Field(pattern=r"^https?://")
    """Base address of an OpenAI-compatible API, such as ``https://api.example.com/v1``."""
    api_key: SecretStr
    """Set with ``pulumi config set --secret --path tiers.commercial.apiKey``."""
    models: dict[Identifier, str] = Field(default_factory=dict)
    """Names of the fleet -> names over there."""
    usd_per_thousand_tokens: float | None = Field(default=None, ge=0)
    """A flat price in place of the price table's."""


class TiersSpec(SpecPart):
    """Where a request may go when the fleet cannot or should not answer it."""

    cloud: CloudTier | None = None
    commercial: CommercialTier | None = None


class BudgetSpec(SpecPart):
    """What the fleet may spend on tiers beyond its own."""

    monthly_usd: float = Field(default=1000.0, ge=0)
    soft_limit: float = Field(default=0.8, ge=0, le=1)
    """The share of the budget past which the commercial tier answers high-priority requests only."""


class PrivacySpec(SpecPart):
    """What counts as private. A private prompt never leaves the fleet."""

    default: Literal["detect", "private"] = "detect"
    """``detect``: the router's detectors decide; ``private``: nothing ever leaves the fleet."""
    patterns: dict[Identifier, str] = Field(default_factory=dict)
    """Regular expressions of your own: name -> pattern. A prompt that matches is private."""
