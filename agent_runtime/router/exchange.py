"""The life of one request that a model server answers: sent, passed on, cancelled, accounted for."""

from __future__ import annotations

from typing import Final

from agent_runtime.router.accounts import CLIENT_LEFT, End
from agent_runtime.router.balancing.faults import fault_in
from agent_runtime.router.dialects.errors import BadReplyError, RequestError
from agent_runtime.router.dialects.usage import Usage
from agent_runtime.router.fleet_state import Replica
from agent_runtime.router.http_head import ReplyHead, head_for_client, parse_reply_head
from agent_runtime.router.placing import Placing
from agent_runtime.router.routing import ending
from agent_runtime.router.upstream import BodySink
from agent_runtime.router.ways import deliver

_HEADS_KEPT: Final = 64
_UNUSABLE: Final = "the model server reported an error, or an answer that cannot be used"
"""In place of the engine's own words, which may quote a prompt."""


class Exchange(Placing):
    """A request on its way. It ends once: answered, refused, or left by its client."""

    __slots__ = ()

    # The answer

    def read_head(self, raw: bytes) -> ReplyHead:
        """Parse a head, or find it among those seen before: engines repeat them word for word."""
        replica = self._replica
        assert replica is not None  # noqa: S101 - an answer comes from one
        known = replica.reply_heads.get(raw)
        if known is not None:
            return known
        head = parse_reply_head(raw)
        head.for_client = head_for_client(head, self._names(replica), outside=replica.model.tier != "local")
        if len(replica.reply_heads) >= _HEADS_KEPT:
            replica.reply_heads.clear()
        replica.reply_heads[raw] = head
        return head

    def _names(self, replica: Replica) -> dict[str, str]:
        """Headers that say who answered."""
        model = replica.model
        return {
            "X-Paddock-Model": model.name,
            "X-Paddock-Tier": model.tier,
            "X-Paddock-Endpoint": replica.endpoint.url,
        }

    def on_reply_head(self, head: ReplyHead) -> BodySink | None:
        """Choose how the body is passed on."""
        replica, asked = self._replica, self._asked
        assert replica is not None  # noqa: S101 - an answer comes from one
        if head.status > 400:
            fault = fault_in(head, replica.model.tier)
            if fault is not None and self._turned_away(replica, head, fault):
                return None
        self._account.endpoint_answered(replica.endpoint)
        names = self._names(replica)
        if asked.call.ignored:
            names["X-Paddock-Ignored"] = ", ".join(asked.call.ignored)
        delivery = self._delivery = deliver(asked, head, names, self._broken, self._translator)
        delivery.price = self._account.price(replica)
        if asked.question is not None:
            recording = self._account.recording(asked.question, replica)
            if recording is not None:
                delivery.record(recording)
        self.deadline = asked.loop.time() + asked.limits.idle_gap_seconds
        return self._delivery

    def on_reply_end(self) -> None:
        """The answer is whole."""
        self._upstream = None
        delivery, replica = self._delivery, self._replica
        if self._ended or delivery is None or replica is None:
            return
        try:
            delivery.end()
        except BadReplyError as error:
            self._broken("truncated", str(error), logged=_UNUSABLE)
            return
        if delivery.recording is not None:
            delivery.recording.end(delivery.usage())
        if delivery.status < 500:
            replica.breaker.succeeded()
        elif len(replica.model.replicas) > 1:
            # Where there is no other, an engine's own error is worth more to a client than silence.
            self._account.replica_failed(replica, f"{replica.endpoint.url} answered {delivery.status}")
        if replica.model.balancing == "latency":
            now = self._asked.loop.time()
            replica.times.observe((delivery.first_byte_at or now) - self._sent_at, now)
        self._finish(delivery.status, keep_alive=self._asked.request.keep_alive)

    # Faults

    def on_reply_lost(self, kind: str, problem: str) -> None:
        """The connection broke."""
        replica = self._replica
        if self._ended or replica is None:
            return
        if self._delivery is None and kind == "closed":
            if self._upstream is not None and self._upstream.reused and not self._was_stale:
                # The server closed an idle connection as the request was on its way. Nothing is wrong.
                self._was_stale = True
                self._attempts -= 1
                self._release()
                self._attempt(replica, fresh=True)
            else:
                self._failed(replica, kind, problem)
        elif kind == "truncated" and not self._delivered:
            self._failed(replica, kind, problem)
        else:
            self._broken(kind, f"the model server {problem}")

    @property
    def _delivered(self) -> bool:
        return self._delivery is not None and self._delivery.sent

    def _broken(self, kind: str, message: str, *, logged: str = "") -> None:
        """The answer, or the rest of it, cannot be had. Say so as well as the client can still be told.

        ``message`` is for this client alone. Others, and the log, get to know what is ``logged``.
        """
        replica = self._replica
        if self._ended or replica is None:
            return
        delivery, upstream = self._delivery, self._upstream
        problem = logged or (_UNUSABLE if kind == "error" else message)
        self._account.upstream_error(replica.model, replica.endpoint, kind, problem)
        self._account.replica_failed(replica, problem)
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
        model, replica = self._asked.model, self._replica
        if self._waiting:
            self._leave_line()
            what = "did not wake up" if model.asleep() else "had no room"
            self._no_place(f"model '{model.name}' {what} in time")
        elif self._paused:
            # It is the client that does not read. It would not see an error either.
            self._asked.client.abort()
            self.client_left()
        elif replica is not None and self._delivery is None:
            limit = self._asked.limits.first_byte_seconds
            self._account.upstream_error(model, replica.endpoint, "timeout", "no first byte in time")
            self._account.replica_failed(replica, "no first byte in time")
            message = f"model '{model.name}' sent nothing for {limit:g} s"
            self._refuse(RequestError(504, message, code="upstream_timeout"))
        else:
            gap = self._asked.limits.idle_gap_seconds
            self._broken("timeout", f"the model server sent nothing more for {gap:g} s")

    def cut_off(self) -> None:
        """The router ends now: the client is told, as far as it still can be."""
        delivery, upstream = self._delivery, self._upstream
        if self._ended:
            return
        if delivery is None or not delivery.sent:
            self._refuse(ending())
            return
        between = upstream is not None and upstream.between_chunks()
        told = not self._paused and delivery.tell("the router is shutting down", between_chunks=between)
        self._finish(delivery.status, keep_alive=False, abort=not told)

    # The client

    def client_left(self) -> None:
        """Stop the work upstream at once."""
        if not self._ended:
            self._end(CLIENT_LEFT)

    def client_paused(self) -> None:
        """Read the engine no further than the client reads."""
        self._paused = True
        if self._upstream is not None and self._upstream.transport is not None:
            self._upstream.transport.pause_reading()

    def client_resumed(self) -> None:
        """Read on."""
        self._paused = False
        if self._delivery is not None:
            self.deadline = self._asked.loop.time() + self._asked.limits.idle_gap_seconds
        if self._upstream is not None and self._upstream.transport is not None:
            self._upstream.transport.resume_reading()

    # The end

    def _refuse(self, error: RequestError) -> None:
        """End the request with an error; the client has seen nothing yet."""
        self._end(error.status)
        headers = {"X-Paddock-Model": self._asked.model.name}
        self._asked.client.respond_error(self._asked.request, error, headers=headers)

    def _finish(self, status: int, *, keep_alive: bool, abort: bool = False) -> None:
        self._end(status)
        if abort:
            self._asked.client.abort()
        else:
            self._asked.client.done(keep_alive=keep_alive)

    def _end(self, status: int) -> None:
        self._ended = True
        self._account.exchanges.discard(self)
        asked = self._asked
        asked.model.active -= 1
        if asked.kept_bytes:
            asked.buffers.give_back(asked.kept_bytes)
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()
        if self._pausing is not None:
            self._pausing.cancel()
        if self._waiting:
            self._leave_line()
        self._release()
        delivery, replica = self._delivery, self._replica
        usage: Usage | None = None
        if delivery is not None:
            usage = delivery.usage()
            if delivery.recording is not None:
                delivery.recording.abandon()
        first = None if delivery is None else delivery.first_byte_at
        # An answer that is an error costs nothing; none at all may have been on its way.
        sent = self._sent_at > 0.0 and not self._was_refused and (delivery is None or delivery.status < 400)
        if self._sent_at == 0.0 and asked.reservation is not None:
            self._account.unspent(asked)
        size_bytes = 0 if delivery is None else delivery.size_bytes
        self._account.ended(asked, End(status, replica, self._sent_at, first, usage, reply_bytes=size_bytes, sent=sent))
