"""OpenAI's stream as it is, less the counts that the router asked for and the client did not."""

from __future__ import annotations

import re
from typing import Any, Final

from agent_runtime.router.dialects.compact import decode
from agent_runtime.router.dialects.errors import BadReplyError
from agent_runtime.router.dialects.framing import EventSplitter
from agent_runtime.router.dialects.replies import ReplyTranslator, section
from agent_runtime.router.dialects.usage import usage_of_openai

_COUNTS: Final = re.compile(rb'"usage"\s*:\s*\{')
"""Text cannot pass for counts: its quotation marks are escaped."""


def _to_read(data: bytes) -> bool:
    """Whether there may be counts, or the end, in events."""
    return b"[DONE]" in data or (b'"usage"' in data and _COUNTS.search(data) is not None)


class HideUsage(ReplyTranslator):
    """Passes events on word for word, and keeps the one that has usage and no choices for the account."""

    dialect = "openai"
    stream_type = b"text/event-stream"

    def __init__(self) -> None:
        super().__init__()
        self._events = EventSplitter()

    def feed(self, data: bytes) -> bytes:
        """As for every translation. Whole events without counts, which nearly all are, stay the bytes they are."""
        going_on = self.failure is None and not self.complete and self._events.empty
        if going_on and data.endswith(b"\n\n") and not _to_read(data):
            return data
        return super().feed(data)

    def _split(self, data: bytes) -> list[bytes]:
        return self._events.feed(data)

    def _part(self, payload: bytes) -> bytes:
        if payload == b"[DONE]":
            self.complete = True
        elif _to_read(payload):
            reply: object
            try:
                reply = decode(payload)
            except (ValueError, RecursionError) as error:
                raise BadReplyError(f"the model server sent what is not JSON: {error}") from error
            usage = section(section(reply).get("usage"))
            if usage:
                self.usage = usage_of_openai(usage, {})
                if not section(reply).get("choices"):
                    return b""
        return b"data: " + payload.replace(b"\n", b"\ndata: ") + b"\n\n"

    def _whole(self, reply: dict[str, Any]) -> dict[str, Any]:
        return reply
