"""The one place where a request is let in and sent somewhere.

What decides over a request (names, capabilities, tiers, health and load) is asked here and nowhere else; a
:class:`Decision` is all that the rest of the router knows of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent_runtime.router.access.caller import ANONYMOUS, Caller
from agent_runtime.router.arms import able_arms, can, drawn_arm, inability, outside_of, reachable, sees
from agent_runtime.router.classification import Classification
from agent_runtime.router.dialects.compact import encode
from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.dialects.images import shows_images
from agent_runtime.router.dialects.operations import (
    Call,
    Operation,
    answer_without_work,
    plan,
    requested_model,
)
from agent_runtime.router.experiments.draw import Assignment, unit_of
from agent_runtime.router.fleet_state import EndpointState, FleetState, ModelState, Replica
from agent_runtime.router.policy import Asking, Kind, Policy
from agent_runtime.router.resolve import alias_of, candidates
from agent_runtime.router.wishes import NO_WISHES, Wishes
from fleet_spec.governance_spec import Priority, Tier


@dataclass(slots=True)
class Attempt:
    """A model server that is to be asked, and how."""

    model: ModelState
    replica: Replica | None
    """None: it has no room now, and is waited for."""
    call: Call


@dataclass(slots=True)
class Decision:
    """What happens to a request."""

    operation: Operation
    raw: bytes
    body: Mapping[str, Any]
    model: ModelState
    """What is asked first."""
    replica: Replica | None
    """None: it is answered without a model server, or has to wait for one."""
    call: Call | None = None
    answer: dict[str, Any] | None = None
    """The answer to a request that needs no model server."""
    further: list[ModelState] = field(default_factory=list[ModelState])
    """What is asked next where that fails before the client has seen anything, in this order."""
    kind: Kind = "only"
    reason: str = ""
    """For people: why this model, and why no other."""
    private: bool = False
    """Whether the request is pinned to the fleet itself."""
    assignment: Assignment | None = None
    """Which arm of an A/B test it got, where the alias that was asked for stands for several models."""
    affinity: int | None = None
    """What it should find its replica by: see :meth:`ModelState.affinity`."""
    priority: Priority = "normal"
    """Its turn among requests that wait."""
    policy: Policy | None = None
    """The rules by which it may leave the fleet, where it may."""


def route(
    fleet: FleetState,
    operation: Operation,
    raw: bytes,
    body: dict[str, Any],
    *,
    now: float,
    caller: Caller = ANONYMOUS,
    wishes: Wishes = NO_WISHES,
    policy: Policy | None = None,
    seen: Classification | None = None,
) -> Decision:
    """Decide over a request.

    Args:
        fleet: What there is.
        operation: What is asked.
        raw: The request's body.
        body: The same, decoded.
        now: The event loop's time.
        caller: Who asks.
        wishes: What the client says of how it is to be treated.
        policy: The rules for tiers beyond the fleet; without any, nothing goes there.
        seen: What a look at the prompt has told, where it was looked at before.

    Raises:
        RequestError: in the client's words: 400 a field is wrong, or the model cannot do this; 403 the key may not
            ask for it, or it is private and asked to leave; 404 there is no such model; 429 the money is spent;
            503 nothing can be reached.
    """
    name = requested_model(operation, body)
    arms = candidates(fleet, name)
    outside = outside_of(fleet, name, arms) if fleet.tiers and policy is not None else {}
    if not arms and not outside:
        raise unknown_model(fleet, name)
    if caller.models:
        caller.demand_model(name, [model.name for model, _ in arms])
    able, unable = able_arms(name, arms, operation, raw, body)
    if unable is not None and not outside:
        raise unable
    local, assignment = None, None
    if able:
        unit = unit_of(wishes.session, operation.dialect, body, owner=caller.name) if len(able) > 1 else None
        local, assignment = drawn_arm(alias_of(fleet, name), able, unit, now)
        if local is None and not outside:
            answered = answer_without_work(operation, body, able[0][0].entry.engine)
            if answered is not None:
                return Decision(operation, raw, body, able[0][0], None, answer=answered)
            raise unreachable(able[0][0], now)
    if not outside or policy is None:
        assert local is not None  # noqa: S101 - without tiers, what is able was chosen or refused above
        return _decided(Decision(operation, raw, body, local, None, assignment=assignment), now, caller, wishes)
    tiers: dict[Tier, ModelState] = {}
    if able:
        tiers["local"] = local or able[0][0]
    images = shows_images(operation.dialect, body)
    tiers |= {
        tier: model for tier, model in outside.items() if can(model, operation) and not (images and not sees(model))
    }
    if not tiers:
        raise inability(name, operation.name, next(iter(outside.values())))
    priority = caller.priority(wishes.priority)
    asking = Asking(operation.dialect, body, len(raw), caller.name, caller.private, priority, wishes, seen)
    order = policy.order(asking, tiers, lambda model: reachable(model, now))
    decision = Decision(operation, raw, body, order.models[0], None, priority=priority, policy=policy)
    decision.further = order.models[1:]
    if order.models[0] is local:
        decision.assignment = assignment
    decision.kind, decision.reason, decision.private = order.kind, order.reason, order.private
    return _decided(decision, now, caller, wishes)


def _decided(decision: Decision, now: float, caller: Caller, wishes: Wishes) -> Decision:
    """Plan the first attempt, or have the request wait for it."""
    model = decision.model
    answered = answer_without_work(decision.operation, decision.body, model.entry.engine)
    if answered is not None:
        decision.answer = answered
        return decision
    decision.call = call_for(decision, model)
    if len(model.replicas) > 1:
        decision.affinity = model.affinity(wishes.session or _user(decision), decision.body)
    decision.replica = model.admit(now, decision.affinity)
    if decision.replica is None:
        decision.priority = caller.priority(wishes.priority)
        _go_elsewhere(decision, now)
    return decision


def _user(decision: Decision) -> str:
    """Whom the client asks for, where OpenAI's dialect says so."""
    user: object = decision.body.get("user")
    return user if isinstance(user, str) and decision.operation.dialect == "openai" else ""


