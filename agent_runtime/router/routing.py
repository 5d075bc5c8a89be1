"""The one place where a request is let in and sent somewhere.

What decides over a request (names, capabilities, health and load) is asked here and nowhere else; a
:class:`Decision` is all that the rest of the router knows of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.dialects.images import shows_images
from agent_runtime.router.dialects.operations import (
    Call,
    Operation,
    answer_without_work,
    plan,
    requested_model,
)
from agent_runtime.router.fleet_state import EndpointState, FleetState, ModelState, Replica
from agent_runtime.router.resolve import Draw, candidates, choose, draw


@dataclass(slots=True)
class Decision:
    """What happens to a request."""

    model: ModelState
    replica: Replica | None
    """None: it is answered without a model server."""
    call: Call | None = None
    answer: dict[str, Any] | None = None


def route(
    fleet: FleetState,
    operation: Operation,
    raw: bytes,
    body: dict[str, Any],
    *,
    now: float,
    draw: Draw = draw,
) -> Decision:
    """Decide over a request.

    Raises:
        RequestError: in the client's words: 400 a field is wrong, or the model cannot do this; 404 there is
            no such model; 503 none of its endpoints can be reached.
    """
    name = requested_model(operation, body)
    arms = candidates(fleet, name)
    if not arms:
        raise unknown_model(fleet, name)
    able = [arm for arm in arms if _can(arm[0], operation)]
    if not able:
        raise _unable(name, operation.name, arms[0][0])
    if shows_images(operation.dialect, body):
        able = [arm for arm in able if _sees(arm[0])]
        if not able:
            raise _unable(name, "images", arms[0][0])
    model = choose(able, lambda model: _reachable(model, now), draw)
    if model is None:
        answered = answer_without_work(operation, body, able[0][0].entry.engine)
        if answered is not None:
            return Decision(able[0][0], None, answer=answered)
        raise unreachable(able[0][0], now)
    entry = model.entry
    answered = answer_without_work(operation, body, entry.engine)
    if answered is not None:
        return Decision(model, None, answer=answered)
    call = plan(
        operation,
        raw,
        body,
        engine=entry.engine,
        engine_model=entry.model,
        context_length=entry.context_length,
        stops=entry.stop or (),
    )
    replica = model.pick(now, frozenset())
    if replica is None:
        raise unreachable(model, now)
    return Decision(model, replica, call)


def another(decision: Decision, tried: set[EndpointState], now: float) -> Replica | None:
    """Where to try again a request of which the client has seen nothing yet: the same model elsewhere."""
    return decision.model.pick(now, tried)


def unknown_model(fleet: FleetState, name: str) -> RequestError:
    """The refusal of a name that stands for nothing, with what there is."""
    there = ", ".join(fleet.names()) or "none: the fleet is empty"
    return RequestError(404, f"model '{name}' not found. Models here: {there}", param="model", code="model_not_found")


def unreachable(model: ModelState, now: float) -> RequestError:
    """The refusal where no endpoint of a model can be reached, with why."""
    problems = "; ".join(
        f"{replica.endpoint.url}: {replica.endpoint.problem or 'busy being tried'}" for replica in model.replicas
    )
    error = RequestError(
        503,
        f"model '{model.name}' cannot be reached now ({problems or 'it has no endpoints'})",
        code="model_unreachable",
    )
    error.headers["Retry-After"] = str(model.retry_after_seconds(now))
    return error


def _can(model: ModelState, operation: Operation) -> bool:
    return any(capability in model.entry.capabilities for capability in operation.capabilities)


def _sees(model: ModelState) -> bool:
    # Ollama serves models that no catalogue knows: whether one of them sees, it knows best itself.
    return "vision" in model.entry.capabilities or model.entry.engine == "ollama"


def _unable(name: str, what: str, model: ModelState) -> RequestError:
    abilities = ", ".join(model.entry.capabilities)
    return RequestError(400, f'"{name}" does not support {what}: it can {abilities}', param="model")


def _reachable(model: ModelState, now: float) -> bool:
    return any(replica.endpoint.may_be_tried(now) for replica in model.replicas)


def wanted_name(body: Mapping[str, Any]) -> str:
    """The model's name in a request of Ollama's that may call it ``model`` or, as once, ``name``.

    Raises:
        RequestError: 400, there is none.
    """
    for key in ("model", "name"):
        value: object = body.get(key)
        if isinstance(value, str) and value:
            return value
    raise RequestError(400, "model is required", param="model")
