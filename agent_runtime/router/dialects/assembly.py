"""One answer in one piece, of a llama.cpp server that was asked for it in pieces.

A llama.cpp server that is asked for a whole answer computes it to its end, whether or not anybody still waits
for it, and says nothing meanwhile. Asked for a stream it stops when its client leaves, and can be seen to be
at work. So it is always asked for a stream, and who wants the answer whole gets the stream put together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent_runtime.router.dialects.compact import encode
from agent_runtime.router.dialects.errors import BadReplyError
from agent_runtime.router.dialects.framing import EventSplitter
from agent_runtime.router.dialects.replies import decode_reply, section, sections
from fleet_spec.contract import EngineName

_KINDS: Final = {"/v1/chat/completions": "chat.completion", "/v1/completions": "text_completion"}
_ONLY_WHOLE: Final = frozenset(
    {
        *("best_of", "echo", "n_probs", "response_fields", "return_progress", "return_tokens", "timings_per_token"),
        *("tools", "functions", "response_format", "json_schema", "grammar"),
    }
)
"""What makes a stream say more, or less, than the whole answer: of an answer that has to have a form, llama.cpp
leaves out of a stream what it cannot make sense of yet."""


def asked_in_pieces(engine: EngineName, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
    """A request for a whole answer as one for a stream; None where a stream would not say all that is asked for."""
    if engine != "llamacpp" or path not in _KINDS or body.get("n") not in (None, 1) or not _ONLY_WHOLE.isdisjoint(body):
        return None
    if path == "/v1/completions" and not isinstance(body.get("prompt"), str):
        return None
    return {**body, "stream": True, "stream_options": {"include_usage": True}}


class Collection:
    """Takes an answer in, and gives it as it came."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Take in more."""
        self._parts.append(data)

    def body(self) -> bytes:
        """All of it."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)


class Assembly:
    """Takes a stream in, and gives the answer that the server would have given in one piece."""

    def __init__(self, path: str) -> None:
        self._kind = _KINDS[path]
        self._events = EventSplitter()
        self._head: dict[str, Any] = {}
        self._role = "assistant"
        self._texts: dict[str, list[str]] = {}
        """The pieces of what is said, by field: content, reasoning_content, or text."""
        self._logprobs: list[Any] = []
        self._finish_reason: str | None = None
        self._end: dict[str, Any] = {}
        self._complete = False

    def feed(self, data: bytes) -> None:
        """Take in more of the stream.

        Raises:
            BadReplyError: it is an error, or cannot be read.
        """
        for payload in self._events.feed(data):
            if payload == b"[DONE]":
                self._complete = True
            elif not self._complete:
                self._take(decode_reply(payload))

    def body(self) -> bytes:
        """The whole answer.

        Raises:
            BadReplyError: the stream ended before the answer did.
        """
        if not self._complete:
            raise BadReplyError("the model server broke its answer off")
        return encode(
            {
                "choices": [self._choice()],
                "created": self._head.get("created"),
                "model": self._head.get("model"),
                "system_fingerprint": self._head.get("system_fingerprint"),
                "object": self._kind,
                "usage": self._end.get("usage"),
                "id": self._head.get("id"),
                "timings": self._end.get("timings"),
            }
        )

    def _take(self, chunk: dict[str, Any]) -> None:
        if not self._head:
            self._head = chunk
        if "usage" in chunk or "timings" in chunk:
            self._end |= chunk
        for choice in sections(chunk.get("choices")):
            self._finish_reason = choice.get("finish_reason") or self._finish_reason
            self._logprobs += section(choice.get("logprobs")).get("content") or []
            for name, value in (section(choice.get("delta")) or choice).items():
                if name in ("content", "reasoning_content", "text") and isinstance(value, str):
                    self._texts.setdefault(name, []).append(value)
                elif name == "role":
                    self._role = value

    def _choice(self) -> dict[str, Any]:
        said = {name: "".join(pieces) for name, pieces in self._texts.items()}
        logprobs = {"content": self._logprobs} if self._logprobs else None
        if self._kind == "text_completion":
            text = said.get("text", "")
            return {"text": text, "index": 0, "logprobs": logprobs, "finish_reason": self._finish_reason}
        message: dict[str, Any] = {"role": self._role, "content": "", **said}
        choice: dict[str, Any] = {"finish_reason": self._finish_reason, "index": 0, "message": message}
        return choice if logprobs is None else {**choice, "logprobs": logprobs}
