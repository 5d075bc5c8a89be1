"""A request that finds no answer where it is: sent elsewhere, made to wait for room or for a sleeping model."""

from __future__ import annotations

import random
from typing import Final

from agent_runtime.router.balancing.faults import Fault
from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.dialects.operations import Call
from agent_runtime.router.fleet_state import Replica
from agent_runtime.router.http_head import ReplyHead, header_lines
from agent_runtime.router.routing import Attempt, Decision, another, ending, next_choice, overloaded, unreachable
from agent_runtime.router.sending import Sending

_MOST_ATTEMPTS: Final = 8
_FIRST_BACK_OFF_SECONDS: Final = 0.05
"""Before the third attempt; twice as long before each that follows. The second goes elsewhere at once."""
_DOUBLINGS: Final = 5


class Placing(Sending):
    """The part of an exchange that finds it another place, as long as the client has seen nothing."""

    __slots__ = ()

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
            attempt = next_choice(self._asked.decision, now, waits=False)
        else:
            self._broke = model if gone else self._broke
            attempt = another(self._asked.decision, Attempt(model, replica, self._asked.call), self._tried, now)
        if attempt is None:
            if waking or (not again and model.busy(now, self._tried)):
                self._leave_attempt(kind)
                self._wait(in_front=True)
                return True
            attempt = next_choice(self._asked.decision, now)
            if attempt is None:
                return False
        self._leave_attempt(kind)
        if self._attempts == 1 or attempt.replica is None:
            self._take_up(attempt)
        else:
            self._turn_to(attempt.model, attempt.call)
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
        if self._account.draining:
            self._refuse(ending())
            return
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
        attempt = next_choice(self._asked.decision, now, waits=now < self._wait_until)
        if attempt is None:
            self._refuse(overloaded(self._asked.model, problem, now))
        else:
            self._take_up(attempt)

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

    def drain(self) -> None:
        """The router is to end: what only waits is told so at once, and may be asked of another router."""
        self._asked.request.keep_alive = False
        if self._waiting:
            self._leave_line()
            self._refuse(ending())

    def _leave_line(self) -> None:
        self._waiting = False
        self._asked.model.line.leave(self)
