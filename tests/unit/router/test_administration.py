"""Changes of what the fleet's Ollamas hold: sent to all of them, told as it goes, and kept off the stack's own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.router.upload import Feed, Upload, pump
from tests.unit.router.rig import Rig, Talk, contract, ndjson, running

pytestmark = pytest.mark.unit

PROGRESS = (
    {"status": "pulling manifest"},
    {"status": "pulling 0123", "digest": "sha256:0123", "total": 10, "completed": 5},
    {"status": "success"},
)
DIGEST = "sha256:" + "0" * 64


async def ollama(talk: Talk) -> None:
    """A server that does what it is asked, and lacks every file."""
    if talk.asked.method == "HEAD":
        await talk.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    elif talk.asked.path.startswith("/api/blobs/"):
        await talk.send(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
    elif talk.asked.path in ("/api/copy", "/api/delete") or talk.asked.json.get("stream") is False:
        await talk.reply(b"")
    else:
        await talk.stream(ndjson(*PROGRESS), content_type="application/x-ndjson")


async def lacks(talk: Talk) -> None:
    await talk.reply({"error": "model 'tiny' not found"}, status="404 Not Found")


def told(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


async def test_one_ollamas_progress_is_handed_on_as_it_is(tmp_path: Path) -> None:
    async with running(tmp_path, ollama, engine="ollama") as rig:
        reply = await rig.client.post("/api/pull", json={"model": "other:1b"})
        assert reply.headers["content-type"] == "application/x-ndjson"
        assert told(reply.text) == list(PROGRESS)
        assert rig.engine.asked[0].json == {"model": "other:1b"}


async def test_several_ollamas_are_changed_one_after_the_other_and_told_apart(tmp_path: Path) -> None:
    async with running(tmp_path, ollama, ollama, engine="ollama") as rig:
        lines = told((await rig.client.post("/api/pull", json={"model": "m"})).text)
        first, second = (engine.url for engine in rig.engines)
        assert [line["status"] for line in lines] == [
            *(f"{first}: {line['status']}" for line in PROGRESS),
            *(f"{second}: {line['status']}" for line in PROGRESS[:2]),
            "success",
        ]
        assert lines[1]["digest"] == "sha256:0123"
        # A name of the fleet is the engine's own there.
        assert [engine.asked[0].json["model"] for engine in rig.engines] == ["tiny:1b", "tiny:1b"]


async def test_a_header_chooses_one_of_them(tmp_path: Path) -> None:
    async with running(tmp_path, ollama, ollama, engine="ollama") as rig:
        chosen = rig.engines[1].url
        await rig.client.post("/api/pull", json={"model": "m"}, headers={"X-Paddock-Endpoint": chosen})
        assert [len(engine.asked) for engine in rig.engines] == [0, 1]
        there = {"X-Paddock-Endpoint": "http://nowhere"}
        refused = await rig.client.post("/api/pull", json={"model": "m"}, headers=there)
        assert refused.status_code == 404
        assert chosen in refused.json()["error"]


async def test_a_failure_is_told_before_the_first_line_by_the_status_and_after_it_by_a_line(tmp_path: Path) -> None:
    async with running(tmp_path, lacks, engine="ollama") as rig:
        reply = await rig.client.post("/api/push", json={"model": "other"})
        assert reply.status_code == 404
        assert reply.json() == {"error": f"{rig.engine.url}: model 'tiny' not found"}
    async with running(tmp_path, ollama, lacks, engine="ollama") as rig:
        reply = await rig.client.post("/api/push", json={"model": "other"})
        assert reply.status_code == 200
        assert told(reply.text)[-1] == {"error": f"{rig.engines[1].url}: model 'tiny' not found"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "/api/delete", {"model": "m"}),
        ("DELETE", "/api/delete", {"name": "tiny:1b"}),
        ("POST", "/api/create", {"model": "m", "from": "other"}),
        ("POST", "/api/copy", {"source": "other", "destination": "tiny:1b"}),
    ],
)
async def test_what_the_stack_holds_is_the_stacks_to_change(
    tmp_path: Path, method: str, path: str, body: dict[str, str]
) -> None:
    async with running(tmp_path, ollama, engine="ollama") as rig:
        reply = await rig.client.request(method, path, json=body)
        assert reply.status_code == 409
        assert "belongs to the stack" in reply.json()["error"]
        assert rig.engine.asked == []


async def test_a_model_is_deleted_where_it_is(tmp_path: Path) -> None:
    async with running(tmp_path, lacks, ollama, engine="ollama") as rig:
        assert (await rig.client.request("DELETE", "/api/delete", json={"model": "other"})).status_code == 200
    async with running(tmp_path, lacks, lacks, engine="ollama") as rig:
        reply = await rig.client.request("DELETE", "/api/delete", json={"model": "other"})
        assert reply.status_code == 404
        assert reply.json() == {"error": "model 'tiny' not found"}


async def test_a_fleet_without_an_ollama_has_nothing_to_change(tmp_path: Path) -> None:
    async with running(tmp_path, ollama) as rig:
        reply = await rig.client.post("/api/pull", json={"model": "other"})
        assert reply.status_code == 501
        assert "no model of this fleet is served by Ollama" in reply.json()["error"]


async def test_another_method_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path, ollama, engine="ollama") as rig:
        reply = await rig.client.get("/api/pull")
        assert reply.status_code == 405
        assert reply.headers["allow"] == "POST"


async def test_an_ollama_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    url = "http://127.0.0.1:1"
    data = contract({"m": {"engine": "ollama", "endpoints": [{"url": url}]}})
    async with running(tmp_path, data=data) as rig:
        reply = await rig.client.post("/api/pull", json={"model": "other"})
        assert reply.status_code == 502
        assert reply.json()["error"].startswith(f"{url}: ")


# Files


async def pieces(count: int, size_bytes: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * size_bytes


class Keeper:
    """An Ollama that counts what it is sent, whatever the framing."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"POST"):
            while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
                self.size_bytes += size
                await reader.readexactly(size + 2)
            await reader.readexactly(2)
            writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        elif head.startswith(b"HEAD"):
            writer.write(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()


async def test_a_file_larger_than_any_request_reaches_every_ollama(tmp_path: Path) -> None:
    keepers = [Keeper(), Keeper()]
    servers = [await asyncio.start_server(keeper.serve, "127.0.0.1", 0) for keeper in keepers]
    endpoints = [{"url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"} for server in servers]
    try:
        async with running(tmp_path, data=contract({"m": {"engine": "ollama", "endpoints": endpoints}})) as rig:
            assert (await rig.client.head(f"/api/blobs/{DIGEST}")).status_code == 404
            reply = await rig.client.post(f"/api/blobs/{DIGEST}", content=pieces(80, 512 * 1024))
            assert reply.status_code == 201
            assert [keeper.size_bytes for keeper in keepers] == [40 * 1024 * 1024] * 2
            # The connection is as good as before.
            assert (await rig.client.get("/api/version")).status_code == 200
    finally:
        for server in servers:
            server.close()


async def test_a_file_that_is_refused_is_not_read(tmp_path: Path) -> None:
    async with running(tmp_path, ollama) as rig:
        answer = await rig.raw(
            f"POST /api/blobs/{DIGEST} HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\nbeginning".encode()
        )
        assert answer.startswith(b"HTTP/1.1 501 ")
        assert b"Connection: close" in answer


async def test_a_broken_file_is_given_up(tmp_path: Path) -> None:
    async with running(tmp_path, ollama, engine="ollama") as rig:
        head = f"POST /api/blobs/{DIGEST} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        answer = await _sent(rig, head + b"3\r\nabc\r\nnonsense\r\n")
        assert answer.startswith(b"HTTP/1.1 400 ")


async def _sent(rig: Rig, data: bytes) -> bytes:
    reader, writer = await rig.connect()
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    finally:
        writer.close()


async def test_who_sends_waits_for_the_slowest_who_reads() -> None:
    upload = Upload()
    waits: list[bool] = []
    upload.pause, upload.resume = (lambda: waits.append(True)), (lambda: waits.append(False))
    upload.feed(b"a" * 2_000_000)
    assert waits == [True]
    slow, gone = Feed(), Feed()
    gone.close()
    pumping = asyncio.ensure_future(pump(upload, [slow, gone], 5))
    upload.end()
    assert [len(piece) async for piece in slow] == [2_000_000]
    await pumping
    assert waits[-1] is False
