"""How an engine is asked: untouched where it can be, translated where it must be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.dialects.fields import decode_object
from agent_runtime.router.dialects.hide_usage import HideUsage
from agent_runtime.router.dialects.operations import (
    OLLAMA_CHAT,
    OLLAMA_GENERATE,
    OPENAI_CHAT,
    OPENAI_RESPONSES,
    OPERATIONS,
    Call,
    Operation,
    answer_without_work,
    plan,
    requested_model,
)
from fleet_spec.contract import EngineName

pytestmark = pytest.mark.unit

HELLO = {"role": "user", "content": "Hello"}


def planned(operation: Operation, engine: EngineName, **body: Any) -> Call:
    raw = json.dumps({"model": "tiny:1b", "messages": [HELLO], **body}, indent=3).encode()
    return plan(operation, raw, json.loads(raw), engine=engine, engine_model="tiny:1b", context_length=2048)


@pytest.mark.parametrize(("operation", "engine"), [(OLLAMA_CHAT, "ollama"), (OPENAI_CHAT, "llamacpp")])
def test_the_same_dialect_gets_the_clients_own_bytes(operation: Operation, engine: EngineName) -> None:
    raw = b'{ "model": "tiny:1b",\n "messages": [], "stream": true, "unheard_of": 1e400 }'
    body = {"model": "tiny:1b", "messages": [], "stream": True}
    call = plan(operation, raw, body, engine=engine, engine_model="tiny:1b", context_length=2048)
    assert call.body is raw
    assert call.path == operation.path
    assert call.translator is None


def test_another_name_is_all_that_changes() -> None:
    call = planned(OLLAMA_CHAT, "ollama", model="assistant", options={"seed": 1})
    assert json.loads(call.body) == {"model": "tiny:1b", "messages": [HELLO], "options": {"seed": 1}}


def test_ollama_streams_unless_told_not_to_and_openai_the_other_way_round() -> None:
    assert planned(OLLAMA_CHAT, "ollama").streamed
    assert not planned(OLLAMA_CHAT, "ollama", stream=False).streamed
    assert not planned(OPENAI_CHAT, "llamacpp").streamed
    assert planned(OPENAI_CHAT, "llamacpp", stream=True).streamed


def test_vllm_is_asked_for_counts_that_the_client_does_not_get() -> None:
    call = planned(OPENAI_CHAT, "vllm", stream=True)
    assert json.loads(call.body)["stream_options"] == {"include_usage": True}
    assert call.translator is HideUsage
    asked = planned(OPENAI_CHAT, "vllm", stream=True, stream_options={"include_usage": True})
    assert asked.translator is None


@pytest.mark.parametrize(
    ("path", "engine", "upstream"),
    [
        ("/api/chat", "llamacpp", "/v1/chat/completions"),
        ("/api/generate", "vllm", "/v1/chat/completions"),
        ("/api/embed", "llamacpp", "/v1/embeddings"),
        ("/api/embeddings", "llamacpp", "/v1/embeddings"),
        ("/v1/chat/completions", "ollama", "/api/chat"),
        ("/v1/completions", "ollama", "/api/generate"),
        ("/v1/embeddings", "ollama", "/api/embed"),
    ],
)
def test_every_pairing_has_a_way(path: str, engine: EngineName, upstream: str) -> None:
    call = planned(OPERATIONS[path], engine, prompt="a", input="a")
    assert call.path == upstream
    assert call.translator is not None
    assert json.loads(call.body)["model"] == "tiny:1b"


@pytest.mark.parametrize("engine", ["ollama", "llamacpp", "vllm", "openai"])
def test_responses_go_through_as_they_are(engine: EngineName) -> None:
    raw = b'{"model": "tiny:1b", "input": "Hi", "stream": true}'
    call = plan(OPENAI_RESPONSES, raw, json.loads(raw), engine=engine, engine_model="tiny:1b", context_length=2048)
    assert (call.path, call.body, call.translator) == ("/v1/responses", raw, None)
    assert call.streamed


def test_a_gap_is_filled_by_llama_cpps_own_operation() -> None:
    call = planned(OLLAMA_GENERATE, "llamacpp", prompt="def f(", suffix="return 1")
    assert call.path == "/infill"
    assert call.translator is not None
    out = call.translator().whole(
        json.dumps({"content": "x):", "stop": True, "stop_type": "limit", "tokens_predicted": 2}).encode()
    )
    said = json.loads(out)
    assert (said["response"], said["done_reason"], said["eval_count"]) == ("x):", "length", 2)
    stream = b'data: {"content":"x","stop":false}\n\ndata: {"content":"","stop":true,"tokens_evaluated":4}\n\n'
    translator = call.translator()
    lines = [json.loads(line) for line in (translator.feed(stream) + translator.finish()).splitlines()]
    assert [line["response"] for line in lines] == ["x", ""]
    assert (lines[1]["done"], lines[1]["prompt_eval_count"]) == (True, 4)
    assert planned(OLLAMA_GENERATE, "openai", prompt="def f(", suffix="return 1").path == "/v1/completions"


@pytest.mark.parametrize(
    ("path", "answer"),
    [("/api/embed", {"model": "m", "embeddings": []}), ("/api/embeddings", {"embedding": []})],
)
def test_nothing_to_embed_is_no_work(path: str, answer: dict[str, Any]) -> None:
    body = {"model": "m", "input": "", "prompt": ""}
    assert answer_without_work(OPERATIONS[path], body, "vllm") == answer
    assert answer_without_work(OPERATIONS[path], {**body, "input": ["a"], "prompt": "a"}, "vllm") is None


@pytest.mark.parametrize(
    ("keep_alive", "reason"),
    [(None, "load"), (0, "unload"), ("0s", "unload"), ("0", "unload"), ("10m", "load"), (-1, "load")],
)
def test_loading_and_unloading_a_model_that_is_always_there_is_no_work(keep_alive: object, reason: str) -> None:
    body = {"model": "m", "messages": [], "keep_alive": keep_alive}
    answer = answer_without_work(OLLAMA_CHAT, body, "llamacpp")
    assert answer is not None
    assert answer["done"] is True
    assert answer["done_reason"] == reason
    assert answer["message"] == {"role": "assistant", "content": ""}


def test_an_ollama_loads_and_unloads_itself() -> None:
    assert answer_without_work(OLLAMA_GENERATE, {"model": "m", "keep_alive": 0}, "ollama") is None


@pytest.mark.parametrize(
    ("operation", "body", "message"),
    [
        (OLLAMA_CHAT, {}, "model is required"),
        (OLLAMA_CHAT, {"model": ""}, "model is required"),
        (OLLAMA_CHAT, {"model": 5}, "model must be a string, not 5"),
        (OLLAMA_CHAT, {"model": "m", "messages": "Hi"}, 'messages must be a list, not "Hi"'),
        (OLLAMA_CHAT, {"model": "m", "messages": [1]}, r"messages\[0\] must be an object, not 1"),
        (OLLAMA_CHAT, {"model": "m", "stream": "yes"}, 'stream must be true or false, not "yes"'),
        (OLLAMA_GENERATE, {"model": "m", "prompt": ["a"]}, "prompt must be a string, not a list"),
        (OPENAI_CHAT, {"model": "m"}, "messages is required"),
        (OPENAI_CHAT, {"model": "m", "messages": [HELLO], "max_tokens": "5"}, "max_tokens must be a whole number"),
        (OPENAI_CHAT, {"model": "m", "messages": [HELLO], "temperature": True}, "temperature must be a number"),
    ],
)
def test_what_is_wrong_is_named_for_every_engine(operation: Operation, body: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message) as error:
        requested_model(operation, body)
    assert error.value.status == 400


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "missing request body"),
        (b"{", "is not JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"a": NaN}', "NaN is not a number"),
        (b'{"a": "\xff"}', "is not UTF-8"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "is not JSON"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(raw: bytes, message: str) -> None:
    with pytest.raises(RequestError, match=message) as error:
        decode_object(raw)
    assert error.value.status == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    "messages",
    "prompt",
    "system",
    "images",
    "options",
    "format",
    "think",
    "tools",
    "tool_choice",
    "stream",
    "keep_alive",
    "raw",
    "suffix",
    "input",
    "stop",
    "response_format",
    "n",
    "seed",
    "max_tokens",
    "stream_options",
    "reasoning_effort",
    "logprobs",
    "top_logprobs",
    "encoding_format",
]
TURNS = st.lists(
    st.dictionaries(
        st.sampled_from(["role", "content", "images", "tool_calls", "tool_call_id", "tool_name", "thinking", "name"]),
        JSON | st.lists(st.dictionaries(st.sampled_from(["type", "text", "image_url", "function", "id"]), JSON)),
        max_size=4,
    ),
    max_size=3,
)


@given(
    path=st.sampled_from(sorted(OPERATIONS)),
    engine=st.sampled_from(["ollama", "llamacpp", "vllm", "openai"]),
    fields=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=5),
    turns=st.none() | TURNS,
)
def test_whatever_is_asked_is_planned_or_refused_in_words(
    path: str, engine: EngineName, fields: dict[str, Any], turns: object
) -> None:
    body = {"model": "m", **fields, **({} if turns is None else {"messages": turns})}
    operation = OPERATIONS[path]
    raw = json.dumps(body).encode()
    refusal: RequestError | None = None
    try:
        requested_model(operation, body)
        if answer_without_work(operation, body, engine) is None:
            call = plan(operation, raw, body, engine=engine, engine_model="tiny:1b", context_length=2048)
            assert json.loads(call.body)["model"] == "tiny:1b"
    except RequestError as error:
        refusal = error
    assert refusal is None or (400 <= refusal.status < 500 and refusal.message)