def _go_elsewhere(decision: Decision, now: float) -> None:
    """No replica may have a request now: it waits for room; for a sleeping model only where nobody else answers."""
    model = decision.model
    asleep = model.asleep()
    if model.may_wait(now) and not asleep:
        return
    if asleep:
        decision.further.append(model)  # where nobody else has room after all, it is what is waited for
    further = next_choice(decision, now)
    if further is not None:
        if asleep and further.model is not model:
            model.missed(now)
        decision.model, decision.replica, decision.call = further.model, further.replica, further.call
    elif not asleep:
        raise unreachable(model, now)


def call_for(decision: Decision, model: ModelState) -> Call:
    """How a model is asked for what the client asked for.

    Raises:
        RequestError: 400, it cannot be said in its engine's dialect.
    """
    entry = model.entry
    call = plan(
        decision.operation,
        decision.raw,
        decision.body,
        engine=entry.engine,
        engine_model=entry.model,
        context_length=entry.context_length,
        stops=entry.stop or (),
        lora=entry.lora,
    )
    if model.tier != "local" and call.body is decision.raw:
        # What leaves the fleet is what was looked at: of a name that is there twice, only the last was.
        call.body = encode(decision.body)
    return call


def another(decision: Decision, current: Attempt, tried: set[EndpointState], now: float) -> Attempt | None:
    """Where to try a request again at once of which the client has seen nothing yet: elsewhere, or the next choice."""
    replica = current.model.pick(now, tried, decision.affinity)
    if replica is not None:
        return Attempt(current.model, replica, current.call)
    return next_choice(decision, now, waits=False)


def next_choice(decision: Decision, now: float, *, waits: bool = True) -> Attempt | None:
    """Which of the further choices has the request next: the first that has room at once.

    The first choice of all is waited for while it is busy, as the order of tiers says that it is preferred. A request
    that comes here has waited or failed already: it goes where there is room, and waits only where there is none
    anywhere; for a sleeping model where nobody else may be waited for.

    Args:
        decision: Whose further choices; the one given is no longer among them.
        now: The event loop's time.
        waits: Whether the request may wait; otherwise what has no room stays a choice for later.
    """
    asleep: list[ModelState] = []
    for model in list(decision.further):
        if model.removed or (model.tier != "local" and decision.policy is not None and decision.policy.withdrawn):
            decision.further.remove(model)  # since it was decided so, the contract has changed
            continue
        replica = model.pick(now, frozenset())
        if replica is None:
            asleep += [model] if model.asleep() else []
            continue
        attempt = _taken(decision, model, replica)
        if attempt is not None:
            for missed in asleep:
                missed.missed(now)
            return attempt
    if not waits:
        return None
    for model in sorted(decision.further, key=ModelState.asleep):
        attempt = _taken(decision, model, None) if model.may_wait(now) else None
        if attempt is not None:
            return attempt
    return None


def _taken(decision: Decision, model: ModelState, replica: Replica | None) -> Attempt | None:
    """A further choice that is a choice no longer. None where it cannot be asked for this at all."""
    decision.further.remove(model)
    try:
        return Attempt(model, replica, call_for(decision, model))
    except RequestError:
        return None  # the client's request was right for the first choice


def unknown_model(fleet: FleetState, name: str) -> RequestError:
    """The refusal of a name that stands for nothing, with what there is."""
    there = ", ".join(fleet.names()) or "none: the fleet is empty"
    return RequestError(404, f"model '{name}' not found. Models here: {there}", param="model", code="model_not_found")


def unreachable(model: ModelState, now: float) -> RequestError:
    """The refusal where no endpoint of a model can be reached, with why."""
    problems = "; ".join(
        f"{replica.endpoint.url}: {replica.problem or 'busy being tried'}" for replica in model.replicas[:3]
    )
    error = RequestError(
        503,
        f"model '{model.name}' cannot be reached now ({problems or 'it has no endpoints'})",
        code="model_unreachable",
    )
    error.headers["Retry-After"] = str(model.retry_after_seconds(now))
    return error


def overloaded(model: ModelState, problem: str, now: float) -> RequestError:
    """The refusal of a request that has waited in vain, or may not wait."""
    error = RequestError(503, problem, code="overloaded")
    error.headers["Retry-After"] = str(model.retry_after_seconds(now))
    return error


def ending() -> RequestError:
    """The refusal of a request that a router which is to end does not begin any more."""
    error = RequestError(503, "the router is shutting down; ask again", code="shutting_down")
    error.headers["Retry-After"] = "1"
    return error


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
