"""Whether an answer is whole and good enough to be given again."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final, cast

from agent_runtime.router.dialects.operations import Operation
from agent_runtime.router.dialects.replies import sections

_GOOD_ENDS: Final = frozenset({"stop", "length", "tool_calls", "function_call"})
"""Reasons to end that the request itself brings about. A filter of the provider's, or one that nobody knows, may
judge otherwise the next time."""
_FAILED: Final = re.compile(rb'^(?:error:|(?:data:)?\s*\{\s*"error"\s*:)', re.MULTILINE)
"""An error as a line or an event of its own."""
_ENDED: Final = re.compile(rb'"finish_reason"\s*:\s*"')
"""Text that a model wrote cannot pass for it: inside a JSON string its quotes are escaped."""


@dataclass(frozen=True, slots=True)
class Whole:
    """An answer that is whole."""

    reply_id: str | None = None
    """The id that OpenAI's dialect gives it."""


def whole(operation: Operation, body: bytes, *, streamed: bool, choices: int) -> Whole | None:
    """Look an answer over, as its client got it, framing removed. None: it is not to be given again.

    Args:
        operation: What was asked.
        body: The answer.
        streamed: Whether it is a stream.
        choices: How many replies were asked for.
    """
    if _FAILED.search(body):
        return None
    if operation.name in ("embed", "embeddings"):
        # Megabytes of numbers are not decoded to be looked at: HTTP has said that all of them came.
        ends_well = body.lstrip().startswith(b"{") and body.rstrip().endswith(b"}")
        return Whole() if ends_well and re.search(rb'"embeddings?"\s*:\s*(?:\[\s*[^\]\s]|")', body) else None
    if operation.dialect == "ollama":
        return _whole_of_ollama(body.rstrip().rpartition(b"\n")[2] if streamed else body)
    return _stream_of_openai(body, choices) if streamed else _whole_of_openai(body, choices)


def _whole_of_ollama(last: bytes) -> Whole | None:
    reply = _decoded(last)
    good = reply is not None and reply.get("done") is True and reply.get("done_reason") in _GOOD_ENDS
    return Whole() if good else None


def _whole_of_openai(body: bytes, choices: int) -> Whole | None:
    reply = _decoded(body)
    if reply is None:
        return None
    found = sections(reply.get("choices"))
    if len(found) != choices or any(choice.get("finish_reason") not in _GOOD_ENDS for choice in found):
        return None
    return Whole(_id(reply))


def _stream_of_openai(body: bytes, choices: int) -> Whole | None:
    events = [line[5:].strip() for line in body.splitlines() if line.startswith(b"data:")]
    if len(events) < 2 or events[-1] != b"[DONE]":
        return None
    first = _decoded(events[0])
    if first is None:
        return None
    ends: dict[int, object] = {}
    for event in events[:-1]:
        if _ENDED.search(event):
            for choice in sections((_decoded(event) or {}).get("choices")):
                if choice.get("finish_reason") is not None:
                    ends[choice.get("index", 0)] = choice["finish_reason"]
    if len(ends) != choices or any(reason not in _GOOD_ENDS for reason in ends.values()):
        return None
    return Whole(_id(first))


def _decoded(text: bytes) -> dict[str, Any] | None:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _id(reply: dict[str, Any]) -> str | None:
    found: object = reply.get("id")
    return found if isinstance(found, str) else None
