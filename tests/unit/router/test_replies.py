"""Answers in the other dialect: whole ones, streams cut anywhere, and streams that break."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.router.dialects.errors import BadReplyError
from agent_runtime.router.dialects.hide_usage import HideUsage
from agent_runtime.router.dialects.replies import ReplyTranslator
from agent_runtime.router.dialects.replies_to_ollama import ChatToOllama, EmbedToOllama, GenerateToOllama
from agent_runtime.router.dialects.replies_to_openai import (
    ChatToOpenAI,
    CompletionToOpenAI,
    EmbeddingToOpenAI,
)
from agent_runtime.router.dialects.usage import Usage
from tests.unit.router.rig import (
    OLLAMA_DONE,
    ndjson,
    ollama_line,
    openai_chunk,
    openai_end,
    openai_usage,
    openai_whole,
    sse,
)
from tests.unit.router.test_framing import pieces

pytestmark = pytest.mark.unit

CUTS = st.lists(st.integers(min_value=0, max_value=100_000), max_size=30)


def through(translator: ReplyTranslator, stream: bytes, cuts: list[int] | None = None) -> bytes:
    """A whole stream through a translator, in pieces."""
    out = [translator.feed(piece) for piece in pieces(stream, cuts or [])]
    return b"".join(out) + translator.finish()


def lines(out: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def events(out: bytes) -> list[Any]:
    found = [event.removeprefix("data: ") for event in out.decode().split("\n\n") if event]
    return [event if event == "[DONE]" else json.loads(event) for event in found]


# OpenAI's stream for a client of Ollama's


TIMINGS = {"prompt_n": 3, "cache_n": 4, "prompt_ms": 1.5, "predicted_n": 2, "predicted_ms": 2.5}


@given(texts=st.lists(st.text(), max_size=8), cuts=CUTS)
def test_text_streams_to_ollama_whole_however_it_is_cut(texts: list[str], cuts: list[int]) -> None:
    stream = sse(
        openai_chunk(role="assistant", content=None),
        *(openai_chunk(content=text) for text in texts),
        openai_end("length"),
        {**openai_usage(), "timings": TIMINGS},
        b"[DONE]",
    )
    translator = ChatToOllama("m")
    found = lines(through(translator, stream, cuts))
    assert "".join(line["message"]["content"] for line in found) == "".join(texts)
    assert [line["done"] for line in found] == [False] * (len(found) - 1) + [True]
    last = found[-1]
    assert last["done_reason"] == "length"
    assert (last["prompt_eval_count"], last["eval_count"]) == (7, 2)
    assert (last["prompt_eval_duration"], last["eval_duration"]) == (1_500_000, 2_500_000)
    assert last["total_duration"] >= 0
    assert translator.usage == Usage(7, 2)
    assert {line["model"] for line in found} == {"m"}


def test_times_are_taken_here_where_the_engine_tells_none() -> None:
    now = iter([100, 130, 190])
    translator = ChatToOllama("m", clock_ns=lambda: next(now))
    out = through(translator, sse(openai_chunk(content="Hi"), openai_end(), openai_usage(), b"[DONE]"))
    last = lines(out)[-1]
    assert (last["prompt_eval_duration"], last["eval_duration"], last["total_duration"]) == (30, 60, 90)


def test_thinking_streams_to_ollama_apart() -> None:
    stream = sse(openai_chunk(reasoning_content="hm"), openai_chunk(content="4"), openai_end(), b"[DONE]")
    found = lines(through(ChatToOllama("m"), stream))
    assert found[0]["message"] == {"role": "assistant", "content": "", "thinking": "hm"}
    assert found[1]["message"] == {"role": "assistant", "content": "4"}


def test_tool_calls_in_pieces_reach_ollama_as_objects_before_the_last_line() -> None:
    def call(index: int, **function: str) -> dict[str, Any]:
        return {"index": index, "function": function}

    stream = sse(
        openai_chunk(tool_calls=[{**call(0, name="time", arguments='{"zo'), "id": "c1"}]),
        openai_chunk(tool_calls=[call(0, arguments='ne": "UTC"}')]),
        openai_chunk(tool_calls=[{**call(1, name="weather", arguments=""), "id": "c2"}]),
        openai_end("tool_calls"),
        b"[DONE]",
    )
    found = lines(through(ChatToOllama("m"), stream))
    assert found[0]["message"]["tool_calls"] == [
        {"id": "c1", "function": {"index": 0, "name": "time", "arguments": {"zone": "UTC"}}},
        {"id": "c2", "function": {"index": 1, "name": "weather", "arguments": {}}},
    ]
    assert found[1]["done_reason"] == "stop"


def test_generate_gets_its_own_shape() -> None:
    text = {**openai_chunk(), "choices": [{"index": 0, "text": "Hi", "finish_reason": None}]}
    found = lines(through(GenerateToOllama("m"), sse(text, openai_end(), b"[DONE]")))
    assert found[0]["response"] == "Hi"
    assert found[1]["response"] == ""
    assert found[1]["done"] is True


def test_a_whole_answer_for_ollama() -> None:
    reply = openai_whole("Hi")
    reply["choices"][0]["message"]["tool_calls"] = [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    ]
    found = json.loads(ChatToOllama("m").whole(json.dumps(reply).encode()))
    assert found["message"]["content"] == "Hi"
    assert found["message"]["tool_calls"][0]["function"] == {"index": 0, "name": "f", "arguments": {"a": 1}}
    assert found["done"] is True
    assert (found["prompt_eval_count"], found["eval_count"]) == (7, 2)


@given(cuts=CUTS, kept=st.integers(min_value=0, max_value=1000))
def test_a_stream_that_breaks_off_never_gets_a_last_line(cuts: list[int], kept: int) -> None:
    whole = sse(openai_chunk(content="one"), openai_chunk(content="two"))
    translator = ChatToOllama("m")
    with pytest.raises(BadReplyError):
        through(translator, whole[: kept % len(whole)], cuts)
    assert not translator.complete


@pytest.mark.parametrize(
    "event", [b'data: {"error": {"message": "out of memory"}}\n\n', b'error: {"message": "out of memory"}\n\n']
)
def test_an_engines_error_in_a_stream_is_a_failure_with_its_words(event: bytes) -> None:
    translator = ChatToOllama("m")
    out = translator.feed(sse(openai_chunk(content="Hi")) + event + sse(b"[DONE]"))
    assert translator.failure == "out of memory"
    assert [line["done"] for line in lines(out)] == [False]


def test_arguments_that_are_not_json_are_a_failure_not_a_wrong_call() -> None:
    translator = ChatToOllama("m")
    call = {"index": 0, "function": {"name": "f", "arguments": '{"a'}}
    translator.feed(sse(openai_chunk(tool_calls=[call]), openai_end("length"), b"[DONE]"))
    assert translator.failure is not None
    assert "'f'" in translator.failure


def test_embeddings_for_ollama() -> None:
    reply = {
        "data": [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}],
        "usage": {"prompt_tokens": 3},
    }
    body = json.dumps(reply).encode()
    many = json.loads(EmbedToOllama("m", single=False).whole(body))
    assert many["embeddings"] == [[1.0], [2.0]]
    assert many["prompt_eval_count"] == 3
    assert json.loads(EmbedToOllama("m", single=True).whole(body)) == {"embedding": [1.0]}


# Ollama's stream for a client of OpenAI's


@given(texts=st.lists(st.text(min_size=1), min_size=1, max_size=8), cuts=CUTS)
def test_text_streams_to_openai_whole_however_it_is_cut(texts: list[str], cuts: list[int]) -> None:
    stream = ndjson(*(ollama_line(text) for text in texts), ollama_line(**OLLAMA_DONE))
    translator = ChatToOpenAI("m", include_usage=True)
    found = events(through(translator, stream, cuts))
    assert found[-1] == "[DONE]"
    chunks = found[:-1]
    assert len({(chunk["id"], chunk["created"], chunk["model"], chunk["object"]) for chunk in chunks}) == 1
    assert chunks[0]["object"] == "chat.completion.chunk"
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    said = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"]]
    assert "".join(said) == "".join(texts)
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    assert translator.usage == Usage(7, 2)


def test_usage_is_hidden_from_who_did_not_ask() -> None:
    found = events(through(ChatToOpenAI("m"), ndjson(ollama_line("Hi"), ollama_line(**OLLAMA_DONE))))
    assert all("usage" not in chunk for chunk in found[:-1])


def test_tool_calls_are_numbered_over_the_whole_stream() -> None:
    def line(name: str) -> dict[str, Any]:
        call = {"function": {"index": 0, "name": name, "arguments": {"a": 1}}}
        return ollama_line(message={"role": "assistant", "content": "", "tool_calls": [call]})

    found = events(through(ChatToOpenAI("m"), ndjson(line("f"), line("g"), ollama_line(**OLLAMA_DONE))))
    calls = [chunk["choices"][0]["delta"]["tool_calls"][0] for chunk in found[:2]]
    assert [call["index"] for call in calls] == [0, 1]
    assert calls[0]["id"] != calls[1]["id"]
    assert json.loads(calls[0]["function"]["arguments"]) == {"a": 1}
    assert found[2]["choices"][0]["finish_reason"] == "tool_calls"


def test_thinking_streams_to_openai_apart() -> None:
    think = ollama_line(message={"role": "assistant", "content": "", "thinking": "hm"})
    found = events(through(ChatToOpenAI("m"), ndjson(think, ollama_line("4"), ollama_line(**OLLAMA_DONE))))
    assert found[0]["choices"][0]["delta"] == {"role": "assistant", "reasoning_content": "hm"}
    assert found[1]["choices"][0]["delta"] == {"content": "4"}


def test_a_whole_answer_for_openai() -> None:
    call = {"id": "c1", "function": {"name": "f", "arguments": {"a": 1}}}
    message = {"role": "assistant", "content": "", "thinking": "hm", "tool_calls": [call]}
    reply = ollama_line(**{**OLLAMA_DONE, "message": message})
    found = json.loads(ChatToOpenAI("m").whole(json.dumps(reply).encode()))
    assert found["object"] == "chat.completion"
    choice = found["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert choice["message"]["reasoning_content"] == "hm"
    assert choice["message"]["tool_calls"] == [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    ]
    assert found["usage"]["total_tokens"] == 9


def test_completions_get_their_own_shape() -> None:
    stream = ndjson({"response": "Hi", "done": False}, {"response": "", **OLLAMA_DONE})
    found = events(through(CompletionToOpenAI("m"), stream))
    assert found[0]["object"] == "text_completion"
    assert found[0]["choices"][0]["text"] == "Hi"
    assert found[1]["choices"][0]["finish_reason"] == "stop"


@given(cuts=CUTS, kept=st.integers(min_value=0, max_value=1000))
def test_a_broken_stream_never_gets_done(cuts: list[int], kept: int) -> None:
    whole = ndjson(ollama_line("one"), ollama_line("two"))
    translator = ChatToOpenAI("m")
    with pytest.raises(BadReplyError):
        through(translator, whole[: kept % len(whole)], cuts)


def test_an_error_line_is_a_failure_with_its_words() -> None:
    translator = ChatToOpenAI("m")
    out = translator.feed(ndjson(ollama_line("Hi"), {"error": "out of memory"}))
    assert translator.failure == "out of memory"
    assert b"[DONE]" not in out


def test_a_whole_answer_that_is_not_done_is_refused() -> None:
    with pytest.raises(BadReplyError, match="done"):
        ChatToOpenAI("m").whole(json.dumps(ollama_line("Hi")).encode())


def test_embeddings_for_openai_in_both_encodings() -> None:
    body = json.dumps({"embeddings": [[1.0, -2.5]], "prompt_eval_count": 3}).encode()
    floats = json.loads(EmbeddingToOpenAI("m", as_base64=False).whole(body))
    assert floats["data"] == [{"object": "embedding", "index": 0, "embedding": [1.0, -2.5]}]
    assert floats["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    packed = json.loads(EmbeddingToOpenAI("m", as_base64=True).whole(body))["data"][0]["embedding"]
    assert struct.unpack("<2f", base64.b64decode(packed)) == (1.0, -2.5)


# OpenAI's stream for a client of OpenAI's that did not ask for counts


@given(cuts=CUTS)
def test_only_the_counts_are_taken_out(cuts: list[int]) -> None:
    kept = sse(openai_chunk(content="Hi"), openai_end())
    translator = HideUsage()
    out = through(translator, kept + sse(openai_usage(), b"[DONE]"), cuts)
    assert out == kept + sse(b"[DONE]")
    assert translator.usage == Usage(7, 2)


# How likely the tokens were

TOKENS = [
    {
        "token": "Hi",
        "logprob": -0.5,
        "top_logprobs": [{"token": "Hi", "logprob": -0.5}, {"token": "Ho", "logprob": -1}],
    },
    {"token": "!", "logprob": -0.1, "top_logprobs": []},
]
LISTED = {
    "tokens": ["Hi", "!"],
    "token_logprobs": [-0.5, -0.1],
    "top_logprobs": [{"Hi": -0.5, "Ho": -1}, {}],
    "text_offset": [0, 2],
}


def test_chances_are_listed_by_field_in_completions() -> None:
    reply = {"response": "Hi!", "done": True, "logprobs": TOKENS}
    whole = json.loads(CompletionToOpenAI("m").whole(json.dumps(reply).encode()))
    assert whole["choices"][0]["logprobs"] == LISTED
    parts = [{"response": token["token"], "done": False, "logprobs": [token]} for token in TOKENS]
    out = CompletionToOpenAI("m").feed(b"".join(json.dumps(part).encode() + b"\n" for part in parts))
    offsets = [event["choices"][0]["logprobs"]["text_offset"] for event in events(out)]
    assert offsets == [[0], [2]]


@pytest.mark.parametrize("logprobs", [{"content": TOKENS}, LISTED])
def test_chances_reach_ollama_from_either_shape(logprobs: dict[str, Any]) -> None:
    reply = {"choices": [{"text": "Hi!", "finish_reason": "stop", "logprobs": logprobs}]}
    said = json.loads(GenerateToOllama("m").whole(json.dumps(reply).encode()))["logprobs"]
    assert [(token["token"], token["logprob"]) for token in said] == [("Hi", -0.5), ("!", -0.1)]
    assert [other["token"] for other in said[0]["top_logprobs"]] == ["Hi", "Ho"]


def test_vectors_are_cut_as_ollama_cuts_them() -> None:
    reply = json.dumps({"data": [{"index": 0, "embedding": [0.6, 0.0, 0.8]}]}).encode()
    cut = json.loads(EmbedToOllama("m", single=False, dimensions=2).whole(reply))["embeddings"]
    assert cut == [[1.0, 0.0]]
