"""Model servers break in every way, and clients leave: what the client sees, and what goes on behind."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.unit.router.rig import (
    HELLO,
    OLLAMA_DONE,
    QUICK,
    ScriptedEngine,
    Talk,
    contract,
    eventually,
    ndjson,
    ollama_line,
    openai_chunk,
    openai_end,
    openai_whole,
    running,
    sse,
)

pytestmark = pytest.mark.unit


async def whole(talk: Talk) -> None:
    await talk.reply(openai_whole("Hi"))


async def closes_before_it_answers(talk: Talk) -> None:
    await talk.hang_up()


async def breaks_a_whole_answer_off(talk: Talk) -> None:
    await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
    await talk.hang_up()


async def breaks_a_stream_off(talk: Talk) -> None:
    await talk.begin()
    await talk.chunk(sse(openai_chunk(content="Hi")))
    await talk.hang_up()


async def ends_a_stream_without_saying_so(talk: Talk) -> None:
    await talk.stream(sse(openai_chunk(content="Hi")))


async def waits_for_its_client_to_leave(talk: Talk) -> None:
    await talk.client_left.wait()


async def streams_until_its_client_leaves(talk: Talk) -> None:
    await talk.begin()
    await talk.chunk(sse(openai_chunk(content="Hi")))
    await talk.client_left.wait()


# Another replica


@pytest.mark.parametrize("broken", [closes_before_it_answers, breaks_a_whole_answer_off])
async def test_what_breaks_before_the_first_byte_is_answered_by_another_replica(tmp_path: Path, broken) -> None:
    async with running(tmp_path, broken, whole) as rig:
        for _ in range(4):
            reply = await rig.completion()
            assert reply.status_code == 200
            assert reply.headers["x-paddock-endpoint"] == rig.engines[1].url
        assert await rig.metric('paddock_retries_total{model="m"}') >= 1


async def test_a_replica_that_refuses_connections_is_passed_over_until_it_is_back(tmp_path: Path) -> None:
    async with running(tmp_path, whole, whole) as rig:
        first = rig.engines[0]
        port = first.port
        await first.stop()
        for _ in range(6):
            assert (await rig.completion()).headers["x-paddock-endpoint"] == rig.engines[1].url
        await eventually(lambda: rig.events("endpoint_down"))
        healthy = f'paddock_endpoint_healthy{{model="m",endpoint="{first.url}"}}'
        assert await rig.metric(healthy) == 0
        await first.start(port)
        await eventually(lambda: rig.router.fleet.models["m"].replicas[0].endpoint.health == "up")
        assert await rig.metric(healthy) == 1
        endpoints = {(await rig.completion()).headers["x-paddock-endpoint"] for _ in range(4)}
        assert endpoints == {rig.engines[0].url, rig.engines[1].url}


async def test_overload_is_answered_by_another_replica_and_is_no_ill_health(tmp_path: Path) -> None:
    async def overloaded(talk: Talk) -> None:
        await talk.reply({"error": "server busy"}, status="503 Service Unavailable")

    async with running(tmp_path, overloaded, whole) as rig:
        for _ in range(4):
            assert (await rig.completion()).status_code == 200
        assert rig.events("endpoint_down") == []


async def test_overload_of_the_only_replica_is_told(tmp_path: Path) -> None:
    async def overloaded(talk: Talk) -> None:
        await talk.reply({"error": "server busy, please try again"}, status="503 Service Unavailable")

    async with running(tmp_path, overloaded, engine="ollama") as rig:
        reply = await rig.completion()
        assert reply.status_code == 503
        assert reply.json()["error"]["message"] == "server busy, please try again"


async def test_a_request_that_breaks_servers_is_not_sent_to_all_of_them(tmp_path: Path) -> None:
    async with running(tmp_path, *[closes_before_it_answers] * 4) as rig:
        assert (await rig.completion()).status_code == 502
        assert sum(bool(engine.asked) for engine in rig.engines) == 2


async def test_an_idle_connection_that_the_server_closed_is_no_fault(tmp_path: Path) -> None:
    used: set[object] = set()

    async def answers_once_per_connection(talk: Talk) -> None:
        if talk.writer not in used:
            used.add(talk.writer)
            await talk.reply(openai_whole())
        else:
            await talk.hang_up()

    async with running(tmp_path, answers_once_per_connection) as rig:
        for _ in range(4):
            assert (await rig.completion()).status_code == 200
        assert rig.events("endpoint_down") == []


@pytest.mark.parametrize("dialect", ["ollama", "openai"])
async def test_all_replicas_down_is_503_with_a_time_to_come_back(tmp_path: Path, dialect: str) -> None:
    async with running(tmp_path, whole) as rig:
        await rig.engine.stop()
        reply = await (rig.chat() if dialect == "ollama" else rig.completion())
        assert reply.status_code == 503
        assert int(reply.headers["retry-after"]) >= 1
        error = reply.json()["error"]
        message = error if dialect == "ollama" else error["message"]
        assert "connection refused" in message
        assert rig.engine.url in message
        ready = await rig.client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["reason"] == "no endpoint answers"


async def test_a_server_that_cannot_be_connected_to_in_time_is_down(tmp_path: Path) -> None:
    limits = replace(QUICK, connect_seconds=0.1)
    # An address of the documentation's network: nobody answers there, not even with a refusal.
    data = contract({"m": {"endpoints": [{"url": "http://192.0.2.1:9"}]}})
    async with running(tmp_path, data=data, limits=limits) as rig:
        reply = await rig.completion()
        assert reply.status_code == 503


# Broken answers


@pytest.mark.parametrize("broken", [breaks_a_whole_answer_off, closes_before_it_answers])
async def test_half_an_answer_is_an_error_not_an_answer(tmp_path: Path, broken) -> None:
    async with running(tmp_path, broken) as rig:
        untouched = await rig.completion()
        assert untouched.status_code == 502
        assert untouched.json()["error"]["code"] == "upstream_error"
        translated = await rig.chat(stream=False)
        assert translated.status_code in (502, 503)
        assert isinstance(translated.json()["error"], str)


@pytest.mark.parametrize("broken", [breaks_a_stream_off, ends_a_stream_without_saying_so])
async def test_a_broken_stream_ends_with_an_error_line_for_ollamas_clients(tmp_path: Path, broken) -> None:
    async with running(tmp_path, broken) as rig:
        lines = [json.loads(line) for line in (await rig.chat()).content.splitlines()]
        assert lines[0]["message"]["content"] == "Hi"
        assert "error" in lines[-1]
        assert not any(line.get("done") for line in lines)


async def test_a_broken_stream_ends_with_an_error_event_for_openais_clients(tmp_path: Path) -> None:
    async with running(tmp_path, breaks_a_stream_off) as rig:
        text = (await rig.completion(stream=True)).text
        assert "[DONE]" not in text
        last = json.loads(text.strip().split("\n\n")[-1].removeprefix("data: "))
        assert last["error"]["code"] == "upstream_error"
        assert await rig.metric('paddock_upstream_errors_total{model="m",kind="truncated"}') == 1


async def test_a_broken_translated_stream_never_gets_done(tmp_path: Path) -> None:
    async def script(talk: Talk) -> None:
        await talk.begin("application/x-ndjson")
        await talk.chunk(ndjson(ollama_line("Hi")))
        await talk.hang_up()

    async with running(tmp_path, script, engine="ollama") as rig:
        text = (await rig.completion(stream=True)).text
        assert "[DONE]" not in text
        assert "error" in text.strip().split("\n\n")[-1]


async def test_an_engines_error_line_becomes_an_error_event(tmp_path: Path) -> None:
    async def script(talk: Talk) -> None:
        await talk.stream(ndjson(ollama_line("Hi"), {"error": "out of memory"}), content_type="application/x-ndjson")

    async with running(tmp_path, script, engine="ollama") as rig:
        text = (await rig.completion(stream=True)).text
        assert "[DONE]" not in text
        assert "out of memory" in text


async def test_a_stream_that_breaks_inside_a_chunk_breaks_off_for_the_client_too(tmp_path: Path) -> None:
    async def script(talk: Talk) -> None:
        await talk.begin()
        await talk.send(b"100\r\ndata: {")
        await talk.hang_up()

    async with running(tmp_path, script) as rig:
        with pytest.raises(httpx.RemoteProtocolError):
            await rig.completion(stream=True)


async def test_a_big_answer_that_breaks_off_breaks_off_for_the_client_too(tmp_path: Path) -> None:
    async def script(talk: Talk) -> None:
        await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + b" " * 100_000)
        await talk.hang_up()

    async with running(tmp_path, script) as rig:
        with pytest.raises(httpx.RemoteProtocolError):
            await rig.completion()


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}{}",
    ],
)
async def test_what_is_not_http_is_a_bad_gateway(tmp_path: Path, answer: bytes) -> None:
    async def script(talk: Talk) -> None:
        await talk.send(answer)
        await talk.client_left.wait()

    async with running(tmp_path, script) as rig:
        assert (await rig.completion()).status_code == 502


@pytest.mark.parametrize("answer", [b"[]", b"<html>", b'{"choices": []}'])
async def test_what_cannot_be_translated_is_a_bad_gateway(tmp_path: Path, answer: bytes) -> None:
    async def script(talk: Talk) -> None:
        await talk.reply(answer)

    async with running(tmp_path, script) as rig:
        reply = await rig.chat(stream=False)
        assert reply.status_code == 502
        assert "model server" in reply.json()["error"]


# Memory


async def test_large_answers_are_kept_only_as_far_as_there_is_room_for_all_of_them(tmp_path: Path) -> None:
    gate = asyncio.Event()
    text = "x" * 200_000

    async def large(talk: Talk) -> None:
        content = json.dumps(openai_whole(text)).encode()
        await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content[:150_000])
        await gate.wait()
        await talk.send(content[150_000:])

    limits = replace(QUICK, buffered_bytes=300_000)
    async with running(tmp_path, large, limits=limits, engine="vllm") as rig:
        buffers = rig.router.account.buffers
        first = asyncio.ensure_future(rig.completion())
        await eventually(lambda: buffers.used_bytes > 100_000)
        refused = await asyncio.ensure_future(rig.completion(prompt="y" * 200_000))
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        second = asyncio.ensure_future(rig.completion())
        await eventually(lambda: len(rig.engine.asked) == 2)
        gate.set()
        assert {(await first).status_code, (await second).status_code} == {200, 502}
        assert buffers.used_bytes == 0


# Time


async def test_a_server_that_stays_silent_is_a_gateway_timeout(tmp_path: Path) -> None:
    limits = replace(QUICK, first_byte_seconds=0.2)
    async with running(tmp_path, waits_for_its_client_to_leave, limits=limits) as rig:
        reply = await rig.completion()
        assert reply.status_code == 504
        assert reply.json()["error"]["message"] == "model 'm' sent nothing for 0.2 s"
        assert rig.events("endpoint_down") == []  # slow is not dead


async def test_a_stream_that_stops_ends_with_an_error(tmp_path: Path) -> None:
    limits = replace(QUICK, idle_gap_seconds=0.2)
    async with running(tmp_path, streams_until_its_client_leaves, limits=limits) as rig:
        lines = (await rig.chat()).content.splitlines()
        assert json.loads(lines[-1]) == {"error": "the model server sent nothing more for 0.2 s"}


# Clients that leave


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
async def test_a_client_that_leaves_before_the_first_byte_stops_the_work(
    tmp_path: Path, path: str, stream: bool
) -> None:
    left = asyncio.Event()

    async def script(talk: Talk) -> None:
        await talk.client_left.wait()
        left.set()

    body = json.dumps({"model": "m", "messages": [HELLO], "stream": stream}).encode()
    async with running(tmp_path, script) as rig:
        _, writer = await rig.connect()
        writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await eventually(lambda: rig.engine.asked)
        writer.close()
        await asyncio.wait_for(left.wait(), 5)
        dialect = "ollama" if path.startswith("/api") else "openai"
        assert await rig.metric(f'paddock_requests_total{{model="m",status="499",dialect="{dialect}"}}') == 1
        assert await rig.metric('ollama_active_requests{model="m"}') == 0
        assert rig.router.fleet.models["m"].replicas[0].endpoint.outstanding == 0


async def test_a_client_that_leaves_in_the_middle_of_a_stream_stops_the_work(tmp_path: Path) -> None:
    left = asyncio.Event()

    async def script(talk: Talk) -> None:
        await streams_until_its_client_leaves(talk)
        left.set()

    async with running(tmp_path, script) as rig:
        async with rig.client.stream("POST", "/api/chat", json={"model": "m", "messages": [HELLO]}) as reply:
            assert await anext(reply.aiter_lines())
        await asyncio.wait_for(left.wait(), 5)


async def test_a_client_that_stops_reading_does_not_hold_the_engine_for_ever(tmp_path: Path) -> None:
    left = asyncio.Event()

    async def script(talk: Talk) -> None:
        await talk.begin()
        try:
            while not talk.client_left.is_set():
                await talk.chunk(sse(openai_chunk(content="x" * 60_000)))
        finally:
            left.set()

    limits = replace(QUICK, idle_gap_seconds=0.3)
    body = json.dumps({"model": "m", "messages": [HELLO], "stream": True}).encode()
    async with running(tmp_path, script, limits=limits) as rig:
        _, writer = await rig.connect()
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await asyncio.wait_for(left.wait(), 10)
        writer.close()


async def test_ollamas_answers_pass_untouched_even_where_they_are_errors(tmp_path: Path) -> None:
    lines = ndjson(ollama_line("Hi"), {"error": "out of memory"})

    async def script(talk: Talk) -> None:
        await talk.stream(lines, content_type="application/x-ndjson")

    async with running(tmp_path, script, engine="ollama") as rig:
        assert (await rig.chat()).content == lines


async def test_a_stream_with_an_unfinished_last_line_is_whole_if_it_says_so(tmp_path: Path) -> None:
    async def script(talk: Talk) -> None:
        await talk.stream(
            ndjson(ollama_line("Hi")) + json.dumps(ollama_line(**OLLAMA_DONE)).encode(),
            content_type="application/x-ndjson",
        )

    async with running(tmp_path, script, engine="ollama") as rig:
        assert (await rig.completion(stream=True)).text.endswith("data: [DONE]\n\n")


async def test_an_answer_that_ends_with_its_connection_is_passed_on(tmp_path: Path) -> None:
    said = sse(openai_chunk(content="Hi"), openai_end(), b"[DONE]")

    async def script(talk: Talk) -> None:
        await talk.send(b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        await talk.send(said)
        await talk.hang_up()

    async with running(tmp_path, script) as rig:
        assert (await rig.completion(stream=True)).text == sse(
            openai_chunk(content="Hi"), openai_end(), b"[DONE]"
        ).decode()


async def test_an_engine_may_go_and_another_come_at_its_address(tmp_path: Path) -> None:
    async with running(tmp_path, whole) as rig:
        await rig.completion()
        port = rig.engine.port
        await rig.engine.stop()
        again = ScriptedEngine(whole)
        await again.start(port)
        try:
            assert (await rig.completion()).status_code == 200
        finally:
            await again.stop()
