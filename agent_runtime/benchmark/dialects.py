"""What is sent to a model server, and what its stream says, in OpenAI's dialect and in Ollama's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

import orjson

from agent_runtime.benchmark.http_stream import Exchange, Failure
from agent_runtime.benchmark.prompts import Prompt

Dialect = Literal["openai", "ollama"]
PATHS: Final[dict[Dialect, str]] = {"openai": "/v1/chat/completions", "ollama": "/api/chat"}
_NANOSECONDS: Final = 1e9
_DETAIL_CHARACTERS: Final = 200
_DONE: Final = b"[DONE]"
_OK: Final = 200
_WRITTEN: Final = ("content", "reasoning_content", "reasoning", "thinking", "tool_calls")
"""What counts as a token that came, in both dialects: text, thought, a call of a tool."""


@dataclass(slots=True)
class Reply:
    """What a stream said. Times are the clock's."""

    token_times: list[float] = field(default_factory=list[float])
    """When each piece with text, thought or a call of a tool came. A piece may hold several tokens."""
    prompt_tokens: int | None = None
    """As the engine counts."""
    output_tokens: int | None = None
    """As the engine counts: text, thought and calls of tools."""
    finish_reason: str | None = None
    load_seconds: float | None = None
    """How long the engine loaded the model for it, where the engine says."""
    prefill_tokens_per_second: float | None = None
    """The engine's own account, without the network."""
    decode_tokens_per_second: float | None = None
    failure: Failure | None = None


def request_body(
    dialect: Dialect, model: str, prompt: Prompt, *, max_tokens: int, seed: int, ignore_eos: bool
) -> bytes:
    """A request for a streamed reply of ``max_tokens`` at most, or exactly with ``ignore_eos``; temperature 0."""
    if dialect == "ollama":
        body: dict[str, Any] = {
            "model": model,
            "messages": prompt.messages,
            "stream": True,
            "options": {"num_predict": max_tokens, "temperature": 0, "seed": seed},
        }
        return orjson.dumps(body)
    body = {
        "model": model,
        "messages": prompt.messages,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": max_tokens,
        "temperature": 0,
        "seed": seed,
    }
    if ignore_eos:
        body["ignore_eos"] = True
    return orjson.dumps(body)


def read_reply(dialect: Dialect, exchange: Exchange) -> Reply:
    """What an exchange's stream said, and whether it is a whole reply."""
    reply = Reply(failure=exchange.failure)
    if reply.failure is None and exchange.status != _OK:
        reply.failure = Failure(f"http_{exchange.status}", _message(exchange.body))
        return reply
    ended = False
    try:
        for at, line in _lines(exchange):
            ended = (_openai_line if dialect == "openai" else _ollama_line)(reply, at, line) or ended
    except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
        reply.failure = reply.failure or Failure("invalid", f"the stream cannot be read: {error}")
    if reply.failure is None and not ended and reply.finish_reason is None:
        reply.failure = Failure("broke_off", "the stream stopped before its end")
    if reply.failure is None and not reply.token_times:
        reply.failure = Failure("empty", "the reply is whole and has no token")
    return reply


def _lines(exchange: Exchange) -> Iterator[tuple[float, bytes]]:
    """Each line with the time at which its end came."""
    rest = b""
    at = exchange.ended_at
    for at, data in exchange.pieces:
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            yield at, line
    if rest:
        yield at, rest


def _openai_line(reply: Reply, at: float, line: bytes) -> bool:
    """Take a line of server-sent events in; whether it is the last."""
    if not line.startswith(b"data:"):
        return False
    data = line[5:].strip()
    if data == _DONE:
        return True
    event: Any = orjson.loads(data)
    if event.get("error"):
        reply.failure = Failure("engine", _message(data))
        return True
    for choice in event.get("choices") or ():
        delta: Any = choice.get("delta") or {}
        if any(delta.get(name) for name in _WRITTEN):
            reply.token_times.append(at)
        reply.finish_reason = choice.get("finish_reason") or reply.finish_reason
    usage = event.get("usage")
    if usage:
        reply.prompt_tokens = usage.get("prompt_tokens")
        reply.output_tokens = usage.get("completion_tokens")
    timings = event.get("timings")
    if timings:  # llama.cpp's
        reply.prefill_tokens_per_second = timings.get("prompt_per_second")
        reply.decode_tokens_per_second = timings.get("predicted_per_second")
    return False


def _ollama_line(reply: Reply, at: float, line: bytes) -> bool:
    """Take a line of newline-delimited JSON in; whether it is the last."""
    if not line.strip():
        return False
    event: Any = orjson.loads(line)
    if event.get("error"):
        reply.failure = Failure("engine", _message(line))
        return True
    message: Any = event.get("message") or {}
    if any(message.get(name) for name in _WRITTEN):
        reply.token_times.append(at)
    if not event.get("done"):
        return False
    reply.finish_reason = event.get("done_reason")
    reply.prompt_tokens = event.get("prompt_eval_count")
    reply.output_tokens = event.get("eval_count")
    loaded = event.get("load_duration")
    reply.load_seconds = None if loaded is None else loaded / _NANOSECONDS
    reply.prefill_tokens_per_second = _rate(event, "prompt_eval_count", "prompt_eval_duration")
    reply.decode_tokens_per_second = _rate(event, "eval_count", "eval_duration")
    return True


def _rate(event: dict[str, Any], count: str, nanoseconds: str) -> float | None:
    tokens, took = event.get(count), event.get(nanoseconds)
    return tokens / took * _NANOSECONDS if tokens and took else None


def _message(body: bytes) -> str:
    """What an error's body says, shortened."""
    try:
        found: object = orjson.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")[:_DETAIL_CHARACTERS]
    error: object = cast("dict[str, Any]", found).get("error", found) if isinstance(found, dict) else found
    said: object = cast("dict[str, Any]", error).get("message", error) if isinstance(error, dict) else error
    return str(said)[:_DETAIL_CHARACTERS]
