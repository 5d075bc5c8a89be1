"""The same question has the same key, and another question has another."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.router.answers.key import answerer_digest, request_digest
from agent_runtime.router.dialects.operations import OLLAMA_CHAT, OLLAMA_GENERATE, OPENAI_CHAT, Operation
from fleet_spec.contract import ModelEndpoints

pytestmark = pytest.mark.unit

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {}, "b": {}}}}}
BODY: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
    "temperature": 0,
    "top_p": 0.5,
    "max_tokens": 16,
    "stop": ["a", "b"],
    "logit_bias": {"15": -100, "16": 2},
    "tools": [TOOL],
}


def digest(body: dict[str, Any] = BODY, operation: Operation = OPENAI_CHAT, **who: Any) -> bytes:
    return request_digest(operation, body, **{"streamed": False, "owner": "key", "private": False, **who})


SAMPLING = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 2),
        "top_p": st.floats(0, 1),
        "seed": st.integers(-(2**63), 2**63),
        "max_tokens": st.integers(1, 10**6),
        "presence_penalty": st.integers(-2, 2),
        "logit_bias": st.dictionaries(st.from_regex(r"[0-9]{1,5}", fullmatch=True), st.integers(-100, 100)),
        "x_unknown": st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
            max_leaves=8,
        ),
    },
)
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": st.text()}), min_size=1
)


def written_otherwise(value: Any, chance: random.Random, *, numbers: bool) -> Any:
    """The same JSON value with its keys in another order and its whole numbers in another form."""
    if isinstance(value, dict):
        items = [(key, written_otherwise(item, chance, numbers=numbers)) for key, item in value.items()]
        chance.shuffle(items)
        return dict(items)
    if isinstance(value, list):
        return [written_otherwise(item, chance, numbers=numbers) for item in value]
    if numbers and isinstance(value, int) and not isinstance(value, bool) and int(float(value)) == value:
        return float(value)
    return value


@given(sampling=SAMPLING, messages=MESSAGES, chance=st.randoms(use_true_random=False))
def test_the_order_of_keys_and_the_form_of_numbers_make_no_difference(
    sampling: dict[str, Any], messages: list[Any], chance: random.Random
) -> None:
    one = {"model": "m", "messages": messages, **sampling}
    fields = {name: written_otherwise(value, chance, numbers=name in sampling) for name, value in one.items()}
    other = dict(chance.sample(list(fields.items()), len(fields)))
    assert digest(json.loads(json.dumps(one))) == digest(json.loads(json.dumps(other)))


@given(one=SAMPLING, other=SAMPLING, messages=MESSAGES, others=MESSAGES)
def test_different_questions_have_different_keys(
    one: dict[str, Any], other: dict[str, Any], messages: list[Any], others: list[Any]
) -> None:
    first, second = {"messages": messages, **one}, {"messages": others, **other}
    present = [{name: value for name, value in body.items() if value is not None} for body in (first, second)]
    same = _told_apart(present[0]) == _told_apart(present[1])
    assert (digest(first) == digest(second)) == same


def _told_apart(value: Any) -> Any:
    """Python takes True for 1, and JSON does not."""
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, dict):
        return {key: _told_apart(item) for key, item in value.items()}
    return [_told_apart(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "change",
    [
        {"model": "other"},
        {"messages": BODY["messages"][:1]},
        {"messages": [{"role": "user", "content": "Hello", "images": ["iVBOR"]}]},
        {"temperature": 0.5},
        {"top_p": 0.25},
        {"max_tokens": 17},
        {"stop": ["b", "a"]},
        {"logit_bias": {"15": -100}},
        {"tools": []},
        {"tool_choice": "none"},
        {"n": 2},
        {"seed": 1},
        {"response_format": {"type": "json_object"}},
        {"reasoning_effort": "low"},
        {"logprobs": True},
        {"whatever_an_engine_knows": 1},
    ],
)
def test_all_that_can_change_the_answer_is_in_the_key(change: dict[str, Any]) -> None:
    assert digest(BODY | change) != digest()


@pytest.mark.parametrize(
    "change",
    [
        {"user": "somebody"},
        {"metadata": {"trace": "1"}},
        {"safety_identifier": "x"},
        {"prompt_cache_key": "x"},
        {"store": False},
        {"n": 1},
        {"seed": None},
        {"stream": False},
        {"temperature": -0.0},
    ],
)
def test_what_cannot_change_the_answer_is_not(change: dict[str, Any]) -> None:
    assert digest(BODY | change) == digest()


@pytest.mark.parametrize(
    "who", [{"owner": "other"}, {"owner": None}, {"owner": ""}, {"private": True}, {"streamed": True}]
)
def test_keys_privacy_and_streams_share_nothing(who: dict[str, Any]) -> None:
    assert digest(**who) != digest()


def test_usage_in_a_stream_is_part_of_the_answer() -> None:
    plain = digest(streamed=True)
    assert digest(BODY | {"stream_options": {"include_usage": False}}, streamed=True) == plain
    assert digest(BODY | {"stream_options": {"include_usage": True}}, streamed=True) != plain


def test_dialects_and_operations_are_apart() -> None:
    body = {"model": "m", "prompt": "Hello", "messages": []}
    assert len({digest(body, operation) for operation in (OPENAI_CHAT, OLLAMA_CHAT, OLLAMA_GENERATE)}) == 3


def test_absent_options_of_ollama_are_like_null_ones() -> None:
    body = {"model": "m", "messages": BODY["messages"], "options": {"temperature": 0}}
    same = body | {"options": {"temperature": 0.0, "seed": None}, "keep_alive": "10m", "format": None}
    assert digest(body, OLLAMA_CHAT) == digest(same, OLLAMA_CHAT)


def test_the_order_that_engines_write_into_the_prompt_counts() -> None:
    turned = {"type": "function", "function": {"name": "f", "parameters": {"properties": {"b": {}, "a": {}}}}}
    assert digest(BODY | {"tools": [turned]}) != digest()


def test_the_order_in_calls_of_tools_counts_too() -> None:
    def called(**arguments: int) -> bytes:
        call = {"function": {"name": "f", "arguments": arguments}}
        return digest(BODY | {"messages": [{"role": "assistant", "tool_calls": [call]}]}, OLLAMA_CHAT)

    assert called(a=1, b=2) == called(a=1, b=2)
    assert called(a=1, b=2) != called(b=2, a=1)


def test_half_a_character_has_a_key_too() -> None:
    assert digest(BODY | {"messages": [{"role": "user", "content": "\ud800"}]}) != digest()


def entry(**fields: Any) -> ModelEndpoints:
    known = {
        "model": "tiny:1b",
        "engine": "llamacpp",
        "contextLength": 2048,
        "endpoints": [{"url": "http://127.0.0.1:1"}],
    }
    return ModelEndpoints.model_validate(known | fields)


def test_where_a_model_of_the_fleet_runs_and_what_it_costs_makes_no_difference() -> None:
    moved = entry(endpoints=[{"url": "http://127.0.0.1:2"}], parallel=8, usdPerHour=1.0, sleeps=True)
    assert answerer_digest("m", moved, "local") == answerer_digest("m", entry(), "local")


@pytest.mark.parametrize(
    "change",
    [
        {"model": "other:1b"},
        {"engine": "vllm"},
        {"contextLength": 4096},
        {"stop": ["###"]},
        {"adapters": {"law": "file"}},
        {"quantization": "q8_0"},
    ],
)
def test_another_model_behind_the_same_name_is_another_answerer(change: dict[str, Any]) -> None:
    assert answerer_digest("m", entry(**change), "local") != answerer_digest("m", entry(), "local")


def test_beyond_the_fleet_the_address_tells_models_apart() -> None:
    moved = entry(endpoints=[{"url": "https://other.example.com"}])
    assert answerer_digest("m", moved, "commercial") != answerer_digest("m", entry(), "commercial")
    assert answerer_digest("m", entry(), "cloud") != answerer_digest("m", entry(), "local")
    assert answerer_digest("n", entry(), "local") != answerer_digest("m", entry(), "local")
