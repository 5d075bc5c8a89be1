"""How much of an answer a request asks for."""

from __future__ import annotations

from typing import Any

import pytest

from agent_runtime.router.dialects.lengths import choices


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
