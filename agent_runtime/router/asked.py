"""A request that a model server is to answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from agent_runtime.router.access.caller import ANONYMOUS, Caller
from agent_runtime.router.access.rates import FREE, Passage
from agent_runtime.router.answers.cache import Question
from agent_runtime.router.buffers import Buffers
from agent_runtime.router.dialects.operations import Call, Operation
from agent_runtime.router.fleet_state import ModelState
from agent_runtime.router.http_server import ClientConnection
from agent_runtime.router.limits import Limits
from agent_runtime.router.money.purse import Reservation
from agent_runtime.router.request import Request
from agent_runtime.router.routing import Decision
from agent_runtime.router.traces import RequestTrace


@dataclass(slots=True)
class Asked:
    """A request that a model server is to answer, and all that its answer needs to know of it."""

    client: ClientConnection
    request: Request
    operation: Operation
    decision: Decision
    call: Call
    limits: Limits
    loop: asyncio.AbstractEventLoop
    caller: Caller = ANONYMOUS
    passage: Passage = FREE
    """What its key's rate limits have counted of it."""
    question: Question | None = None
    """What the cache knows it by; None where the cache has nothing to do with it."""
    reservation: Reservation | None = None
    """Money that is set aside for the attempt that is under way."""
    trace: RequestTrace | None = None
    """Its span, where somebody collects traces."""
    books: bool = True
    """Whether what it uses is charged: a question about a model is not."""
    model: ModelState = field(init=False)
    """Who is asked now, by ``call``: first whom the decision says, then another where that one fails."""

    buffers: Buffers = field(init=False)
    """Where it is counted what is kept in memory for it."""
    kept_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.model = self.decision.model
        self.kept_bytes = 0

    def may_keep(self, size_bytes: int) -> bool:
        """Count in what is kept in memory for this request, until it ends. False where there is no room for it."""
        if not self.buffers.take(size_bytes):
            return False
        self.kept_bytes += size_bytes
        return True
