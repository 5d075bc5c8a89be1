"""HTTP as clients write it, well and badly."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.router.rig import HELLO, QUICK, Rig, Talk, openai_whole, running

pytestmark = pytest.mark.unit


async def whole(talk: Talk) -> None:
    await talk.reply(openai_whole(talk.asked.json["messages"][0]["content"]))


def post(body: bytes, path: str = "/v1/chat/completions", headers: str = "") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def chat(content: str = "Hi", **fields: object) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": content}], **fields}).encode()


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answer)]


POST = b"POST /api/chat HTTP/1.1\r\nHost: a\r\n"
CLOSE = "Connection: close\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", 400),
        (
            b"POST /api/chat HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            b"POST /api/chat HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            400,
        ),
        (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        (POST + b"Content-Length: -1\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400),
        (POST + b"Expect: tea\r\nContent-Length: 0\r\n\r\n", 417),
        (POST + b"Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", 415),
        (POST + b"Content-Length: 99999999999\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"y" * 100_000, 431),
    ],
)
async def test_what_is_wrong_with_the_http_is_told_once_and_the_connection_closed(
    tmp_path: Path, request_bytes: bytes, status: int
) -> None:
    async with running(tmp_path, whole) as rig:
        answer = await rig.raw(request_bytes + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * (status == 413))
        assert statuses(answer) == [status]
        assert b"Connection: close" in answer
        assert "error" in json.loads(answer.partition(b"\r\n\r\n")[2])
        assert rig.engine.asked == []


async def test_a_smuggled_request_is_not_answered(tmp_path: Path) -> None:
    inner = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    outer = b"POST /api/chat HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    async with running(tmp_path, whole) as rig:
        assert statuses(await rig.raw(outer % len(inner) + inner)) == [400]


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/api/chat", 405, "POST"),
        ("DELETE", "/v1/chat/completions", 405, "POST"),
        ("POST", "/api/tags", 405, "GET, HEAD"),
        ("POST", "/v1/models/m", 405, "GET, HEAD"),
        ("GET", "/nothing", 404, None),
        ("GET", "/v1/nothing", 404, None),
        ("GET", "/api/pull", 405, "POST"),
    ],
)
async def test_wrong_paths_and_methods(tmp_path: Path, method: str, path: str, status: int, allow: str | None) -> None:
    async with running(tmp_path, whole) as rig:
        reply = await rig.client.request(method, path)
        assert reply.status_code == status
        assert reply.headers.get("allow") == allow
        error = reply.json()["error"]
        assert path in (error["message"] if path.startswith("/v1") else error)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "is not JSON"),
        (b"", "missing request body"),
        (b"[1]", "must be a JSON object"),
        (b'{"messages": []}', "model is required"),
        (b'{"model": "m", "messages": 5}', "messages must be a list, not 5"),
    ],
)
async def test_wrong_bodies_are_told_in_both_dialects_and_the_connection_goes_on(
    tmp_path: Path, body: bytes, message: str
) -> None:
    async with running(tmp_path, whole) as rig:
        ollama = await rig.client.post("/api/chat", content=body)
        assert ollama.status_code == 400
        assert message in ollama.json()["error"]
        openai = await rig.client.post("/v1/chat/completions", content=body)
        assert openai.status_code == 400
        assert message in openai.json()["error"]["message"]
        assert openai.json()["error"]["type"] == "invalid_request_error"
        assert "connection" not in openai.headers


async def test_an_unknown_model_is_told_with_what_there_is(tmp_path: Path) -> None:
    async with running(tmp_path, whole) as rig:
        openai = await rig.completion(model="gpt-9")
        assert openai.status_code == 404
        error = openai.json()["error"]
        assert error["code"] == "model_not_found"
        assert error["message"] == "model 'gpt-9' not found. Models here: m, tiny:1b"
        ollama = await rig.chat(model="gpt-9")
        assert ollama.json() == {"error": error["message"]}


async def test_a_model_is_not_asked_for_what_it_cannot_do(tmp_path: Path) -> None:
    async with running(tmp_path, whole) as rig:
        reply = await rig.client.post("/api/embed", json={"model": "m", "input": "a"})
        assert reply.status_code == 400
        assert reply.json() == {"error": '"m" does not support embed: it can chat'}


async def test_a_body_over_the_limit_is_refused_however_it_is_sent(tmp_path: Path) -> None:
    limits = replace(QUICK, body_bytes=1000)
    async with running(tmp_path, whole, limits=limits) as rig:
        told = await rig.client.post("/api/chat", content=b"x" * 1001)
        assert told.status_code == 413

        async def chunks():
            for _ in range(11):
                yield b"x" * 100

        untold = await rig.client.post("/api/chat", content=chunks())
        assert untold.status_code == 413
        assert "1000 bytes" in untold.json()["error"]


async def test_a_refused_client_that_goes_on_sending_still_gets_to_read_why(tmp_path: Path) -> None:
    async with running(tmp_path, whole) as rig:
        reader, writer = await rig.connect()
        writer.write(POST + b"Content-Length: 90000000\r\n\r\n")
        for _ in range(20):
            writer.write(b"x" * 100_000)
        answer = await asyncio.wait_for(reader.readuntil(b"}"), 5)
        assert statuses(answer) == [413]
        writer.close()


async def test_a_slow_head_is_a_request_timeout(tmp_path: Path) -> None:
    limits = replace(QUICK, head_seconds=0.1)
    async with running(tmp_path, whole, limits=limits) as rig:
        assert statuses(await rig.raw(b"GET / HT")) == [408]


async def test_a_slow_body_is_a_request_timeout(tmp_path: Path) -> None:
    limits = replace(QUICK, body_gap_seconds=0.1)
    async with running(tmp_path, whole, limits=limits) as rig:
        assert statuses(await rig.raw(post(chat())[:-1])) == [408]


async def test_a_connection_that_nobody_uses_is_closed_without_a_word(tmp_path: Path) -> None:
    limits = replace(QUICK, keep_alive_seconds=0.1)
    async with running(tmp_path, whole, limits=limits) as rig:
        assert await rig.raw(b"") == b""


async def test_requests_sent_ahead_are_answered_in_order(tmp_path: Path) -> None:
    ahead = [post(chat(str(number))) for number in range(20)]
    ahead.append(post(b"{"))
    ahead.append(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    ahead.append(post(chat("last"), headers=CLOSE))
    async with running(tmp_path, whole) as rig:
        answer = await rig.raw(b"".join(ahead))
        assert statuses(answer) == [200] * 20 + [400, 200, 200]
        said = re.findall(rb'"content": "(\w+)"', answer)
        assert said == [str(number).encode() for number in range(20)] + [b"last"]


@pytest.mark.parametrize("size", [1, 7, 100])
async def test_a_request_may_come_in_pieces(tmp_path: Path, size: int) -> None:
    data = post(chat(), headers=CLOSE)
    async with running(tmp_path, whole) as rig:
        reader, writer = await rig.connect()
        for at in range(0, len(data), size):
            writer.write(data[at : at + size])
            await asyncio.sleep(0.001)
        answer = await reader.read()
        writer.close()
        assert statuses(answer) == [200]


async def test_a_body_in_chunks_reaches_the_engine_whole(tmp_path: Path) -> None:
    async def chunks():
        body = chat("Hello")
        yield body[:10]
        yield body[10:]

    async with running(tmp_path, whole) as rig:
        reply = await rig.client.post("/v1/chat/completions", content=chunks())
        assert reply.status_code == 200
        assert rig.engine.asked[0].json["messages"] == [HELLO]


async def test_a_client_that_asks_before_it_sends_is_told_to_go_on(tmp_path: Path) -> None:
    body = chat()
    async with running(tmp_path, whole) as rig:
        reader, writer = await rig.connect()
        writer.write(post(body, headers=f"Expect: 100-continue\r\n{CLOSE}")[: -len(body)])
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert statuses(await reader.read()) == [200]
        writer.close()


async def test_a_client_that_offers_another_protocol_is_answered_in_this_one(tmp_path: Path) -> None:
    offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n"
    async with running(tmp_path, whole) as rig:
        answer = await rig.raw(post(chat(), headers=offer) + post(chat(), headers=CLOSE))
        assert statuses(answer) == [200, 200]


async def test_connect_is_not_for_us(tmp_path: Path) -> None:
    async with running(tmp_path, whole) as rig:
        answer = await rig.raw(b"CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert statuses(answer)[0] in (404, 405)


async def test_head_gets_the_head_alone(tmp_path: Path) -> None:
    async with running(tmp_path, whole) as rig:
        for path in ("/", "/api/version", "/api/tags"):
            reply = await rig.client.head(path)
            assert reply.status_code == 200
            assert int(reply.headers["content-length"]) > 0
            assert reply.content == b""


async def test_a_target_may_be_a_whole_url_and_have_a_query(tmp_path: Path) -> None:
    async with running(tmp_path, whole) as rig:
        answer = await rig.raw(f"GET http://x/healthz?a=b HTTP/1.1\r\nHost: x\r\n{CLOSE}\r\n".encode())
        assert statuses(answer) == [200]


async def test_http_1_0_gets_an_answer_and_a_closed_connection(tmp_path: Path) -> None:
    async with running(tmp_path, whole) as rig:
        answer = await rig.raw(b"GET / HTTP/1.0\r\n\r\n")
        assert statuses(answer) == [200]
        assert answer.endswith(b"Ollama is running")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:8080"}, 200),
        ({"Host": "[::1]:8080"}, 200),
        ({"Host": "paddock.internal"}, 200),
        ({"Host": "evil.example.com"}, 403),
        ({"Origin": "http://localhost:3000"}, 200),
        ({"Origin": "app://obsidian.md"}, 200),
        ({"Origin": "https://evil.example.com"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "203.0.114.5:8080"}, 200),
        ({"Origin": "http://192.168.1.20:3000"}, 200),
        ({"Origin": "http://203.0.114.5"}, 403),
        ({"Origin": "http://[::1"}, 403),
    ],
)
async def test_pages_of_the_web_cannot_use_their_visitors_router(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    async with running(tmp_path, whole) as rig:
        assert (await rig.client.get("/api/tags", headers=headers)).status_code == status


async def test_pages_of_this_machine_may_read_the_answers(tmp_path: Path) -> None:
    page = {"Origin": "http://localhost:3000"}
    wish = {**page, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    async with running(tmp_path, whole) as rig:
        preflight = await rig.client.options("/v1/chat/completions", headers=wish)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == page["Origin"]
        assert "POST" in preflight.headers["access-control-allow-methods"]
        assert "Authorization" in preflight.headers["access-control-allow-headers"]
        for stream in (True, False):
            body = {"model": "m", "messages": [HELLO], "stream": stream}
            reply = await rig.client.post("/v1/chat/completions", json=body, headers=page)
            assert reply.headers["access-control-allow-origin"] == page["Origin"]
        refused = await rig.client.post("/api/chat", json={"model": "none"}, headers=page)
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (404, page["Origin"])
        stranger = await rig.client.options("/v1/chat/completions", headers={**wish, "Origin": "https://evil.example"})
        assert stranger.status_code == 403
        assert "access-control-allow-origin" not in stranger.headers
        assert "access-control-allow-origin" not in (await rig.client.get("/api/tags")).headers


async def test_nothing_is_left_behind(tmp_path: Path) -> None:
    async def busy(rig: Rig) -> None:
        await rig.completion()
        await rig.raw(b"nonsense\r\n\r\n")

    async with running(tmp_path, whole) as rig:
        await asyncio.gather(*(busy(rig) for _ in range(20)))
        assert await rig.metric('ollama_active_requests{model="m"}') == 0
        endpoint = rig.router.fleet.models["m"].replicas[0].endpoint
        assert endpoint.outstanding == 0
        assert await rig.metric("paddock_client_connections") <= 21
