"""The fleet as the router sees it now: models, tiers beyond it, and all their endpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

from agent_runtime.router.balancing.discovery import HostName
from agent_runtime.router.endpoint_state import Credential, EndpointState, Health
from agent_runtime.router.model_state import ModelState, Replica, WaitingRequest
from fleet_spec.contract import Endpoint, EngineName, FleetContract, ModelEndpoints
from fleet_spec.governance_spec import OuterTier, Tier

__all__ = [
    "EndpointState",
    "FleetChange",
    "FleetState",
    "Health",
    "ModelState",
    "Replica",
    "TierState",
]

_EndpointKey = tuple[str, EngineName, Tier]


@dataclass(slots=True)
class TierState:
    """A tier beyond the fleet."""

    models: dict[str, ModelState] = field(default_factory=dict[str, "ModelState"])
    """What answers there in place of the fleet's models and aliases of these names."""


@dataclass(slots=True)
class FleetChange:
    """What a new contract, or a name that stands for other addresses, changed."""

    added: list[EndpointState] = field(default_factory=list["EndpointState"])
    removed: list[EndpointState] = field(default_factory=list["EndpointState"])
    homeless: list[WaitingRequest] = field(default_factory=list["WaitingRequest"])
    """Requests that wait for a model which is no more, or has no endpoints, and have to be decided over again."""


def _no_secrets(_name: str) -> str | None:
    return None


class FleetState:
    """All models and endpoints. A new contract keeps the state of what it has in common with the old one."""

    def __init__(self, secrets: Callable[[str], str | None] = _no_secrets) -> None:
        """``secrets`` gives a tier's key by the name of its secret, as it is now, or None."""
        self.models: dict[str, ModelState] = {}
        self.aliases: dict[str, dict[str, float]] = {}
        self.endpoints: dict[_EndpointKey, EndpointState] = {}
        self.tiers: dict[OuterTier, TierState] = {}
        self.names_looked_up: dict[tuple[str, int], HostName] = {}
        """The names of endpoints that are found by name, by host and port."""
        self.stack = ""
        self.secrets = secrets
        self._contract: FleetContract | None = None

    def apply(self, contract: FleetContract) -> FleetChange:
        """Take a contract in. Nothing that is in flight is touched."""
        old = list(self.all_models())
        building = _Building(self, contract)
        self.models = {
            name: building.model(self.models.get(name), name, entry, "local") for name, entry in contract.models.items()
        }
        tiers: dict[OuterTier, TierState] = {}
        for tier, said in contract.tiers.items():
            known = self.tiers[tier].models if tier in self.tiers else {}
            credential = partial(self._secret, said.secret) if said.secret else None
            tiers[tier] = TierState(
                {
                    name: building.model(known.get(name), name, entry, tier, credential)
                    for name, entry in said.models.items()
                }
            )
        self.tiers = tiers
        change = building.change
        for key, state in self.endpoints.items():
            if key not in building.endpoints:
                state.removed = True
                change.removed.append(state)
        kept = set(self.all_models())
        for model in old:
            model.removed = model not in kept
            if model.removed or model.is_empty():
                change.homeless += model.line.all()
        self.endpoints, self.names_looked_up = building.endpoints, building.names
        self.aliases = {alias: dict(arms) for alias, arms in contract.aliases.items()}
        self.stack = contract.stack
        self._contract = contract
        return change

    def readdress(self) -> FleetChange:
        """Take in what names stand for now."""
        return FleetChange() if self._contract is None else self.apply(self._contract)

    def _secret(self, name: str) -> str | None:
        return self.secrets(name)

    def all_models(self) -> Iterator[ModelState]:
        """Every model, in every tier."""
        yield from self.models.values()
        for tier in self.tiers.values():
            yield from tier.models.values()

    def waiting_outside(self) -> list[WaitingRequest]:
        """Requests that wait for a model beyond the fleet."""
        return [one for tier in self.tiers.values() for model in tier.models.values() for one in model.line.all()]

    def serve_waiting(self, now: float) -> None:
        """Give a place to requests that wait, where time has made one: a pause is over, an endpoint has come."""
        for model in self.all_models():
            if model.line.size:
                model.serve(now)

    def names(self) -> list[str]:
        """Every name that a client may ask for: aliases, the fleet's names, the catalogue's names."""
        catalogue = (model.entry.model for model in self.models.values())
        aliases = (alias for alias, arms in self.aliases.items() if any(w > 0 for w in arms.values()))
        return list(dict.fromkeys([*aliases, *self.models, *catalogue]))


class _Building:
    """Builds models and endpoints from a contract out of those that there are."""

    def __init__(self, fleet: FleetState, contract: FleetContract) -> None:
        self.change = FleetChange()
        self.endpoints: dict[_EndpointKey, EndpointState] = {}
        self.names: dict[tuple[str, int], HostName] = {}
        self._fleet = fleet
        self._routing = contract.routing

    def model(
        self,
        known: ModelState | None,
        name: str,
        entry: ModelEndpoints,
        tier: Tier,
        credential: Credential | None = None,
    ) -> ModelState:
        """The state of a model: the old one, as long as requests that were made for it still fit."""
        same = known is not None and (known.entry.model, known.entry.engine) == (entry.model, entry.engine)
        # Requests in flight hold the old object, and count themselves out on it.
        model = known if known is not None and same else ModelState(name, entry, self._routing, tier)
        model.configure(entry, self._routing)
        model.resolving = False
        here = {replica.endpoint: replica for replica in model.replicas}
        replicas: dict[EndpointState, Replica] = {}
        for endpoint in entry.endpoints:
            for state in self._endpoints(endpoint, entry.engine, model, credential):
                replica = here.get(state) or Replica(model, state)
                replicas[state] = replica
                state.replicas.append(replica)
                state.limited = state.limited or model.limit > 0
        model.set_replicas(list(replicas.values()))
        return model

    def _endpoints(
        self, endpoint: Endpoint, engine: EngineName, model: ModelState, credential: Credential | None
    ) -> Iterator[EndpointState]:
        url = endpoint.url.rstrip("/")
        if not endpoint.discover:
            yield self._endpoint(EndpointState(url, engine, model.tier, credential=credential))
            return
        name = self._name(url)
        if name.addresses is None:
            model.resolving = True
        for address in name.addresses or ():
            yield self._endpoint(
                EndpointState(url, engine, model.tier, address=address, name=name, credential=credential)
            )

    def _endpoint(self, fresh: EndpointState) -> EndpointState:
        """The state of an endpoint: the old one, if there is one."""
        key = (fresh.url, fresh.engine, fresh.tier)
        state = self.endpoints.get(key)
        if state is not None:
            return state
        state = self._fleet.endpoints.get(key)
        if state is None:
            state = fresh
            self.change.added.append(state)
        else:
            state.adopt(fresh)
        self.endpoints[key] = state
        return state

    def _name(self, url: str) -> HostName:
        parts = urlsplit(url)
        key = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        name = self.names.get(key) or self._fleet.names_looked_up.get(key) or HostName(*key)
        self.names[key] = name
        return name
