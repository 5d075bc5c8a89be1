"""Whole answers of llama.cpp: asked for in pieces, so that the work ends when the client leaves."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.router.dialects.assembly import Assembly, asked_in_pieces
from agent_runtime.router.dialects.errors import BadReplyError
from tests.unit.router.rig import HELLO, Talk, eventually, openai_chunk, openai_end, openai_usage, running, sse

pytestmark = pytest.mark.unit

CHAT = "/v1/chat/completions"
TIMINGS = {"cache_n": 0, "prompt_n": 7, "predicted_n": 2, "predicted_ms": 12.5}
LOGPROBS = [{"token": "Tok", "logprob": -0.1}, {"token": "yo", "logprob": -0.2}]


def chunk(logprob: dict[str, Any] | None = None, **delta: Any) -> dict[str, Any]:
    made = openai_chunk(**delta)
    if logprob is not None:
        made["choices"][0]["logprobs"] = {"content": [logprob]}
    return made


STREAM = sse(
    chunk(role="assistant", content=None),
    chunk(reasoning_content="It is "),
    chunk(reasoning_content="easy."),
    chunk(LOGPROBS[0], content="東"),
    chunk(LOGPROBS[1], content="京 🎉"),
    openai_end("length"),
    {**openai_usage(), "timings": TIMINGS},
    b"[DONE]",
)


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_the_pieces_are_put_together_field_by_field_however_they_are_cut(size: int) -> None:
    assembly = Assembly(CHAT)
    for start in range(0, len(STREAM), size):
        assembly.feed(STREAM[start : start + size])
    whole = json.loads(assembly.body())
    assert whole["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "東京 🎉", "reasoning_content": "It is easy."},
            "logprobs": {"content": LOGPROBS},
            "finish_reason": "length",
        }
    ]
    assert whole["usage"] == openai_usage()["usage"]
    assert whole["timings"] == TIMINGS
    assert (whole["object"], whole["id"], whole["model"]) == ("chat.completion", "chatcmpl-1", "tiny:1b")


PIECES = st.lists(
    st.tuples(
        st.sampled_from(["content", "content", "reasoning_content"]),
        st.text(alphabet=st.sampled_from('ab"\\\n東}],:'), min_size=1, max_size=6),
        st.none() | st.sampled_from(LOGPROBS),
    ),
    max_size=12,
)


@given(pieces=PIECES, separators=st.sampled_from([(",", ":"), (", ", ": ")]))
def test_nothing_is_lost_where_neighbours_are_joined(pieces: list[Any], separators: tuple[str, str]) -> None:
    chunks = [chunk(logprob, **{name: text}) for name, text, logprob in pieces]
    assembly = Assembly(CHAT)
    for made in (chunk(role="assistant", content=None), *chunks, openai_end("stop")):
        assembly.feed(b"data: " + json.dumps(made, ensure_ascii=False, separators=separators).encode() + b"\n\n")
    assembly.feed(b"data: [DONE]\n\n")
    choice = json.loads(assembly.body())["choices"][0]
    for name in ("content", "reasoning_content"):
        assert choice["message"].get(name, "") == "".join(text for kind, text, _ in pieces if kind == name)
    assert (choice.get("logprobs") or {"content": []})["content"] == [found for *_, found in pieces if found]


def call(index: int, arguments: str, **function: str) -> dict[str, Any]:
    named = {"id": f"call_{index}", "type": "function"} if function else {}
    return {"index": index, **named, "function": {**function, "arguments": arguments}}


@pytest.mark.parametrize("said", ["", "Let me look."])
def test_calls_of_tools_are_put_together_too(said: str) -> None:
    assembly = Assembly(CHAT)
    assembly.feed(
        sse(
            chunk(role="assistant", content=None),
            *([chunk(content=said)] if said else []),
            chunk(tool_calls=[call(0, "", name="look_up")]),
            chunk(tool_calls=[call(0, '{"city": "東')]),
            chunk(tool_calls=[call(0, '京"}'), call(1, "{}", name="now")]),
            openai_end("tool_calls"),
            openai_usage(),
            b"[DONE]",
        )
    )
    choice = json.loads(assembly.body())["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": said or None,
        "tool_calls": [
            {"type": "function", "function": {"name": "look_up", "arguments": '{"city": "東京"}'}, "id": "call_0"},
            {"type": "function", "function": {"name": "now", "arguments": "{}"}, "id": "call_1"},
        ],
    }


def test_a_completion_is_text() -> None:
    assembly = Assembly("/v1/completions")
    choice = {"index": 0, "logprobs": None, "finish_reason": None}
    last = {**choice, "text": "", "finish_reason": "stop"}
    parts = [{**choice, "text": "The "}, {**choice, "text": "sky"}, last]
    assembly.feed(sse(*({"id": "c", "choices": [part]} for part in parts), openai_usage(), b"[DONE]"))
    whole = json.loads(assembly.body())
    assert whole["object"] == "text_completion"
    assert whole["choices"] == [{"text": "The sky", "index": 0, "logprobs": None, "finish_reason": "stop"}]


def test_half_a_stream_is_no_answer() -> None:
    assembly = Assembly(CHAT)
    assembly.feed(sse(chunk(content="Tok")))
    with pytest.raises(BadReplyError, match="broke its answer off"):
        assembly.body()


def test_an_error_in_the_stream_is_raised() -> None:
    with pytest.raises(BadReplyError, match="out of memory"):
        Assembly(CHAT).feed(b'error: {"code": 500, "message": "out of memory"}\n\n')


@pytest.mark.parametrize(
    "more",
    [{"n": 2}, {"functions": []}, {"timings_per_token": True}],
)
def test_what_a_stream_would_not_say_alike_is_asked_for_whole(more: dict[str, Any]) -> None:
    assert asked_in_pieces("llamacpp", CHAT, {"messages": [HELLO], **more}) is None


def test_a_short_answer_is_asked_for_whole() -> None:
    asked = {"model": "m", "messages": []}
    assert asked_in_pieces("llamacpp", "/v1/chat/completions", {**asked, "max_tokens": 32}) is None
    assert asked_in_pieces("llamacpp", "/v1/chat/completions", {**asked, "max_tokens": 33}) is not None
    assert asked_in_pieces("llamacpp", "/v1/chat/completions", {**asked, "max_tokens": -1}) is not None


def test_only_llama_cpp_is_asked_in_pieces() -> None:
    body = {"messages": [HELLO]}
    assert asked_in_pieces("llamacpp", CHAT, body) == {
        **body,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert asked_in_pieces("vllm", CHAT, body) is None
    assert asked_in_pieces("llamacpp", "/v1/embeddings", {"input": "x"}) is None
    assert asked_in_pieces("llamacpp", "/v1/completions", {"prompt": ["a", "b"]}) is None


async def streams(talk: Talk) -> None:
    await talk.stream(STREAM[:200], STREAM[200:])


async def test_both_kinds_of_client_get_the_answer_whole(tmp_path: Path) -> None:
    async with running(tmp_path, streams) as rig:
        openai = await rig.completion()
        assert openai.headers["content-type"] == "application/json; charset=utf-8"
        assert int(openai.headers["content-length"]) == len(openai.content)
        assert openai.json()["choices"][0]["message"]["content"] == "東京 🎉"
        ollama = await rig.chat(stream=False)
        assert ollama.json()["message"]["content"] == "東京 🎉"
        assert ollama.json()["done_reason"] == "length"
        assert [asked.json["stream"] for asked in rig.engine.asked] == [True, True]
        assert await rig.metric('paddock_completion_tokens_total{model="m"}') == 4


async def test_a_client_that_does_not_wait_for_a_whole_answer_stops_the_work(tmp_path: Path) -> None:
    stopped = asyncio.Event()

    async def slowly(talk: Talk) -> None:
        await talk.begin()
        await talk.chunk(sse(chunk(content="Tok")))
        await talk.client_left.wait()
        stopped.set()

    async with running(tmp_path, slowly) as rig:
        asking = asyncio.create_task(rig.completion())
        await eventually(lambda: rig.engine.asked)
        assert rig.engine.asked[0].json["stream"] is True
        asking.cancel()
        await asyncio.wait_for(stopped.wait(), 5)


async def test_a_stream_that_fails_is_an_error_with_a_status(tmp_path: Path) -> None:
    async def failing(talk: Talk) -> None:
        await talk.begin()
        await talk.chunk(sse(chunk(content="Tok")))
        await talk.chunk(b'error: {"code": 500, "message": "out of memory"}\n\ndata: {not json}\n\n')
        await talk.end()

    async with running(tmp_path, failing) as rig:
        reply = await rig.completion()
        assert (reply.status_code, reply.json()["error"]["message"]) == (502, "out of memory")
        assert (await rig.client.get("/healthz")).status_code == 200
