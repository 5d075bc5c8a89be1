"""Ollama's requests, said to an engine that speaks OpenAI's API."""

from __future__ import annotations

from typing import Any

import pytest

from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.dialects.requests_to_openai import (
    chat_to_openai,
    embed_to_openai,
    generate_to_openai,
    messages_to_openai,
)

pytestmark = pytest.mark.unit

HELLO = {"role": "user", "content": "Hello"}


def chat(engine: Any = "llamacpp", **fields: Any) -> dict[str, Any]:
    return chat_to_openai({"model": "m", "messages": [HELLO], **fields}, engine, 2048).body


def test_a_plain_chat_streams_and_asks_for_usage() -> None:
    assert chat() == {
        "messages": [HELLO],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_a_chat_that_is_not_streamed_asks_for_no_stream() -> None:
    assert chat(stream=False) == {"messages": [HELLO], "stream": False}


def test_options_get_the_engines_names() -> None:
    body = chat(
        stream=False,
        options={
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 40,
            "num_predict": 9,
            "stop": ["a", "b"],
            "seed": 1.0,
            "repeat_penalty": 1.1,
            "presence_penalty": 0.1,
            "frequency_penalty": 0.2,
        },
    )
    assert body["temperature"] == 0.5
    assert body["top_p"] == 0.9
    assert body["top_k"] == 40
    assert body["max_tokens"] == 9
    assert body["stop"] == ["a", "b"]
    assert body["seed"] == 1
    assert isinstance(body["seed"], int)
    assert body["repeat_penalty"] == 1.1
    assert body["presence_penalty"] == 0.1
    assert body["frequency_penalty"] == 0.2


def test_every_engine_has_names_of_its_own() -> None:
    options = {"repeat_penalty": 1.1, "num_predict": 9, "top_k": 3}
    vllm = chat_to_openai({"messages": [HELLO], "options": options}, "vllm", 2048)
    assert vllm.body["repetition_penalty"] == 1.1
    assert vllm.body["max_tokens"] == 9
    commercial = chat_to_openai({"messages": [HELLO], "options": options}, "openai", 2048)
    assert commercial.body["max_completion_tokens"] == 9
    assert commercial.ignored == ["options.repeat_penalty", "options.top_k"]


@pytest.mark.parametrize("unlimited", [-1, -2, 0])
def test_no_limit_is_said_by_leaving_it_out(unlimited: int) -> None:
    assert "max_tokens" not in chat(options={"num_predict": unlimited})


def test_a_context_beyond_the_models_is_reported_and_a_smaller_one_is_fine() -> None:
    asked = {"messages": [HELLO], "options": {"num_ctx": 4096}}
    assert chat_to_openai(asked, "llamacpp", 2048).ignored == ["options.num_ctx"]
    assert chat_to_openai(asked, "llamacpp", 8192).ignored == []


def test_format_becomes_response_format() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    assert chat(format="json")["response_format"] == {"type": "json_object"}
    assert chat(format=schema)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "reply", "schema": schema},
    }


def test_think_is_told_to_the_template() -> None:
    assert chat(think=True)["chat_template_kwargs"] == {"enable_thinking": True}
    assert chat(think=False)["chat_template_kwargs"] == {"enable_thinking": False}
    body = chat(think="high")
    assert body["reasoning_effort"] == "high"
    assert body["chat_template_kwargs"] == {"enable_thinking": True, "reasoning_effort": "high"}


def test_images_become_data_urls_of_their_kind() -> None:
    turn = {"role": "user", "content": "what?", "images": ["iVBORw0KGgo=", "/9j/4AAQ"]}
    assert messages_to_openai([turn])[0]["content"] == [
        {"type": "text", "text": "what?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9j/4AAQ"}},
    ]


def test_tool_calls_become_text_with_ids_that_their_answers_share() -> None:
    turns = messages_to_openai(
        [
            HELLO,
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {"function": {"name": "time", "arguments": {"zone": "Zürich"}}},
                    {"function": {"name": "weather", "arguments": {}}},
                ],
            },
            {"role": "tool", "tool_name": "weather", "content": "sun"},
            {"role": "tool", "content": "noon"},
        ]
    )
    calls = turns[1]["tool_calls"]
    assert [call["function"]["name"] for call in calls] == ["time", "weather"]
    assert calls[0]["function"]["arguments"] == '{"zone": "Zürich"}'
    assert calls[0]["id"] != calls[1]["id"]
    assert turns[2]["tool_call_id"] == calls[1]["id"]
    assert turns[3]["tool_call_id"] == calls[0]["id"]


