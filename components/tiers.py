"""What answers beyond the fleet, as the contract tells it: an API paid by the token, your own models elsewhere. Pure.

Every name of the fleet, model or alias, stands for one model of a tier. What is known of that model comes from whoever
knows best: the other fleet's own contract, else the catalogue, else (of an API's models, and only their context) the
price list that the router reckons with. What none of them knows is as it is of the fleet's own model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fleet_spec.catalogue import Catalogue, UnknownModelError
from fleet_spec.contract import Endpoint, FleetContract, ModelEndpoints, TierModels
from fleet_spec.errors import Problem, SpecError
from fleet_spec.governance_spec import CloudTier, CommercialTier, OuterTier, TiersSpec

SECRET_NAMES: Mapping[OuterTier, str] = {"cloud": "tier-cloud", "commercial": "tier-commercial"}
"""What the file with a tier's key is called, among the router's secrets."""

OUTSIDE_PARALLEL = 1000
"""Requests that an API elsewhere is taken to compute at once: as many as come, since its limits are its own."""

_API_PATH = "/v1"


@dataclass(frozen=True)
class Traits:
    """What a model can do, and for how many tokens."""

    context_length: int
    capabilities: tuple[str, ...]


def base_url(url: str) -> str:
    """The address of an API as the contract has it, without the ``/v1`` that the router adds.

    >>> base_url("https://api.example.com/v1/")
    'https://api.example.com'
    """
    return url.rstrip("/").removesuffix(_API_PATH)


def build_tiers(
    spec: TiersSpec,
    models: Mapping[str, ModelEndpoints],
    aliases: Mapping[str, Mapping[str, float]],
    catalogue: Catalogue,
    other: FleetContract | None = None,
) -> dict[OuterTier, TierModels]:
    """The tiers of a contract.

    Args:
        spec: What the config says of them.
        models: The fleet's own models.
        aliases: Its aliases and their arms.
        catalogue: Open models that are known.
        other: The contract of the stack that ``tiers.cloud.stack`` names, where it names one.

    Raises:
        SpecError: the other stack does not serve what the config asks of it, or its contract is needed and not there.
    """
    own = _own_traits(models, aliases)
    tiers: dict[OuterTier, TierModels] = {}
    if spec.cloud is not None:
        if spec.cloud.stack is not None:
            made = _of_stack(spec.cloud, spec.cloud.stack, own, other)
        else:
            made = _of_urls(spec.cloud, models, own, catalogue)
        secret = SECRET_NAMES["cloud"] if needs_key(spec.cloud) else None
        tiers["cloud"] = TierModels(models=made, secret=secret)
    if spec.commercial is not None:
        tiers["commercial"] = TierModels(
            models=_commercial(spec.commercial, own, catalogue),
            secret=SECRET_NAMES["commercial"],
            usd_per_thousand_tokens=spec.commercial.usd_per_thousand_tokens,
        )
    return tiers


def needs_key(cloud: CloudTier) -> bool:
    """Whether the cloud tier is asked with a key: the config's, or that of the stack which it is."""
    return cloud.stack is not None or cloud.api_key is not None


def _own_traits(models: Mapping[str, ModelEndpoints], aliases: Mapping[str, Mapping[str, float]]) -> dict[str, Traits]:
    """What every name of a fleet can do, whichever arm of it answers."""
    own = {name: Traits(model.context_length, model.capabilities) for name, model in models.items()}
    for alias, arms in aliases.items():
        own[alias] = _least([own[name] for name in arms])
    return own


def _least(traits: Sequence[Traits]) -> Traits:
    """What all of several models can do."""
    first = traits[0]
    common = tuple(one for one in first.capabilities if all(one in other.capabilities for other in traits))
    return Traits(min(one.context_length for one in traits), common)


def _of_urls(
    cloud: CloudTier, models: Mapping[str, ModelEndpoints], own: Mapping[str, Traits], catalogue: Catalogue
) -> dict[str, ModelEndpoints]:
    endpoints = tuple(Endpoint(url=base_url(url)) for url in cloud.urls)
    names = dict(cloud.models) or {name: name for name in models}
    return {
        name: _cloud_model(cloud, there, _known(there, catalogue) or own[name], endpoints, OUTSIDE_PARALLEL)
        for name, there in names.items()
    }


def _of_stack(
    cloud: CloudTier, stack: str, own: Mapping[str, Traits], other: FleetContract | None
) -> dict[str, ModelEndpoints]:
    if other is None:
        raise SpecError(
            [
                Problem(
                    "tiers.cloud.stack",
                    f"{stack!r} is read by the Pulumi engine, which is not at work here",
                    "write its router's address in tiers.cloud.urls",
                )
            ]
        )
    theirs = _own_traits(other.models, other.aliases)
    names = dict(cloud.models) or {name: name for name in own if name in theirs}
    served = ", ".join(sorted(theirs))
    problems = [
        Problem(f"tiers.cloud.models.{name}", f"{stack} serves no {there!r}", f"name one of: {served}")
        for name, there in names.items()
        if there not in theirs
    ]
    if not names:
        message = f"{stack} serves none of this fleet's names ({', '.join(sorted(own))})"
        problems.append(Problem("tiers.cloud.models", message, f"say which of its models stands for which: {served}"))
    if problems:
        raise SpecError(problems)
    endpoints = (Endpoint(url=other.router.external_url or other.router.url),)
    return {
        name: _cloud_model(cloud, there, theirs[there], endpoints, _parallel(other, there))
        for name, there in names.items()
    }


def _parallel(fleet: FleetContract, name: str) -> int:
    """How many requests for a name a fleet computes at once; replicas that are only looked up count as one."""
    arms = fleet.aliases.get(name, {name: 1.0})
    return max(1, sum(fleet.models[arm].parallel * max(1, len(fleet.models[arm].endpoints)) for arm in arms))


def _cloud_model(
    cloud: CloudTier, there: str, traits: Traits, endpoints: tuple[Endpoint, ...], parallel: int
) -> ModelEndpoints:
    return ModelEndpoints(
        model=there,
        engine="openai",
        tier="cloud",
        context_length=traits.context_length,
        parallel=parallel,
        capabilities=traits.capabilities,
        endpoints=endpoints,
        usd_per_hour=cloud.usd_per_hour,
        tokens_per_second=cloud.tokens_per_second,
    )


def _commercial(tier: CommercialTier, own: Mapping[str, Traits], catalogue: Catalogue) -> dict[str, ModelEndpoints]:
    made: dict[str, ModelEndpoints] = {}
    for name, there in tier.models.items():
        traits = _known(there, catalogue)
        if traits is None:
            traits = Traits(_listed_context(there, tier.url) or own[name].context_length, own[name].capabilities)
        made[name] = ModelEndpoints(
            model=there,
            engine="openai",
            tier="commercial",
            context_length=traits.context_length,
            parallel=OUTSIDE_PARALLEL,
            capabilities=traits.capabilities,
            endpoints=(Endpoint(url=base_url(tier.url)),),
            price=tier.prices.get(there),
        )
    return made


def _known(name: str, catalogue: Catalogue) -> Traits | None:
    """What the catalogue knows of an open model."""
    try:
        entry = catalogue.get(name)
    except UnknownModelError:
        return None
    return Traits(entry.architecture.context_length, entry.capabilities)


def _listed_context(model: str, url: str) -> int | None:
    """The context, in tokens, of a model that the price list has; None where it does not have it."""
    from genai_prices.data_snapshot import get_snapshot  # takes half a second, and few fleets need it

    try:
        _, found = get_snapshot().find_provider_model(model, None, None, url)
    except LookupError:
        return None
    return found.context_window
