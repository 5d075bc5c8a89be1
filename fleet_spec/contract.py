"""FleetContract, version 1: what a stack tells the world about the fleet it brought up.

A stack exports it as the plain output ``fleet``. The router, agents and apps configure themselves from
it and from nothing else. A reader accepts fields it does not know, so that a newer stack can say more,
and refuses a version it does not know, because there a field may have changed its meaning. Keys and
passwords are never in it: they travel in the secret output ``fleetSecrets``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from fleet_spec.errors import ContractError
from fleet_spec.experiment_spec import ExperimentSpec
from fleet_spec.governance_spec import KeySpec, OuterTier, PrivacySpec, RoutingSpec, Tier, TokenPrice

CONTRACT_VERSION = 1

EngineName = Literal["llamacpp", "ollama", "vllm", "openai"]


class _ContractPart(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="allow", frozen=True, serialize_by_alias=True
    )


class Endpoint(_ContractPart):
    """One replica of a model: an address that answers its engine's own HTTP API."""

    url: str
    """Scheme, host, port and, before the engine's own paths, a path: ``http://127.0.0.1:18101``. The base
    address of an API that is known as ``https://api.example.com/v1`` is written without the ``/v1``."""
    discover: bool = False
    """Whether every address that the host's name stands for is a replica of its own, as with a headless Service."""


class AdapterScale(_ContractPart):
    """How strongly an adapter that llama.cpp holds works in the requests of one model."""

    id: int = Field(ge=0)
    """Its number at the endpoints."""
    scale: float = Field(ge=0)
    """0: not at all; 1: as it was trained."""


class ModelEndpoints(_ContractPart):
    """A model of the fleet and where it answers."""

    model: str
    """The model's name in the catalogue, which is also what its engine calls it: ``gemma3:270m``."""
    engine: EngineName
    """Which HTTP API the endpoints speak."""
    tier: Tier = "local"
    context_length: int = Field(ge=1)
    """The largest number of tokens, prompt and reply together, that one request may use."""
    parallel: int = Field(default=1, ge=1)
    """How many requests one endpoint computes at the same time. More wait at the endpoint."""
    capabilities: tuple[str, ...] = ("chat",)
    """What it can do: chat, completion, embedding, tools, vision, thinking, code, math."""
    stop: tuple[str, ...] | None = None
    """Texts at which its replies end, whatever a request says. The engine stops at them by itself unless a
    request names stop texts of its own, which take their place there: the router then adds these."""
    endpoints: tuple[Endpoint, ...] = ()
    usd_per_hour: float | None = Field(default=None, ge=0)
    """What one endpoint costs in US dollars an hour, busy or idle, or None where nobody said."""
    tokens_per_second: float | None = Field(default=None, gt=0)
    """What one endpoint computes, where somebody said; the router measures it otherwise."""
    sleeps: bool = False
    """Whether it may have no endpoint for a while and comes back when requests wait for it."""
    price: TokenPrice | None = None
    """What it costs by the token, where it is paid so."""
    adapter_of: str | None = None
    """The fleet's model that this is an adapter of, at whose endpoints it answers; None for a model of its own."""
    adapter_sha256: str | None = None
    """The hash of that adapter's file, where one is known: another file of the same name gives other answers."""
    lora: tuple[AdapterScale, ...] = ()
    """On llama.cpp, every adapter that its endpoints hold, with its scale in requests for this model: 0 everywhere for
    the base. A request that named none would be answered by whatever the one before it left."""


class RouterAddresses(_ContractPart):
    """Where the router answers, for each kind of client."""

    url: str
    openai: str
    """Base URL for clients of OpenAI's API."""
    ollama: str
    """Base URL for clients of Ollama's API."""
    metrics: str
    """Where Prometheus scrapes."""
    external_url: str | None = None
    """Where it answers from outside the cluster, or None where the other addresses are all there is."""

    @classmethod
    def at(cls, url: str, external_url: str | None = None) -> Self:
        """The addresses of a router whose root is ``url`` (no trailing slash)."""
        return cls(url=url, openai=f"{url}/v1", ollama=url, metrics=f"{url}/metrics", external_url=external_url)


