"""The router as a whole: takes requests in, follows the contract, and ends without dropping what it has begun."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Final

from agent_runtime.discovery import ContractFile
from agent_runtime.router import fleet_view, local
from agent_runtime.router.accounts import Account
from agent_runtime.router.admission import Admission
from agent_runtime.router.balancing.discovery import Resolver
from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.dialects.replies_to_ollama import timestamp
from agent_runtime.router.exposition import Family
from agent_runtime.router.fleet_state import FleetChange, FleetState
from agent_runtime.router.governance import Governance
from agent_runtime.router.http_server import ClientConnection
from agent_runtime.router.limits import Limits
from agent_runtime.router.log import Log, where
from agent_runtime.router.metrics import Metrics
from agent_runtime.router.page.page import Page
from agent_runtime.router.probes import Prober
from agent_runtime.router.request import Request
from agent_runtime.router.traces import Traces
from agent_runtime.router.workers import Seat
from fleet_spec.contract import FleetContract

_LAST_WORDS_SECONDS: Final = 0.5
"""How long a router that ends waits until its last words are with its clients."""


class Router:
    """Answers requests for a fleet. ``start`` and ``drain`` begin and end it; it must live in one event loop."""

    def __init__(
        self,
        source: ContractFile,
        contract: FleetContract,
        limits: Limits,
        log: Log,
        governance: Governance | None = None,
        seat: Seat | None = None,
        on_orphaned: Callable[[], None] | None = None,
        traces: Traces | None = None,
    ) -> None:
        """Make a router in the running event loop.

        Args:
            source: The contract's file.
            contract: What it holds now.
            limits: How long and how much a request may take.
            log: Where events go.
            governance: Keys and rules; nobody is asked for a key without any.
            seat: Which of several workers this is.
            traces: Where spans go; nowhere without any.
            on_orphaned: Called where the parent of several workers has ended.
        """
        self.limits = limits
        self.log = log
        self.metrics = Metrics()
        self.governance = governance or Governance.ungoverned(log)
        self.fleet = FleetState(self.governance.tier_key)
        self.seat = seat
        self.traces = traces
        self.draining = False
        self.connections: set[ClientConnection] = set()
        self.contract_problem: str | None = None
        """Why the contract's file cannot be used; the last good one is in force."""
        self.started_timestamp = timestamp()
        self.started_unix = int(time.time())
        self.date_line = b""
        self.loop = asyncio.get_running_loop()
        self.tasks: set[asyncio.Task[None]] = set()
        self.contract = contract
        """What is in force, as the stack says it."""
        self._source = source
        self._on_orphaned = on_orphaned
        self.page = Page(self)
        self.account = Account(self.metrics, log, limits, self.loop, self.governance, self.page.recorder)
        self._admission = Admission(self)
        self._prober = Prober(self.account, limits)
        self._resolver = Resolver()
        self._server: asyncio.Server | None = None
        self._ticking: asyncio.TimerHandle | None = None
        self._next_poll = 0.0
        self._date_second: int = 0
        self._take_in(contract)

    async def start(self, host: str, port: int, *, reuse_port: bool = False) -> int:
        """Listen, and give the port: the one asked for, or a free one for 0.

        Args:
            host: The address.
            port: The port.
            reuse_port: Whether other workers listen there too.

        Raises:
            OSError: the address cannot be had.
        """
        await self.governance.start()
        self._server = await self.loop.create_server(
            lambda: ClientConnection(self, self.loop), host, port, backlog=2048, reuse_port=reuse_port
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
        in_flight = len(self.account.exchanges)
        self.log.event("draining", in_flight=in_flight, limit_seconds=self.limits.drain_seconds)
        if self._server is not None:
            self._server.close()
        self.page.close()
        deadline = self.loop.time() + self.limits.drain_seconds
        self.account.draining = True
        for exchange in list(self.account.exchanges):
            exchange.drain()
        for connection in list(self.connections):
            connection.drain()
        while self.connections and self.loop.time() < deadline:
            await asyncio.sleep(0.02)
        cut_off = len(self.account.exchanges)
        for exchange in list(self.account.exchanges):
            exchange.cut_off()
        last_words = self.loop.time() + _LAST_WORDS_SECONDS
        while cut_off and self.connections and self.loop.time() < last_words:
            await asyncio.sleep(0.02)
        for connection in list(self.connections):
            connection.transport.abort()
        if self._ticking is not None:
            self._ticking.cancel()
        await self._prober.stop()
        await self._resolver.stop()
        for endpoint in self.fleet.endpoints.values():
            endpoint.close_idle()
        await self.governance.close()
        if self.traces is not None:
            await asyncio.to_thread(self.traces.close)
        # One more turn of the loop, in which the closed connections are told so.
        await asyncio.sleep(0)
        self.log.event("stopped", cut_off=cut_off)
        return cut_off == 0

    # Requests

    def handle(self, client: ClientConnection, request: Request) -> None:
        """Answer a request, or see to it that it is answered."""
        self._admission.handle(client, request)

    def answer(self, client: ClientConnection, request: Request, status: int, body: bytes, content_type: str) -> None:
        """Write an answer of the router's own."""
        if request.path not in local.QUIET:
            self.account.answered_here(request, status)
        client.work = None
        client.respond(request, status, body, content_type=content_type)

    def refuse(self, client: ClientConnection, request: Request, error: RequestError) -> None:
        """Write an error."""
        if error.code is not None:
            self.metrics.refused[error.code] += 1
        self.account.answered_here(request, error.status)
        client.work = None
        client.respond_error(request, error)

    def fault(self, client: ClientConnection, request: Request, error: Exception) -> None:
        """Write an error that is the router's own."""
        self.log.event("fault", level="error", path=request.path, problem=where(error))
        self.refuse(client, request, RequestError(500, "the router failed at this request; its log says more"))

    def note_refusal(self, request: Request, status: int) -> None:
        """A request was refused before it came here."""
        self.account.answered_here(request, status)

    def families(self) -> list[Family]:
        """Everything that is measured, of all workers together."""
        own = self.families_here()
        return own if self.seat is None else self.seat.together(own)

    def families_here(self) -> list[Family]:
        """Everything that this process has measured."""
        fleet = self.fleet
        return (
            self.metrics.families(
                active={name: model.demand(self.loop.time()) for name, model in fleet.models.items()},
                endpoints=[
                    (name, replica.endpoint.url, replica.endpoint.health == "up", replica.endpoint.outstanding)
                    for name, model in fleet.models.items()
                    for replica in model.replicas
                ],
                connections=len(self.connections),
            )
            + self.governance.families()
            + fleet_view.families(fleet, self.loop.time())
        )

    # The contract

    def _take_in(self, contract: FleetContract) -> None:
        self.contract = contract
        other_rules = self.governance.take_in(contract)
        change = self.fleet.apply(self.governance.experiments.overruled(contract))
        if other_rules:
            # Whether those who wait beyond the fleet may still go there is for the new rules to say.
            change.homeless += [one for one in self.fleet.waiting_outside() if one not in change.homeless]
        self.contract_problem = None
        self.page.contract_taken_in()
        self.metrics.last_reload_ok = True
        self.metrics.last_reload_timestamp_seconds = time.time()
        self._settle(change)
        self.log.event(
            "contract",
            stack=contract.stack,
            models=sorted(contract.models),
            added=[endpoint.url for endpoint in change.added],
            removed=[endpoint.url for endpoint in change.removed],
        )

    def _settle(self, change: FleetChange) -> None:
        """Let what has left the fleet go, and those who wait have what has come."""
        self.page.enforce()
        for endpoint in change.removed:
            endpoint.close_idle()
        for waiting in change.homeless:
            waiting.reconsider()
        self.fleet.serve_waiting(self.loop.time())

    def _look_up(self, now: float) -> None:
        """Follow the names under which endpoints are found."""
        changed = self._resolver.tick(self.fleet.names_looked_up.values(), now)
        for name in changed:
            self.log.event(
                "name",
                level="warning" if name.problem else "info",
                host=name.host,
                addresses=name.addresses,
                problem=name.problem,
            )
        if changed:
            self._settle(self.fleet.readdress())

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
        """Everything that time brings, and again after a moment, whatever becomes of it."""
        try:
            self._carry_on()
        except Exception as error:  # a router whose limits nobody looks at any more would hang in the end
            self.log.event("fault", level="error", problem=where(error))
        finally:
            self._ticking = self.loop.call_later(self.limits.tick_seconds(), self._tick)

    def _carry_on(self) -> None:
        """Everything that time brings, in one place: limits, health, the contract's file, the log."""
        now = self.loop.time()
        second: int = int(time.time())
        if second != self._date_second:
            self._date_second = second
            self.date_line = f"Date: {formatdate(second, usegmt=True)}\r\n".encode("ascii")
        for exchange in list(self.account.exchanges):
            exchange.tick(now)
        for connection in list(self.connections):
            connection.tick(now)
        for endpoint in self.fleet.endpoints.values():
            endpoint.close_stale(now, self.limits.upstream_keep_alive_seconds)
        self._look_up(now)
        self._prober.tick(self.fleet.endpoints.values(), now)
        self.fleet.serve_waiting(now)
        if now >= self._next_poll:
            self._next_poll = now + self.limits.contract_poll_seconds
            if self.governance.poll_secrets():
                self._take_in(self.contract)
            self._follow()
            self.page.poll()
            self._look_around()
        if self.governance.tick():
            self._settle(self.fleet.apply(self.governance.experiments.overruled(self.contract)))
        self.page.tick(now)
        self.log.flush()

    def _look_around(self) -> None:
        """What one of several workers owes to the others."""
        if self.seat is None:
            return
        self.seat.tell(self.families_here())
        if self.seat.orphaned and self._on_orphaned is not None and not self.draining:
            self.log.event("parent_gone", level="warning")
            self._on_orphaned()