def test_ids_that_are_there_are_kept() -> None:
    call = {"id": "call_x", "function": {"name": "time", "arguments": {}}}
    turns = messages_to_openai(
        [
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_x", "content": "noon"},
        ]
    )
    assert turns[0]["tool_calls"][0]["id"] == turns[1]["tool_call_id"] == "call_x"


def test_earlier_thinking_is_handed_on() -> None:
    turn = {"role": "assistant", "content": "4", "thinking": "2+2"}
    assert messages_to_openai([turn]) == [{"role": "assistant", "content": "4", "reasoning_content": "2+2"}]


def test_generate_is_a_chat_of_one_turn() -> None:
    body = generate_to_openai({"prompt": "Hi", "system": "Be brief.", "stream": False}, "llamacpp", 2048).body
    assert body == {
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        "stream": False,
    }


def test_a_raw_prompt_stays_raw() -> None:
    body = generate_to_openai({"prompt": "Hi", "raw": True, "stream": False}, "llamacpp", 2048).body
    assert body == {"prompt": "Hi", "stream": False}


@pytest.mark.parametrize("field", ["template"])
def test_what_only_ollama_can_do_is_refused_by_name(field: str) -> None:
    with pytest.raises(RequestError, match=f"{field} is not possible on a model served by llamacpp") as error:
        generate_to_openai({"prompt": "Hi", field: "x"}, "llamacpp", 2048)
    assert error.value.status == 400


def test_a_gap_is_filled_in_the_engines_own_way() -> None:
    asked = {"prompt": "def f(", "suffix": "return 1", "options": {"num_predict": 8}, "stream": False}
    filled = generate_to_openai(asked, "llamacpp", 2048).body
    assert filled == {"input_prefix": "def f(", "input_suffix": "return 1", "max_tokens": 8, "stream": False}
    completed = generate_to_openai(asked, "openai", 2048).body
    assert completed == {
        "prompt": "def f(",
        "suffix": "return 1",
        "max_completion_tokens": 8,
        "stream": False,
    }
    with pytest.raises(RequestError, match="suffix is not possible on a model served by vllm"):
        generate_to_openai(asked, "vllm", 2048)


def test_a_raw_prompt_has_no_place_for_anything_else() -> None:
    for more in ({"system": "Be brief."}, {"images": ["iVBOR"]}):
        with pytest.raises(RequestError, match="raw mode does not support system or images"):
            generate_to_openai({"prompt": "Hi", "raw": True, **more}, "llamacpp", 2048)


def test_raw_prompts_ask_for_chances_by_number() -> None:
    asked = {"prompt": "Hi", "raw": True, "logprobs": True, "top_logprobs": 3, "stream": False}
    assert generate_to_openai(asked, "llamacpp", 2048).body["logprobs"] == 3


def test_only_vllm_is_asked_to_cut_what_is_too_long_to_embed() -> None:
    assert embed_to_openai({"input": "a"}, "vllm").body["truncate_prompt_tokens"] == -1
    assert "truncate_prompt_tokens" not in embed_to_openai({"input": "a", "truncate": False}, "vllm").body
    assert embed_to_openai({"input": "a", "truncate": True}, "llamacpp").ignored == ["truncate"]


def test_embeddings_take_one_text_or_several() -> None:
    assert embed_to_openai({"input": "a"}, "llamacpp").body == {"input": "a", "encoding_format": "float"}
    assert embed_to_openai({"input": ["a", "b"]}, "llamacpp").body["input"] == ["a", "b"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"messages": ["Hi"]}, r"messages\[0\] must be an object, not \"Hi\""),
        ({"messages": [{"role": "user", "content": 5}]}, r"messages\[0\]\.content must be a string, not 5"),
        ({"options": {"temperature": "hot"}}, r"options\.temperature must be a number, not \"hot\""),
        ({"options": {"temperature": True}}, r"options\.temperature must be a number, not true"),
        ({"options": {"stop": [1]}}, r"options\.stop\[0\] must be a string, not 1"),
        ({"format": 5}, "format must be a string or an object, not 5"),
        ({"format": "xml"}, 'format must be "json" or a JSON schema, not "xml"'),
        ({"think": "much"}, "think must be true, false"),
        ({"tools": {}}, "tools must be a list, not an object"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message) as error:
        chat(**fields)
    assert error.value.status == 400
