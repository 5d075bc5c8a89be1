"""A model as the router sees it now: its replicas, how busy and well they are, and who waits for one."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import TYPE_CHECKING, Any, Final, Protocol

from agent_runtime.router.balancing.affinity import prompt_key, session_key
from agent_runtime.router.balancing.breaker import Breaker
from agent_runtime.router.balancing.choice import DEAR, PeakEwma, choose
from agent_runtime.router.balancing.retry_budget import RetryBudget
from agent_runtime.router.balancing.ring import Ring
from agent_runtime.router.balancing.waiting import Waiter, WaitingLine
from fleet_spec.contract import ModelEndpoints
from fleet_spec.governance_spec import RoutingSpec, Tier

if TYPE_CHECKING:
    from agent_runtime.router.endpoint_state import EndpointState
    from agent_runtime.router.http_head import ReplyHead

_NOT_TRIED: Final[frozenset[EndpointState]] = frozenset()
_BOUND: Final = 1.25
"""How much busier than the mean a replica may be and still be given what belongs to it. KubeAI has the same figure."""
_WANTED_SECONDS: Final = 60.0
"""How long a request that could not wait still counts as demand: an autoscaler asks every 15 to 30 s."""


class WaitingRequest(Waiter, Protocol):
    """A request that waits for a replica."""

    def place_found(self, replica: Replica) -> None:
        """There is one."""
        ...

    def reconsider(self) -> None:
        """The model that it waits for has left the fleet."""
        ...


class Replica:
    """A model at an endpoint."""

    def __init__(self, model: ModelState, endpoint: EndpointState) -> None:
        self.model = model
        self.endpoint = endpoint
        self.sent = 0
        """Requests of this model that were sent here and have not ended."""
        self.breaker = Breaker()
        self.times = PeakEwma()
        """To the first byte of its answers, where the balance asks for it."""
        self.reply_heads: dict[bytes, ReplyHead] = {}
        """What the engine's response heads become for the client: engines repeat them word for word."""

    @property
    def problem(self) -> str:
        """Why it gets no requests."""
        if self.endpoint.drained:
            return "it is drained by hand"
        if self.endpoint.locked:
            return "the key that it asks for is missing"
        return self.endpoint.problem or self.breaker.problem

    def may_be_tried(self, now: float) -> bool:
        """Whether a request may go here, as far as health goes."""
        return (
            self.endpoint.may_be_tried(now)
            and (self.breaker.clear or self.breaker.allows(now, self.sent))
            and not self.endpoint.locked
        )


