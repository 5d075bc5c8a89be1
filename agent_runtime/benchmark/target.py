"""What is measured: a model behind an address. Found in a fleet's contract, or asked of a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast
from urllib.parse import urlsplit

import httpx

from agent_runtime.benchmark.dialects import Dialect
from agent_runtime.fleet_models import named
from agent_runtime.router.money.prices import Price, price_of
from fleet_spec.contract import FleetContract, ModelEndpoints
from fleet_spec.errors import BadInputError, PaddockError
from fleet_spec.governance_spec import Tier

FIXED_LENGTH_ENGINES: Final = frozenset({"llamacpp", "vllm"})
"""Engines that go on to ``max_tokens`` where a request says ``ignore_eos``."""
_WRITES: Final = frozenset({"chat", "completion"})
_ASK_SECONDS: Final = 10.0
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_OPENAI_PATH: Final = "/v1"


class ServerUnreachableError(PaddockError):
    """Nobody answered at the address, or what answered says nothing of its models."""


@dataclass(frozen=True)
class Target:
    """One model to measure."""

    name: str
    """What the report calls it."""
    asked: str
    """What requests call it."""
    url: str
    """The server's root, without ``/v1``."""
    dialect: Dialect
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """What requests say besides; a key may be among it."""
    model: str | None = None
    """Its name in the catalogue, where known."""
    engine: str | None = None
    """The engine behind it, where known."""
    tier: Tier | None = None
    usd_per_hour: float | None = None
    """What all its replicas cost together in an hour."""
    price: Price | None = None
    """What it costs by the token, where it is paid so."""
    replica_urls: tuple[str, ...] = ()
    """Its model servers themselves, where they can be reached."""
    ollama_url: str | None = None
    """Where Ollama's ``/api/ps`` tells of its memory."""

    @property
    def takes_fixed_length(self) -> bool:
        """Whether the engine is known to take ``ignore_eos``."""
        return self.engine in FIXED_LENGTH_ENGINES and self.dialect == "openai"

    @property
    def local_ports(self) -> tuple[int, ...]:
        """The ports of this machine that its model servers listen on."""
        parts = [urlsplit(url) for url in self.replica_urls]
        return tuple(part.port for part in parts if part.hostname in _LOOPBACK and part.port is not None)


def targets_of_fleet(
    contract: FleetContract,
    url: str,
    *,
    names: Sequence[str] = (),
    tier: Tier | None = None,
    dialect: Dialect = "openai",
    api_key: str | None = None,
) -> list[Target]:
    """The models of a fleet, each asked through the fleet's router.

    Args:
        contract: What the stack exports.
        url: Where the router answers from here, without ``/v1``.
        names: Models and aliases; all models of the fleet, or of ``tier``, that write text by default.
        tier: The only tier that may answer.
        dialect: How the router is asked.
        api_key: What the router is shown.

    Raises:
        BadInputError: the fleet has no such model or tier, or none that writes text.
    """
    # Each measured request is to be computed: neither answered from the router's cache nor kept there.
    headers = {"Cache-Control": "no-store"}
    if api_key is not None:
        headers["Authorization"] = f"Bearer {api_key}"
    if tier is not None:
        headers["X-Paddock-Tier"] = tier
    held = _models_of(contract, tier)
    wanted = list(names) or [name for name, entry in held.items() if _WRITES & set(entry.capabilities)]
    if not wanted:
        where = f"the {tier} tier of stack" if tier is not None else "the fleet of stack"
        raise BadInputError(f"{where} {contract.stack!r} has no model that writes text. fix: name one with --model")
    return [_fleet_target(contract, name, held, url, dialect, headers, tier) for name in dict.fromkeys(wanted)]


def _models_of(contract: FleetContract, tier: Tier | None) -> Mapping[str, ModelEndpoints]:
    if tier is None or tier == "local":
        return contract.models
    beyond = contract.tiers.get(tier)
    if beyond is None:
        known = ", ".join(["local", *contract.tiers])
        raise BadInputError(f"stack {contract.stack!r} has no tier {tier!r}. fix: one of {known}")
    return beyond.models


