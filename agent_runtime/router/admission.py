"""The way of a request through the router: who asks, may they, what for, where to, and then on its way."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agent_runtime.router import local
from agent_runtime.router.access.caller import ANONYMOUS, Caller
from agent_runtime.router.access.rates import FREE, Passage
from agent_runtime.router.administration import Administration, is_administration, names_in
from agent_runtime.router.answers import Answerer, Question, Replay
from agent_runtime.router.asked import Asked
from agent_runtime.router.classification import Classification
from agent_runtime.router.dialects.compact import encode
from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.dialects.fields import decode_object
from agent_runtime.router.dialects.operations import OPERATIONS, Operation
from agent_runtime.router.exchange import Exchange
from agent_runtime.router.guard import PREFLIGHT, note_origin, refuse_strangers
from agent_runtime.router.http_head import header_lines
from agent_runtime.router.http_server import ClientConnection
from agent_runtime.router.own_paths import OWN_PATHS
from agent_runtime.router.page.actions import PAGE_PATHS
from agent_runtime.router.page.files import ASSET_PATHS
from agent_runtime.router.pending import Pending
from agent_runtime.router.policy import BYTES_PER_TOKEN, Policy
from agent_runtime.router.request import Request
from agent_runtime.router.routing import Decision, route
from agent_runtime.router.wishes import NO_WISHES, Wishes, wishes_of
from fleet_spec.governance_spec import Scope

if TYPE_CHECKING:
    from agent_runtime.router.service import Router


@dataclass(slots=True)
class Entry:
    """A request that is being let in."""

    client: ClientConnection
    request: Request
    operation: Operation
    body: dict[str, Any]
    caller: Caller
    wishes: Wishes
    passage: Passage = FREE
    seen: Classification | None = None
    """What a look at its prompt has told, where that was done beside the event loop."""


class Admission:
    """Lets requests in, for a router."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._process = secrets.token_hex(4)
        """Tells the requests of this process from those of others."""
        self._count = 0
        self._administration = Administration(router.fleet, router.limits, router.account.answered_here)
        router.account.reroute = self.decide_again

    def handle(self, client: ClientConnection, request: Request) -> None:
        """Answer a request, or see to it that it is answered."""
        router = self._router
        try:
            self._admit(client, request)
        except RequestError as error:
            router.refuse(client, request, error)
        except RecursionError:
            router.refuse(client, request, RequestError(400, "the request body is nested too deeply"))
        except Exception as error:  # a fault of the router's own must not leave its client without an answer
            router.fault(client, request, error)

    def _admit(self, client: ClientConnection, request: Request) -> None:
        access = self._router.governance.access
        if access.required:
            note_origin(request)
        else:
            refuse_strangers(request)
        if request.method == "OPTIONS" and request.origin:
            self._router.account.answered_here(request, 200)
            client.respond(request, 200, b"", headers=PREFLIGHT)
            return
        operation = OPERATIONS.get(request.path)
        if operation is None:
            self._admit_elsewhere(client, request)
            return
        demand_method(request, "POST")
        caller = access.admit(request, "chat", client.address if access.required else "")
        wishes = wishes_of(request.headers)
        entry = Entry(client, request, operation, decode_object(request.body), caller, wishes)
        if not caller.limited:
            self._look(entry)
            return
        tokens = len(request.body) // BYTES_PER_TOKEN
        rates = self._router.governance.rates
        if rates.waits:
            Pending(self._router, client, request, self._after_rates(entry, tokens))
        else:
            entry.passage = rates.admit_now(caller, tokens)
            self._look(entry)

    async def _after_rates(self, entry: Entry, tokens: int) -> None:
        entry.passage = await self._router.governance.rates.admit(entry.caller, tokens)
        self._look(entry)

    def _look(self, entry: Entry) -> None:
        """Have a prompt looked at beside the event loop where that takes long; else it is done where it is routed."""
        policy = self._router.governance.policy
        if policy is not None and (policy.slow or len(entry.request.body) > LONG_BYTES):
            Pending(self._router, entry.client, entry.request, self._after_look(entry, policy))
        else:
            self._send(entry)

    async def _after_look(self, entry: Entry, policy: Policy) -> None:
        entry.seen = await asyncio.to_thread(policy.look, entry.operation.dialect, entry.body, entry.wishes)
        if policy.withdrawn:
            # Other rules have come meanwhile, and have to be asked too.
            entry.seen = None
            self._look(entry)
        else:
            self._send(entry)

    def _send(self, entry: Entry) -> None:
        router = self._router
        decision = route(
            router.fleet,
            entry.operation,
            entry.request.body,
            entry.body,
            now=router.loop.time(),
            caller=entry.caller,
            wishes=entry.wishes,
            policy=router.governance.policy,
            seen=entry.seen,
        )
        question = None if decision.call is None else self._question(entry, decision)
        if question is None or not self._answer_again(entry, decision, question):
            self.carry_out(entry, decision, question)

    def _question(self, entry: Entry, decision: Decision) -> Question | None:
        """What the cache knows the request by, if it has to do with it."""
        wishes, caller = entry.wishes, entry.caller
        return self._router.governance.answers.question(
            entry.operation,
            entry.body,
            owner=caller.name,
            private=decision.private or caller.private or wishes.private is True,
            fresh=wishes.fresh,
            unkept=wishes.unkept,
        )

    def _answer_again(self, entry: Entry, decision: Decision, question: Question) -> bool:
        """Answer with what was answered before, if anything was."""
        router, model = self._router, decision.model
        answers = router.governance.answers
        found = answers.find(question, Answerer(model.name, model.entry, model.tier))
        if found is None:
            return False
        self._name(entry, decision)
        Replay(
            entry.client,
            entry.request,
            found,
            age_seconds=answers.age_seconds(found),
            headers={},
            loop=router.loop,
            patience_seconds=router.limits.idle_gap_seconds,
            on_end=lambda status: router.account.answered_again(entry, decision, status),
        ).start()
        return True

    def decide_again(self, asked: Asked) -> Decision:
        """Decide over a request once more: its model has left the fleet before anybody answered.

        Raises:
            RequestError: as for the first time.
        """
        router, request = self._router, asked.request
        if asked.operation is local.SHOW:
            return local.show(router, request)
        return route(
            router.fleet,
            asked.operation,
            request.body,
            decode_object(request.body),
            now=router.loop.time(),
            caller=asked.caller,
            wishes=wishes_of(request.headers),
            policy=router.governance.policy,
            seen=self._seen_before(asked),
        )

    def _seen_before(self, asked: Asked) -> Classification | None:
        """What is known of the prompt of a request that is decided over once more; None where it can be looked at."""
        decision, policy = asked.decision, self._router.governance.policy
        if decision.private:
            return Classification(private=True, complex=False, reasons=(decision.reason,))
        if decision.policy is not None and not decision.policy.withdrawn and decision.kind in _LOOKED_AT:
            return Classification(private=False, complex=decision.kind == "complex", reasons=(decision.reason,))
        if policy is not None and (policy.slow or len(asked.request.body) > LONG_BYTES):
            # There is no time for a look by other rules than those that it was let in by.
            return Classification(private=True, complex=False, reasons=("its rules changed while it waited",))
        return None

    def carry_out(self, entry: Entry, decision: Decision, question: Question | None = None) -> None:
        """Do what was decided over a request."""
        router, client, request = self._router, entry.client, entry.request
        self._name(entry, decision)
        if question is not None:
            request.extra_lines += b"X-Paddock-Cache: miss\r\n"
        if decision.call is None:
            router.account.answered_here(request, 200, decision.model.name)
            headers = {"X-Paddock-Model": decision.model.name}
            client.respond(request, 200, encode(decision.answer), headers=headers)
            return
        asked = Asked(
            client,
            request,
            entry.operation,
            decision,
            decision.call,
            router.limits,
            router.loop,
            entry.caller,
            entry.passage,
            question=question,
            books=entry.operation is not local.SHOW,
        )
        if router.traces is not None and asked.books:
            asked.trace = router.traces.begin(
                entry.operation.name,
                str(entry.body["model"]),
                entry.body,
                entry.wishes.trace_parent,
                streamed=decision.call.streamed,
            )
        Exchange(router.account, asked, decision.replica).start()

    def _name(self, entry: Entry, decision: Decision) -> None:
        """Give the request its id, and the answer the lines of its head that are of this request alone."""
        request, assignment = entry.request, decision.assignment
        if assignment is not None:
            request.id = self._router.governance.experiments.request_id(assignment)
        else:
            self._count += 1
            request.id = f"{self._process}-{self._count:x}"
        lines = b"X-Paddock-Request-Id: %b\r\n" % request.id.encode("ascii")
        if decision.reason:
            lines += header_lines([("X-Paddock-Reason", decision.reason[:MOST_REASON_CHARACTERS])])
        if entry.passage.headers:
            lines += header_lines(entry.passage.headers.items())
        request.extra_lines = lines

    def _admit_elsewhere(self, client: ClientConnection, request: Request) -> None:
        """What is no question to a model: lists, descriptions, health, metrics."""
        router, path = self._router, request.path
        own, page = OWN_PATHS.get(path), PAGE_PATHS.get(path)
        told = own or page
        scope = told.scope if told is not None else "admin" if is_administration(path) else _SCOPES.get(path, "chat")
        caller = ANONYMOUS
        if path not in _OPEN and not (path == "/metrics" and router.governance.open_metrics):
            caller = router.governance.access.admit(request, scope, client.address)
        answer = local.LOCAL.get(path)
        if answer is None and path.startswith("/v1/models/"):
            answer = local.one_model
        if answer is not None:
            demand_method(request, "GET", "HEAD")
            router.answer(client, request, *answer(router, request))
        elif own is not None:
            demand_method(request, own.method)
            Pending(router, client, request, self._answer_with(client, request, own.answer(router, request)))
        elif page is not None:
            demand_method(request, page.method)
            page.begin(router, client, request, caller)
        elif is_administration(path):
            Pending(router, client, request, self._change(client, request, caller))
        elif path == "/api/ps":
            demand_method(request, "GET", "HEAD")
            Pending(router, client, request, self._answer_with(client, request, local.ps(router)))
        elif path == "/api/show":
            demand_method(request, "POST")
            shown = Entry(client, request, local.SHOW, {}, caller, NO_WISHES)
            self.carry_out(shown, local.show(router, request))
        else:
            raise RequestError(404, f"there is nothing at {path}", code="unknown_path")

    async def _change(self, client: ClientConnection, request: Request, caller: Caller) -> None:
        if request.method in ("POST", "DELETE"):
            audit = self._router.page.audit
            audit.note(caller.name, client.address, request.path, **names_in(request))
        try:
            await self._administration.carry_out(client, request)
        finally:
            # What a name stands for may have changed, half-way or whole.
            self._router.governance.answers.clear()

    async def _answer_with(self, client: ClientConnection, request: Request, work: Awaitable[local.Answer]) -> None:
        self._router.answer(client, request, *await work)


MOST_REASON_CHARACTERS: Final = 400
LONG_BYTES: Final = 32 * 1024
"""A body beyond this is looked at in a thread, so that nobody else waits for it."""
_LOOKED_AT: Final = frozenset({"routine", "complex", "pinned"})
"""What a decision is called for which the prompt was looked at, and found to be public."""
_OPEN = frozenset({"/healthz", "/readyz", "/"}) | ASSET_PATHS
"""What is answered without a key: it says nothing of the fleet."""
_SCOPES: dict[str, Scope] = {"/metrics": "metrics"}


def demand_method(request: Request, *methods: str) -> None:
    """Refuse a request of another method.

    Raises:
        RequestError: 405.
    """
    if request.method not in methods:
        error = RequestError(405, f"{request.method} is not possible at {request.path}")
        error.headers["Allow"] = ", ".join(methods)
        raise error
