"""A request on its way to a model server: its place is taken, its money set aside, and it is sent."""

from __future__ import annotations

import asyncio

from agent_runtime.router.accounts import Account
from agent_runtime.router.asked import Asked
from agent_runtime.router.buffers import SMALL_BYTES
from agent_runtime.router.delivery import Delivery
from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.dialects.operations import Call
from agent_runtime.router.dialects.replies import ReplyTranslator
from agent_runtime.router.fleet_state import EndpointState, ModelState, Replica
from agent_runtime.router.http_head import ReplyHead
from agent_runtime.router.log import where
from agent_runtime.router.pool import connect, describe, take_idle
from agent_runtime.router.routing import Attempt, next_choice, overloaded
from agent_runtime.router.upstream import BodySink, UpstreamConnection


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
                self._take_up(attempt)
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

    # What the other parts do

    def _failed(self, replica: Replica, kind: str, problem: str) -> None:
        """The server could not be reached, or went away before the client saw anything."""
        raise NotImplementedError

    def _wait(self, *, in_front: bool = False) -> None:
        """Wait for room, or for a sleeping model."""
        raise NotImplementedError

    def _decide_anew(self) -> None:
        """The model that was to be asked has left the fleet."""
        raise NotImplementedError

    def _take_up(self, attempt: Attempt) -> None:
        """Do what is next."""
        self._turn_to(attempt.model, attempt.call)
        if attempt.replica is None:
            self._wait()
        else:
            self._attempt(attempt.replica)

    def _turn_to(self, model: ModelState, call: Call) -> None:
        """Ask this model, and no longer the one before."""
        asked = self._asked
        asked.model.active -= 1
        model.active += 1
        asked.model, asked.call = model, call

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

    def drain(self) -> None:
        """The router is to end: what only waits is not begun any more."""
        raise NotImplementedError

    def cut_off(self) -> None:
        """The router ends now."""
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
