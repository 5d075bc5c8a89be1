"""What the router answers itself: lists, descriptions, health, metrics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

from agent_runtime.router import catalogue
from agent_runtime.router.dialects.compact import encode
from agent_runtime.router.dialects.fields import decode_object
from agent_runtime.router.dialects.operations import Call, Operation
from agent_runtime.router.exposition import CONTENT_TYPE, exposed
from agent_runtime.router.fleet_state import EndpointState, ModelState
from agent_runtime.router.http_head import JSON_TYPE
from agent_runtime.router.page.files import ASSET_PATHS, asset, greeting
from agent_runtime.router.probes import fetch
from agent_runtime.router.request import Request
from agent_runtime.router.resolve import candidates
from agent_runtime.router.routing import Decision, unknown_model, unreachable, wanted_name

if TYPE_CHECKING:
    from agent_runtime.router.service import Router

Answer = tuple[int, bytes, str]
"""Status, body, content type."""

SHOW = Operation("show", "ollama", "/api/show", (), {})


def version(_router: Router, _request: Request) -> Answer:
    """/api/version."""
    return 200, encode({"version": catalogue.OLLAMA_VERSION}), JSON_TYPE


def tags(router: Router, _request: Request) -> Answer:
    """/api/tags."""
    return 200, encode(catalogue.tags(_named(router), router.started_timestamp)), JSON_TYPE


def models(router: Router, _request: Request) -> Answer:
    """/v1/models."""
    return 200, encode(catalogue.openai_models(_named(router), router.started_unix)), JSON_TYPE


def one_model(router: Router, request: Request) -> Answer:
    """/v1/models/{id}."""
    name = unquote(request.path.removeprefix("/v1/models/"))
    arms = candidates(router.fleet, name)
    if not arms:
        raise unknown_model(router.fleet, name)
    return 200, encode(catalogue.openai_model(name, arms[0][0], router.started_unix)), JSON_TYPE


def healthz(_router: Router, _request: Request) -> Answer:
    """/healthz: the process is up."""
    return 200, encode({"ok": True}), JSON_TYPE


def readyz(router: Router, _request: Request) -> Answer:
    """/readyz: requests can be answered."""
    status, body = catalogue.readiness(router.fleet, problem=router.contract_problem, draining=router.draining)
    problems = router.governance.problems()
    if problems:
        # The fleet answers all the same: it is for people, and takes no router out of service.
        body["problems"] = problems
    return status, encode(body), JSON_TYPE


def metrics(router: Router, _request: Request) -> Answer:
    """/metrics, for Prometheus."""
    return 200, exposed(router.families()).encode(), CONTENT_TYPE


LOCAL: dict[str, Callable[[Router, Request], Answer]] = {
    "/": greeting,
    "/api/version": version,
    "/api/tags": tags,
    "/v1/models": models,
    "/healthz": healthz,
    "/readyz": readyz,
    "/metrics": metrics,
    **dict.fromkeys(ASSET_PATHS, asset),
}
QUIET = {"/healthz", "/readyz", "/metrics"}
"""What is asked every few seconds, and would fill the log."""


def show(router: Router, request: Request) -> Decision:
    """/api/show: passed on to an Ollama, made here for the other engines.

    Raises:
        RequestError: 400 no model is named; 404 there is none of that name; 503 it cannot be reached.
    """
    body = decode_object(request.body)
    name = wanted_name(body)
    arms = candidates(router.fleet, name)
    if not arms:
        raise unknown_model(router.fleet, name)
    model = arms[0][0]
    if model.entry.engine != "ollama":
        return Decision(SHOW, request.body, body, model, None, answer=catalogue.show(model, router.started_timestamp))
    now = router.loop.time()
    replica = model.pick(now, frozenset())
    if replica is None:
        raise unreachable(model, now)
    asked = encode({**body, "model": model.entry.model, "name": ""})
    return Decision(SHOW, request.body, body, model, replica, Call(SHOW.path, asked, streamed=False))


async def ps(router: Router) -> Answer:
    """/api/ps: what is loaded, on all endpoints together."""
    fleet = router.fleet
    running: list[dict[str, Any]] = []
    ollamas: dict[EndpointState, None] = {}
    for model in fleet.models.values():
        up = [replica.endpoint for replica in model.replicas if replica.endpoint.health == "up"]
        if model.entry.engine == "ollama":
            ollamas |= dict.fromkeys(up)
        elif up:
            running.append(catalogue.ps_entry(model))
    answers = await asyncio.gather(
        *(fetch(endpoint, "/api/ps", router.limits.probe_seconds) for endpoint in ollamas),
        return_exceptions=True,
    )
    for answer in answers:
        if not isinstance(answer, BaseException) and answer[0] == 200:
            running += _loaded(answer[1])
    return 200, encode({"models": running}), JSON_TYPE


def _loaded(body: bytes) -> list[dict[str, Any]]:
    try:
        found: object = json.loads(body)
    except ValueError:
        return []
    if not isinstance(found, dict):
        return []
    return cast("list[dict[str, Any]]", cast("dict[str, Any]", found).get("models") or [])


def _named(router: Router) -> list[tuple[str, ModelState]]:
    """Every name that can be asked for, with a model that may answer to it."""
    return [(name, candidates(router.fleet, name)[0][0]) for name in router.fleet.names()]
