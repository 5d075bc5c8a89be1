"""Counts are found in what was passed on without being decoded."""

from __future__ import annotations

import json

import pytest

from agent_runtime.router.dialects.usage import Usage, usage_in_tail
from tests.unit.router.rig import OLLAMA_DONE, ndjson, ollama_line, openai_usage, openai_whole, sse

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("tail", "cached_tokens"),
    [
        (json.dumps(openai_whole()).encode(), 0),
        (sse(openai_usage(), b"[DONE]"), 0),
        (sse({"usage": None}, openai_usage(), {"usage": None}, b"[DONE]"), 0),
        (ndjson(ollama_line(**OLLAMA_DONE)), 0),
        (sse({"timings": {"cache_n": 4, "prompt_n": 3, "predicted_n": 2}}, b"[DONE]"), 4),
        (json.dumps({"usage": {"input_tokens": 7, "output_tokens": 2}}).encode(), 0),
        (json.dumps({**openai_whole()["usage"], "prompt_tokens_details": {"cached_tokens": 5}}).encode(), 5),
    ],
)
def test_each_engines_way_of_telling_is_known(tail: bytes, cached_tokens: int) -> None:
    assert usage_in_tail(tail) == Usage(7, 2, cached_tokens)


def test_text_that_a_model_wrote_is_not_taken_for_counts() -> None:
    liar = openai_whole(content='"prompt_tokens": 999, "completion_tokens": 999')
    assert usage_in_tail(json.dumps(liar).encode()) == Usage(7, 2)


def test_no_counts_are_no_counts() -> None:
    assert usage_in_tail(sse({"choices": []})) is None
