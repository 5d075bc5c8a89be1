"""OpenAI's requests, said to Ollama in its own API."""

from __future__ import annotations

from typing import Any

import pytest

from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.dialects.requests_to_ollama import (
    chat_to_ollama,
    completion_to_ollama,
    embedding_to_ollama,
    messages_to_ollama,
)

pytestmark = pytest.mark.unit

HELLO = {"role": "user", "content": "Hello"}

WHOLE = {"truncate": False, "shift": False}
"""A prompt that is too long is an error to OpenAI's clients, and no reason to leave turns out."""


def chat(**fields: Any) -> dict[str, Any]:
    return chat_to_ollama({"model": "m", "messages": [HELLO], **fields}).body


def test_a_plain_chat_sends_nothing_that_the_client_did_not_ask_for() -> None:
    assert chat() == {"messages": [HELLO], "stream": False, **WHOLE}
    assert chat(stream=True) == {"messages": [HELLO], "stream": True, **WHOLE}


def test_sampling_becomes_options() -> None:
    body = chat(
        temperature=0.5,
        top_p=0.9,
        max_completion_tokens=9,
        seed=1,
        stop="a",
        presence_penalty=0.1,
        frequency_penalty=0.2,
        num_ctx=8192,
    )
    assert body["options"] == {
        "temperature": 0.5,
        "top_p": 0.9,
        "num_predict": 9,
        "seed": 1,
        "stop": ["a"],
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "num_ctx": 8192,
    }


def test_response_format_becomes_format() -> None:
    schema = {"type": "object"}
    assert chat(response_format={"type": "json_object"})["format"] == "json"
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert chat(response_format=wanted)["format"] == schema
    assert "format" not in chat(response_format={"type": "text"})


@pytest.mark.parametrize(("effort", "think"), [("none", False), ("minimal", "low"), ("high", "high")])
def test_effort_becomes_think(effort: str, think: object) -> None:
    assert chat(reasoning_effort=effort)["think"] == think


def test_parts_become_text_and_images() -> None:
    parts = [
        {"type": "text", "text": "what"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
        {"type": "text", "text": "is it?"},
    ]
    assert messages_to_ollama([{"role": "user", "content": parts}]) == [
        {"role": "user", "content": "what\nis it?", "images": ["iVBO"]}
    ]


def test_developers_speak_as_the_system() -> None:
    assert messages_to_ollama([{"role": "developer", "content": "x"}])[0]["role"] == "system"


def test_tool_calls_become_objects_and_answers_get_their_tools_name() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "time", "arguments": '{"zone": "UTC"}'}}
    turns = messages_to_ollama(
        [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "noon"},
        ]
    )
    assert turns[0] == {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "c1", "function": {"name": "time", "arguments": {"zone": "UTC"}}}],
    }
    assert turns[1] == {"role": "tool", "content": "noon", "tool_name": "time", "tool_call_id": "c1"}


def test_a_tool_without_parameters_gets_the_empty_schema_that_ollama_demands() -> None:
    tools = chat(tools=[{"type": "function", "function": {"name": "now"}}])["tools"]
    assert tools[0]["function"]["parameters"] == {"type": "object", "properties": {}}


def test_tools_that_must_not_be_used_are_not_offered() -> None:
    tool = {"type": "function", "function": {"name": "now"}}
    assert "tools" not in chat(tools=[tool], tool_choice="none")
    asked = {"messages": [HELLO], "tools": [tool], "tool_choice": "required"}
    assert chat_to_ollama(asked).ignored == ["tool_choice"]


def test_completions_become_generate() -> None:
    body = completion_to_ollama({"prompt": ["Once"], "max_tokens": 4}).body
    assert body == {"prompt": "Once", "options": {"num_predict": 4}, "stream": False, **WHOLE}


def test_no_tokens_are_not_taken_for_no_limit() -> None:
    with pytest.raises(RequestError, match="max_tokens must be at least 1"):
        completion_to_ollama({"prompt": "Once", "max_tokens": 0})
    assert chat(max_completion_tokens=-1)["options"] == {"num_predict": -1}


def test_a_tool_that_must_be_called_is_the_only_one_offered() -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in ("look", "buy")]
    choice = {"type": "function", "function": {"name": "buy"}}
    assert [tool["function"]["name"] for tool in chat(tools=tools, tool_choice=choice)["tools"]] == ["buy"]


def test_embeddings_become_embed() -> None:
    assert embedding_to_ollama({"input": ["a"], "dimensions": 8}).body == {
        "input": ["a"],
        "dimensions": 8,
        "truncate": False,
    }


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"messages": [{"content": "x"}]}, r"messages\[0\]\.role is required"),
        ({"messages": [{"role": "user", "content": 5}]}, r"content must be a string or a list, not 5"),
        (
            {"messages": [{"role": "user", "content": [{"type": "audio"}]}]},
            r"messages\[0\]\.content\[0\]\.type must be text or image_url",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]}
                ]
            },
            "must be a data URL",
        ),
        (
            {
                "messages": [
                    {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{"}}],
                    }
                ]
            },
            "arguments must be an object written as JSON",
        ),
        ({"n": 2}, "n must be 1"),
        ({"stop": [1]}, r"stop\[0\] must be a string, not 1"),
        ({"response_format": {"type": "yaml"}}, "response_format.type must be"),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message) as error:
        chat(**fields)
    assert error.value.status == 400
