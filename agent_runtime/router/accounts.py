"""What becomes of what happened: counted, logged, and remembered about endpoints.

Everything a request has used passes here once, when it ends; spending will be booked here too.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agent_runtime.router.dialects.usage import Usage
from agent_runtime.router.fleet_state import EndpointState, ModelState
from agent_runtime.router.limits import Limits
from agent_runtime.router.log import Log
from agent_runtime.router.metrics import Metrics
from agent_runtime.router.request import Request

if TYPE_CHECKING:
    from agent_runtime.router.delivery import Asked
    from agent_runtime.router.exchange import Exchange


class Account:
    """Requests in flight, and the record of those that ended."""

    def __init__(self, metrics: Metrics, log: Log, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        self.metrics = metrics
        self.log = log
        self.exchanges: set[Exchange] = set()
        self._limits = limits
        self._loop = loop

    def endpoint_answered(self, endpoint: EndpointState) -> None:
        """An endpoint has answered something."""
        if endpoint.succeeded(self._loop.time(), self._limits.probe_idle_seconds):
            self.log.event("endpoint_up", endpoint=endpoint.url, engine=endpoint.engine)

    def endpoint_failed(self, endpoint: EndpointState, problem: str) -> None:
        """An endpoint could not be reached, or says that it is not ready."""
        if endpoint.failed(self._loop.time(), problem):
            self.log.event(
                "endpoint_down",
                level="warning",
                endpoint=endpoint.url,
                engine=endpoint.engine,
                problem=problem,
            )

    def upstream_error(
        self, model: ModelState, endpoint: EndpointState, kind: str, problem: str, *, down: bool = False
    ) -> None:
        """A request failed at an endpoint; ``down`` where that says something about its health."""
        self.metrics.upstream_errors[model.name, kind] += 1
        self.log.event(
            "upstream_error",
            level="warning",
            model=model.name,
            endpoint=endpoint.url,
            kind=kind,
            problem=problem,
        )
        if down:
            self.endpoint_failed(endpoint, problem)

    def ended(
        self,
        asked: Asked,
        endpoint: EndpointState,
        status: int,
        first_byte_at: float | None,
        usage: Usage | None,
    ) -> None:
        """A request that went to a model server has ended."""
        now = self._loop.time()
        request, model, dialect = asked.request, asked.decision.model.name, asked.operation.dialect
        metrics = self.metrics
        metrics.requests[model, status, dialect] += 1
        metrics.latency[model, dialect].observe(now - request.started)
        first = first_byte_at
        if first is not None:
            metrics.first_byte[model, dialect].observe(first - request.started)
        if usage is not None:
            metrics.prompt_tokens[model] += usage.prompt_tokens
            metrics.completion_tokens[model] += usage.completion_tokens
        if status == 499:
            metrics.client_left[model] += 1
        self.log.access(
            path=request.path,
            status=status,
            seconds=now - request.started,
            model=model,
            endpoint=endpoint.url,
            first_byte_seconds=None if first is None else first - request.started,
            usage=usage,
        )

    def answered_here(self, request: Request, status: int, model: str = "") -> None:
        """A request was answered, or refused, without a model server."""
        self.metrics.requests[model, status, request.dialect] += 1
        seconds = self._loop.time() - request.started
        self.log.access(path=request.path, status=status, seconds=seconds, model=model)
