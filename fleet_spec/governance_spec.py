"""What a stack's config may say of money, privacy and the tiers beyond the fleet."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from fleet_spec.base import Count, Identifier, SpecPart

Tier = Literal["local", "cloud", "commercial"]
"""Where a request may be answered: by the fleet itself, by your own models elsewhere, by an API paid by the token."""


OuterTier = Literal["cloud", "commercial"]
"""A tier beyond the fleet."""


class TokenPrice(SpecPart):
    """What a model costs by the token, in US dollars for a million of them."""

    input_usd_per_million: float = Field(ge=0)
    output_usd_per_million: float = Field(ge=0)
    cached_input_usd_per_million: float | None = Field(default=None, ge=0)
    """Prompt tokens that the API found in its cache. Default: as other prompt tokens."""


class CloudTier(SpecPart):
    """Your own models elsewhere: another stack of Paddock, or addresses."""

    stack: str | None = None
    """A stack whose contract tells the endpoints: ``organization/project/stack``."""
    urls: tuple[str, ...] = ()
    """Base addresses that speak OpenAI's API, such as ``https://gpu.example.com/v1``, where it is no stack of
    Paddock. Each is a replica of the same models."""
    api_key: SecretStr | None = None
    """Set with ``pulumi config set --secret --path tiers.cloud.apiKey``."""
    models: dict[Identifier, str] = Field(default_factory=dict)
    """Names of the fleet, models or aliases -> names over there. Default: the same names."""
    usd_per_hour: float = Field(default=0.80, ge=0)
    """What one replica costs there in US dollars an hour."""
    tokens_per_second: float = Field(default=100.0, gt=0)
    """What one replica computes there, until the router has measured it: turns hours into a price for a token."""

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
    """Names of the fleet, models or aliases -> names over there."""
    prices: dict[str, TokenPrice] = Field(default_factory=dict)
    """Prices by the name over there, in place of the price table's."""
    usd_per_thousand_tokens: float | None = Field(default=None, ge=0)
    """A flat price for whatever no price is known of."""


class TiersSpec(SpecPart):
    """Where a request may go when the fleet cannot or should not answer it."""

    cloud: CloudTier | None = None
    commercial: CommercialTier | None = None


class BudgetSpec(SpecPart):
    """What the fleet may spend in a calendar month (UTC) on tiers beyond its own."""

    monthly_usd: float = Field(default=1000.0, ge=0)
    soft_limit: float = Field(default=0.8, ge=0, le=1)
    """The share of the budget past which the commercial tier answers high-priority requests only."""
    tiers: dict[OuterTier, float] = Field(default_factory=dict[OuterTier, float])
    """What each tier may spend of it, in US dollars a month. Default: all of it."""


DetectorName = Literal[
    "card",
    "iban",
    "email",
    "phone",
    "nationalId",
    "credential",
    "token",
    "health",
    "pay",
    "document",
    "address",
]
"""What the router looks for in a prompt."""


class PrivacySpec(SpecPart):
    """What counts as private. A private prompt never leaves the fleet."""

    default: Literal["detect", "private"] = "detect"
    """``detect``: the router's detectors decide; ``private``: nothing ever leaves the fleet."""
    patterns: dict[Identifier, str] = Field(default_factory=dict)
    """Regular expressions of your own: name -> pattern. A prompt that matches is private."""
    detectors_off: tuple[DetectorName, ...] = ()
    """Detectors of the router's that are not to count."""
    regions: tuple[str, ...] = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "CH", "AT", "PL", "IN", "BR")
    """Countries (ISO 3166) whose way of writing telephone numbers without a country code is known."""
    presidio: bool = False
    """Ask Microsoft Presidio as well, where the router is installed with it. It takes milliseconds a prompt."""


class CacheSpec(SpecPart):
    """Answers that are given again to the same request of the same key."""

    enabled: bool = True
    entries: Count = 1000
    """How many answers are kept; the least recently used goes first."""
    ttl_seconds: int = Field(default=3600, ge=1, le=30 * 86_400)
    sampled: bool = False
    """Keep answers too that were drawn by chance, with a temperature above zero and no seed."""


class QueueSpec(SpecPart):
    """What happens to requests that no endpoint has room for."""

    max_active_per_slot: int = Field(default=0, ge=0, le=10_000)
    """How many requests an endpoint gets at once for each of its model's parallel slots; 0: no limit of ours."""
    max_waiting: int = Field(default=512, ge=0, le=100_000)
    """How many requests of a model wait in the router. More are refused with 503."""
    wait_seconds: float = Field(default=60.0, gt=0, le=3600)
    """How long a request waits for room before it is refused with 503."""
    wake_seconds: float = Field(default=900.0, gt=0, le=7200)
    """How long a request waits for a sleeping model."""


class RoutingSpec(SpecPart):
    """How the router chooses where a request goes."""

    routine: tuple[Tier, ...] = Field(default=("local", "cloud", "commercial"), min_length=1)
    """Tiers in the order in which they are tried for a routine request."""
    complex: tuple[Tier, ...] = Field(default=("commercial", "cloud", "local"), min_length=1)
    """The same for a complex one."""
    balancing: Literal["leastOutstanding", "latency", "prefix"] = "leastOutstanding"
    """Among a model's endpoints: the least busy; the one with the best recent time to the first byte for its
    load; or the one that has answered the same beginning before, unless it is much busier than the others."""
    queue: QueueSpec = QueueSpec()
    cache: CacheSpec = CacheSpec()

    @model_validator(mode="after")
    def _tiers_once(self) -> Self:
        for order in (self.routine, self.complex):
            if len(set(order)) != len(order):
                raise ValueError("names a tier twice")
        return self


Priority = Literal["high", "normal", "low"]
"""Who goes first where requests wait, and who may still spend past the soft limit of a budget."""

Scope = Literal["chat", "admin", "metrics"]
"""What a key may do: ask models; change what the fleet holds; read metrics and costs."""

KEY_HASH_PATTERN = r"^sha256:[0-9a-f]{64}$"


class KeySpec(SpecPart):
    """A key that clients of the router show. Only its hash is kept; ``paddock keys new`` makes both."""

    hash: str = Field(pattern=KEY_HASH_PATTERN)
    """SHA-256 of the whole key. Keys carry 256 random bits, so a plain hash of one cannot be turned back."""
    scopes: tuple[Scope, ...] = Field(default=("chat",), min_length=1)
    models: tuple[Identifier, ...] = ()
    """Names of models and aliases that it may ask for. Empty: all."""
    monthly_usd: float | None = Field(default=None, ge=0)
    """What it may spend in a calendar month (UTC), all tiers together. Default: no limit of its own."""
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    priority: Priority = "normal"
    """The highest that its requests may ask for with ``X-Paddock-Priority``, and what they have without it."""
    private: bool = False
    """Whatever it asks is private."""
    expires: str | None = Field(default=None, pattern=r"^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}Z)?$")
    """The day (UTC), or second, from which it is refused."""
