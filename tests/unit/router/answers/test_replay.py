"""Answers given again over real connections."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx
import pytest

from agent_runtime.router.answers.recording import Recording, Room
from agent_runtime.router.answers.replay import Replay
from agent_runtime.router.answers.store import Answer
from agent_runtime.router.dialects.operations import OPENAI_CHAT
from agent_runtime.router.dialects.usage import Usage
from agent_runtime.router.http_server import ClientConnection
from agent_runtime.router.limits import Limits
from agent_runtime.router.request import Request
from tests.unit.router.rig import eventually, openai_chunk, openai_end, openai_whole, sse

pytestmark = pytest.mark.unit

REPLY_ID = "chatcmpl-0123456789abcdef"
EVENTS = sse(
    *({**openai_chunk(content=text), "id": REPLY_ID} for text in ("a", "b")),
    {**openai_end(), "id": REPLY_ID},
    b"[DONE]",
)


def recorded(body: bytes, content_type: str, *, streamed: bool) -> Answer:
    """An answer as the cache keeps it after it went by once."""
    kept: list[Answer] = []

    def keep(head: bytes, body: bytes, chunked: bool, usage: Usage | None, reply_id: str | None) -> None:
        kept.append(Answer(head, body, chunked, usage, reply_id, 0.0))

    recording = Recording(OPENAI_CHAT, streamed=streamed, choices=1, limit_bytes=1 << 26, room=Room(1 << 27), keep=keep)
    recording.begin(200, content_type, {"X-Paddock-Model": "m"})
    recording.write(body)
    assert recording.end(None)
    return kept[0]


class Replaying:
    """Answers every request with the same answer."""

    def __init__(self, answer: Answer, patience_seconds: float) -> None:
        self.answer = answer
        self.patience_seconds = patience_seconds
        self.limits = Limits()
        self.draining = False
        self.connections: set[ClientConnection] = set()
        self.date_line = b""
        self.ended: list[int] = []
        self.port = 0

    def handle(self, client: ClientConnection, request: Request) -> None:
        headers: Mapping[str, str] = {"X-Paddock-Request-Id": "r1"}
        Replay(
            client,
            request,
            self.answer,
            age_seconds=12.9,
            headers=headers,
            loop=asyncio.get_running_loop(),
            patience_seconds=self.patience_seconds,
            on_end=self.ended.append,
        ).start()

    def note_refusal(self, request: Request, status: int) -> None:
        raise AssertionError("nothing here is refused")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/chat/completions"


@asynccontextmanager
async def replaying(answer: Answer, patience_seconds: float = 30) -> AsyncIterator[Replaying]:
    loop = asyncio.get_running_loop()
    app = Replaying(answer, patience_seconds)
    server = await loop.create_server(lambda: ClientConnection(app, loop), "127.0.0.1", 0)
    app.port = server.sockets[0].getsockname()[1]
    try:
        yield app
    finally:
        server.close()
        for connection in list(app.connections):
            connection.transport.abort()
        await server.wait_closed()
        await eventually(lambda: not app.connections)


def large_answer() -> Answer:
    reply = openai_whole("x" * 16_000_000)
    return recorded(json.dumps(reply).encode(), "application/json", streamed=False)


async def slow_client(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client that asks, and whose machine takes in little that it does not read."""
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.setblocking(False)
    await asyncio.get_running_loop().sock_connect(slow, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=slow, limit=4096)
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n")
    return reader, writer


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Leave, however much of the answer is still on its way."""
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def test_a_stream_comes_as_a_stream_with_an_id_of_its_own() -> None:
    async with replaying(recorded(EVENTS, "text/event-stream", streamed=True)) as app, httpx.AsyncClient() as client:
        answers = [await client.post(app.url) for _ in range(2)]
    ids: set[str] = set()
    for answer in answers:
        events = [json.loads(line[6:]) for line in answer.text.split("\n\n") if line and line != "data: [DONE]"]
        found = {event["id"] for event in events}
        assert len(found) == 1
        ids |= found
        assert answer.text.replace(found.pop(), REPLY_ID) == EVENTS.decode()
        assert answer.headers["transfer-encoding"] == "chunked"
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["x-paddock-cache"] == "hit"
        assert answer.headers["x-paddock-model"] == "m"
        assert answer.headers["x-paddock-request-id"] == "r1"
        assert answer.headers["age"] == "12"
    assert len(ids | {REPLY_ID}) == 3
    assert app.ended == [200, 200]


async def test_a_whole_answer_comes_with_its_length() -> None:
    body = json.dumps({**openai_whole(), "id": REPLY_ID}).encode()
    async with replaying(recorded(body, "application/json", streamed=False)) as app, httpx.AsyncClient() as client:
        answer = await client.post(app.url)
    assert answer.headers["content-length"] == str(len(body))
    assert answer.json() == {**openai_whole(), "id": answer.json()["id"]}
    assert answer.json()["id"] != REPLY_ID


async def test_an_id_that_is_not_random_stays() -> None:
    body = json.dumps(openai_whole()).encode()
    async with replaying(recorded(body, "application/json", streamed=False)) as app, httpx.AsyncClient() as client:
        assert (await client.post(app.url)).content == body


async def test_a_client_of_http_1_0_gets_a_stream_in_one_piece() -> None:
    async with replaying(recorded(EVENTS, "text/event-stream", streamed=True)) as app:
        reader, writer = await asyncio.open_connection("127.0.0.1", app.port)
        writer.write(b"POST /v1/chat/completions HTTP/1.0\r\nContent-Length: 0\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        await hang_up(writer)
    assert b"Transfer-Encoding" not in head
    assert b"Content-Length: %d" % len(EVENTS) in head
    assert len(body) == len(EVENTS)
    assert body.endswith(b"data: [DONE]\n\n")


async def test_requests_that_are_sent_ahead_are_answered_in_order() -> None:
    async with replaying(recorded(EVENTS, "text/event-stream", streamed=True)) as app:
        reader, writer = await asyncio.open_connection("127.0.0.1", app.port)
        asked = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"
        writer.write(asked * 3)
        for _ in range(3):
            await reader.readuntil(b"0\r\n\r\n")
        await hang_up(writer)
    assert app.ended == [200, 200, 200]


async def test_an_answer_waits_behind_one_that_still_fills_the_buffer() -> None:
    async with replaying(recorded(EVENTS, "text/event-stream", streamed=True), patience_seconds=0.05) as app:
        _, writer = await asyncio.open_connection("127.0.0.1", app.port)
        await eventually(lambda: app.connections)
        (connection,) = app.connections
        connection.pause_writing()
        app.handle(connection, Request())
        assert app.ended == []
        connection.resume_writing()
        await eventually(lambda: app.ended)
        connection.pause_writing()
        app.handle(connection, Request())
        # It is not waited for longer than for any other that does not read.
        await eventually(lambda: len(app.ended) == 2)
        await hang_up(writer)
    assert app.ended == [200, 499]


async def test_a_client_that_reads_slowly_holds_up_nobody_and_gets_all_of_it() -> None:
    answer = large_answer()
    async with replaying(answer) as app, httpx.AsyncClient() as client:
        reader, writer = await slow_client(app.port)
        await eventually(lambda: any(connection.write_paused for connection in app.connections))
        assert app.ended == []
        assert len((await client.post(app.url)).content) == len(answer.body)
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(len(answer.body)) == answer.body
        assert app.ended == [200, 200]
        await hang_up(writer)


async def test_a_client_that_leaves_stops_it() -> None:
    async with replaying(large_answer()) as app:
        _, writer = await slow_client(app.port)
        await eventually(lambda: any(connection.write_paused for connection in app.connections))
        await hang_up(writer)
        await eventually(lambda: app.ended)
    assert app.ended == [499]


async def test_a_client_that_never_reads_is_cut_off() -> None:
    async with replaying(large_answer(), patience_seconds=0.05) as app:
        _, writer = await slow_client(app.port)
        await eventually(lambda: app.ended)
        await eventually(lambda: not app.connections)
        await hang_up(writer)
    assert app.ended == [499]
