"""The router as a whole: takes requests in, follows the contract, and ends without dropping what it has begun."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate

from agent_runtime.discovery import ContractFile
from agent_runtime.router import local
from agent_runtime.router.accounts import Account
from agent_runtime.router.delivery import Asked
from agent_runtime.router.dialects.compact import encode
from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.dialects.fields import decode_object
from agent_runtime.router.dialects.operations import OPERATIONS, Operation
from agent_runtime.router.dialects.replies_to_ollama import timestamp
from agent_runtime.router.exchange import Exchange
from agent_runtime.router.fleet_state import FleetState
from agent_runtime.router.guard import PREFLIGHT, refuse_strangers
from agent_runtime.router.http_server import ClientConnection
from agent_runtime.router.limits import Limits
from agent_runtime.router.log import Log
from agent_runtime.router.metrics import Metrics
from agent_runtime.router.probes import Prober
from agent_runtime.router.request import Request
from agent_runtime.router.routing import Decision, route
from fleet_spec.contract import FleetContract


class Router:
    """Answers requests for a fleet. ``start`` and ``drain`` begin and end it; it must live in one event loop."""

    def __init__(self, source: ContractFile, contract: FleetContract, limits: Limits, log: Log) -> None:
        self.limits = limits
        self.log = log
        self.metrics = Metrics()
        self.fleet = FleetState()
        self.draining = False
        self.connections: set[ClientConnection] = set()
        self.contract_problem: str | None = None
        """Why the contract's file cannot be used; the last good one is in force."""
        self.started_timestamp = timestamp()
        self.started_unix = int(time.time())
        self.date_line = b""
        self.loop = asyncio.get_running_loop()
        self.tasks: set[asyncio.Task[None]] = set()
        self._source = source
        self._account = Account(self.metrics, log, limits, self.loop)
        self._prober = Prober(self._account, limits)
        self._server: asyncio.Server | None = None
        self._ticking: asyncio.TimerHandle | None = None
        self._next_poll = 0.0
        self._date_second: int = 0
        self._take_in(contract)

    async def start(self, host: str, port: int) -> int:
        """Listen, and give the port: the one asked for, or a free one for 0.

        Raises:
            OSError: the address cannot be had.
        """
        self._server = await self.loop.create_server(
            lambda: ClientConnection(self, self.loop), host, port, backlog=2048
        )
        bound: int = self._server.sockets[0].getsockname()[1]
        self._tick()
        self.log.event(
            "listening",
            host=host,
            port=bound,
            stack=self.fleet.stack,
            models=sorted(self.fleet.models),
            endpoints=len(self.fleet.endpoints),
        )
        return bound

    async def drain(self) -> bool:
        """Stop listening, let what is in flight finish, and close. False where some of it had to be cut off."""
        self.draining = True
        in_flight = len(self._account.exchanges)
        self.log.event("draining", in_flight=in_flight, limit_seconds=self.limits.drain_seconds)
        if self._server is not None:
            self._server.close()
        deadline = self.loop.time() + self.limits.drain_seconds
        for connection in list(self.connections):
            connection.drain()
        while self.connections and self.loop.time() < deadline:
            await asyncio.sleep(0.02)
        cut_off = len(self._account.exchanges)
        for connection in list(self.connections):
            connection.transport.abort()
        if self._ticking is not None:
            self._ticking.cancel()
        await self._prober.stop()
        for endpoint in self.fleet.endpoints.values():
            endpoint.close_idle()
        # One more turn of the loop, in which the closed connections are told so.
        await asyncio.sleep(0)
        self.log.event("stopped", cut_off=cut_off)
        return cut_off == 0

    # Requests

    def handle(self, client: ClientConnection, request: Request) -> None:
        """Answer a request, or see to it that it is answered."""
        try:
            refuse_strangers(request)
            operation = OPERATIONS.get(request.path)
            if request.method == "OPTIONS" and request.origin:
                self._account.answered_here(request, 200)
                client.respond(request, 200, b"", headers=PREFLIGHT)
            elif operation is not None:
                _demand(request, "POST")
                body = decode_object(request.body)
                decision = route(self.fleet, operation, request.body, body, now=self.loop.time())
                self._carry_out(client, request, operation, decision)
            else:
                self._handle_local(client, request)
        except RequestError as error:
            self.refuse(client, request, error)
        except RecursionError:
            self.refuse(client, request, RequestError(400, "the request body is nested too deeply"))
        except Exception as error:  # a fault of the router's own must not leave its client without an answer
            self.log.event("fault", level="error", path=request.path, problem=repr(error))
            self.refuse(client, request, RequestError(500, "the router failed at this request; its log says more"))

    def _handle_local(self, client: ClientConnection, request: Request) -> None:
        path = request.path
        answer = local.LOCAL.get(path)
        if answer is None and path.startswith("/v1/models/"):
            answer = local.one_model
        if answer is not None:
            _demand(request, "GET", "HEAD")
            self.answer(client, request, *answer(self, request))
        elif path == "/api/ps":
            _demand(request, "GET", "HEAD")
            local.Deferred(self, client, request, local.ps(self))
        elif path == "/api/show":
            _demand(request, "POST")
            self._carry_out(client, request, local.SHOW, local.show(self, request))
        else:
            raise RequestError(404, f"there is nothing at {path}", code="unknown_path")

    def _carry_out(self, client: ClientConnection, request: Request, operation: Operation, decision: Decision) -> None:
        if decision.replica is None or decision.call is None:
            self._account.answered_here(request, 200, decision.model.name)
            client.respond(
                request,
                200,
                encode(decision.answer),
                headers={"X-Paddock-Model": decision.model.name},
            )
            return
        asked = Asked(client, request, operation, decision, decision.call, self.limits, self.loop)
        Exchange(self._account, asked, decision.replica).start()

    def answer(self, client: ClientConnection, request: Request, status: int, body: bytes, content_type: str) -> None:
        """Write an answer of the router's own."""
        if request.path not in local.QUIET:
            self._account.answered_here(request, status)
        client.work = None
        client.respond(request, status, body, content_type=content_type)

    def refuse(self, client: ClientConnection, request: Request, error: RequestError) -> None:
        """Write an error."""
        self._account.answered_here(request, error.status)
        client.work = None
        client.respond_error(request, error)

    def note_refusal(self, request: Request, status: int) -> None:
        """A request was refused before it came here."""
        self._account.answered_here(request, status)

    # The contract

    def _take_in(self, contract: FleetContract) -> None:
        change = self.fleet.apply(contract)
        self.contract_problem = None
        self.metrics.last_reload_ok = True
        self.metrics.last_reload_timestamp_seconds = time.time()
        for endpoint in change.removed:
            endpoint.close_idle()
        self.log.event(
            "contract",
            stack=contract.stack,
            models=sorted(contract.models),
            added=[endpoint.url for endpoint in change.added],
            removed=[endpoint.url for endpoint in change.removed],
        )

    def _follow(self) -> None:
        change = self._source.poll()
        if change is None:
            return
        if change.contract is not None:
            self.metrics.reloads["ok"] += 1
            self._take_in(change.contract)
            return
        self.metrics.reloads["failed"] += 1
        self.metrics.last_reload_ok = False
        self.contract_problem = change.problem
        self.log.event("contract_unusable", level="error", problem=change.problem, kept=self.fleet.stack)

    # Time

    def _tick(self) -> None:
        """Everything that time brings, in one place: limits, health, the contract's file, the log."""
        now = self.loop.time()
        second: int = int(time.time())
        if second != self._date_second:
            self._date_second = second
            self.date_line = f"Date: {formatdate(second, usegmt=True)}\r\n".encode("ascii")
        for exchange in list(self._account.exchanges):
            exchange.tick(now)
        for connection in list(self.connections):
            connection.tick(now)
        for endpoint in self.fleet.endpoints.values():
            endpoint.close_stale(now, self.limits.upstream_keep_alive_seconds)
        self._prober.tick(self.fleet.endpoints.values(), now)
        if now >= self._next_poll:
            self._next_poll = now + self.limits.contract_poll_seconds
            self._follow()
        self.log.flush()
        self._ticking = self.loop.call_later(self.limits.tick_seconds(), self._tick)


def _demand(request: Request, *methods: str) -> None:
    if request.method not in methods:
        error = RequestError(405, f"{request.method} is not possible at {request.path}")
        error.headers["Allow"] = ", ".join(methods)
        raise error
