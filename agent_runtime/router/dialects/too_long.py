"""Prompts that are longer than a model's context: told with both numbers, in the client's dialect.

Engines count the tokens and refuse by themselves, each in words of its own, which are known here. Only Ollama
cuts a prompt that is too long without a word, as its API says it does. Where such a prompt is so long that no
tokenizer could make it fit, the router refuses it before it is sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from agent_runtime.router.dialects.compact import decode, encode
from agent_runtime.router.dialects.errors import Dialect, RequestError, error_body, message_in
from agent_runtime.router.dialects.replies import section, sections

LONGEST_TOKEN_BYTES: Final = 256
"""No token of the vocabularies in use stands for more text. The longest known, of 128 bytes, are rows of blanks in
those of GPT-4o, GPT-OSS and Llama 3; twice that leaves room for the next."""
CODE: Final = "context_length_exceeded"
"""The code that OpenAI's clients know."""

_SAID: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"request \((?P<prompt>\d+) tokens\) exceeds the available context size \((?P<context>\d+) tokens\)",
        r"input \((?P<prompt>\d+) tokens\) is larger than the max context size \((?P<context>\d+) tokens\)",
        r"input \((?P<prompt>\d+) tokens\) is too large to process.*batch size: (?P<context>\d+)",
        r"maximum context length is (?P<context>\d+) tokens.*?(?:requested|resulted in|has) (?P<prompt>\d+)",
        r"prompt \(length (?P<prompt>\d+)\) is longer than the maximum model length of (?P<context>\d+)",
        r"passed (?P<prompt>\d+) input tokens.*?context length is only (?P<context>\d+) tokens",
        r"[Ii]nput length \((?P<prompt>\d+)\) exceeds model's maximum context length \((?P<context>\d+)\)",
        r"input length exceeds the context length",
        r"input exceeds maximum context length",
    )
)
"""How llama.cpp (chat and text, then embeddings), vLLM and Ollama say it."""


@dataclass(frozen=True, slots=True)
class _TooLong:
    prompt_tokens: int | None
    context_tokens: int


def engine_error(
    dialect: Dialect, status: int, body: bytes, *, same_dialect: bool, context_length: int, sent_bytes: int
) -> tuple[int, bytes]:
    """An engine's error as the client gets it: in its own dialect, and where both speak the same, word for word.

    A prompt that is too long is always 400, with the number of its tokens where the engine tells it.

    Args:
        dialect: The client's.
        status: The engine's status, 400 or more.
        body: The engine's body.
        same_dialect: Whether the engine speaks the client's dialect.
        context_length: What one request may use, in tokens.
        sent_bytes: The size of the request's body, told where no tokens are counted.

    Returns:
        Status and body. The body is ``body`` itself where nothing in it has to change.
    """
    message = message_in(body, status)
    found = _too_long(message, context_length)
    if found is None:
        return status, body if same_dialect else error_body(dialect, status, message)
    if not same_dialect:
        return 400, error_body(dialect, 400, _words(dialect, found, sent_bytes), param=_PARAM, code=CODE)
    if dialect == "openai":
        # Its clients know the matter by its code; the rest stays as the engine says it.
        inner = section(section(decode(body)).get("error")) or {"message": message}
        return 400, encode({"error": {**inner, "type": "invalid_request_error", "param": _PARAM, "code": CODE}})
    return status, body


_PARAM: Final = "messages"


def _too_long(message: str, context_length: int) -> _TooLong | None:
    for pattern in _SAID:
        found = pattern.search(message)
        if found is not None:
            numbers = found.groupdict()
            prompt, context = numbers.get("prompt"), numbers.get("context")
            return _TooLong(None if prompt is None else int(prompt), int(context) if context else context_length)
    return None


def _words(dialect: Dialect, found: _TooLong, sent_bytes: int) -> str:
    size = f"{sent_bytes} bytes" if found.prompt_tokens is None else f"{found.prompt_tokens} tokens"
    if dialect == "ollama":
        return f"the input length exceeds the context length: {size}, and the model takes {found.context_tokens} tokens"
    return (
        f"This model's maximum context length is {found.context_tokens} tokens. However, your request has {size}. "
        "Please shorten it."
    )


def refuse_certainly_too_long(
    dialect: Dialect, raw: bytes, body: Mapping[str, Any], context_length: int, *, cuts: bool
) -> None:
    """Refuse a prompt that cannot fit, whatever the tokenizer: see :data:`LONGEST_TOKEN_BYTES`.

    Costs nothing where the whole request is shorter than that, which nearly every one is.

    Args:
        dialect: The client's.
        raw: The request's body.
        body: The same, decoded.
        context_length: What one request may use, in tokens.
        cuts: Whether the engine leaves earlier turns out of a long conversation: then only what it cannot leave
            out counts, which are the system's words and the last turn.

    Raises:
        RequestError: 400, it is too long.
    """
    if len(raw) <= context_length * LONGEST_TOKEN_BYTES:
        return
    options = section(body.get("options"))
    wider: object = options.get("num_ctx")
    context = max(context_length, wider) if isinstance(wider, int) else context_length
    size_bytes = sum(len(text.encode("utf-8", "replace")) for text in _texts(body, cuts=cuts))
    if size_bytes <= context * LONGEST_TOKEN_BYTES or body.get("truncate") is True:
        return
    found = _TooLong(-(-size_bytes // LONGEST_TOKEN_BYTES), context)
    message = _words(dialect, found, len(raw)).replace(f"{found.prompt_tokens} tokens", f"{size_bytes} bytes of text")
    message += f" (no token stands for more than {LONGEST_TOKEN_BYTES} bytes: at least {found.prompt_tokens} tokens)"
    raise RequestError(400, message, param=_PARAM, code=CODE)


def _texts(body: Mapping[str, Any], *, cuts: bool) -> Iterator[str]:
    """What the model would have to read."""
    turns = sections(body.get("messages"))
    if cuts:
        turns = [turn for turn in turns[:-1] if turn.get("role") == "system"] + turns[-1:]
    for turn in turns:
        content: object = turn.get("content")
        parts = [content] if isinstance(content, str) else [part.get("text") for part in sections(content)]
        yield from (part for part in parts if isinstance(part, str))
    for name in ("prompt", "system"):
        value: object = body.get(name)
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            # Several prompts are several requests: the longest decides.
            texts = [text for text in cast("list[object]", value) if isinstance(text, str)]
            yield max(texts, key=len, default="")
