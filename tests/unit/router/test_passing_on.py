"""Answers reach the client: untouched, translated, streamed, big; with who gave them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.router.rig import (
    HELLO,
    OLLAMA_DONE,
    QUICK,
    Talk,
    contract,
    eventually,
    ndjson,
    ollama_line,
    openai_chunk,
    openai_end,
    openai_usage,
    openai_whole,
    running,
    sse,
)

pytestmark = pytest.mark.unit


async def whole(talk: Talk) -> None:
    await talk.reply(openai_whole("Hi"))


async def streamed(talk: Talk) -> None:
    await talk.stream(
        sse(openai_chunk(role="assistant")),
        sse(openai_chunk(content="Hi")),
        sse(openai_end(), openai_usage(), b"[DONE]"),
    )


async def ollama_whole(talk: Talk) -> None:
    await talk.reply(ollama_line("Hi", **OLLAMA_DONE))


async def ollama_stream(talk: Talk) -> None:
    await talk.stream(
        ndjson(ollama_line("Hi")), ndjson(ollama_line(**OLLAMA_DONE)), content_type="application/x-ndjson"
    )


async def test_the_engines_answer_is_passed_on_word_for_word(tmp_path: Path) -> None:
    body = b'{ "choices": [ ],\n "usage": {"prompt_tokens": 3, "completion_tokens": 4} }'

    async def script(talk: Talk) -> None:
        await talk.reply(body, headers="X-Own: 1\r\nServer: llama.cpp\r\nKeep-Alive: timeout=5\r\n")

    async with running(tmp_path, script) as rig:
        reply = await rig.completion()
        assert reply.status_code == 200
        assert reply.content == body
        assert reply.headers["x-own"] == "1"
        assert reply.headers["x-paddock-model"] == "m"
        assert reply.headers["x-paddock-endpoint"] == rig.engine.url
        assert "server" not in reply.headers
        assert "keep-alive" not in reply.headers
        assert await rig.metric('paddock_prompt_tokens_total{model="m"}') == 3
        assert await rig.metric('paddock_completion_tokens_total{model="m"}') == 4


async def test_the_clients_bytes_are_passed_on_untouched_where_the_name_is_the_engines(tmp_path: Path) -> None:
    sent = b'{"model":  "tiny:1b", "messages": [{"role":"user","content":"\xc3\xbc"}], "odd": [1e3], "stream": true}'
    async with running(tmp_path, whole) as rig:
        await rig.client.post("/v1/chat/completions", content=sent)
        assert rig.engine.asked[0].body == sent
        await rig.completion(model="m", stream=True)
        assert rig.engine.asked[1].json["model"] == "tiny:1b"


async def test_a_stream_is_passed_on_as_it_comes(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def script(talk: Talk) -> None:
        await talk.begin()
        await talk.chunk(sse(openai_chunk(content="one")))
        await go_on.wait()
        await talk.chunk(sse(openai_end(), b"[DONE]"))
        await talk.end()

    async with (
        running(tmp_path, script) as rig,
        rig.client.stream(
            "POST", "/v1/chat/completions", json={"model": "m", "messages": [HELLO], "stream": True}
        ) as reply,
    ):
        pieces = reply.aiter_raw()
        assert await anext(pieces) == sse(openai_chunk(content="one"))
        go_on.set()
        assert b"".join([piece async for piece in pieces]) == sse(openai_end(), b"[DONE]")


@pytest.mark.parametrize("stream", [True, False])
async def test_an_ollama_client_talks_to_llama_cpp(tmp_path: Path, stream: bool) -> None:
    async with running(tmp_path, streamed if stream else whole) as rig:
        reply = await rig.chat(stream=stream, options={"num_predict": 5})
        lines = [json.loads(line) for line in reply.content.splitlines()]
        assert "".join(line["message"]["content"] for line in lines) == "Hi"
        assert lines[-1]["done"] is True
        assert lines[-1]["prompt_eval_count"] == 7
        kind = "application/x-ndjson" if stream else "application/json; charset=utf-8"
        assert reply.headers["content-type"] == kind
        asked = rig.engine.asked[0]
        assert asked.path == "/v1/chat/completions"
        assert asked.json["max_tokens"] == 5
        assert await rig.metric('paddock_completion_tokens_total{model="m"}') == 2


async def test_an_openai_client_talks_to_ollama(tmp_path: Path) -> None:
    async with running(tmp_path, ollama_stream, engine="ollama") as rig:
        reply = await rig.completion(stream=True)
        assert reply.headers["content-type"] == "text/event-stream"
        assert reply.text.endswith("data: [DONE]\n\n")
        assert '"content":"Hi"' in reply.text
        assert rig.engine.asked[0].path == "/api/chat"


async def test_what_the_engine_cannot_do_is_told_in_a_header(tmp_path: Path) -> None:
    async with running(tmp_path, whole) as rig:
        reply = await rig.chat(stream=False, options={"num_ctx": 100_000, "num_gpu": 1})
        assert reply.headers["x-paddock-ignored"] == "options.num_ctx, options.num_gpu"


async def test_load_and_unload_are_answered_at_once_without_the_engine(tmp_path: Path) -> None:
    async with running(tmp_path, whole) as rig:
        loaded = await rig.client.post("/api/chat", json={"model": "m"})
        assert loaded.json()["done_reason"] == "load"
        unloaded = await rig.client.post("/api/generate", json={"model": "m", "keep_alive": 0})
        assert unloaded.json()["done_reason"] == "unload"
        assert rig.engine.asked == []


async def test_load_and_unload_go_to_an_ollama(tmp_path: Path) -> None:
    async def script(talk: Talk) -> None:
        await talk.reply({"model": "tiny:1b", "response": "", "done": True, "done_reason": "unload"})

    async with running(tmp_path, script, engine="ollama") as rig:
        await rig.client.post("/api/generate", json={"model": "m", "keep_alive": 0})
        assert rig.engine.asked[0].json == {"model": "tiny:1b", "keep_alive": 0}


async def test_big_prompts_and_big_chunks_pass(tmp_path: Path) -> None:
    answer = "x" * 3_000_000

    async def script(talk: Talk) -> None:
        await talk.stream(sse(openai_chunk(content=answer)), sse(openai_end(), b"[DONE]"))

    prompt = "y" * 2_000_000
    async with running(tmp_path, script, contextLength=131_072) as rig:
        raw = await rig.completion(stream=True, messages=[{"role": "user", "content": prompt}])
        assert answer in raw.text
        assert rig.engine.asked[0].json["messages"][0]["content"] == prompt
        translated = await rig.chat(messages=[{"role": "user", "content": prompt}])
        assert json.loads(translated.content.splitlines()[0])["message"]["content"] == answer


async def test_an_engines_refusal_comes_in_the_clients_dialect(tmp_path: Path) -> None:
    async def script(talk: Talk) -> None:
        await talk.reply({"error": {"message": "too long", "type": "x", "code": 400}}, status="400 Bad Request")

    async with running(tmp_path, script) as rig:
        translated = await rig.chat()
        assert translated.status_code == 400
        assert translated.json() == {"error": "too long"}
        untouched = await rig.completion()
        assert untouched.status_code == 400
        assert untouched.json()["error"]["type"] == "x"


async def test_connections_to_the_engine_are_used_again(tmp_path: Path) -> None:
    async with running(tmp_path, whole) as rig:
        for _ in range(5):
            await rig.completion()
        assert rig.engine.connections <= 2  # one may have been the health check's


async def test_a_slow_reader_slows_the_engine_down(tmp_path: Path) -> None:
    sent = 0
    block = sse(openai_chunk(content="x" * 60_000))

    async def script(talk: Talk) -> None:
        nonlocal sent
        await talk.begin()
        while sent < 2000:
            await talk.chunk(block)
            sent += 1
        await talk.chunk(sse(openai_end(), b"[DONE]"))
        await talk.end()

    async with running(tmp_path, script) as rig:
        reader, writer = await rig.connect()
        body = json.dumps({"model": "m", "messages": [HELLO], "stream": True}).encode()
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await reader.readuntil(b"\r\n\r\n")
        before = -1
        while before != sent:  # until it comes to a stand
            before = sent
            await asyncio.sleep(0.1)
        assert sent < 1000
        received = 0
        while sent < 2000:
            received += len(await reader.read(1_000_000))
        writer.close()


async def test_a_client_of_http_1_0_gets_no_chunks(tmp_path: Path) -> None:
    body = json.dumps({"model": "m", "messages": [HELLO], "stream": True}).encode()
    head = b"POST /v1/chat/completions HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with running(tmp_path, streamed) as rig:
        answer = await rig.raw(head + body)
        got, _, content = answer.partition(b"\r\n\r\n")
        assert b"Transfer-Encoding" not in got
        assert b"Connection: close" in got
        assert content.startswith(b"data: {")
        assert content.endswith(b"data: [DONE]\n\n")


async def test_aliases_split_by_weight_and_the_answer_says_which(tmp_path: Path) -> None:
    async with running(tmp_path, whole) as rig:
        endpoints = [{"url": rig.engine.url}]
        models = {"a": {"endpoints": endpoints}, "b": {"endpoints": endpoints}}
        rig.write_contract(contract(models, {"both": {"a": 0, "b": 1}}))
        await eventually(lambda: "b" in rig.router.fleet.models)
        replies = [await rig.completion(model="both") for _ in range(5)]
        assert {reply.headers["x-paddock-model"] for reply in replies} == {"b"}


async def test_the_access_log_tells_everything_but_what_was_said(tmp_path: Path) -> None:
    secret = "a prompt that nobody else should read"
    async with running(tmp_path, whole, limits=QUICK) as rig:
        await rig.completion(messages=[{"role": "user", "content": secret}])
        await rig.client.post("/api/chat", json={"model": secret[:5], "messages": secret})
        entry = rig.events("request")[0]
        assert entry["model"] == "m"
        assert entry["status"] == 200
        assert entry["endpoint"] == rig.engine.url
        assert (entry["prompt_tokens"], entry["completion_tokens"]) == (7, 2)
        assert secret not in "".join(rig.log_lines)


async def test_requests_are_counted_while_they_run_and_after(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def script(talk: Talk) -> None:
        await go_on.wait()
        await talk.reply(openai_whole())

    async with running(tmp_path, script) as rig:
        waiting = [asyncio.ensure_future(rig.completion()) for _ in range(3)]
        await eventually(lambda: len(rig.engine.asked) == 3)
        assert await rig.metric('ollama_active_requests{model="m"}') == 3
        go_on.set()
        await asyncio.gather(*waiting)
        assert await rig.metric('ollama_active_requests{model="m"}') == 0
        name = 'paddock_requests_total{model="m",status="200",dialect="openai"}'
        assert await rig.metric(name) == 3


async def test_the_models_own_stop_texts_hold_whatever_a_request_says(tmp_path: Path) -> None:
    stop = ["\nQ:", "\n\n"]
    async with running(tmp_path, whole, stop=stop) as rig:
        await rig.completion(stop="END", stream=True)
        await rig.chat(options={"stop": ["END", "\n\n"]})
        await rig.completion(stream=True)
        asked = [one.json.get("stop") for one in rig.engine.asked]
        assert asked == [["END", *stop], ["END", "\n\n", "\nQ:"], None]


async def test_an_ollama_is_told_the_models_own_stop_texts_too(tmp_path: Path) -> None:
    async with running(tmp_path, ollama_whole, engine="ollama", stop=["\nQ:"]) as rig:
        await rig.chat(stream=False, options={"stop": ["END"], "seed": 1})
        await rig.completion(stop=["END"])
        assert [one.json["options"]["stop"] for one in rig.engine.asked] == [["END", "\nQ:"], ["END", "\nQ:"]]


PICTURE = {"role": "user", "content": "What is it?", "images": ["iVBORw0KGgo="]}
PICTURE_PARTS = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}]}


@pytest.mark.parametrize(("path", "turn"), [("/api/chat", PICTURE), ("/v1/chat/completions", PICTURE_PARTS)])
async def test_a_model_that_sees_nothing_is_shown_nothing(tmp_path: Path, path: str, turn: dict[str, Any]) -> None:
    async with running(tmp_path, whole, capabilities=["chat"]) as rig:
        reply = await rig.client.post(path, json={"model": "m", "messages": [turn]})
        assert reply.status_code == 400
        error = reply.json()["error"]
        told = error if path == "/api/chat" else error["message"]
        assert told == '"m" does not support images: it can chat'
        assert rig.engine.asked == []
    async with running(tmp_path, whole, capabilities=["chat", "vision"]) as rig:
        await rig.client.post(path, json={"model": "m", "messages": [turn], "stream": False})
        assert len(rig.engine.asked) == 1
