"""What is read of a request, in either dialect."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.router.prompts.texts import collect

pytestmark = pytest.mark.unit

SAID = "the secret word"


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": SAID}]},
        {"messages": [{"role": "assistant", "content": "", "thinking": SAID}]},
        {"messages": [{"role": "tool", "tool_name": "f", "content": SAID}]},
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": {"a": [{"b": SAID}]}}}]}]},
        {"prompt": SAID},
        {"prompt": "x", "system": SAID},
        {"prompt": "x", "suffix": SAID},
        {"prompt": "x", "template": SAID},
        {"prompt": "x", "options": {"stop": [SAID]}},
        {"input": SAID},
        {"input": ["x", SAID]},
        {"prompt": "x", "format": {"type": "object", "properties": {"a": {"enum": [SAID]}}}},
        {"messages": [{"role": "developer", "content": SAID}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": SAID}]}]},
        {"messages": [{"role": "user", "content": ["x", SAID]}]},
        {"messages": [{"role": "user", "content": "x", "name": SAID}]},
        {"messages": [{"role": "assistant", "reasoning_content": SAID}]},
        {"messages": [{"role": "assistant", "refusal": SAID}]},
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": f'{{"a": "{SAID}"}}'}}]}]},
        {"messages": [], "tools": [{"type": "function", "function": {"name": "f", "description": SAID}}]},
        {"messages": [], "user": SAID},
        {"messages": [], "metadata": {"note": SAID}},
        {"messages": [], "prediction": {"type": "content", "content": SAID}},
        {"messages": [], "stop": [SAID]},
        {"prompt": ["x", SAID]},
        {"input": [SAID]},
        {"messages": SAID},
        {"messages": [], "a_field_of_next_year": {"deep": [[SAID]]}},
    ],
)
def test_every_place_that_a_model_would_read_is_read(body: dict[str, Any]) -> None:
    assert SAID in collect(body).everything


def test_the_name_of_an_argument_stands_before_its_value() -> None:
    call = {"function": {"name": "pay", "arguments": {"ssn": 536904399}}}
    assert "ssn: 536904399" in collect({"messages": [{"tool_calls": [call]}]}).everything


def test_names_in_schemas_are_no_values() -> None:
    tool = {"type": "function", "function": {"parameters": {"properties": {"password": {"type": "string"}}}}}
    assert "password" not in collect({"messages": [], "tools": [tool]}).everything


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]}
                ]
            },
            "image",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA=="}}]}]},
            "audio",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]}, "file"),
        ({"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}, "other"),
        ({"messages": [{"role": "user", "content": "x", "images": ["AA=="]}]}, "image"),
        ({"prompt": "x", "images": ["AA=="]}, "image"),
        ({"prompt": [1, 2, 3]}, "tokens"),
        ({"input": [[1, 2], [3]]}, "tokens"),
        ({"prompt": "x", "context": [1, 2, 3]}, "tokens"),
        ({"prompt": "![](data:image/png;base64,AAAA)"}, "embedded"),
    ],
)
def test_what_nobody_can_read_is_told_apart(body: dict[str, Any], kind: str) -> None:
    assert collect(body).unreadable == (kind,)
    assert "AAAA" not in collect(body).everything or kind == "embedded"


def test_what_was_asked_is_the_last_turn_of_the_persons() -> None:
    turns = [
        {"role": "user", "content": "first"},
        {"role": "user", "content": "last"},
        {"role": "tool", "content": "42"},
    ]
    found = collect({"messages": turns, "tools": [{}, {}], "response_format": {"type": "json_schema"}})
    assert (found.asked, found.turns, found.tools, found.shaped) == ("last", 3, 2, True)
    assert collect({"prompt": ["a", "b"]}).asked == "a\nb"
    assert collect({"input": "a"}).asked == "a"


def test_a_body_that_is_nested_without_end_is_not_trusted() -> None:
    deep: object = SAID
    for _ in range(500):
        deep = {"a": deep}
    assert collect({"messages": [{"arguments": deep}]}).unreadable == ("nested",)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["role", "content", "type", "text", "a"]), inner),
)


@given(st.dictionaries(st.sampled_from(["messages", "prompt", "input", "tools", "format", "images", "user"]), JSON))
def test_no_body_is_too_odd(body: dict[str, Any]) -> None:
    assert isinstance(collect(body).everything, str)
