"""Clients that are slow, hostile or many, and what is left of a storm when it is over: nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import httpx
import pytest

from tests.programs import REPOSITORY
from tests.unit.router.rig import (
    HELLO,
    QUICK,
    Rig,
    Talk,
    contract,
    demand_quiet,
    eventually,
    openai_chunk,
    openai_end,
    openai_whole,
    running,
    sse,
)

pytestmark = pytest.mark.unit

BODY = json.dumps({"model": "m", "messages": [HELLO]}).encode()
STREAMED = json.dumps({"model": "m", "messages": [HELLO], "stream": True}).encode()
MIB = 1024 * 1024


def post(body: bytes) -> bytes:
    return b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body


async def quick(talk: Talk) -> None:
    await talk.reply(openai_whole())


# Slow and hostile clients


@pytest.mark.parametrize(
    "beginning",
    [b"", b"POST", post(BODY)[:60], post(BODY)[:-5], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"\r\n" * 10],
    ids=["nothing", "a word", "half a head", "half a body", "TLS", "empty lines"],
)
async def test_hundreds_of_unfinished_requests_hold_nobody_up_and_are_closed(tmp_path: Path, beginning: bytes) -> None:
    limits = replace(QUICK, head_seconds=0.5, body_gap_seconds=0.5, keep_alive_seconds=0.5)
    async with running(tmp_path, quick, limits=limits) as rig:
        streams = [await rig.connect() for _ in range(300)]
        for _, writer in streams:
            writer.write(beginning)
        async with asyncio.timeout(10):
            assert (await rig.completion()).status_code == 200
            for reader, writer in streams:
                with contextlib.suppress(ConnectionResetError):
                    await reader.read()
                writer.close()
        await rig.client.aclose()
        await eventually(lambda: not rig.router.connections)
        assert len(rig.engine.asked) == 1
        await demand_quiet(rig)


async def test_a_client_that_does_not_read_stops_its_engine_and_costs_little_memory(tmp_path: Path) -> None:
    sent_bytes = 0

    async def flood(talk: Talk) -> None:
        nonlocal sent_bytes
        piece = sse(openai_chunk(content="x" * 60_000))
        await talk.begin()
        while sent_bytes < 50 * MIB:
            await talk.chunk(piece)
            sent_bytes += len(piece)
        await talk.end()

    async with running(tmp_path, flood, limits=replace(QUICK, idle_gap_seconds=1.0)) as rig:
        _, writer = await rig.connect()
        cast("asyncio.Transport", writer.transport).pause_reading()
        writer.write(post(STREAMED))
        await eventually(lambda: any(one.write_paused for one in rig.router.connections))
        kept = [one.transport.get_write_buffer_size() for one in rig.router.connections]
        assert max(kept) < 2 * MIB
        # Whoever does not read is let go after a while; what the kernel buffers is all that was ever sent.
        await demand_quiet(rig)
        assert sent_bytes < 30 * MIB
        writer.transport.abort()


async def test_a_client_that_reads_slowly_gets_everything(tmp_path: Path) -> None:
    count, size = 200, 50_000

    async def flood(talk: Talk) -> None:
        pieces = [sse(openai_chunk(content=f"{number:05d}" + "x" * size)) for number in range(count)]
        await talk.stream(*pieces, sse(openai_end(), b"[DONE]"))

    async with running(tmp_path, flood) as rig:
        reader, writer = await rig.connect()
        writer.write(post(STREAMED))
        found = b""
        while not found.endswith(b"0\r\n\r\n"):
            found += await reader.read(64 * 1024)
            await asyncio.sleep(0)
        numbers = [int(part[:5]) for part in found.split(b'"content": "')[1:]]
        assert numbers == list(range(count))
        await demand_quiet(rig)
        writer.close()


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_is_left_of_a_storm(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)

    async def moody(talk: Talk) -> None:
        way = rng.random()
        await asyncio.sleep(rng.random() * 0.02)
        if way < 0.4:
            await talk.reply(openai_whole())
        elif way < 0.7 or talk.asked.json.get("stream"):
            await talk.begin()
            for _ in range(5):
                await talk.chunk(sse(openai_chunk(content="word ")))
                await asyncio.sleep(0.001)
            await (talk.end() if way < 0.6 else talk.hang_up())
        elif way < 0.8:
            await talk.reply({"error": "no"}, status="503 Service Unavailable")
        elif way < 0.9:
            await talk.hang_up()
        else:
            await talk.client_left.wait()

    limits = replace(QUICK, first_byte_seconds=0.3, idle_gap_seconds=0.3, head_seconds=0.5, body_gap_seconds=0.5)
    async with running(tmp_path, moody, moody, limits=limits) as rig:
        for _ in range(5):  # on a busy machine the clients of a whole storm may lose patience before any is heard
            await storm(rig, rng)
            if any(engine.asked for engine in rig.engines):
                break
        await demand_quiet(rig)
        assert await rig.metric('ollama_active_requests{model="m"}') == 0
        assert await rig.metric('paddock_queue_waiting_requests{model="m",tier="local"}') == 0
        await rig.client.aclose()
        await eventually(lambda: not rig.router.connections)
        asked = sum(len(engine.asked) for engine in rig.engines)
        assert asked > 0
        assert rig.events("fault") == []
        await rig.router.drain()
        ours = [task for task in asyncio.all_tasks() if "agent_runtime" in str(task.get_coro())]
        assert ours == []
        assert all(endpoint.idle == [] for endpoint in rig.router.fleet.endpoints.values())


async def storm(rig: Rig, rng: random.Random) -> None:
    """A hundred clients who each do something else, while the contract changes."""

    async def client() -> None:
        reader, writer = await rig.connect()
        whole = post(rng.choice((BODY, STREAMED)))
        data = rng.choice((whole, whole, whole * 3, whole[: rng.randrange(len(whole))]))
        writer.write(data)
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(rng.choice((0.01, 0.05, 0.2, 1.0))):
                await reader.read()
        rng.choice((writer.close, writer.transport.abort))()

    clients = [asyncio.ensure_future(client()) for _ in range(100)]
    urls = [{"url": engine.url} for engine in rig.engines]
    for number in range(10):
        models = {"m": {"endpoints": rng.sample(urls, rng.randrange(1, 3)), "model": f"tiny:{number % 3}b"}}
        data = contract(models if number % 4 else {"n": models["m"]})
        data["routing"] = {"queue": {"maxActivePerSlot": rng.randrange(3), "waitSeconds": 0.2, "maxWaiting": 20}}
        data["stack"] = f"number {number}"
        rig.write_contract(data)
        await eventually(lambda number=number: rig.router.fleet.stack == f"number {number}")
    rig.write_contract(contract({"m": {"endpoints": urls}}))
    await asyncio.gather(*clients)
    await eventually(lambda: rig.router.fleet.stack == "test")


# Many at once


class _Trickle(asyncio.Protocol):
    """A model server that begins a stream for everybody and goes on with none."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._seen = b""

    def data_received(self, data: bytes) -> None:
        self._seen += data
        if self._seen.startswith(b"GET"):
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            self._seen = b""
        elif self._seen.endswith(b"}"):
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            piece = sse(openai_chunk(content="first"))
            self._transport.write(head + b"%x\r\n%b\r\n" % (len(piece), piece))
            self._seen = b""

    def connection_lost(self, exc: Exception | None) -> None:
        del exc


