"""What is sent stays within the window, counted by the engine where it can."""

from __future__ import annotations

import asyncio

import pytest
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.models import ModelRequestParameters

from agent_runtime.agents.errors import ContextWindowError
from agent_runtime.agents.window import ContextWindow, estimate_tokens, llamacpp_counter
from tests.ports import free_port

NOTHING = ModelRequestParameters()


def turn(text: str) -> list[ModelMessage]:
    return [ModelRequest([UserPromptPart(text)]), ModelResponse([TextPart(text)])]


def fitted(window: ContextWindow, messages: list[ModelMessage], max_tokens: int = 10) -> tuple[int, int]:
    kept, left_out = asyncio.run(window.fit(messages, NOTHING, max_tokens))
    assert kept == messages[left_out.messages :]
    return left_out.messages, left_out.tokens


def test_an_estimate_is_rather_too_high_than_too_low() -> None:
    text = "The quick brown fox jumps over the lazy dog."  # ten tokens for most tokenizers
    assert estimate_tokens(text) >= 10
    assert estimate_tokens("") == 0
    assert estimate_tokens("日本語") >= 3


def test_the_oldest_turns_go_and_the_present_one_stays() -> None:
    messages = [*turn("a" * 300), *turn("b" * 300), ModelRequest([UserPromptPart("c" * 300)])]
    assert fitted(ContextWindow(1000), messages) == (0, 0)
    assert fitted(ContextWindow(400), messages)[0] == 2
    assert fitted(ContextWindow(150), messages)[0] == 4
    with pytest.raises(ContextWindowError, match="needs 108 tokens and the model's window leaves 90"):
        fitted(ContextWindow(100), messages)


def test_the_engines_count_is_asked_for_where_it_matters() -> None:
    asked: list[str] = []

    async def count(text: str) -> int:
        asked.append(text)
        return len(text) // 10

    window = ContextWindow(400, count=count)
    assert fitted(window, turn("a" * 30)) == (0, 0)
    assert asked == []
    messages = [*turn("a" * 600), ModelRequest([UserPromptPart("b" * 600)])]
    assert fitted(window, messages) == (0, 0)
    assert asked
    first = len(asked)
    fitted(window, messages)
    assert len(asked) == first


def test_an_engine_that_does_not_count_is_not_asked_again() -> None:
    window = ContextWindow(400, count=llamacpp_counter(f"http://127.0.0.1:{free_port()}"))
    assert fitted(window, [*turn("a" * 600), *turn("b" * 600), ModelRequest([UserPromptPart("c" * 600)])])[0] == 4
    assert window.count is None


def test_the_servers_count_puts_the_estimate_right() -> None:
    window = ContextWindow(400)
    messages = [*turn("a" * 330), ModelRequest([UserPromptPart("b" * 330)])]
    assert fitted(window, messages, max_tokens=100)[0] == 2
    window.learn(messages, NOTHING, 180)
    assert fitted(window, messages, max_tokens=100)[0] == 0
