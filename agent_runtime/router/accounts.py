"""What becomes of what happened: counted, logged, and remembered about endpoints.

Everything that a request, or an attempt at one, has used passes here once, when it ends, and is booked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agent_runtime.router.access.rates import FREE
from agent_runtime.router.answers.cache import Answerer, Question
from agent_runtime.router.answers.recording import Recording
from agent_runtime.router.buffers import Buffers
from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.dialects.lengths import choices, longest_answer_tokens
from agent_runtime.router.dialects.operations import OPERATIONS
from agent_runtime.router.dialects.usage import Usage
from agent_runtime.router.experiments.draw import Assignment
from agent_runtime.router.experiments.tally import Outcome
from agent_runtime.router.fleet_state import EndpointState, ModelState, Replica
from agent_runtime.router.governance import Governance
from agent_runtime.router.limits import Limits
from agent_runtime.router.log import Log
from agent_runtime.router.metrics import Metrics
from agent_runtime.router.money.charges import Charge
from agent_runtime.router.money.prices import Price
from agent_runtime.router.page.recorder import Ended, Recorder
from agent_runtime.router.request import Request

if TYPE_CHECKING:
    from agent_runtime.router.admission import Entry
    from agent_runtime.router.asked import Asked
    from agent_runtime.router.routing import Decision
    from agent_runtime.router.sending import Sending
    from agent_runtime.router.traces import RequestTrace


def _no_way(asked: Asked) -> Decision:
    raise RequestError(503, f"model '{asked.model.name}' is no longer there", code="model_unreachable")


CLIENT_LEFT: Final = 499
"""What the log and the metrics call a request whose client did not wait. nginx made the number known."""


@dataclass(slots=True)
class End:
    """How a request that was meant for a model server has ended."""

    status: int
    replica: Replica | None
    """Who was asked last; None where nobody was."""
    sent_at: float = 0.0
    """When that was, in the event loop's time."""
    first_byte_at: float | None = None
    usage: Usage | None = None
    reply_bytes: int = 0
    """How much of an answer came."""
    sent: bool = False
    """Whether a model server took it on: it may have computed, and charges for it."""