@asynccontextmanager
async def router_process(fleet: Path) -> AsyncIterator[tuple[int, int]]:
    """A router as a process of its own. Gives its id and port."""
    command = [sys.executable, "-m", "agent_runtime.router", "--fleet", str(fleet), "--port", "0"]
    log = fleet.with_suffix(".log")
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(*command, cwd=REPOSITORY, stderr=file)
    try:
        await eventually(lambda: '"listening"' in log.read_text(), seconds=15)
        line = next(line for line in log.read_text().splitlines() if '"listening"' in line)
        yield process.pid, json.loads(line)["port"]
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()  # streams that are still open would keep it for as long as they may drain
        await process.wait()


def resident_bytes(process_id: int) -> int:
    pages = int(Path(f"/proc/{process_id}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc, which only Linux has")
async def test_two_thousand_open_streams_cost_little_memory_each_and_give_it_back(tmp_path: Path) -> None:
    count = 2000
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < 3 * count:
        pytest.skip(f"this process may open {most} files only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65536), most))
    server = await asyncio.get_running_loop().create_server(_Trickle, "127.0.0.1", 0, backlog=1024)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    fleet = tmp_path / "fleet.json"
    fleet.write_text(json.dumps(contract({"m": {"endpoints": [{"url": url}]}})))
    async with (
        server,
        router_process(fleet) as (process_id, port),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        # What is allocated once, with the first of them, is not what each costs.
        streams = [await _begun(port) for _ in range(50)]
        before = resident_bytes(process_id)
        for _ in range(0, count, 50):
            streams += await asyncio.gather(*(_begun(port) for _ in range(50)))
        each = (resident_bytes(process_id) - before) / count
        assert each < 80 * 1024
        assert (await client.get("/healthz")).status_code == 200
        for _, writer in streams:
            writer.transport.abort()

        async def active() -> float:
            text = (await client.get("/metrics")).text
            return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith("ollama_active"))

        async with asyncio.timeout(10):
            while await active():
                await asyncio.sleep(0.05)


async def _begun(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A stream of which the first words have come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(post(STREAMED))
    await asyncio.wait_for(reader.readuntil(b"first"), 10)
    return reader, writer
