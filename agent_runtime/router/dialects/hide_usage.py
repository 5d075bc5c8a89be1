"""OpenAI's stream as it is, less the counts that the router asked for and the client did not."""

from __future__ import annotations

import json
from typing import Any

from agent_runtime.router.dialects.errors import BadReplyError
from agent_runtime.router.dialects.framing import EventSplitter
from agent_runtime.router.dialects.replies import ReplyTranslator, section
from agent_runtime.router.dialects.usage import usage_of_openai


class HideUsage(ReplyTranslator):
    """Passes events on word for word, and keeps the one that has usage and no choices for the account."""

    dialect = "openai"
    stream_type = b"text/event-stream"

    def __init__(self) -> None:
        super().__init__()
        self._events = EventSplitter()

    def _split(self, data: bytes) -> list[bytes]:
        return self._events.feed(data)

    def _part(self, payload: bytes) -> bytes:
        if payload == b"[DONE]":
            self.complete = True
        elif b'"usage"' in payload:
            reply: object
            try:
                reply = json.loads(payload)
            except ValueError as error:
                raise BadReplyError(f"the model server sent what is not JSON: {error}") from error
            usage = section(section(reply).get("usage"))
            if usage:
                self.usage = usage_of_openai(usage, {})
                if not section(reply).get("choices"):
                    return b""
        return b"data: " + payload.replace(b"\n", b"\ndata: ") + b"\n\n"

    def _whole(self, reply: dict[str, Any]) -> dict[str, Any]:
        return reply
