"""Whatever clients send, they get an answer in their own dialect, and the router goes on as before.

Random requests of either dialect and random engines' answers, and HTTP that is broken on purpose: never a 500, never
a traceback, never a connection that hangs.
"""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent_runtime.router.dialects.operations import OPERATIONS
from tests.unit.router.rig import Rig, Talk, contract, ndjson, ollama_line, openai_whole, running

pytestmark = pytest.mark.unit

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    [
        *("messages", "prompt", "system", "images", "options", "format", "think", "tools", "tool_choice", "stream"),
        *("keep_alive", "raw", "suffix", "input", "stop", "response_format", "n", "seed", "max_tokens", "logprobs"),
        *("stream_options", "reasoning_effort", "top_logprobs", "encoding_format", "dimensions", "truncate"),
        *("instructions", "max_output_tokens", "temperature", "template", "context", "user"),
    ]
)
TURNS = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system", "tool", "function", "developer"]) | JSON},
        optional={
            "content": JSON | st.lists(st.dictionaries(st.sampled_from(["type", "text", "image_url"]), JSON)),
            "tool_calls": JSON | st.lists(st.dictionaries(st.sampled_from(["id", "function", "type"]), JSON)),
            "images": JSON,
        },
    ),
    max_size=3,
)
BODIES = st.fixed_dictionaries(
    {"model": st.sampled_from(["o", "l", "v", "a", "none"]) | JSON},
    optional={"messages": TURNS | JSON, "prompt": st.text(max_size=8), "input": JSON},
).flatmap(lambda fixed: st.dictionaries(NAMES, JSON, max_size=4).map(lambda more: {**more, **fixed}))
ANSWERS = JSON | st.dictionaries(
    st.sampled_from(["choices", "message", "done", "usage", "error", "response", "embeddings", "data", "logprobs"]),
    JSON,
)
TESTED = settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


def right_shape(path: str, status: int, body: bytes) -> None:
    """An error in the client's dialect."""
    error = json.loads(body)["error"]
    if path.startswith("/v1"):
        assert {"message", "type", "param", "code"} <= error.keys()
        assert isinstance(error["message"], str)
    else:
        assert isinstance(error, str)
    assert b"Traceback" not in body
    assert status in (400, 403, 404, 405, 408, 409, 413, 415, 417, 429, 431, 501, 502, 503, 504)


async def fleet(tmp_path: Path, script: Any, body: Any) -> None:
    """Run ``body`` on a router for three engines that all do the same."""
    async with running(tmp_path, script, script, script) as rig:
        urls = [engine.url for engine in rig.engines]
        abilities = ["chat", "completion", "embedding", "vision", "tools"]
        rig.write_contract(
            contract(
                {
                    name: {"engine": engine, "endpoints": [{"url": url}], "capabilities": abilities}
                    for name, engine, url in zip("olv", ("ollama", "llamacpp", "vllm"), urls, strict=True)
                },
                {"a": {"o": 1.0, "l": 1.0, "v": 1.0}},
            )
        )
        async with asyncio.timeout(60):
            while set(rig.router.fleet.models) != {"o", "l", "v"}:
                await asyncio.sleep(0.02)
        await body(rig)


async def fits(talk: Talk) -> None:
    """Answer as the path asks."""
    if talk.asked.path == "/api/embed":
        await talk.reply({"embeddings": [[0.5]]})
    elif talk.asked.path.startswith("/api"):
        await talk.stream(ndjson(ollama_line("a"), ollama_line("", done=True)), content_type="application/x-ndjson")
    else:
        await talk.reply({**openai_whole(), "data": [{"embedding": [0.5], "index": 0}]})


@given(path=st.sampled_from(sorted(OPERATIONS)), bodies=st.lists(BODIES, min_size=5, max_size=12))
@TESTED
def test_any_request_is_answered_in_the_dialect_it_came_in(tmp_path: Path, path: str, bodies: list[Any]) -> None:
    async def ask(rig: Rig) -> None:
        for body in bodies:
            reply = await rig.client.post(path, content=json.dumps(body))
            if reply.status_code >= 400:
                right_shape(path, reply.status_code, reply.content)
        assert rig.events("fault") == []
        assert (await rig.client.get("/healthz")).status_code == 200

    asyncio.run(fleet(tmp_path, fits, ask))


@given(
    path=st.sampled_from(sorted(OPERATIONS)),
    answers=st.lists(ANSWERS, min_size=1, max_size=3),
    streamed=st.booleans(),
    status=st.sampled_from(["200 OK", "400 Bad Request", "500 Internal Server Error"]),
)
@TESTED
def test_any_answer_of_an_engine_ends_in_an_answer(
    tmp_path: Path, path: str, answers: list[Any], streamed: bool, status: str
) -> None:
    async def script(talk: Talk) -> None:
        if not streamed:
            await talk.reply(answers[0], status=status)
        elif talk.asked.path.startswith("/api"):
            await talk.stream(ndjson(*answers), content_type="application/x-ndjson")
        else:
            await talk.stream(*(b"data: " + json.dumps(answer).encode() + b"\n\n" for answer in answers))

    async def ask(rig: Rig) -> None:
        hello = [{"role": "user", "content": "Hello"}]
        for model in "olv":
            body = {"model": model, "messages": hello, "prompt": "Hello", "input": "Hello", "stream": streamed}
            reply = await rig.client.post(path, json=body)
            # A 500 can only be the engine's own.
            assert reply.status_code < 500 or reply.status_code in (502, 503, 504) or status.startswith("500")
        assert rig.events("fault") == []

    asyncio.run(fleet(tmp_path, script, ask))


# HTTP

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n"
BROKEN = st.sampled_from(
    [
        b"Content-Length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5, 5\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 0x5\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"X: a\r\n folded\r\n",
        b"X: \x00\r\n",
        b"X\x00: a\r\n",
        b" X: a\r\n",
        b"X : a\r\n",
        b": a\r\n",
        b"Host: b\r\n",
        b"X: a\nY: b\r\n",
        b"X: a\rY: b\r\n",
        b"Expect: 100-continue\r\n",
        b"Upgrade: h2c\r\nConnection: upgrade\r\n",
    ]
)
PIECES = st.sampled_from(
    [
        *(b"5\r\nhello\r\n0\r\n\r\n", b"zz\r\n", b"-1\r\n", b"5;ext=\x00\r\nhello\r\n0\r\n\r\n"),
        *(b"ffffffffffffffffff\r\n", b"hello", b"5\nhello\n0\n\n", b"0\r\nX: y\r\n\r\n", b"{}"),
        *(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n" * 9),
    ]
)


@given(heads=st.lists(BROKEN, max_size=3), rest=st.lists(PIECES | st.binary(max_size=12), max_size=4))
@TESTED
def test_broken_http_ends_in_answers_and_a_closed_connection(
    tmp_path: Path, heads: list[bytes], rest: list[bytes]
) -> None:
    async def ask(rig: Rig) -> None:
        reader, writer = await rig.connect()
        writer.write(HEAD + b"".join(heads) + b"\r\n" + b"".join(rest))
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 60)
        writer.close()
        statuses = [int(found) for found in re.findall(rb"HTTP/1\.1 (\d+) ", answer)]
        assert not [status for status in statuses if status >= 500]
        assert rig.events("fault") == []
        assert all(len(engine.asked) == 0 for engine in rig.engines)

    asyncio.run(fleet(tmp_path, fits, ask))
