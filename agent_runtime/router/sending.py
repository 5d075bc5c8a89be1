"""A request on its way to a model server: sent, waiting for one, sent elsewhere where one fails."""

from __future__ import annotations

import asyncio
import random
from typing import Final

from agent_runtime.router.accounts import Account
from agent_runtime.router.asked import Asked
from agent_runtime.router.balancing.faults import Fault
from agent_runtime.router.buffers import SMALL_BYTES
from agent_runtime.router.delivery import Delivery
from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.dialects.operations import Call
from agent_runtime.router.dialects.replies import ReplyTranslator
from agent_runtime.router.fleet_state import EndpointState, ModelState, Replica
from agent_runtime.router.http_head import ReplyHead, header_lines
from agent_runtime.router.log import where
from agent_runtime.router.pool import connect, describe, take_idle
from agent_runtime.router.routing import Attempt, Decision, another, next_choice, overloaded, unreachable
from agent_runtime.router.upstream import BodySink, UpstreamConnection

_MOST_ATTEMPTS: Final = 8
_FIRST_BACK_OFF_SECONDS: Final = 0.05
"""Before the third attempt; twice as long before each that follows. The second goes elsewhere at once."""
_DOUBLINGS: Final = 5


class Sending:
    """The half of an exchange that finds somebody who answers. The client has seen nothing as long as it lasts."""

    __slots__ = (
        "_account",
        "_asked",
        "_attempts",
        "_broke",
        "_connecting",
        "_delivery",
        "_ended",
        "_holding",
        "_paused",
        "_pausing",
        "_replica",
        "_sent_at",
        "_translator",
        "_tried",
        "_upstream",
        "_wait_until",
        "_waiting",
        "_was_refused",
        "_was_stale",
        "deadline",
    )

    def __init__(self, account: Account, asked: Asked, replica: Replica | None) -> None:
        """Without a ``replica``, the request waits for one."""
        self._account = account
        self._asked = asked
        self._replica = replica
        self._delivery: Delivery | None = None
        self._translator: ReplyTranslator | None = None
        self._upstream: UpstreamConnection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._pausing: asyncio.TimerHandle | None = None
        """Runs while it waits a moment before it is sent again."""
        self._tried: set[EndpointState] = set()
        self._attempts = 0
        self._broke: ModelState | None = None
        """The model of which a server went away with this request."""
        self._was_refused = False
        """Whether who was asked last has answered that it will not: it has computed nothing, and charges nothing."""
        self._was_stale = False
        """Whether it was sent again because a connection had been closed meanwhile."""
        self._waiting = False
        """Whether it stands in its model's line."""
        self._wait_until = 0.0
        """When it has waited long enough; kept over further waits of the same request."""
        self._holding = False
        """Whether the endpoint counts this request as outstanding."""
        self._paused = False
        self._ended = False
        self._sent_at = 0.0
        self.deadline = 0.0

    # Sending

    def start(self) -> None:
        """Send the request, or wait until it can be sent."""
        asked = self._asked
        asked.client.work = self
        asked.model.active += 1
        self._account.exchanges.add(self)
        asked.buffers = self._account.buffers
        size_bytes = len(asked.call.body)
        if size_bytes > SMALL_BYTES and not asked.may_keep(size_bytes + len(asked.request.body)):
            self._refuse(overloaded(asked.model, "the router holds too many large requests already", asked.loop.time()))
        elif self._replica is None:
            self._wait()
        else:
            self._attempt(self._replica)

    def _attempt(self, replica: Replica, *, fresh: bool = False) -> None:
        self._replica = replica
        # From here on its place is taken, also while money is set aside: nobody else is given the same.
        replica.endpoint.outstanding += 1
        replica.sent += 1
        replica.model.sent += 1
        self._holding = True
        self._sent_at = 0.0
        if self._asked.reservation is None and self._account.must_reserve(self._asked, replica):
            now = self._asked.loop.time()
            self.deadline = now + self._asked.limits.first_byte_seconds
            self._connecting = self._asked.loop.create_task(self._pay_for(replica))
        else:
            self._dispatch(replica, fresh=fresh)

    async def _pay_for(self, replica: Replica) -> None:
        """Set money aside, and send the request; where it may not be paid for, turn to what comes next."""
        try:
            await self._account.reserve(self._asked, replica)
        except RequestError as error:
            self._connecting = None
            self._release()
            if replica.model.removed:
                self._decide_anew()  # the contract that had a price for it is no longer in force
                return
            attempt = next_choice(self._asked.decision, self._asked.loop.time())
            if attempt is None:
                self._refuse(error)
            else:
                self._turn_to(attempt.model, attempt.call)
                self._attempt(attempt.replica)
            return
        except Exception as error:  # a fault of the router's own must not leave its client without an answer
            self._connecting = None
            self._fault(error)
            return
        self._connecting = None
        self._dispatch(replica, fresh=False)

    def _fault(self, error: Exception) -> None:
        self._account.log.event("fault", level="error", path=self._asked.request.path, problem=where(error))
        self._refuse(RequestError(500, "the router failed at this request; its log says more"))

    def _dispatch(self, replica: Replica, *, fresh: bool) -> None:
        endpoint, asked = replica.endpoint, self._asked
        replica.model.retries.requests += 1
        self._attempts += 1
        self._was_refused = False
        self._delivery = None
        make = asked.call.translator
        self._translator = None if make is None else make()
        self._sent_at = asked.loop.time()
        self.deadline = self._sent_at + asked.limits.first_byte_seconds
        connection = None if fresh else take_idle(endpoint)
        if connection is not None:
            self._send(connection)
        else:
            self._connecting = asked.loop.create_task(self._connect(replica))

    async def _connect(self, replica: Replica) -> None:
        try:
            connection = await connect(replica.endpoint, self._asked.limits.connect_seconds)
        except OSError as error:
            self._connecting = None
            self._sent_at = 0.0
            self._failed(replica, "connect", describe(error))
            return
        except Exception as error:  # as above; a host that is no name, for one
            self._connecting = None
            self._sent_at = 0.0
            self._fault(error)
            return
        self._connecting = None
        self._send(connection)

    def _send(self, connection: UpstreamConnection) -> None:
        replica = self._replica
        if replica is not None and (connection.transport is None or connection.transport.is_closing()):
            self._failed(replica, "closed", "closed the connection before it answered")
            return
        self._upstream = connection
        call = self._asked.call
        trace = self._asked.trace
        connection.ask(b"POST", call.path, call.body, self, b"" if trace is None else trace.header)
        if self._paused and connection.transport is not None:
            connection.transport.pause_reading()

    def _release(self) -> None:
        """The endpoint is done with this request; if it is not, it sees its connection close."""
        upstream, self._upstream = self._upstream, None
        if upstream is not None and upstream.handler is self:
            upstream.abandon()
        replica = self._replica
        if self._holding and replica is not None:
            self._holding = False
            endpoint = replica.endpoint
            endpoint.outstanding -= 1
            replica.sent -= 1
            replica.model.sent -= 1
            if endpoint.limited:
                endpoint.made_room(self._asked.loop.time())

    # Sending it elsewhere, as long as the client has seen nothing

    def _failed(self, replica: Replica, kind: str, problem: str) -> None:
        """The server could not be reached, or went away before the client saw anything."""
        model, endpoint, now = replica.model, replica.endpoint, self._asked.loop.time()
        self._account.upstream_error(model, endpoint, kind, problem, down=kind in ("connect", "closed"))
        if kind == "truncated":
            self._account.replica_failed(replica, problem)
        self._release()
        if self._go_on(replica, kind, now):
            return
        if kind == "connect":
            self._refuse(unreachable(model, now))
        else:
            self._refuse(RequestError(502, f"the model server {problem}", code="upstream_error"))

    def _turned_away(self, replica: Replica, head: ReplyHead, fault: Fault) -> bool:
        """A server will not answer, and it is not for what the client asks. False: the client should hear it."""
        model, now = replica.model, self._asked.loop.time()
        problem = f"{replica.endpoint.url} {fault.problem}"
        if fault.pause_seconds:
            replica.breaker.pause(now + fault.pause_seconds, problem)
        if fault.ill:
            self._account.replica_failed(replica, problem)
        if fault.kind != "overload":
            self._account.upstream_error(model, replica.endpoint, fault.kind, problem)
        elif model.asleep():
            # Its server is there, and loads the model still: that is no answer to somebody who waits for it.
            self._account.endpoint_failed(replica.endpoint, problem)
        if self._go_on(replica, fault.kind, now):
            return True
        if model.tier == "local":
            return False
        self._was_refused = True
        # What an API says to the router, such as which key it refused, is not for the client's eyes.
        status = 503 if fault.kind == "overload" else 502
        error = RequestError(status, f"the {model.tier} tier answered {head.status}", code="tier_unavailable")
        error.headers["Retry-After"] = str(model.retry_after_seconds(now))
        self._refuse(error)
        return True

    def _go_on(self, replica: Replica, kind: str, now: float) -> bool:
        """Send the request elsewhere, or have it wait again. False where neither makes sense."""
        model = self._asked.model
        # A model that wakes up is asked again and again until it is awake, gently: see EndpointState.may_be_tried.
        waking = kind in ("connect", "overload") and model.asleep()
        spent = self._attempts >= _MOST_ATTEMPTS or (kind != "connect" and not model.retries.may_retry(now))
        if spent and not waking:
            return False
        if model.removed:
            return self._decide_again(kind)
        self._tried.add(replica.endpoint)
        gone = kind in ("closed", "truncated")
        again = gone and self._broke is model
        if again:
            # The request may be what breaks these servers: it is sent to two of them, not to all.
            attempt = next_choice(self._asked.decision, now)
        else:
            self._broke = model if gone else self._broke
            attempt = another(self._asked.decision, Attempt(model, replica, self._asked.call), self._tried, now)
        if attempt is None:
            if not waking and (again or not model.busy(now, self._tried)):
                return False
            self._leave_attempt(kind)
            self._wait(in_front=True)
            return True
        self._leave_attempt(kind)
        self._turn_to(attempt.model, attempt.call)
        if self._attempts == 1:
            self._attempt(attempt.replica)
        else:
            longest_seconds = _FIRST_BACK_OFF_SECONDS * float(2 ** min(self._attempts - 2, _DOUBLINGS))
            pause_seconds = random.uniform(0.5, 1.0) * longest_seconds  # noqa: S311 - spreads load
            self.deadline = now + pause_seconds + self._asked.limits.first_byte_seconds
            self._pausing = self._asked.loop.call_later(pause_seconds, self._attempt, attempt.replica)
        return True

    def _leave_attempt(self, kind: str) -> None:
        """Be done with an attempt of which the client will see nothing."""
        self._release()
        if self._replica is not None:
            seconds = self._asked.loop.time() - self._sent_at if self._sent_at else 0.0
            self._account.attempt_ended(self._asked, self._replica, kind, seconds)
        attempts = header_lines([("X-Paddock-Attempts", str(self._attempts + 1))])
        # Where there were attempts before, theirs is the last line so far.
        lines = self._asked.request.extra_lines
        before = lines if self._attempts == 1 else lines.rpartition(b"X-Paddock-Attempts:")[0]
        self._asked.request.extra_lines = before + attempts

    def _turn_to(self, model: ModelState, call: Call) -> None:
        """Ask this model, and no longer the one before."""
        asked = self._asked
        asked.model.active -= 1
        model.active += 1
        asked.model, asked.call = model, call

    def _decide_again(self, kind: str) -> bool:
        """Decide over a request whose model has left the fleet. False where there is no other for it."""
        try:
            decision = self._account.reroute(self._asked)
        except RequestError:
            return False
        if decision.call is None:
            return False
        self._leave_attempt(kind)
        self._follow(decision, decision.call)
        return True

    def _follow(self, decision: Decision, call: Call) -> None:
        self._asked.decision = decision
        self._turn_to(decision.model, call)
        self._tried.clear()
        if decision.replica is None:
            self._wait()
        else:
            self._attempt(decision.replica)

    # Waiting for room, or for a sleeping model

    def _wait(self, *, in_front: bool = False) -> None:
        model, now = self._asked.model, self._asked.loop.time()
        self._tried.clear()
        self._wait_until = self._wait_until or now + model.wait_seconds()
        self.deadline = self._wait_until
        priority = self._asked.decision.priority
        self._waiting = model.line.join(self, priority, places=model.queue.max_waiting, in_front=in_front)
        if not self._waiting:
            self._no_place(f"{model.line.size} requests wait for model '{model.name}', and no more may")

    def place_found(self, replica: Replica) -> None:
        """There is a replica. The line has been left."""
        self._waiting = False
        self._attempt(replica)

    def displaced(self) -> None:
        """A more urgent request has the place. The line has been left."""
        self._waiting = False
        self._no_place(f"more urgent requests wait for model '{self._asked.model.name}'")

    def _no_place(self, problem: str) -> None:
        """Try what comes next in place of this model, if anything does."""
        now = self._asked.loop.time()
        attempt = next_choice(self._asked.decision, now)
        if attempt is None:
            self._refuse(overloaded(self._asked.model, problem, now))
            return
        self._turn_to(attempt.model, attempt.call)
        self._attempt(attempt.replica)

    def reconsider(self) -> None:
        """The model that this waits for has left the fleet, or the rules have changed: decide anew."""
        if not self._waiting:
            return  # another that decided anew has taken its place meanwhile
        self._leave_line()
        self._decide_anew()

    def _decide_anew(self) -> None:
        """Decide over a request of which no server has seen anything; where there is no other for it, say so."""
        try:
            decision = self._account.reroute(self._asked)
        except RequestError as error:
            self._refuse(error)
            return
        if decision.call is None:
            self._refuse(unreachable(decision.model, self._asked.loop.time()))
        else:
            self._follow(decision, decision.call)

    def _leave_line(self) -> None:
        self._waiting = False
        self._asked.model.line.leave(self)

    # What the other half does

    def _refuse(self, error: RequestError) -> None:
        """End the request with an error."""
        raise NotImplementedError

    def client_left(self) -> None:
        """Stop the work upstream at once."""
        raise NotImplementedError

    def client_paused(self) -> None:
        """Read the engine no further than the client reads."""
        raise NotImplementedError

    def client_resumed(self) -> None:
        """Read on."""
        raise NotImplementedError

    def tick(self, now: float) -> None:
        """Look at the time limits."""
        raise NotImplementedError

    def read_head(self, raw: bytes) -> ReplyHead:
        """Parse a head."""
        raise NotImplementedError

    def on_reply_head(self, head: ReplyHead) -> BodySink | None:
        """Choose how the body is passed on."""
        raise NotImplementedError

    def on_reply_end(self) -> None:
        """The answer is whole."""
        raise NotImplementedError

    def on_reply_lost(self, kind: str, problem: str) -> None:
        """The connection broke."""
        raise NotImplementedError
