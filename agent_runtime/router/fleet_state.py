"""The fleet as the router sees it now: models, their endpoints, how busy and how well each of them is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from fleet_spec.contract import EngineName, FleetContract, ModelEndpoints
from fleet_spec.governance_spec import OuterTier

if TYPE_CHECKING:
    from agent_runtime.router.upstream import ReplyHead, UpstreamConnection

Health = Literal["unknown", "up", "down"]

_FIRST_BACK_OFF_SECONDS = 0.5
_LONGEST_BACK_OFF_SECONDS = 15.0


class EndpointState:
    """One address of a model server. Models may share it, as several models of one Ollama do."""

    def __init__(self, url: str, engine: EngineName) -> None:
        self.url = url
        self.engine: EngineName = engine
        parts = urlsplit(url)
        self.tls = parts.scheme == "https"
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if self.tls else 80)
        self.authority = parts.netloc.rpartition("@")[2]
        self.idle: list[UpstreamConnection] = []
        """Open connections without a request, the last used last."""
        self.outstanding = 0
        """Requests that were sent here and have not ended: computed, or waiting at the engine."""
        self.health: Health = "unknown"
        self.problem = ""
        """Why it is down."""
        self.next_try = 0.0
        """When it may be tried again after a failure, in the event loop's time."""
        self.next_probe = 0.0
        self.failures = 0
        """Failures without a success between them."""
        self.removed = False
        """Whether the contract no longer holds it. Requests in flight go on."""

    def succeeded(self, now: float, probe_after_seconds: float) -> bool:
        """Note an answer. True where the endpoint was not known to be up."""
        self.next_probe = now + probe_after_seconds
        if self.health == "up":
            return False
        self.health, self.problem, self.failures, self.next_try = "up", "", 0, 0.0
        return True

    def failed(self, now: float, problem: str) -> bool:
        """Note that it could not be reached. True where the endpoint was not known to be down."""
        back_off = min(_FIRST_BACK_OFF_SECONDS * 2**self.failures, _LONGEST_BACK_OFF_SECONDS)
        self.failures += 1
        self.next_try = now + back_off
        changed = self.health != "down"
        self.health, self.problem = "down", problem
        return changed

    def close_stale(self, now: float, after_seconds: float) -> None:
        """Close the connections that nobody has used for a while."""
        for connection in list(self.idle):
            if connection.idle_since is None:
                connection.idle_since = now
            elif now - connection.idle_since > after_seconds:
                connection.close()

    def close_idle(self) -> None:
        """Close all connections without a request."""
        for connection in list(self.idle):
            connection.close()

    def may_be_tried(self, now: float) -> bool:
        """Whether a request may go here although it is down: gently, one at a time, after a pause."""
        return self.health != "down" or (now >= self.next_try and self.outstanding == 0)


class Replica:
    """A model at an endpoint."""

    def __init__(self, model: ModelState, endpoint: EndpointState) -> None:
        self.model = model
        self.endpoint = endpoint
        self.reply_heads: dict[bytes, ReplyHead] = {}
        """What the engine's response heads become for the client: engines repeat them word for word."""


class ModelState:
    """A model of the fleet."""

    def __init__(self, name: str, entry: ModelEndpoints) -> None:
        self.name = name
        self.entry = entry
        self.replicas: list[Replica] = []
        self.active = 0
        """Requests in flight and waiting."""
        self._turn = 0

    def pick(self, now: float, tried: frozenset[EndpointState] | set[EndpointState]) -> Replica | None:
        """The replica with the fewest outstanding requests; those that are equally busy take turns.

        Endpoints that are down are tried only where there is no other, and not before their pause is over.
        """
        replicas = self.replicas
        if len(replicas) == 1:
            only = replicas[0]
            return only if only.endpoint not in tried and only.endpoint.may_be_tried(now) else None
        self._turn += 1
        count = len(replicas)
        best: Replica | None = None
        best_rank = (2, 0)
        for step in range(count):
            replica = replicas[(self._turn + step) % count]
            endpoint = replica.endpoint
            if endpoint in tried or not endpoint.may_be_tried(now):
                continue
            rank = (1 if endpoint.health == "down" else 0, endpoint.outstanding)
            if best is None or rank < best_rank:
                best, best_rank = replica, rank
        return best

    def retry_after_seconds(self, now: float) -> int:
        """When it makes sense to ask again, all endpoints being down."""
        waits = [replica.endpoint.next_try - now for replica in self.replicas]
        return max(1, round(min(waits, default=1.0)))


@dataclass(slots=True)
class TierState:
    """A tier beyond the fleet."""

    models: dict[str, ModelState] = field(default_factory=dict[str, "ModelState"])
    """What answers there in place of the fleet's models and aliases of these names."""


@dataclass(slots=True)
class FleetChange:
    """What a new contract changed."""

    added: list[EndpointState] = field(default_factory=list["EndpointState"])
    removed: list[EndpointState] = field(default_factory=list["EndpointState"])


class FleetState:
    """All models and endpoints. A new contract keeps the state of what it has in common with the old one."""

    def __init__(self) -> None:
        self.models: dict[str, ModelState] = {}
        self.aliases: dict[str, dict[str, float]] = {}
        self.endpoints: dict[tuple[str, str], EndpointState] = {}
        self.tiers: dict[OuterTier, TierState] = {}
        self.stack = ""

    def apply(self, contract: FleetContract) -> FleetChange:
        """Take a contract in. Nothing that is in flight is touched."""
        change = FleetChange()
        endpoints: dict[tuple[str, str], EndpointState] = {}
        models: dict[str, ModelState] = {}
        for name, entry in contract.models.items():
            model = ModelState(name, entry)
            known = self.models.get(name)
            if known is not None and known.entry.model == entry.model:
                # Requests in flight hold the old object, and count themselves out on it.
                model = known
                model.entry = entry
            replicas: list[Replica] = []
            for endpoint in entry.endpoints:
                url = endpoint.url.rstrip("/")
                key = (url, entry.engine)
                state = endpoints.get(key) or self.endpoints.get(key)
                if state is None:
                    state = EndpointState(url, entry.engine)
                    change.added.append(state)
                endpoints[key] = state
                replicas.append(_same_replica(model, state) or Replica(model, state))
            model.replicas = replicas
            models[name] = model
        for key, state in self.endpoints.items():
            if key not in endpoints:
                state.removed = True
                change.removed.append(state)
        self.models, self.endpoints = models, endpoints
        self.aliases = {alias: dict(arms) for alias, arms in contract.aliases.items()}
        self.stack = contract.stack
        return change

    def names(self) -> list[str]:
        """Every name that a client may ask for: aliases, the fleet's names, the catalogue's names."""
        catalogue = (model.entry.model for model in self.models.values())
        aliases = (alias for alias, arms in self.aliases.items() if any(w > 0 for w in arms.values()))
        return list(dict.fromkeys([*aliases, *self.models, *catalogue]))


def _same_replica(model: ModelState, endpoint: EndpointState) -> Replica | None:
    for replica in model.replicas:
        if replica.endpoint is endpoint:
            return replica
    return None
