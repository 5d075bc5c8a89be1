"""Chooses the way in which an answer reaches the client."""

from __future__ import annotations

from agent_runtime.router.asked import Asked
from agent_runtime.router.collect import Collect
from agent_runtime.router.delivery import Delivery, Fault, Reframe, Relay, Translate
from agent_runtime.router.dialects.operations import engine_dialect
from agent_runtime.router.dialects.replies import ReplyTranslator
from agent_runtime.router.http_head import ReplyHead


def deliver(
    asked: Asked,
    head: ReplyHead,
    names: dict[str, str],
    fault: Fault,
    translator: ReplyTranslator | None,
) -> Delivery:
    """Choose the way for an answer with this head. ``names`` are headers that say who answered."""
    same_dialect = engine_dialect(asked.model.entry.engine) == asked.operation.dialect
    if translator is not None and not (head.status >= 400 and same_dialect):
        if head.status < 400 and asked.call.streamed:
            return Translate(asked, head, names, fault, translator)
        return Collect(asked, head, names, fault, translator)
    if asked.call.in_pieces and head.is_stream:
        return Collect(asked, head, names, fault, None)
    if head.length is not None:
        if head.length <= asked.limits.whole_reply_bytes:
            return Collect(asked, head, names, fault, None)
        return Relay(asked, head, names, fault)
    if head.chunked and asked.request.version == "1.1":
        return Relay(asked, head, names, fault)
    return Reframe(asked, head, names, fault)
