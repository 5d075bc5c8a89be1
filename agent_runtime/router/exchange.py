"""The life of one request that a model server answers: sent, tried again, passed on, cancelled, accounted for."""

from __future__ import annotations

import asyncio
from typing import Final

from agent_runtime.router.accounts import Account
from agent_runtime.router.delivery import Asked, Delivery, deliver
from agent_runtime.router.dialects.errors import BadReplyError, RequestError
from agent_runtime.router.dialects.replies import ReplyTranslator
from agent_runtime.router.dialects.usage import Usage
from agent_runtime.router.fleet_state import EndpointState, Replica
from agent_runtime.router.http_head import ReplyHead, head_for_client, parse_reply_head
from agent_runtime.router.pool import connect, describe, take_idle
from agent_runtime.router.routing import Attempt, another, unreachable
from agent_runtime.router.upstream import BodySink, UpstreamConnection

_HEADS_KEPT: Final = 64
_CLIENT_LEFT: Final = 499
"""What the log and the metrics call a request whose client did not wait. nginx made the number known."""


class Exchange:
    """A request on its way. It ends once: answered, refused, or left by its client."""

    __slots__ = (
        "_account",
        "_asked",
        "_connecting",
        "_delivery",
        "_ended",
        "_holding",
        "_paused",
        "_replica",
        "_resent",
        "_translator",
        "_tried",
        "_upstream",
        "_was_stale",
        "deadline",
    )

    def __init__(self, account: Account, asked: Asked, replica: Replica) -> None:
        self._account = account
        self._asked = asked
        self._replica = replica
        self._delivery: Delivery | None = None
        self._translator: ReplyTranslator | None = None
        self._upstream: UpstreamConnection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._tried: set[EndpointState] = set()
        self._resent = False
        """Whether it was sent again because a server had gone away with it."""
        self._was_stale = False
        """Whether it was sent again because a connection had been closed meanwhile."""
        self._holding = False
        """Whether the endpoint counts this request as outstanding."""
        self._paused = False
        self._ended = False
        self.deadline = 0.0

    # Sending

    def start(self) -> None:
        """Send the request."""
        self._asked.client.work = self
        self._asked.decision.model.active += 1
        self._account.exchanges.add(self)
        self._attempt(self._replica, fresh=False)

    def _attempt(self, replica: Replica, *, fresh: bool) -> None:
        self._replica = replica
        endpoint = replica.endpoint
        endpoint.outstanding += 1
        self._holding = True
        self._delivery = None
        make = self._asked.call.translator
        self._translator = None if make is None else make()
        self.deadline = self._asked.loop.time() + self._asked.limits.first_byte_seconds
        connection = None if fresh else take_idle(endpoint)
        if connection is not None:
            self._send(connection)
        else:
            self._connecting = self._asked.loop.create_task(self._connect(endpoint))

    async def _connect(self, endpoint: EndpointState) -> None:
        try:
            connection = await connect(endpoint, self._asked.limits.connect_seconds)
        except OSError as error:
            self._connecting = None
            self._attempt_failed("connect", describe(error))
            return
        self._connecting = None
        self._send(connection)

    def _send(self, connection: UpstreamConnection) -> None:
        if connection.transport is None or connection.transport.is_closing():
            self._attempt_failed("closed", "closed the connection before it answered")
            return
        self._upstream = connection
        call = self._asked.call
        head = (
            f"POST {call.path} HTTP/1.1\r\nHost: {connection.endpoint.authority}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(call.body)}\r\n\r\n"
        )
        connection.send(head.encode("ascii"), call.body, self)
        if self._paused:
            connection.transport.pause_reading()

    def _release(self) -> None:
        """The endpoint is done with this request; if it is not, it sees its connection close."""
        if self._holding:
            self._holding = False
            self._replica.endpoint.outstanding -= 1
        upstream, self._upstream = self._upstream, None
        if upstream is not None and upstream.handler is self:
            upstream.abandon()

    def _attempt_failed(self, kind: str, problem: str) -> None:
        """The server could not be reached, or went away before the client saw anything."""
        model, endpoint = self._asked.decision.model, self._replica.endpoint
        self._release()
        self._account.upstream_error(model, endpoint, kind, problem, down=kind in ("connect", "closed"))
        # A request that was sent may be what broke the server: it is sent once more, not to all of them.
        if kind == "connect" or not self._resent:
            self._resent = self._resent or kind != "connect"
            if self._try_another():
                return
        if kind == "connect":
            self._refuse(unreachable(model, self._asked.loop.time()))
        else:
            self._refuse(RequestError(502, f"the model server {problem}", code="upstream_error"))

    def _try_another(self) -> bool:
        """Send the request to a replica that it has not been to."""
        self._tried.add(self._replica.endpoint)
        asked = self._asked
        decision = asked.decision
        current = Attempt(decision.model, self._replica, asked.call)
        attempt = another(decision, current, self._tried, asked.loop.time())
        if attempt is None:
            return False
        self._release()
        self._account.metrics.retries[decision.model.name] += 1
        if attempt.model is not decision.model:
            decision.model.active -= 1
            attempt.model.active += 1
            decision.model, asked.call = attempt.model, attempt.call
        self._attempt(attempt.replica, fresh=False)
        return True

    # The answer

    def read_head(self, raw: bytes) -> ReplyHead:
        """Parse a head, or find it among those seen before: engines repeat them word for word."""
        known = self._replica.reply_heads.get(raw)
        if known is not None:
            return known
        head = parse_reply_head(raw)
        head.for_client = head_for_client(head, self._names())
        if len(self._replica.reply_heads) >= _HEADS_KEPT:
            self._replica.reply_heads.clear()
        self._replica.reply_heads[raw] = head
        return head

    def _names(self) -> dict[str, str]:
        """Headers that say who answered."""
        return {
            "X-Paddock-Model": self._asked.decision.model.name,
            "X-Paddock-Endpoint": self._replica.endpoint.url,
        }

    def on_reply_head(self, head: ReplyHead) -> BodySink | None:
        """Choose how the body is passed on."""
        if head.status == 503 and self._try_another():
            # Overload, or a model that still loads: not ill, but another replica had room.
            return None
        self._account.endpoint_answered(self._replica.endpoint)
        names = self._names()
        if self._asked.call.ignored:
            names["X-Paddock-Ignored"] = ", ".join(self._asked.call.ignored)
        self._delivery = deliver(self._asked, head, names, self._broken, self._translator)
        self.deadline = self._asked.loop.time() + self._asked.limits.idle_gap_seconds
        return self._delivery

    def on_reply_end(self) -> None:
        """The answer is whole."""
        self._upstream = None
        delivery = self._delivery
        if self._ended or delivery is None:
            return
        try:
            delivery.end()
        except BadReplyError as error:
            self._broken("truncated", str(error))
            return
        self._finish(delivery.status, keep_alive=self._asked.request.keep_alive)

    # Faults

    def on_reply_lost(self, kind: str, problem: str) -> None:
        """The connection broke."""
        if self._ended:
            return
        if self._delivery is None and kind == "closed":
            if self._upstream is not None and self._upstream.reused and not self._was_stale:
                # The server closed an idle connection as the request was on its way. Nothing is wrong.
                self._was_stale = True
                self._release()
                self._attempt(self._replica, fresh=True)
            else:
                self._attempt_failed(kind, problem)
        elif kind == "truncated" and not self._delivered and not self._resent:
            self._attempt_failed(kind, problem)
        else:
            self._broken(kind, f"the model server {problem}")

    @property
    def _delivered(self) -> bool:
        return self._delivery is not None and self._delivery.sent

    def _broken(self, kind: str, message: str) -> None:
        """The answer, or the rest of it, cannot be had. Say so as well as the client can still be told."""
        if self._ended:
            return
        delivery, upstream = self._delivery, self._upstream
        self._account.upstream_error(self._asked.decision.model, self._replica.endpoint, kind, message)
        if delivery is None or not delivery.sent:
            self._refuse(RequestError(502, message, code="upstream_error"))
            return
        told = delivery.tell(message, between_chunks=upstream is not None and upstream.between_chunks())
        # In the middle of a chunk or of a body of known length nothing can be said: only silence is honest.
        self._finish(delivery.status, keep_alive=told and self._asked.request.keep_alive, abort=not told)

    def tick(self, now: float) -> None:
        """Look at the time limits. The one for connecting is kept where the connection is made."""
        delivery = self._delivery
        if delivery is not None and delivery.alive:
            delivery.alive = False
            self.deadline = now + self._asked.limits.idle_gap_seconds
        elif now >= self.deadline and self._connecting is None:
            self._late()

    def _late(self) -> None:
        if self._paused:
            # It is the client that does not read. It would not see an error either.
            self._asked.client.abort()
            self.client_left()
        elif self._delivery is None:
            model, limit = self._asked.decision.model, self._asked.limits.first_byte_seconds
            self._account.upstream_error(model, self._replica.endpoint, "timeout", "no first byte in time")
            message = f"model '{model.name}' sent nothing for {limit:g} s"
            self._refuse(RequestError(504, message, code="upstream_timeout"))
        else:
            gap = self._asked.limits.idle_gap_seconds
            self._broken("timeout", f"the model server sent nothing more for {gap:g} s")

    # The client

    def client_left(self) -> None:
        """Stop the work upstream at once."""
        if not self._ended:
            self._end(_CLIENT_LEFT)

    def client_paused(self) -> None:
        """Read the engine no further than the client reads."""
        self._paused = True
        if self._upstream is not None and self._upstream.transport is not None:
            self._upstream.transport.pause_reading()

    def client_resumed(self) -> None:
        """Read on."""
        self._paused = False
        self.deadline = self._asked.loop.time() + self._asked.limits.idle_gap_seconds
        if self._upstream is not None and self._upstream.transport is not None:
            self._upstream.transport.resume_reading()

    # The end

    def _refuse(self, error: RequestError) -> None:
        """End the request with an error; the client has seen nothing yet."""
        self._end(error.status)
        model = self._asked.decision.model.name
        self._asked.client.respond_error(self._asked.request, error, headers={"X-Paddock-Model": model})

    def _finish(self, status: int, *, keep_alive: bool, abort: bool = False) -> None:
        self._end(status)
        if abort:
            self._asked.client.abort()
        else:
            self._asked.client.done(keep_alive=keep_alive)

    def _end(self, status: int) -> None:
        self._ended = True
        self._account.exchanges.discard(self)
        self._asked.decision.model.active -= 1
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()
        self._release()
        delivery = self._delivery
        usage: Usage | None = None if delivery is None else delivery.usage()
        first = None if delivery is None else delivery.first_byte_at
        self._account.ended(self._asked, self._replica.endpoint, status, first, usage)
