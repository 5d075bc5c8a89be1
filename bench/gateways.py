"""Gateways side by side, in one run: nginx, LiteLLM where it is installed, and the router with everything switched on.

Each stands before the same stub of a model server, which answers at once: whole, or as a stream of 50 pieces. Told are

- CPU a request (user and system time of the gateway's processes, from /proc, over the requests it served), 32 clients:
  the least of several rounds, since whatever else runs on the machine can only add to it;
- the median latency of one client, and of 32, straight to the stub and through each gateway;
- memory for each open stream, with 2,000 of them;
- for the router, CPU and requests a second with several workers.

The router asks for a key, knows budgets and a tier beyond the fleet, measures, logs and books every request. nginx does
nothing but pass on: as `proxy_pass` alone has it, and tuned, with connections to the model server that stay open. CPU
can be compared between machines as a ratio; latencies hold within the run alone.

Usage: python bench/gateways.py [--requests N] [--rounds N] [--streams N] [--litellm PATH] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import uvloop

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from fleet_spec.keys import hash_of, new_key  # noqa: E402 - the checkout's own
from tests.ports import free_port  # noqa: E402 - the checkout's own

TOKENS = 50
HELD_SECONDS = 600.0
MESSAGES = [{"role": "user", "content": "Why is the sky blue? " * 10}]
USAGE = {"prompt_tokens": 50, "completion_tokens": TOKENS, "total_tokens": 50 + TOKENS}
CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
WHOLE = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "blue " * TOKENS}, "finish_reason": "stop"}],
    "usage": USAGE,
}


def _events() -> list[bytes]:
    said = [{**CHUNK, "choices": [{"index": 0, "delta": {"content": "blue "}, "finish_reason": None}]}] * (TOKENS - 1)
    last = {**CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    counts = {**CHUNK, "choices": [], "usage": USAGE}
    return [*(b"data: " + json.dumps(one).encode() + b"\n\n" for one in (*said, last, counts)), b"data: [DONE]\n\n"]


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Stub(asyncio.Protocol):
    """A model server that answers at once. A stream goes out token by token; one whose prompt says HOLD stays open."""

    whole = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(json.dumps(WHOLE)),
        json.dumps(WHOLE).encode(),
    )
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    pieces = tuple(_chunked(event) for event in _events())

    def __init__(self) -> None:
        self.transport: Any = None
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            if head.startswith(b"get "):
                self.buffer = self.buffer[end + 4 :]
                self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                continue
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            if len(self.buffer) < end + 4 + length:
                return
            body, self.buffer = self.buffer[end + 4 : end + 4 + length], self.buffer[end + 4 + length :]
            if b"HOLD" in body:
                self.transport.write(self.head + self.pieces[0])
            elif b'"stream": true' in body or b'"stream":true' in body:
                asyncio.get_running_loop().create_task(self.drip())
            else:
                self.transport.write(self.whole)

    async def drip(self) -> None:
        for piece in (self.head + self.pieces[0], *self.pieces[1:], b"0\r\n\r\n"):
            if self.transport.is_closing():
                return
            self.transport.write(piece)
            await asyncio.sleep(0)


def _serve_stub(pipe: Connection) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Stub, "127.0.0.1", 0, backlog=4096)
        pipe.send(server.sockets[0].getsockname()[1])
        await loop.run_in_executor(None, pipe.recv)

    uvloop.run(main())


# Gateways


@dataclass
class Gateway:
    """A gateway that runs."""

    name: str
    port: int
    process: subprocess.Popen[bytes] | None = None
    key: str = ""

    def processes(self) -> list[psutil.Process]:
        if self.process is None:
            return []
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def cpu_seconds(self) -> float:
        return sum(times.user + times.system for times in (one.cpu_times() for one in self.processes()))

    def memory_bytes(self) -> int:
        return sum(one.memory_info().rss for one in self.processes())


def _wait(port: int, process: subprocess.Popen[bytes], log: Path, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    process.kill()
    raise SystemExit(f"a gateway did not start: {log.read_text()[-2000:]}")


@contextmanager
def _running(
    name: str, command: list[str], port: int, folder: Path, *, key: str = "", env: Mapping[str, str] | None = None
) -> Iterator[Gateway]:
    log = folder / f"{name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True, cwd=ROOT, env=env)
    try:
        _wait(port, process, log)
        yield Gateway(name, port, process, key)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _nginx(name: str, *, tuned: bool) -> Callable[[int, Path], Iterator[Gateway]]:
    def start(stub: int, folder: Path) -> Iterator[Gateway]:
        port, conf = free_port(), folder / f"{name}.conf"
        conf.write_text(nginx_conf(port, stub, folder, tuned=tuned))
        with _running(name, ["nginx", "-c", str(conf), "-p", str(folder)], port, folder) as found:
            yield found

    return start


def nginx_conf(port: int, stub: int, folder: Path, *, tuned: bool) -> str:
    kept = 'proxy_http_version 1.1; proxy_set_header Connection "";' if tuned else "proxy_http_version 1.1;"
    upstream = "keepalive 256; keepalive_requests 1000000;" if tuned else ""
    return f"""
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;
events {{ worker_connections 8192; }}
http {{
  access_log {"off" if tuned else f"{folder}/access.log"};
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  keepalive_requests 1000000;
  upstream model {{ server 127.0.0.1:{stub}; {upstream} }}
  server {{ listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://model; {kept} proxy_buffering off; proxy_read_timeout 600s; }} }}
}}
"""


def _paddock(name: str, workers: int) -> Callable[[int, Path], Iterator[Gateway]]:
    def start(stub: int, folder: Path) -> Iterator[Gateway]:
        port, key = free_port(), new_key()
        contract = folder / f"{name}.json"
        contract.write_text(json.dumps(contract_for(stub, hash_of(key))))
        secrets, data = folder / f"{name}-secrets", folder / f"{name}-data"
        secrets.mkdir(mode=0o700)
        data.mkdir()
        (secrets / "tier-commercial").write_text("-".join(("no", "key", "of", "anybody")))
        (secrets / "tier-commercial").chmod(0o600)
        command = [sys.executable, "-m", "agent_runtime.router", "--fleet", str(contract), "--port", str(port)]
        command += ["--secrets", str(secrets), "--data", str(data), "--workers", str(workers)]
        with _running(name, command, port, folder, key=key) as found:
            yield found

    return start


def contract_for(stub: int, key_hash: str) -> dict[str, Any]:
    """One model of the fleet, a tier beyond it for another name, a budget, and a key."""
    url = "http://127.0.0.1:1"
    endpoints = [{"url": f"http://127.0.0.1:{stub}"}]
    model = {"model": "m", "engine": "vllm", "contextLength": 8192, "parallel": 64, "usdPerHour": 0.5}
    other = {"model": "x", "engine": "openai", "contextLength": 8192, "endpoints": [{"url": url}]}
    price = {"inputUsdPerMillion": 1.0, "outputUsdPerMillion": 2.0}
    return {
        "version": 1,
        "stack": "bench",
        "target": "local",
        "router": {"url": url, "openai": url, "ollama": url, "metrics": url},
        "models": {"m": {**model, "endpoints": endpoints}, "other": {**model, "endpoints": endpoints}},
        "tiers": {"commercial": {"secret": "tier-commercial", "models": {"other": {**other, "price": price}}}},
        "budget": {"monthlyUsd": 1000.0},
        "keys": {"bench": {"hash": key_hash}},
    }


def _litellm(program: Path) -> Callable[[int, Path], Iterator[Gateway]]:
    def start(stub: int, folder: Path) -> Iterator[Gateway]:
        port = free_port()
        config = folder / "litellm.yaml"
        config.write_text(
            json.dumps(
                {
                    "model_list": [
                        {
                            "model_name": "m",
                            "litellm_params": {
                                "model": "openai/m",
                                "api_base": f"http://127.0.0.1:{stub}/v1",
                                "api_key": "none",
                            },
                        }
                    ]
                }
            )
        )
        command = [str(program), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
        environment = {**os.environ, "LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        environment["LITELLM_MASTER_KEY"] = key = f"sk-{new_key()}"
        with _running("litellm", command, port, folder, key=key, env=environment) as found:
            yield found

    return start


# Load


class Client(asyncio.Protocol):
    """Asks, waits for the whole answer, asks again."""

    def __init__(self, request: bytes, left: list[int], done: asyncio.Event, seconds: list[float]) -> None:
        self.request, self.left, self.done, self.seconds = request, left, done, seconds
        self.transport: Any = None
        self.parts: list[bytes] = []
        self.length = -1
        self.size = 0
        self.began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._ask()

    def _ask(self) -> None:
        self.parts, self.length, self.size = [], -1, 0
        self.began = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.parts.append(data)
        self.size += len(data)
        if self.length < 0:
            head, found, _ = b"".join(self.parts).partition(b"\r\n\r\n")
            if not found:
                return
            lowered = head.lower()
            assert lowered.startswith(b"http/1.1 200"), head
            size = lowered.partition(b"content-length: ")[2].partition(b"\r\n")[0]
            self.length = len(head) + 4 + int(size) if size else 0
        ended = self.size >= self.length if self.length else b"".join(self.parts[-2:]).endswith(b"\r\n0\r\n\r\n")
        if not ended:
            return
        self.seconds.append(time.perf_counter() - self.began)
        self.left[0] -= 1
        if self.left[0] > 0:
            self._ask()
        else:
            self.done.set()


def request_bytes(gateway: Gateway, *, streamed: bool, hold: bool = False) -> bytes:
    body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "HOLD"}] if hold else MESSAGES}
    if streamed:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    data = json.dumps(body).encode()
    key = f"Authorization: Bearer {gateway.key}\r\n" if gateway.key else ""
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n{key}Content-Type: application/json\r\n"
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data


async def _load(gateway: Gateway, *, streamed: bool, clients: int, requests: int) -> list[float]:
    left, done, seconds = [requests], asyncio.Event(), list[float]()
    loop = asyncio.get_running_loop()
    request = request_bytes(gateway, streamed=streamed)
    made = [
        await loop.create_connection(lambda: Client(request, left, done, seconds), "127.0.0.1", gateway.port)
        for _ in range(clients)
    ]
    await asyncio.wait_for(done.wait(), HELD_SECONDS)
    for transport, _ in made:
        transport.abort()
    return seconds


class Held(asyncio.Protocol):
    """A client with an open stream."""

    def __init__(self, request: bytes, begun: list[int]) -> None:
        self.request, self.begun = request, begun

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(self.request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if b"blue" in data:
            self.begun[0] += 1


async def _hold(gateway: Gateway, streams: int) -> tuple[float, int]:
    """Open streams, and give the memory that each took in KB, and how many began."""
    loop, begun = asyncio.get_running_loop(), [0]
    before = gateway.memory_bytes()
    request = request_bytes(gateway, streamed=True, hold=True)
    made: list[asyncio.BaseTransport] = []
    for _ in range(streams):
        transport, _ = await loop.create_connection(lambda: Held(request, begun), "127.0.0.1", gateway.port)
        made.append(transport)
    deadline = loop.time() + 60
    while begun[0] < streams and loop.time() < deadline:
        await asyncio.sleep(0.1)
    grown = gateway.memory_bytes() - before
    for transport in made:
        transport.abort()  # type: ignore[attr-defined]
    await asyncio.sleep(0.5)
    return grown / streams / 1024, begun[0]


@dataclass
class Found:
    """What was measured of one gateway."""

    cpu_us: dict[str, list[float]] = field(default_factory=lambda: {"plain": [], "streamed": []})
    latency_ms: dict[str, float] = field(default_factory=dict[str, float])
    per_second: dict[str, float] = field(default_factory=dict[str, float])
    stream_kb: float | None = None
    streams_begun: int | None = None


def measure(gateway: Gateway, found: Found, requests: int, rounds: int, streams: int) -> None:
    share = requests if gateway.name != "litellm" else max(64, requests // 40)
    for turn in range(rounds + 1):
        for kind, count in (("plain", share), ("streamed", max(64, share // 3))):
            cpu, began = gateway.cpu_seconds(), time.perf_counter()
            seconds = uvloop.run(_load(gateway, streamed=kind == "streamed", clients=32, requests=count))
            if turn:  # the first round warms up
                found.cpu_us[kind].append((gateway.cpu_seconds() - cpu) / count * 1e6)
                found.per_second[kind] = count / (time.perf_counter() - began)
                found.latency_ms[f"{kind}, 32 clients"] = statistics.median(seconds) * 1000
    for kind in ("plain", "streamed"):
        seconds = uvloop.run(_load(gateway, streamed=kind == "streamed", clients=1, requests=max(50, share // 20)))
        found.latency_ms[f"{kind}, 1 client"] = statistics.median(seconds) * 1000
    if streams and gateway.process is not None and gateway.name != "litellm":
        found.stream_kb, found.streams_begun = uvloop.run(_hold(gateway, streams))


def table(found: dict[str, Found]) -> str:
    lines = [
        "| gateway | CPU us, plain | CPU us, streamed | p50 ms plain, 1 / 32 | p50 ms streamed, 1 / 32 | KB a stream |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in found.items():
        cpu = {kind: f"{min(values):.0f}" if values else "-" for kind, values in one.cpu_us.items()}
        if name == "straight":
            cpu = dict.fromkeys(cpu, "-")
        late = one.latency_ms
        kb = "-" if one.stream_kb is None else f"{one.stream_kb:.0f} ({one.streams_begun} open)"
        lines.append(
            f"| {name} | {cpu['plain']} | {cpu['streamed']} "
            f"| {late['plain, 1 client']:.2f} / {late['plain, 32 clients']:.1f} "
            f"| {late['streamed, 1 client']:.2f} / {late['streamed, 32 clients']:.1f} | {kb} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=6_000, help="plain ones a round; a third as many streamed")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--streams", type=int, default=2000)
    parser.add_argument("--litellm", type=Path, help="LiteLLM's program; left out where there is none")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    here, there = multiprocessing.Pipe()
    stub = multiprocessing.get_context("fork").Process(target=_serve_stub, args=(there,))
    stub.start()
    port: int = here.recv()
    starts: dict[str, Callable[[int, Path], Iterator[Gateway]]] = {}
    if shutil.which("nginx"):
        starts |= {"nginx": _nginx("nginx", tuned=False), "nginx, tuned": _nginx("nginx-tuned", tuned=True)}
    starts |= {"paddock": _paddock("paddock", 1), "paddock, 2 workers": _paddock("paddock2", 2)}
    if options.litellm:
        starts["litellm"] = _litellm(options.litellm)
    found = {"straight": Found()}
    try:
        with tempfile.TemporaryDirectory() as folder:
            measure(Gateway("straight", port), found["straight"], options.requests, options.rounds, 0)
            for name, start in starts.items():
                print(f"measuring {name} ...", file=sys.stderr)
                found[name] = Found()
                with contextmanager(start)(port, Path(folder)) as gateway:
                    measure(gateway, found[name], options.requests, options.rounds, options.streams)
    finally:
        here.send(None)
        stub.join(10)
    print(table(found))
    for peer in (name for name in ("nginx", "nginx, tuned", "litellm") if name in found):
        ours, theirs = found["paddock"].cpu_us, found[peer].cpu_us
        ratios = {kind: min(ours[kind]) / min(theirs[kind]) for kind in ours}
        print(f"CPU of paddock over {peer}'s: plain {ratios['plain']:.3f}, streamed {ratios['streamed']:.3f}")
    if options.json:
        options.json.write_text(json.dumps({name: vars(one) for name, one in found.items()}, indent=2) + "\n")


if __name__ == "__main__":
    main()
