"""Which requests the cache has to do with."""

from __future__ import annotations

from typing import Any

import pytest

from agent_runtime.router.answers.eligible import is_cacheable
from agent_runtime.router.dialects.operations import (
    OLLAMA_CHAT,
    OLLAMA_EMBED,
    OLLAMA_EMBEDDINGS,
    OLLAMA_GENERATE,
    OPENAI_CHAT,
    OPENAI_COMPLETIONS,
    OPENAI_EMBEDDINGS,
    Operation,
)

pytestmark = pytest.mark.unit

HELLO = {"messages": [{"role": "user", "content": "Hello"}]}


def shown(address: str) -> dict[str, Any]:
    content = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": address}}]
    return {"messages": [{"role": "user", "content": content}], "temperature": 0}


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        (OPENAI_CHAT, {**HELLO, "temperature": 0}),
        (OPENAI_CHAT, {**HELLO, "temperature": 0.0, "seed": None}),
        (OPENAI_CHAT, {**HELLO, "seed": 0}),
        (OPENAI_CHAT, {**HELLO, "temperature": 1, "seed": 42}),
        (OPENAI_CHAT, {**HELLO, "temperature": 0, "tools": [{"type": "function", "function": {"name": "f"}}]}),
        (OPENAI_CHAT, {**HELLO, "temperature": 0, "store": False, "user": "u"}),
        (OPENAI_CHAT, shown("data:image/png;base64,iVBOR")),
        (OPENAI_COMPLETIONS, {"prompt": "Once", "temperature": 0}),
        (OLLAMA_CHAT, {**HELLO, "options": {"temperature": 0}}),
        (OLLAMA_CHAT, {**HELLO, "options": {"seed": 7}, "keep_alive": "10m"}),
        (OLLAMA_GENERATE, {"prompt": "Once", "options": {"temperature": 0}, "context": [1, 2]}),
        (OLLAMA_EMBED, {"input": "text"}),
        (OLLAMA_EMBEDDINGS, {"prompt": "text"}),
        (OPENAI_EMBEDDINGS, {"input": ["text"]}),
    ],
)
def test_deterministic_requests_may_get_the_same_answer_again(operation: Operation, body: dict[str, Any]) -> None:
    assert is_cacheable(operation, body, sampled=False)


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        (OPENAI_CHAT, HELLO),
        (OPENAI_CHAT, {**HELLO, "temperature": 0.1}),
        (OPENAI_CHAT, {**HELLO, "temperature": False}),
        (OPENAI_CHAT, {**HELLO, "seed": -1}),
        (OPENAI_CHAT, {**HELLO, "seed": 0xFFFFFFFF}),
        (OPENAI_CHAT, {**HELLO, "options": {"temperature": 0}}),
        (OLLAMA_CHAT, {**HELLO, "temperature": 0}),
        (OLLAMA_CHAT, {**HELLO, "options": None}),
        (OLLAMA_GENERATE, {"prompt": "Once", "options": {"temperature": "0"}}),
    ],
)
def test_answers_drawn_by_chance_are_kept_only_where_that_is_asked_for(
    operation: Operation, body: dict[str, Any]
) -> None:
    assert not is_cacheable(operation, body, sampled=False)
    assert is_cacheable(operation, body, sampled=True)


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        pytest.param(OLLAMA_CHAT, {"messages": []}, id="loads"),
        pytest.param(OLLAMA_GENERATE, {"prompt": "", "keep_alive": -1}, id="loads too"),
        pytest.param(OLLAMA_CHAT, {**HELLO, "options": {"seed": 1}, "keep_alive": 0}, id="unloads"),
        pytest.param(OLLAMA_EMBED, {"input": "text", "keep_alive": "0s"}, id="unloads after embedding"),
        pytest.param(OPENAI_CHAT, {**HELLO, "temperature": 0, "store": True}, id="is stored there"),
        pytest.param(OPENAI_CHAT, {**HELLO, "temperature": 0, "web_search_options": {"x": 1}}, id="searches the web"),
        pytest.param(OPENAI_CHAT, {**HELLO, "seed": 1, "tools": [{"type": "web_search"}]}, id="a tool of theirs"),
        pytest.param(OPENAI_CHAT, shown("https://example.com/now.png"), id="an image that may change"),
        pytest.param(
            Operation("responses", "openai", "/v1/responses", ("chat",), {}), {"temperature": 0}, id="unknown"
        ),
    ],
)
def test_requests_that_do_more_than_ask_a_model_never_come_from_the_cache(
    operation: Operation, body: dict[str, Any]
) -> None:
    assert not is_cacheable(operation, body, sampled=True)


@pytest.mark.parametrize(
    ("keep_alive", "kept"),
    [("5m", True), (300, True), (-1, True), ("1h30m", True), ("soon", False), ("", False), ("0s", False), (0, False)],
)
def test_a_wish_to_keep_the_model_that_is_none_is_left_to_the_engine_to_refuse(keep_alive: object, kept: bool) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "options": {"temperature": 0}}
    assert is_cacheable(OLLAMA_CHAT, {**body, "keep_alive": keep_alive}, sampled=False) is kept
