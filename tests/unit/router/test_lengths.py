"""How much of an answer a request asks for."""

from __future__ import annotations

from typing import Any

import pytest

from agent_runtime.router.dialects.lengths import choices, longest_answer_tokens


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, 1),
        ({"n": 3}, 3),
        ({"prompt": ["a", "b"], "n": 2}, 4),
        ({"prompt": [1, 2, 3]}, 1),
        ({"prompt": [[1, 2], [3]]}, 2),
        ({"prompt": "a", "n": 0}, 1),
    ],
)
def test_an_answer_has_a_choice_for_each_prompt_and_each_n(body: dict[str, Any], expected: int) -> None:
    assert choices(body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, None),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6, "max_tokens": 5}, 6),
        ({"max_output_tokens": 7}, 7),
        ({"max_tokens": 0}, None),
        ({"max_tokens": True}, None),
        ({"options": {"num_predict": 8}}, None),
    ],
)
def test_openais_requests_say_in_several_words_how_long_an_answer_may_be(
    body: dict[str, Any], expected: int | None
) -> None:
    assert longest_answer_tokens("openai", body) == expected


@pytest.mark.parametrize(("predict", "expected"), [(8, 8), (-1, None), (-2, None), ("8", None)])
def test_ollamas_say_it_in_their_options(predict: object, expected: int | None) -> None:
    assert longest_answer_tokens("ollama", {"options": {"num_predict": predict}}) == expected