class Account:
    """Requests in flight, and the record of those that ended."""

    def __init__(
        self,
        metrics: Metrics,
        log: Log,
        limits: Limits,
        loop: asyncio.AbstractEventLoop,
        governance: Governance,
        recorder: Recorder,
    ) -> None:
        self._governance = governance
        self._recorder = recorder
        self.metrics = metrics
        self.log = log
        self.exchanges: set[Sending] = set()
        self.draining = False
        """Whether the router is to end: nothing waits for room any more."""
        self.buffers = Buffers(limits.buffered_bytes)
        self.reroute: Callable[[Asked], Decision] = _no_way
        """Decides once more over a request whose model has left the fleet. Raises RequestError."""
        self._limits = limits
        self._loop = loop

    def endpoint_answered(self, endpoint: EndpointState) -> None:
        """An endpoint has answered something."""
        if endpoint.succeeded(self._loop.time(), self._limits.probe_idle_seconds):
            self.log.event("endpoint_up", endpoint=endpoint.url, engine=endpoint.engine)
            endpoint.serve_waiting(self._loop.time())

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

    def replica_failed(self, replica: Replica, problem: str) -> None:
        """A model took a request at an endpoint, and did not answer it as it should."""
        if replica.breaker.failed(self._loop.time(), problem):
            self.log.event(
                "breaker_open",
                level="warning",
                model=replica.model.name,
                endpoint=replica.endpoint.url,
                problem=problem,
            )

    # Money

    def must_reserve(self, asked: Asked, replica: Replica) -> bool:
        """Whether money has to be set aside before this replica is asked, and that takes a moment."""
        purse, tier, key = self._governance.purse, replica.model.tier, asked.caller.name
        if not asked.books or not purse.must_reserve(tier, key):
            return False
        if tier == "local":
            asked.reservation = purse.draw(
                key=key,
                model=replica.model.name,
                prompt_bytes=len(asked.request.body),
                max_tokens=longest_answer_tokens(asked.operation.dialect, asked.decision.body),
                choices=choices(asked.decision.body),
            )
        return asked.reservation is None

    async def reserve(self, asked: Asked, replica: Replica) -> None:
        """Set money aside for an attempt.

        Raises:
            RequestError: it may not be paid for.
        """
        body, purse = asked.decision.body, self._governance.purse
        tier, model = replica.model.tier, replica.model.name
        if purse.refusal(tier, asked.caller.name, asked.decision.priority, model) is not None:
            # What is known to be spent costs no step of the ledger's.
            raise purse.error(tier, asked.caller.name, asked.decision.priority, model)
        asked.reservation = await purse.reserve(
            key=asked.caller.name,
            tier=tier,
            model=model,
            priority=asked.decision.priority,
            prompt_bytes=len(asked.request.body),
            max_tokens=longest_answer_tokens(asked.operation.dialect, body),
            choices=choices(body),
        )

    def price(self, replica: Replica) -> Price | None:
        """What a model costs by the token, None where nobody knows."""
        return self._governance.purse.price(replica.model.tier, replica.model.name)

    def unspent(self, asked: Asked) -> None:
        """What was set aside for an attempt is not needed: it was never made."""
        reservation, asked.reservation = asked.reservation, None
        self._governance.purse.release(reservation)

    def attempt_ended(self, asked: Asked, replica: Replica, kind: str, seconds: float) -> None:
        """An attempt failed in a way, and the request goes on elsewhere: what it has used is booked."""
        self.metrics.retries[replica.model.name] += 1
        # Whoever closed the connection, or broke off, may have computed an answer and charge for it.
        self._book(asked, replica, None, seconds, failed=True, sent=kind in ("closed", "truncated", "timeout"))
        self.log.event(
            "attempt_ended",
            request_id=asked.request.id,
            path=asked.request.path,
            model=replica.model.name,
            endpoint=replica.endpoint.url,
            kind=kind,
        )

    def _book(
        self,
        asked: Asked,
        replica: Replica,
        usage: Usage | None,
        seconds: float,
        *,
        failed: bool,
        sent: bool,
        reply_bytes: int = 0,
    ) -> float:
        """Charge an attempt to whoever asked, and give what it cost in US dollars."""
        if not asked.books:
            return 0.0
        reservation, asked.reservation = asked.reservation, None
        charge = Charge(
            key=asked.caller.name,
            tier=replica.model.tier,
            model=replica.model.name,
            usage=usage,
            duration_seconds=seconds,
            busy_seconds=seconds / (replica.sent + 1),
            failed=failed,
            sent=sent,
            prompt_bytes=len(asked.request.body),
            reply_bytes=reply_bytes,
            streamed=asked.call.streamed,
            cached_tokens=0 if usage is None else usage.cached_tokens,
        )
        return self._governance.purse.settle(reservation, charge)

    # What is kept

    def recording(self, question: Question, replica: Replica) -> Recording | None:
        """Where a model's answer is written down, if it may be given again."""
        model = replica.model
        return self._governance.answers.record(question, Answerer(model.name, model.entry, model.tier))

    # Ends

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

    def ended(self, asked: Asked, end: End) -> None:
        """A request that was meant for a model server has ended."""
        now = self._loop.time()
        request, model, dialect = asked.request, asked.model.name, asked.operation.dialect
        metrics, usage, status, first = self.metrics, end.usage, end.status, end.first_byte_at
        seconds = now - request.started
        metrics.requests[model, status, dialect] += 1
        first_tier, tier = asked.decision.model.tier, asked.model.tier
        metrics.decisions[first_tier, asked.decision.kind] += 1
        if tier != first_tier:
            metrics.fallbacks[first_tier, tier] += 1
        metrics.latency[model, dialect].observe(seconds)
        if first is not None:
            metrics.first_byte[model, dialect].observe(first - request.started)
        if usage is not None:
            metrics.prompt_tokens[model] += usage.prompt_tokens
            metrics.completion_tokens[model] += usage.completion_tokens
            if asked.passage is not FREE:
                self._governance.rates.settle(asked.passage, usage.prompt_tokens + usage.completion_tokens)
        if status == CLIENT_LEFT:
            metrics.client_left[model] += 1
        usd = 0.0
        if end.replica is not None:
            failed = status >= 500
            usd = self._book(
                asked,
                end.replica,
                usage,
                now - end.sent_at if end.sent_at else 0.0,
                failed=failed,
                sent=end.sent,
                reply_bytes=end.reply_bytes,
            )
        if asked.decision.assignment is not None:
            self._count_arm(asked, asked.decision.assignment, end, seconds, usd)
        if asked.trace is not None:
            self._end_trace(asked.trace, asked, end, usd)
        self.log.access(
            request_id=request.id,
            path=request.path,
            status=status,
            seconds=seconds,
            model=model,
            tier=asked.model.tier,
            key=asked.caller.name,
            endpoint="" if end.replica is None else end.replica.endpoint.url,
            reason=asked.decision.kind,
            usd=usd,
            first_byte_seconds=None if first is None else first - request.started,
            usage=usage,
        )
        self._recorder.ended(Ended.of(asked, end, usd, seconds))

    def _end_trace(self, trace: RequestTrace, asked: Asked, end: End, usd: float) -> None:
        endpoint = None if end.replica is None else end.replica.endpoint
        trace.end(
            status=end.status,
            tier=asked.model.tier,
            model=asked.model.entry.model,
            provider=asked.model.entry.engine,
            host="" if endpoint is None else endpoint.host,
            port=0 if endpoint is None else endpoint.port,
            reason=asked.decision.reason or asked.decision.kind,
            usage=end.usage,
            usd=usd,
            first_byte_seconds=None if end.first_byte_at is None else end.first_byte_at - asked.request.started,
            finished_unix_seconds=time.time(),
        )

    def _count_arm(self, asked: Asked, assignment: Assignment, end: End, seconds: float, usd: float) -> None:
        first, usage = end.first_byte_at, end.usage or Usage(0, 0)
        # Where another model had to answer, this one has failed.
        status = end.status if asked.model.name == assignment.arm else 503
        outcome = Outcome(
            status,
            seconds,
            None if first is None else first - asked.request.started,
            usage.prompt_tokens,
            usage.completion_tokens,
            usd,
        )
        self._governance.experiments.record(assignment, outcome)

    def answered_again(self, entry: Entry, decision: Decision, status: int) -> None:
        """A request was answered with an answer given before."""
        request, model = entry.request, decision.model
        seconds = self._loop.time() - request.started
        self.metrics.requests[model.name, status, request.dialect] += 1
        self.metrics.latency[model.name, request.dialect].observe(seconds)
        if decision.assignment is not None:
            self._governance.experiments.record(decision.assignment, Outcome(status, seconds, cached=True))
        self.log.access(
            request_id=request.id,
            path=request.path,
            status=status,
            seconds=seconds,
            model=model.name,
            tier=model.tier,
            key=entry.caller.name,
            reason="cache",
        )
        found = Ended(request.id, request.path, status, model.name, model.tier, entry.caller.name, seconds=seconds)
        found.kind, found.reason = "cache", "cache: answered before"
        self._recorder.ended(found)

    def answered_here(self, request: Request, status: int, model: str = "") -> None:
        """A request was answered, or refused, without a model server."""
        self.metrics.requests[model, status, request.dialect] += 1
        seconds = self._loop.time() - request.started
        self.log.access(request_id=request.id, path=request.path, status=status, seconds=seconds, model=model)
        if request.path in OPERATIONS and request.method == "POST":
            kind = "refused" if status >= 400 else "here"
            self._recorder.ended(Ended(request.id, request.path, status, model, kind=kind, seconds=seconds))
