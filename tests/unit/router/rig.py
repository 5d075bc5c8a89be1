"""A router in this process, before model servers whose every byte a test decides."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from agent_runtime.discovery import ContractFile
from agent_runtime.router.governance import Governance
from agent_runtime.router.limits import Limits
from agent_runtime.router.log import Log
from agent_runtime.router.service import Router
from agent_runtime.router.settings import Settings
from agent_runtime.router.traces import Traces

QUICK = Limits(
    connect_seconds=5,
    first_byte_seconds=5.0,
    idle_gap_seconds=5.0,
    probe_seconds=0.2,
    probe_idle_seconds=0.5,
    contract_poll_seconds=0.05,
    drain_seconds=5.0,
    linger_seconds=0.3,
)
"""Limits that do not make a test wait, and do not end it either."""


@dataclass
class Asked:
    """A request as a model server got it."""

    method: str
    path: str
    head: bytes
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Script = Callable[["Talk"], Awaitable[None]]


@dataclass
class Talk:
    """One request at a scripted engine, and the way to answer it."""

    asked: Asked
    writer: asyncio.StreamWriter
    client_left: asyncio.Event

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self, body: object, *, status: str = "200 OK", headers: str = "") -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        await self.send(head.encode() + headers.encode() + b"\r\n" + content)

    async def begin(self, content_type: str = "text/event-stream") -> None:
        await self.send(
            f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )

    async def chunk(self, data: bytes) -> None:
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def end(self) -> None:
        await self.send(b"0\r\n\r\n")

    async def hang_up(self) -> None:
        self.writer.close()

    async def stream(self, *chunks: bytes, content_type: str = "text/event-stream") -> None:
        await self.begin(content_type)
        for data in chunks:
            await self.chunk(data)
        await self.end()


class ScriptedEngine:
    """A model server that does what it is told."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.healthy = True
        self.asked: list[Asked] = []
        """What it was asked, health checks left out."""
        self.connections = 0
        self.url = ""
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, port: int = 0, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._serve, address, port, ssl=tls)
        self.url = f"http://{address}:{self.port}"

    @property
    def port(self) -> int:
        assert self._server is not None
        return self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while not writer.is_closing():
                asked = await _read_request(reader)
                await self._answer(asked, reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has gone, or the test has ended
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = Talk(asked, writer, asyncio.Event())
        if asked.path in ("/health", "/api/version"):
            await talk.reply({}, status="200 OK" if self.healthy else "503 Service Unavailable")
            return
        self.asked.append(asked)
        # Whoever asks says nothing more until it is answered: the end of the stream is all that can come.
        watch = asyncio.ensure_future(_until_gone(reader, talk.client_left))
        try:
            await self.script(talk)
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)


async def _until_gone(reader: asyncio.StreamReader, gone: asyncio.Event) -> None:
    while not reader.at_eof() and reader.exception() is None:
        await asyncio.sleep(0.005)
    gone.set()


async def _read_request(reader: asyncio.StreamReader) -> Asked:
    head = await reader.readuntil(b"\r\n\r\n")
    method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    body = await reader.readexactly(int(length[1])) if length else b""
    return Asked(method, path, head, body)


def contract(models: dict[str, dict[str, Any]], aliases: dict[str, dict[str, float]] | None = None) -> dict[str, Any]:
    """A contract with these models; what a test does not care about is filled in."""
    url = "http://127.0.0.1:1"
    filled = {
        name: {"model": "tiny:1b", "engine": "llamacpp", "contextLength": 2048, **model}
        for name, model in models.items()
    }
    router = {"url": url, "openai": f"{url}/v1", "ollama": url, "metrics": f"{url}/metrics"}
    return {
        "version": 1,
        "stack": "test",
        "target": "local",
        "router": router,
        "models": filled,
        "aliases": aliases or {},
    }


@dataclass
class Rig:
    """The router, its engines and a client."""

    router: Router
    engines: list[ScriptedEngine]
    client: httpx.AsyncClient
    contract_path: Path
    port: int
    log_lines: list[str] = field(default_factory=list)

    @property
    def engine(self) -> ScriptedEngine:
        return self.engines[0]

    def log(self) -> list[dict[str, Any]]:
        self.router.log.flush()
        return [json.loads(line) for line in "".join(self.log_lines).splitlines()]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.log() if line["event"] == name]

    def write_contract(self, data: object) -> None:
        """Replace the contract as `paddock up` does: a new file, renamed over the old one."""
        fresh = self.contract_path.with_suffix(".new")
        fresh.write_text(data if isinstance(data, str) else json.dumps(data))
        fresh.replace(self.contract_path)

    async def metric(self, line: str) -> float:
        text = (await self.client.get("/metrics")).text
        for found in text.splitlines():
            name, _, value = found.rpartition(" ")
            if name == line:
                return float(value)
        raise AssertionError(f"no metric {line} in\n{text}")

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def raw(self, data: bytes) -> bytes:
        """Send bytes, and give all that comes until the router closes the connection."""
        reader, writer = await self.connect()
        writer.write(data)
        try:
            return await asyncio.wait_for(reader.read(), 5)
        finally:
            writer.close()

    async def chat(self, **fields: Any) -> httpx.Response:
        return await self.client.post("/api/chat", json={"model": "m", "messages": [HELLO], **fields})

    async def completion(self, **fields: Any) -> httpx.Response:
        return await self.client.post("/v1/chat/completions", json={"model": "m", "messages": [HELLO], **fields})