def _fleet_target(
    contract: FleetContract,
    name: str,
    held: Mapping[str, ModelEndpoints],
    url: str,
    dialect: Dialect,
    headers: Mapping[str, str],
    tier: Tier | None,
) -> Target:
    entry = held.get(name)
    asked = name
    if entry is None and held is contract.models:
        asked = named(contract, name).name
        arms = [asked] if asked in held else list(contract.aliases[asked])
        # What is true of one arm of an A/B test alone is not said of the test.
        entry = held[arms[0]] if len(arms) == 1 else None
    elif entry is None:
        raise BadInputError(f"the {tier} tier has no model {name!r}. fix: one of {', '.join(held) or 'none'}")
    if entry is None:
        return Target(asked, asked, url, dialect, headers)
    reachable = contract.target == "local" and entry.tier == "local"
    hourly = None if entry.usd_per_hour is None else entry.usd_per_hour * max(len(entry.endpoints), 1)
    flat = contract.tiers[tier].usd_per_thousand_tokens if tier in contract.tiers else None
    paid = entry.tier == "commercial" or entry.price is not None
    return Target(
        name=asked,
        asked=asked,
        url=url,
        dialect=dialect,
        headers=headers,
        model=entry.model,
        engine=entry.engine,
        tier=entry.tier,
        usd_per_hour=None if paid else hourly,
        price=price_of(entry, flat_usd_per_thousand_tokens=flat) if paid else None,
        replica_urls=tuple(endpoint.url for endpoint in entry.endpoints) if reachable else (),
        ollama_url=url if entry.engine == "ollama" else None,
    )


async def targets_of_url(
    url: str,
    *,
    names: Sequence[str] = (),
    dialect: Dialect | None = None,
    api_key: str | None = None,
    usd_per_hour: float | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> list[Target]:
    """The models of any server that speaks OpenAI's dialect or Ollama's.

    Args:
        url: Its root, with or without ``/v1``.
        names: Models; all that it lists by default.
        dialect: How it is asked. By default in Ollama's where it is an Ollama and the address has no ``/v1``.
        api_key: What it is shown.
        usd_per_hour: What it costs.
        transport: Where questions about its models go in a test.

    Raises:
        BadInputError: the address is none, or the server has no model.
        ServerUnreachableError: it does not answer, or says nothing of its models and none was named.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInputError(f"--url {url!r} is no address. fix: such as http://127.0.0.1:8080")
    root = url.rstrip("/")
    has_path = root.endswith(_OPENAI_PATH)
    root = root.removesuffix(_OPENAI_PATH)
    headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
    near = parts.hostname in _LOOPBACK
    async with httpx.AsyncClient(
        timeout=_ASK_SECONDS, headers=headers, transport=transport, trust_env=not near
    ) as client:
        ollama = await _is_ollama(client, root)
        spoken = dialect or ("ollama" if ollama and not has_path else "openai")
        listed = await _listed(client, root, ollama=ollama)
    if not listed and not names:
        raise ServerUnreachableError(f"no server at {root} lists its models. fix: name one with --model, or start it")
    return [
        Target(
            name=name,
            asked=name,
            url=root,
            dialect=spoken,
            headers={**headers, "Cache-Control": "no-store"},
            engine="ollama" if ollama else listed.get(name),
            usd_per_hour=usd_per_hour,
            replica_urls=(root,),
            ollama_url=root if ollama else None,
        )
        for name in dict.fromkeys(names or listed)
    ]


async def _is_ollama(client: httpx.AsyncClient, root: str) -> bool:
    """Whether it is an Ollama, and no router of Paddock's, which answers like one and has ``/healthz`` besides."""
    version = await _get(client, f"{root}/api/version")
    return "version" in version and "ok" not in await _get(client, f"{root}/healthz")


async def _listed(client: httpx.AsyncClient, root: str, *, ollama: bool) -> dict[str, str | None]:
    """The models that a server lists, each with its engine where that is known."""
    if ollama:
        models = cast("list[dict[str, Any]]", (await _get(client, f"{root}/api/tags")).get("models") or [])
        return {str(model["model"]): "ollama" for model in models}
    models = cast("list[dict[str, Any]]", (await _get(client, f"{root}/v1/models")).get("data") or [])
    owners = {str(model["id"]): model.get("owned_by") for model in models}
    return {name: owner if owner in FIXED_LENGTH_ENGINES else None for name, owner in owners.items()}


async def _get(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    """A JSON object; an empty one where there is none."""
    try:
        response = await client.get(url)
        found: object = response.json() if response.is_success else None
    except httpx.TransportError as error:
        raise ServerUnreachableError(f"no server answers at {url}: {error}. fix: start it, or mend --url") from error
    except ValueError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
