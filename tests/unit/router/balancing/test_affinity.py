"""What makes two requests belong together."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.router.balancing.affinity import prompt_key, session_key

pytestmark = pytest.mark.unit

SYSTEM = {"role": "system", "content": "You are a pirate."}


def said(*texts: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(texts)]


def test_a_conversation_keeps_its_key_as_it_goes_on() -> None:
    first = {"messages": [SYSTEM, *said("Ahoy")]}
    later = {"messages": [SYSTEM, *said("Ahoy", "Arr", "Where is the treasure?")], "temperature": 0}
    assert prompt_key(first) == prompt_key(later)


def test_conversations_that_begin_in_another_way_have_other_keys() -> None:
    keys = {
        prompt_key({"messages": [SYSTEM, *said("Ahoy")]}),
        prompt_key({"messages": [SYSTEM, *said("Hello")]}),
        prompt_key({"messages": said("Ahoy")}),
    }
    assert len(keys) == 3


def test_questions_after_the_same_long_instructions_belong_together() -> None:
    manual = {"role": "system", "content": "The manual says. " * 100}
    assert prompt_key({"messages": [manual, *said("One?")]}) == prompt_key({"messages": [manual, *said("Two?")]})
    assert prompt_key({"prompt": "x" * 2000 + "One?"}) == prompt_key({"prompt": "x" * 2000 + "Two?"})


def test_parts_of_a_message_count_as_its_text() -> None:
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": "data:a"}}]
    other = [parts[0], {"type": "image_url", "image_url": {"url": "data:b"}}]
    assert prompt_key({"messages": [{"role": "user", "content": parts}]}) is not None
    assert prompt_key({"messages": [{"role": "user", "content": parts}]}) != prompt_key(
        {"messages": [{"role": "user", "content": other}]}
    )


def test_a_session_is_a_key_of_its_own() -> None:
    assert session_key("s") == session_key("s") != prompt_key({"prompt": "s"})


@pytest.mark.parametrize("body", [{}, {"input": ["text"]}, {"messages": []}, {"messages": "?"}, {"prompt": ""}])
def test_where_there_is_no_prompt_there_is_no_key(body: dict[str, Any]) -> None:
    assert prompt_key(body) is None


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["content", "role", "text", "x"]), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["messages", "prompt", "system"]), json_like))
def test_whatever_a_client_sends_is_taken(body: dict[str, Any]) -> None:
    key = prompt_key(body)
    assert key is None or 0 <= key < 2**64