class WebUi(_ContractPart):
    """Where the chat page answers."""

    url: str
    external_url: str | None = None
    """As for the router."""


class Budget(_ContractPart):
    """What the fleet may spend on tiers that cost money per token."""

    monthly_usd: float = Field(ge=0)
    soft_limit: float = Field(default=0.8, ge=0, le=1)
    """The share of the budget past which the commercial tier answers high-priority requests only."""
    tiers: dict[OuterTier, float] = Field(default_factory=dict[OuterTier, float])
    """What each tier may spend of it, in US dollars a month."""


class TierModels(_ContractPart):
    """A tier beyond the fleet."""

    models: dict[str, ModelEndpoints] = Field(default_factory=dict)
    """What answers there in place of the fleet's models and aliases of these names."""
    secret: str | None = None
    """The name of the file, among the router's secrets, with the key that this tier asks for."""
    usd_per_thousand_tokens: float | None = Field(default=None, ge=0)
    """A flat price in US dollars for those of its models whose price nobody else knows."""


class FleetContract(_ContractPart):
    """The whole contract. Build with :meth:`parse` or :meth:`from_mapping`, write with :meth:`to_json`."""

    version: Literal[1] = 1
    stack: str
    target: Literal["local", "docker", "kubernetes"]
    router: RouterAddresses
    web_ui: WebUi | None = None
    models: dict[str, ModelEndpoints]
    """The fleet's models, by the name the stack's config gives them."""
    aliases: dict[str, dict[str, float]] = Field(default_factory=dict)
    """Names that clients may ask for: alias -> {fleet model: weight}. Weights need not sum to 1."""
    experiments: dict[str, ExperimentSpec] = Field(default_factory=dict)
    """A/B tests over aliases of several models, by alias."""
    tiers: dict[OuterTier, TierModels] = Field(default_factory=dict[OuterTier, TierModels])
    budget: Budget | None = None
    privacy: PrivacySpec = PrivacySpec()
    routing: RoutingSpec = RoutingSpec()
    keys: dict[str, KeySpec] = Field(default_factory=dict)
    """The keys that clients may show, by name: hashes and what each may do."""
    open_metrics: bool = False
    """Whether metrics are read without a key where the router listens beyond loopback: something else, such as
    a network policy, decides then who reaches it."""

    @classmethod
    def parse(cls, text: str | bytes, source: str = "the contract") -> FleetContract:
        """Read a contract from JSON text.

        Raises:
            ContractError: it is not JSON, not an object, of an unknown version, or incomplete.
        """
        try:
            data: object = json.loads(text)
        except ValueError as error:
            raise ContractError(f"{source} is not JSON: {error}. Write it anew with `paddock up`.") from error
        if not isinstance(data, dict):
            raise ContractError(f"{source} holds {type(data).__name__}, not an object.")
        return cls.from_mapping(data, source)  # pyright: ignore[reportUnknownArgumentType]

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any], source: str = "the contract") -> FleetContract:
        """Read a contract from decoded JSON.

        Raises:
            ContractError: as for :meth:`parse`.
        """
        version = data.get("version")
        if type(version) is not int or version != CONTRACT_VERSION:
            raise ContractError(
                f"{source} is of version {version!r}; this Paddock reads version {CONTRACT_VERSION}. "
                "Bring the stack up with the same release of Paddock that reads it."
            )
        try:
            # Parts that the stack's config shares with the contract forbid unknown keys there; here none is.
            contract = cls.model_validate(data, extra="allow")
        except ValidationError as error:
            details = "; ".join(
                f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}"
                for item in error.errors(include_input=False, include_url=False)
            )
            raise ContractError(f"{source} cannot be used: {details}") from error
        unknown = sorted(
            f"aliases.{alias}.{name}"
            for alias, arms in contract.aliases.items()
            for name in arms
            if name not in contract.models
        )
        if unknown:
            raise ContractError(f"{source} has aliases of models that it does not hold: {', '.join(unknown)}")
        return contract

    def to_mapping(self) -> dict[str, Any]:
        """The contract as plain JSON data, camelCase keys, absent fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def to_json(self) -> str:
        """The contract as JSON text for a file: indented, keys in a stable order, ends with a newline."""
        return json.dumps(self.to_mapping(), indent=2) + "\n"
