"""OpenAI's answers in Ollama's words."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from agent_runtime.router.dialects.call_pieces import CallPieces
from agent_runtime.router.dialects.compact import encode
from agent_runtime.router.dialects.errors import BadReplyError
from agent_runtime.router.dialects.framing import EventSplitter
from agent_runtime.router.dialects.logprobs import to_ollama
from agent_runtime.router.dialects.pattern import TextPattern
from agent_runtime.router.dialects.replies import ReplyTranslator, decode_reply, section, sections
from agent_runtime.router.dialects.spoken import text_and_thinking
from agent_runtime.router.dialects.usage import Usage, usage_of_openai

_DONE_REASONS = {"length": "length", "content_filter": "content_filter"}


class _FromOpenAI(ReplyTranslator):
    """Reads events. Keeps counts, times and half-said tool calls until the answer ends."""

    dialect = "ollama"
    stream_type = b"application/x-ndjson"

    def __init__(self, model: str, *, clock_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        super().__init__()
        self._model = model
        self._clock_ns = clock_ns
        self._begun_ns = clock_ns()
        self._first_ns: int | None = None
        self._events = EventSplitter()
        self._usage_fields: dict[str, Any] = {}
        self._timings: dict[str, Any] = {}
        self._finish_reason: str | None = None
        self._calls = CallPieces()
        self._pattern = TextPattern(b"content", b"text")
        self._before_time = b'{"model":' + encode(model) + b',"created_at":"'
        self._before_string = b""
        """Everything before the text of a line, with the time of the last read."""

    # What the shapes of chat and generate differ in:

    _before_text = b""
    _after_text = b""

    def _said(self, text: str, thinking: str, calls: list[dict[str, Any]]) -> dict[str, Any]:
        raise NotImplementedError

    def _split(self, data: bytes) -> list[bytes]:
        self._before_string = self._before_time + timestamp().encode() + self._before_text + b'"'
        return self._events.feed(data)

    def _part(self, payload: bytes) -> bytes:
        text = self._pattern.text_in(payload)
        if text:
            # Text and nothing else is what nearly every event is.
            return self._before_string + text + b'"' + self._after_text
        if payload == b"[DONE]":
            return self._done_line()
        return self._event(payload)

    def _event(self, payload: bytes) -> bytes:
        try:
            chunk = self._as_openai(decode_reply(payload))
        except BadReplyError as error:
            # What was computed until then is charged by the server, which may say how much that is.
            if "usage" in error.reply:
                self._note(error.reply)
                self.usage = usage_of_openai(self._usage_fields, {})
            raise
        if "usage" in chunk or "timings" in chunk:
            self._note(chunk)
        choices = sections(chunk.get("choices"))
        if not choices:
            return b""
        choice = choices[0]
        delta = section(choice.get("delta"))
        text, thinking = text_and_thinking(delta, choice)
        if "tool_calls" in delta:
            for piece in sections(delta["tool_calls"]):
                self._calls.take(piece)
        if choice.get("finish_reason"):
            self._finish_reason = choice["finish_reason"]
        if not text and not thinking:
            return b""
        if self._first_ns is None:
            self._first_ns = self._clock_ns()
        logprobs = to_ollama(choice)
        if not (thinking or logprobs or delta.get("tool_calls") or choice.get("finish_reason")):
            self._pattern.learn(payload)
        return self._line(self._said(text, thinking, []), done=False, **logprobs)

    def _end(self) -> bytes:
        rest = self._events.rest()
        if rest in (b"[DONE]", b"data: [DONE]"):
            return self._done_line()
        # Some servers end a stream without the mark; a reason to finish says as much.
        return self._done_line() if self._finish_reason and not rest else b""

    def _whole(self, reply: dict[str, Any]) -> dict[str, Any]:
        reply = self._as_openai(reply)
        self._note(reply)
        choices = sections(reply.get("choices"))
        if not choices:
            raise BadReplyError("the model server's answer has no choices")
        choice = choices[0]
        message = section(choice.get("message"))
        self._finish_reason = choice.get("finish_reason")
        for index, call in enumerate(sections(message.get("tool_calls"))):
            self._calls.take({"index": index, **call})
        text, thinking = text_and_thinking(message, choice)
        said = self._said(text, thinking, self._calls.taken_out())
        return {**self._line_head(), **said, **to_ollama(choice), **self._done_fields()}

    def _as_openai(self, reply: dict[str, Any]) -> dict[str, Any]:
        """What an engine said, if it said it in another shape than OpenAI's."""
        return reply

    def _note(self, reply: Mapping[str, Any]) -> None:
        if isinstance(reply.get("usage"), dict):
            self._usage_fields = reply["usage"]
        if isinstance(reply.get("timings"), dict):
            self._timings = reply["timings"]

    def _done_line(self) -> bytes:
        calls = self._calls.taken_out()
        called = self._line(self._said("", "", calls), done=False) if calls else b""
        fields = self._done_fields()
        self.complete = True
        return called + self._line(self._said("", "", []), **fields)

    def _done_fields(self) -> dict[str, Any]:
        now_ns = self._clock_ns()
        self.usage = usage_of_openai(self._usage_fields, self._timings)
        return {
            "done": True,
            "done_reason": _DONE_REASONS.get(self._finish_reason or "", "stop"),
            **_durations(self._timings, self.usage, self._begun_ns, self._first_ns, now_ns),
        }

    def _line_head(self) -> dict[str, Any]:
        return {"model": self._model, "created_at": timestamp()}

    def _line(self, said: dict[str, Any], **fields: Any) -> bytes:
        return encode({**self._line_head(), **said, **fields}) + b"\n"