class ModelState:
    """A model of the fleet, or what answers in its place in another tier."""

    def __init__(
        self, name: str, entry: ModelEndpoints, routing: RoutingSpec | None = None, tier: Tier = "local"
    ) -> None:
        self.name = name
        self.tier: Tier = tier
        self.active = 0
        """Requests in flight and waiting."""
        self.sent = 0
        """Those of them that are at a replica."""
        self.removed = False
        """Whether the contract no longer holds it. Requests in flight go on."""
        self.resolving = False
        """Whether the addresses of some of its endpoints have never been looked up yet."""
        self.line: WaitingLine[WaitingRequest] = WaitingLine()
        self.retries = RetryBudget()
        self.replicas: list[Replica] = []
        self._turn = 0
        self._ring: Ring[Replica] | None = None
        self._wanted_at: float | None = None
        self.configure(entry, routing or RoutingSpec())

    def configure(self, entry: ModelEndpoints, routing: RoutingSpec) -> None:
        """Take a new contract's words about this model in."""
        self.entry = entry
        self.queue = routing.queue
        self.balancing = routing.balancing
        self.limit = routing.queue.max_active_per_slot * entry.parallel
        """How many requests an endpoint gets at once; 0: no limit."""

    def set_replicas(self, replicas: list[Replica]) -> None:
        """Take new replicas in place of the old ones."""
        if replicas != self.replicas:
            self.replicas, self._ring = replicas, None

    # Who may have a request

    def admit(self, now: float, affinity: int | None = None) -> Replica | None:
        """The replica for a new request; None where there is none, or where others have waited for it longer."""
        return None if self.line.size else self.pick(now, _NOT_TRIED, affinity)

    def pick(
        self, now: float, tried: frozenset[EndpointState] | set[EndpointState], affinity: int | None = None
    ) -> Replica | None:
        """The replica for a request, by the contract's balancing; those that are equally good take turns.

        Endpoints that are down are tried only where there is no other, and not before their pause is over. Those with
        as many requests as they may have get none. Within a model all endpoints have equally many slots, so that
        the fewest outstanding requests are the fewest for each slot too.
        """
        replicas = self.replicas
        if len(replicas) == 1:
            only = replicas[0]
            return only if self._may_have(only, now, tried) else None
        if affinity is not None:
            found = self._pick_by_affinity(affinity, now, tried)
            if found is not None:
                return found
        self._turn += 1
        cost = _mean_time if self.balancing == "latency" else _outstanding
        return choose(
            replicas,
            self._turn,
            lambda replica: self._may_have(replica, now, tried),
            lambda replica: cost(replica, now),
        )

    def _may_have(self, replica: Replica, now: float, tried: frozenset[EndpointState] | set[EndpointState]) -> bool:
        endpoint = replica.endpoint
        return (
            endpoint not in tried
            and (endpoint.health != "down" or endpoint.may_be_tried(now))
            and (replica.breaker.clear or replica.breaker.allows(now, replica.sent))
            and (self.limit == 0 or endpoint.outstanding < self.limit)
            and not endpoint.locked
        )

    def affinity(self, session: str, body: Mapping[str, Any]) -> int | None:
        """What a request should find its replica by: its session, or what its prompt begins with."""
        if len(self.replicas) <= 1:
            return None
        if session:
            return session_key(session)
        return prompt_key(body) if self.balancing == "prefix" else None

    def _pick_by_affinity(
        self, key: int, now: float, tried: frozenset[EndpointState] | set[EndpointState]
    ) -> Replica | None:
        """The first on the ring that is not much busier than the others (see :mod:`.balancing.ring`).

        A replica is not busy as long as it has a free slot, however idle the others are.
        """
        if self._ring is None:
            self._ring = Ring((replica.endpoint.url, replica) for replica in self.replicas)
        bound = max(self.entry.parallel, ceil(_BOUND * (self.sent + 1) / len(self.replicas)))
        for replica in self._ring.walk(key):
            if replica.sent < bound and replica.endpoint.health != "down" and self._may_have(replica, now, tried):
                return replica
        return None

    # Who waits

    def answers(self, now: float) -> bool:
        """Whether a replica is well enough to be asked, busy or not."""
        # Every request passes here, and its first replica is nearly always well: no generator for that.
        for replica in self.replicas:
            if replica.endpoint.health != "down" and replica.breaker.clear and not replica.endpoint.locked:
                return True
            if replica.may_be_tried(now):
                return True
        return False

    def asleep(self) -> bool:
        """Whether it has gone to sleep, or is about to wake up: it may do so, and no endpoint is known to be up."""
        return self.entry.sleeps and not any(replica.endpoint.health == "up" for replica in self.replicas)

    def may_wait(self, now: float) -> bool:
        """Whether a request that no replica may have now should wait: for room, or for the model to wake up."""
        if self.line.size or self.resolving or self.asleep():
            return True
        return self.limit > 0 and self.answers(now)

    def is_empty(self) -> bool:
        """Whether there is nothing to wait for: no endpoint, and none expected."""
        return not (self.replicas or self.resolving or self.entry.sleeps)

    def busy(self, now: float, tried: set[EndpointState]) -> bool:
        """Whether there is a replica for a request that has been to some, once it has room."""
        return self.limit > 0 and any(
            replica.endpoint not in tried and replica.may_be_tried(now) for replica in self.replicas
        )

    def wait_seconds(self) -> float:
        """How long a request waits before it is refused."""
        return self.queue.wake_seconds if self.asleep() else self.queue.wait_seconds

    def serve(self, now: float) -> None:
        """Give replicas to those who wait, as long as there are any."""
        while self.line.size:
            replica = self.pick(now, _NOT_TRIED)
            if replica is None:
                return
            self._hand(replica)

    def give(self, replica: Replica, now: float) -> None:
        """Give the place that has just become free to who has waited longest."""
        if not replica.endpoint.removed and self._may_have(replica, now, _NOT_TRIED):
            self._hand(replica)

    def _hand(self, replica: Replica) -> None:
        waiting = self.line.take()
        if waiting is not None:
            waiting.place_found(replica)

    def missed(self, now: float) -> None:
        """A request went elsewhere because this model is asleep. It should wake up all the same."""
        self._wanted_at = now

    def demand(self, now: float) -> int:
        """Requests in flight and waiting, for an autoscaler: 1 where the only ones went elsewhere meanwhile."""
        wanted = self._wanted_at is not None and now - self._wanted_at < _WANTED_SECONDS
        return max(self.active, int(wanted))

    def retry_after_seconds(self, now: float) -> int:
        """When it makes sense to ask again, all endpoints being down."""
        waits = [max(replica.endpoint.next_try, replica.breaker.next_try()) - now for replica in self.replicas]
        return max(1, round(min(waits, default=1.0)))


def _outstanding(replica: Replica, now: float) -> float:  # noqa: ARG001 - one shape for both costs
    endpoint = replica.endpoint
    return endpoint.outstanding + (DEAR if endpoint.health == "down" else 0)


def _mean_time(replica: Replica, now: float) -> float:
    endpoint = replica.endpoint
    return replica.times.cost(endpoint.outstanding, now) + (DEAR if endpoint.health == "down" else 0)
