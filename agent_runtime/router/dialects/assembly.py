"""One answer in one piece, of a llama.cpp server that was asked for it in pieces.

A llama.cpp server that is asked for a whole answer says nothing until its end, and cannot be told from one that
hangs; it goes on computing to the end when its client leaves meanwhile. Asked for a stream it stops at once, and can
be seen to be at work. So it is asked for a stream, and who wants the answer whole gets the stream put together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent_runtime.router.dialects.call_pieces import CallPieces
from agent_runtime.router.dialects.compact import decode, encode
from agent_runtime.router.dialects.errors import BadReplyError
from agent_runtime.router.dialects.framing import EventSplitter
from agent_runtime.router.dialects.pattern import TextPattern
from agent_runtime.router.dialects.replies import decode_reply, section, sections
from fleet_spec.contract import EngineName

_KINDS: Final = {"/v1/chat/completions": "chat.completion", "/v1/completions": "text_completion"}
_ONLY_WHOLE: Final = frozenset(
    {
        *("best_of", "echo", "n_probs", "response_fields", "return_progress", "return_tokens", "timings_per_token"),
        "functions",
    }
)
"""What makes a stream say more, or less, than the whole answer."""
_SHORT_TOKENS: Final = 32
"""An answer of so few tokens is over before much could be saved by stopping it."""
_TEXTS: Final = ("content", "reasoning_content", "text")
_ERROR_MARKS: Final = (b"error:", b'data: {"error"')


def asked_in_pieces(engine: EngineName, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
    """A request for a whole answer as one for a stream; None where that would gain nothing, or not say all."""
    if engine != "llamacpp" or path not in _KINDS or body.get("n") not in (None, 1) or not _ONLY_WHOLE.isdisjoint(body):
        return None
    if path == "/v1/completions" and not isinstance(body.get("prompt"), str):
        return None
    limit: object = body.get("max_completion_tokens") or body.get("max_tokens") or body.get("n_predict")
    if isinstance(limit, int) and 0 < limit <= _SHORT_TOKENS:
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


class Assembly(Collection):
    """Takes a stream in, and gives the answer that the server would have given in one piece."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._kind = _KINDS[path]
        self._head: dict[str, Any] = {}
        self._role = "assistant"
        self._texts: dict[str, list[bytes]] = {}
        """The pieces of what is said, by field, as JSON writes them between quotation marks."""
        self._patterns = {name: TextPattern(name.encode()) for name in _TEXTS}
        self._calls = CallPieces()
        self._logprobs: list[Any] = []
        self._finish_reason: str | None = None
        self._end: dict[str, Any] = {}

    def feed(self, data: bytes) -> None:
        """Take in more of the stream.

        Raises:
            BadReplyError: it is an error.
        """
        self._parts.append(data)
        if data.startswith(_ERROR_MARKS):
            for payload in EventSplitter().feed(data):
                decode_reply(payload)

    def body(self) -> bytes:
        """The whole answer.

        Raises:
            BadReplyError: the stream ended before the answer did, is an error, or cannot be read.
        """
        if not self._read(EventSplitter().feed(super().body())):
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

    def _read(self, payloads: list[bytes]) -> bool:
        """Take events in up to the end mark. False where there is none."""
        for payload in payloads:
            for name, pattern in self._patterns.items():
                text = pattern.text_in(payload)
                if text is not None:
                    self._texts.setdefault(name, []).append(text)
                    break
            else:
                if payload == b"[DONE]":
                    return True
                self._take(payload)
        return False

    def _take(self, payload: bytes) -> None:
        chunk = decode_reply(payload)
        if not self._head:
            self._head = chunk
        if "usage" in chunk or "timings" in chunk:
            self._end |= chunk
        for choice in sections(chunk.get("choices")):
            self._finish_reason = choice.get("finish_reason") or self._finish_reason
            logprobs = sections(section(choice.get("logprobs")).get("content"))
            self._logprobs += logprobs
            said = section(choice.get("delta")) or choice
            for name, value in said.items():
                if name in _TEXTS and isinstance(value, str):
                    self._texts.setdefault(name, []).append(encode(value)[1:-1])
                    if not (logprobs or choice.get("finish_reason") or "usage" in chunk or "tool_calls" in said):
                        self._patterns[name].learn(payload)
                elif name == "role":
                    self._role = value
                elif name == "tool_calls":
                    for piece in sections(value):
                        self._calls.take(piece)

    def _choice(self) -> dict[str, Any]:
        said = {name: decode(b'"%b"' % b"".join(pieces)) for name, pieces in self._texts.items()}
        logprobs = {"content": self._logprobs} if self._logprobs else None
        if self._kind == "text_completion":
            text = said.get("text", "")
            return {"text": text, "index": 0, "logprobs": logprobs, "finish_reason": self._finish_reason}
        calls = self._calls.whole()
        message: dict[str, Any] = {"role": self._role, "content": None if calls else "", **said}
        if calls:
            message["tool_calls"] = calls
        choice: dict[str, Any] = {"finish_reason": self._finish_reason, "index": 0, "message": message}
        return choice if logprobs is None else {**choice, "logprobs": logprobs}