class ChatToOllama(_FromOpenAI):
    """/v1/chat/completions as /api/chat."""

    _before_text = b'","message":{"role":"assistant","content":'
    _after_text = b'},"done":false}\n'

    def _said(self, text: str, thinking: str, calls: list[dict[str, Any]]) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if thinking:
            message["thinking"] = thinking
        if calls:
            message["tool_calls"] = calls
        return {"message": message}


class GenerateToOllama(_FromOpenAI):
    """/v1/chat/completions or /v1/completions as /api/generate."""

    _before_text = b'","response":'
    _after_text = b',"done":false}\n'

    def _said(self, text: str, thinking: str, calls: list[dict[str, Any]]) -> dict[str, Any]:
        said: dict[str, Any] = {"response": text}
        if thinking:
            said["thinking"] = thinking
        if calls:
            said["tool_calls"] = calls
        return said


class EmbedToOllama(_FromOpenAI):
    """/v1/embeddings as /api/embed, or as the older /api/embeddings, which takes one text at a time."""

    def __init__(self, model: str, *, single: bool, dimensions: int = 0) -> None:
        """``dimensions``: how many the vectors are cut to, as Ollama does; 0 leaves them whole."""
        super().__init__(model)
        self._single = single
        self._dimensions = dimensions

    def _whole(self, reply: dict[str, Any]) -> dict[str, Any]:
        rows = sorted(sections(reply.get("data")), key=lambda row: row.get("index", 0))
        vectors = [_cut(row.get("embedding"), self._dimensions) for row in rows]
        self.usage = usage_of_openai(section(reply.get("usage")), {})
        if self._single:
            return {"embedding": vectors[0] if vectors else []}
        return {
            "model": self._model,
            "embeddings": vectors,
            "total_duration": self._clock_ns() - self._begun_ns,
            "load_duration": 0,
            "prompt_eval_count": self.usage.prompt_tokens,
        }


def without_work(model: str, *, chat: bool, unload: bool) -> dict[str, Any]:
    """The answer to a request that only loads or unloads a model, for engines whose model is always there."""
    said: dict[str, Any] = {"message": {"role": "assistant", "content": ""}} if chat else {"response": ""}
    reason = "unload" if unload else "load"
    return {"model": model, "created_at": timestamp(), **said, "done": True, "done_reason": reason}


def timestamp() -> str:
    """Now, as Ollama writes it."""
    return datetime.now(UTC).isoformat()[:-6] + "Z"


def _cut(vector: Any, dimensions: int) -> Any:
    """The first dimensions of a vector, at length 1 again."""
    if not isinstance(vector, list):
        return vector
    values = cast("list[float]", vector)
    if not 0 < dimensions < len(values):
        return values
    kept = values[:dimensions]
    length = math.sqrt(sum(value * value for value in kept)) or 1.0
    return [value / length for value in kept]


def _durations(
    timings: dict[str, Any], usage: Usage, begun_ns: int, first_ns: int | None, now_ns: int
) -> dict[str, int]:
    """Ollama's counts and times, in nanoseconds: llama.cpp's own, else as the router saw them."""
    prompt_ms, predicted_ms = timings.get("prompt_ms"), timings.get("predicted_ms")
    if isinstance(prompt_ms, int | float) and isinstance(predicted_ms, int | float):
        prompt_ns, eval_ns = int(prompt_ms * 1e6), int(predicted_ms * 1e6)
    else:
        until = first_ns if first_ns is not None else now_ns
        prompt_ns, eval_ns = until - begun_ns, now_ns - until
    return {
        "total_duration": now_ns - begun_ns,
        "load_duration": 0,
        "prompt_eval_count": usage.prompt_tokens,
        "prompt_eval_duration": prompt_ns,
        "eval_count": usage.completion_tokens,
        "eval_duration": eval_ns,
    }
