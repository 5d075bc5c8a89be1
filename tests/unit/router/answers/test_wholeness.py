"""Only whole, good answers are worth giving again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent_runtime.router.answers.wholeness import whole
from agent_runtime.router.dialects.operations import (
    OLLAMA_CHAT,
    OLLAMA_EMBED,
    OPENAI_CHAT,
    OPENAI_EMBEDDINGS,
    Operation,
)
from tests.unit.router.rig import (
    OLLAMA_DONE,
    ndjson,
    ollama_line,
    openai_chunk,
    openai_end,
    openai_usage,
    openai_whole,
    sse,
)

pytestmark = pytest.mark.unit

TOLD = {"function": {"name": "f", "arguments": {"done": True, "done_reason": "stop", "error": "none"}}}
CALLS = ollama_line(message={"role": "assistant", "content": "", "tool_calls": [TOLD]})


def found(operation: Operation, body: bytes, *, streamed: bool = True, choices: int = 1) -> bool:
    return whole(operation, body, streamed=streamed, choices=choices) is not None


def written(value: object) -> bytes:
    return json.dumps(value).encode()


def test_whole_answers_of_openai() -> None:
    reply = whole(OPENAI_CHAT, written(openai_whole()), streamed=False, choices=1)
    assert reply is not None
    assert reply.reply_id == "chatcmpl-1"


def with_end(reason: str | None) -> bytes:
    reply = openai_whole()
    reply["choices"][0]["finish_reason"] = reason
    return written(reply)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(with_end(None), id="no reason to end"),
        pytest.param(with_end("abort"), id="given up"),
        pytest.param(with_end("content_filter"), id="filtered"),
        pytest.param(written({"error": {"message": "no"}}), id="an error"),
        pytest.param(written(openai_whole())[:-1], id="cut off"),
        pytest.param(written({**openai_whole(), "choices": []}), id="no choices"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_bad_answers_of_openai(body: bytes) -> None:
    assert not found(OPENAI_CHAT, body, streamed=False)


def test_fewer_choices_than_asked_for_are_not_all() -> None:
    assert not found(OPENAI_CHAT, written(openai_whole()), streamed=False, choices=2)


SAID = (openai_chunk(role="assistant", content=""), openai_chunk(content='"finish_reason":"abort"'))


@pytest.mark.parametrize("rest", [(openai_end(),), (openai_end("length"), openai_usage()), (openai_end("tool_calls"),)])
def test_whole_streams_of_openai(rest: tuple[dict[str, Any], ...]) -> None:
    reply = whole(OPENAI_CHAT, sse(*SAID, *rest, b"[DONE]"), streamed=True, choices=1)
    assert reply is not None
    assert reply.reply_id == "chatcmpl-1"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(sse(*SAID, openai_end()), id="no end mark"),
        pytest.param(sse(*SAID, openai_end(), openai_usage()), id="no end mark after the counts"),
        pytest.param(sse(*SAID, b"[DONE]"), id="no reason to end"),
        pytest.param(sse(*SAID, openai_end("error"), b"[DONE]"), id="ended by an error"),
        pytest.param(sse(*SAID, {"error": {"message": "no"}}, openai_end(), b"[DONE]"), id="an error on the way"),
        pytest.param(sse(*SAID) + b'error: {"message": "no"}\n\n' + sse(openai_end(), b"[DONE]"), id="llama.cpp's"),
        pytest.param(sse(*SAID, openai_end(), b"[DONE]") + sse({"error": {"message": "no"}}), id="an error at the end"),
        pytest.param(sse(b"[DONE]"), id="nothing said"),
        pytest.param(written(openai_whole()), id="not a stream"),
    ],
)
def test_bad_streams_of_openai(body: bytes) -> None:
    assert not found(OPENAI_CHAT, body)


def test_every_choice_of_a_stream_must_end() -> None:
    second = openai_end()
    second["choices"][0]["index"] = 1
    assert found(OPENAI_CHAT, sse(*SAID, openai_end(), second, b"[DONE]"), choices=2)
    assert not found(OPENAI_CHAT, sse(*SAID, openai_end(), openai_end(), b"[DONE]"), choices=2)


def test_answers_of_ollama() -> None:
    done = ollama_line(**OLLAMA_DONE)
    assert found(OLLAMA_CHAT, ndjson(ollama_line("Hi"), CALLS, done))
    assert found(OLLAMA_CHAT, written(done), streamed=False)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(ndjson(ollama_line("Hi")), id="not done"),
        pytest.param(ndjson(CALLS), id="only a tool is told that it is done"),
        pytest.param(ndjson(ollama_line("Hi"), {"error": "no"}), id="an error"),
        pytest.param(ndjson({"error": "no"}, ollama_line(**OLLAMA_DONE)), id="an error before"),
        pytest.param(ndjson(ollama_line(**{**OLLAMA_DONE, "done_reason": "load"})), id="only loaded"),
        pytest.param(ndjson(ollama_line(**{**OLLAMA_DONE, "done_reason": "unload"})), id="only unloaded"),
        pytest.param(ndjson(ollama_line(**OLLAMA_DONE))[:-9], id="cut off"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_bad_streams_of_ollama(body: bytes) -> None:
    assert not found(OLLAMA_CHAT, body)


@pytest.mark.parametrize(
    ("operation", "reply", "good"),
    [
        (OLLAMA_EMBED, {"model": "m", "embeddings": [[0.1, 0.2]]}, True),
        (OLLAMA_EMBED, {"model": "m", "embeddings": []}, False),
        (OPENAI_EMBEDDINGS, {"data": [{"object": "embedding", "embedding": [0.1]}]}, True),
        (OPENAI_EMBEDDINGS, {"data": [{"object": "embedding", "embedding": "zczMPQ=="}]}, True),
        (OPENAI_EMBEDDINGS, {"data": []}, False),
        (OPENAI_EMBEDDINGS, {"error": {"message": "no"}}, False),
    ],
)
def test_embeddings(operation: Operation, reply: dict[str, Any], good: bool) -> None:
    assert found(operation, written(reply), streamed=False) == good
    assert not found(operation, written(reply)[:-1], streamed=False)
