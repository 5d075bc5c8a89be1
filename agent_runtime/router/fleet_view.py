"""What the router shows of its fleet: metrics for Prometheus, and a description for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agent_runtime.router.exposition import Family, Labels, family
from agent_runtime.router.fleet_state import FleetState, ModelState, Replica


def families(fleet: FleetState, now: float) -> list[Family]:
    """Queues, breakers and endpoints of every tier, as they are at a moment of the event loop's time.

    A breaker's state is a label with the value 1, so that workers add up to how many of them see it so.
    """
    return [
        family(
            "paddock_queue_waiting_requests",
            "gauge",
            "Requests that wait for room, or for a sleeping model.",
            ((_of(model), model.line.size) for model in fleet.all_models()),
        ),
        family(
            "paddock_model_active_requests",
            "gauge",
            "Requests in flight and waiting, in every tier.",
            ((_of(model), model.active) for model in fleet.all_models()),
        ),
        family(
            "paddock_breaker_state",
            "gauge",
            "1 for the state that a circuit breaker is in: closed, half_open, open.",
            (
                ((*_of(model), ("endpoint", replica.endpoint.url), ("state", replica.breaker.state(now))), 1)
                for model, replica in _replicas(fleet)
            ),
        ),
        family(
            "paddock_name_lookup_failed",
            "gauge",
            "Whether the last look-up of the name that endpoints are found by failed.",
            (
                ((("host", name.host), ("port", str(name.port))), int(bool(name.problem)))
                for name in fleet.names_looked_up.values()
            ),
        ),
    ]


def status(fleet: FleetState, now: float) -> dict[str, Any]:
    """The body of /api/paddock/status."""
    return {
        "stack": fleet.stack,
        "models": [described(model, now) for model in fleet.all_models()],
        "aliases": fleet.aliases,
        "names": [
            {"host": name.host, "port": name.port, "addresses": name.addresses, "problem": name.problem or None}
            for name in fleet.names_looked_up.values()
        ],
    }


def described(model: ModelState, now: float) -> dict[str, Any]:
    """One model and its endpoints, as JSON data, at a moment of the event loop's time."""
    return {
        "name": model.name,
        "tier": model.tier,
        "model": model.entry.model,
        "engine": model.entry.engine,
        "balancing": model.balancing,
        "active": model.active,
        "waiting": model.line.size,
        "asleep": model.asleep(),
        "endpoints": [
            {
                "url": replica.endpoint.url,
                "health": replica.endpoint.health,
                "breaker": replica.breaker.state(now),
                "problem": replica.problem or None,
                "drained": replica.endpoint.drained,
                "outstanding": replica.endpoint.outstanding,
                "limit": model.limit or None,
            }
            for replica in model.replicas
        ],
    }


def _of(model: ModelState) -> Labels:
    return ("model", model.name), ("tier", model.tier)


def _replicas(fleet: FleetState) -> Iterator[tuple[ModelState, Replica]]:
    return ((model, replica) for model in fleet.all_models() for replica in model.replicas)