HELLO = {"role": "user", "content": "Hello"}


async def eventually(condition: Callable[[], object], seconds: float = 5) -> None:
    """Wait for something to become true."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "it never became true"
        await asyncio.sleep(0.01)


async def demand_quiet(rig: Rig) -> None:
    """Whatever was asked has ended: nothing of it is left anywhere in the router."""
    router = rig.router

    def remains() -> dict[str, int]:
        models, endpoints = list(router.fleet.all_models()), router.fleet.endpoints.values()
        found = {
            "exchanges": len(router.account.exchanges),
            "tasks": len(router.tasks),
            "busy connections": sum(connection.work is not None for connection in router.connections),
            "active": sum(model.active for model in models),
            "sent": sum(model.sent for model in models),
            "waiting": sum(model.line.size for model in models),
            "sent to replicas": sum(replica.sent for model in models for replica in model.replicas),
            "outstanding": sum(endpoint.outstanding for endpoint in endpoints),
            "kept bytes": router.account.buffers.used_bytes,
        }
        return {name: count for name, count in found.items() if count}

    deadline = asyncio.get_running_loop().time() + 5
    while remains():
        assert asyncio.get_running_loop().time() < deadline, remains()
        await asyncio.sleep(0.01)
    # What was set aside is settled when the ledger has heard of the ends.
    await router.governance.purse._books.catch_up()
    await router.governance.purse._books.catch_up()
    reserved = router.governance.purse._books.totals.reserved
    assert not any(reserved.values()), reserved
    assert router.governance.purse._books.lost == 0


@asynccontextmanager
async def running(
    tmp_path: Path,
    *scripts: Script,
    engine: str = "llamacpp",
    limits: Limits = QUICK,
    data: dict[str, Any] | None = None,
    settings: Settings | None = None,
    traces: Traces | None = None,
    **entry: Any,
) -> AsyncIterator[Rig]:
    """A router for one model, ``m``, with one replica for each script; or for the contract in ``data``.

    With ``settings``, of which the contract's path does not matter, it is governed as a process is.
    """
    engines = [ScriptedEngine(script) for script in scripts]
    for scripted in engines:
        await scripted.start()
    if data is None:
        endpoints = [{"url": scripted.url} for scripted in engines]
        data = contract({"m": {"engine": engine, "endpoints": endpoints, **entry}})
    path = tmp_path / "fleet.json"
    path.write_text(json.dumps(data))
    source = ContractFile(path)
    lines: list[str] = []
    log, loaded = Log(lines.append), source.load()
    governance = None if settings is None else Governance.of(settings, loaded, log)
    router = Router(source, loaded, limits, log, governance, traces=traces)
    port = await router.start("127.0.0.1", 0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False) as client:
        try:
            yield Rig(router, engines, client, path, port, lines)
        finally:
            for scripted in engines:
                await scripted.stop()
            if not router.draining:
                await client.aclose()
                await router.drain()


# What engines say


def sse(*payloads: object) -> bytes:
    """Events as a model server streams them."""
    return b"".join(
        b"data: " + (payload if isinstance(payload, bytes) else json.dumps(payload).encode()) + b"\n\n"
        for payload in payloads
    )


def openai_chunk(**delta: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "tiny:1b",
        "choices": [{"index": 0, "delta": delta, "finish_reason": None}],
    }


def openai_end(reason: str = "stop") -> dict[str, Any]:
    return {**openai_chunk(), "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}


def openai_usage(prompt: int = 7, completion: int = 2) -> dict[str, Any]:
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {**openai_chunk(), "choices": [], "usage": usage}


def openai_whole(content: str = "Hi", prompt: int = 7, completion: int = 2) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "tiny:1b",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": prompt, "completion_tokens": completion},
    }


def ollama_line(content: str = "", **fields: Any) -> dict[str, Any]:
    return {
        "model": "tiny:1b",
        "created_at": "2026-01-01T00:00:00Z",
        "message": {"role": "assistant", "content": content},
        "done": False,
        **fields,
    }


OLLAMA_DONE = {
    "done": True,
    "done_reason": "stop",
    "total_duration": 5,
    "load_duration": 1,
    "prompt_eval_count": 7,
    "prompt_eval_duration": 2,
    "eval_count": 2,
    "eval_duration": 2,
}


def ndjson(*lines: object) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)
