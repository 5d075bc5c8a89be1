"""Ollama's answers in OpenAI's words."""

from __future__ import annotations

import base64
import json
import re
import secrets
import struct
import time
from typing import Any, cast

from agent_runtime.router.dialects.compact import encode
from agent_runtime.router.dialects.errors import BadReplyError
from agent_runtime.router.dialects.framing import LineSplitter
from agent_runtime.router.dialects.logprobs import to_chat, to_completion
from agent_runtime.router.dialects.pattern import INSIDE
from agent_runtime.router.dialects.replies import ReplyTranslator, decode_reply, section, sections
from agent_runtime.router.dialects.usage import Usage, usage_of_ollama

_LINE_BEGINS = rb'\{"model":"' + INSIDE + rb'","created_at":"[^"\\]*",'
_CHAT_TEXT = re.compile(
    _LINE_BEGINS + rb'"message":\{"role":"assistant","content":"(' + INSIDE + rb')"\},"done":false\}'
)
_GENERATED_TEXT = re.compile(_LINE_BEGINS + rb'"response":"(' + INSIDE + rb')","done":false\}')
"""Lines with text and nothing else, as Ollama writes them."""


class _FromOllama(ReplyTranslator):
    """Reads lines; one id and one creation time for the whole answer, as OpenAI's clients expect."""

    dialect = "openai"
    stream_type = b"text/event-stream"
    kind = ""
    id_prefix = ""

    def __init__(self, model: str, *, include_usage: bool = False) -> None:
        super().__init__()
        self._model = model
        self._include_usage = include_usage
        self._id = f"{self.id_prefix}{secrets.token_hex(12)}"
        self._created = int(time.time())
        self._lines = LineSplitter()
        self._calls_seen = 0

    def _split(self, data: bytes) -> list[bytes]:
        return [line for line in self._lines.feed(data) if line]

    def _end(self) -> bytes:
        rest = self._lines.rest()
        return self._part(rest) if rest else b""

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._model}

    def _event(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        chunk = {**self._head(f"{self.kind}.chunk" if self.id_prefix == "chatcmpl-" else self.kind)}
        return b"data: " + encode({**chunk, "choices": choices, **more}) + b"\n\n"

    def _finish_reason(self, reply: dict[str, Any]) -> str:
        if self._calls_seen:
            return "tool_calls"
        reason: object = reply.get("done_reason")
        return reason if reason in ("stop", "length") else "stop"  # type: ignore[return-value]

    def _closing(self, reply: dict[str, Any], choice: dict[str, Any]) -> bytes:
        """The last events of a stream: why it ended, what it took for who asked, and the end mark."""
        self.usage = usage_of_ollama(reply)
        self.complete = True
        events = [self._event([choice])]
        if self._include_usage:
            events.append(self._event([], usage=_usage_fields(self.usage)))
        events.append(b"data: [DONE]\n\n")
        return b"".join(events)


class ChatToOpenAI(_FromOllama):
    """/api/chat as /v1/chat/completions."""

    kind = "chat.completion"
    id_prefix = "chatcmpl-"

    def __init__(self, model: str, *, include_usage: bool = False) -> None:
        super().__init__(model, include_usage=include_usage)
        self._begun = False
        head = encode(self._head(f"{self.kind}.chunk"))
        self._before_text = b"data: " + head[:-1] + b',"choices":[{"index":0,"delta":{"content":"'

    def _part(self, payload: bytes) -> bytes:
        if self._begun and (said := _CHAT_TEXT.fullmatch(payload)) is not None:
            # What nearly every line is. The text is the JSON string that it was.
            return self._before_text + said[1] + b'"},"finish_reason":null}]}\n\n' if said[1] else b""
        reply = decode_reply(payload)
        message = section(reply.get("message"))
        delta: dict[str, Any] = {}
        if not self._begun:
            delta["role"] = "assistant"
            self._begun = True
        if message.get("thinking"):
            delta["reasoning_content"] = message["thinking"]
        if message.get("content"):
            delta["content"] = message["content"]
        calls = self._calls(message)
        if calls:
            delta["tool_calls"] = calls
        logprobs = to_chat(reply)
        if not reply.get("done"):
            if not delta and not logprobs:
                return b""
            return self._event([{"index": 0, "delta": delta, **logprobs, "finish_reason": None}])
        said = self._event([{"index": 0, "delta": delta, **logprobs, "finish_reason": None}]) if delta else b""
        return said + self._closing(reply, {"index": 0, "delta": {}, "finish_reason": self._finish_reason(reply)})

    def _calls(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        """Tool calls with running numbers over the whole answer, and ids that do not repeat."""
        made: list[dict[str, Any]] = []
        for call in sections(message.get("tool_calls")):
            function = section(call.get("function"))
            made.append(
                {
                    "index": self._calls_seen,
                    "id": call.get("id") or f"call_{secrets.token_hex(8)}",
                    "type": "function",
                    "function": {
                        "name": function.get("name", ""),
                        "arguments": json.dumps(function.get("arguments") or {}, ensure_ascii=False),
                    },
                }
            )
            self._calls_seen += 1
        return made

    def _whole(self, reply: dict[str, Any]) -> dict[str, Any]:
        _demand_done(reply)
        said = section(reply.get("message"))
        message: dict[str, Any] = {"role": "assistant", "content": said.get("content") or ""}
        if said.get("thinking"):
            message["reasoning_content"] = said["thinking"]
        calls = self._calls(said)
        if calls:
            message["tool_calls"] = [{name: value for name, value in call.items() if name != "index"} for call in calls]
            message["content"] = message["content"] or None
        self.usage = usage_of_ollama(reply)
        choice = {
            "index": 0,
            "message": message,
            **to_chat(reply),
            "finish_reason": self._finish_reason(reply),
        }
        return {**self._head(self.kind), "choices": [choice], "usage": _usage_fields(self.usage)}


class CompletionToOpenAI(_FromOllama):
    """/api/generate as /v1/completions."""

    kind = "text_completion"
    id_prefix = "cmpl-"

    def __init__(self, model: str, *, include_usage: bool = False) -> None:
        super().__init__(model, include_usage=include_usage)
        self._before_text = b"data: " + encode(self._head(self.kind))[:-1] + b',"choices":[{"text":"'
        self._said_characters = 0
        """How long the text is so far, where it comes with the chances of its tokens."""

    def _part(self, payload: bytes) -> bytes:
        if (said := _GENERATED_TEXT.fullmatch(payload)) is not None:
            after = b'","index":0,"logprobs":null,"finish_reason":null}]}\n\n'
            return self._before_text + said[1] + after if said[1] else b""
        reply = decode_reply(payload)
        text = reply.get("response") or ""
        logprobs = to_completion(reply, self._said_characters)
        self._said_characters += len(text)
        choice = {"text": text, "index": 0, "logprobs": logprobs, "finish_reason": None}
        if reply.get("done"):
            return self._closing(reply, {**choice, "finish_reason": self._finish_reason(reply)})
        return self._event([choice]) if text else b""

    def _whole(self, reply: dict[str, Any]) -> dict[str, Any]:
        _demand_done(reply)
        self.usage = usage_of_ollama(reply)
        choice = {
            "text": reply.get("response") or "",
            "index": 0,
            "logprobs": to_completion(reply),
            "finish_reason": self._finish_reason(reply),
        }
        return {**self._head(self.kind), "choices": [choice], "usage": _usage_fields(self.usage)}


class EmbeddingToOpenAI(_FromOllama):
    """/api/embed as /v1/embeddings."""

    kind = "list"

    def __init__(self, model: str, *, as_base64: bool) -> None:
        super().__init__(model)
        self._as_base64 = as_base64

    def _whole(self, reply: dict[str, Any]) -> dict[str, Any]:
        vectors = cast("list[list[float]]", reply.get("embeddings") or [])
        self.usage = usage_of_ollama(reply)
        data = [
            {"object": "embedding", "index": index, "embedding": _packed(v) if self._as_base64 else v}
            for index, v in enumerate(vectors)
        ]
        tokens = self.usage.prompt_tokens
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": data, "model": self._model, "usage": usage}


def _demand_done(reply: dict[str, Any]) -> None:
    if reply.get("done") is not True:
        raise BadReplyError("the model server's answer is not marked as done")


def _packed(vector: list[float]) -> str:
    """Floats as OpenAI's SDK asks for them: 32 bits each, little-endian, in base64."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _usage_fields(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
