"""What a request costs the router in CPU: user and system time of its process over the requests it served.

A stub in the place of a model server, 32 clients that ask again as soon as they are answered, and a router of its
own process before it; all on this machine, in one run. The figure comes from /proc, so it holds on a busy machine
too, where latencies do not. With ``--against DIR`` the router of another checkout is measured in turns with this one.

Usage: python bench/router_cpu.py [--against DIR] [--rounds N] [--requests N] [--clients N] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import uvloop

ROOT = Path(__file__).resolve().parents[1]
TOKENS = 50
"""How many pieces a streamed answer has."""
MESSAGES = [{"role": "user", "content": "Why is the sky blue? " * 10}]
LINE = {"model": "tiny:1b", "created_at": "2026-01-01T00:00:00Z", "message": {"role": "assistant", "content": "blue "}}
LAST = {**LINE, "done": True, "done_reason": "stop", "prompt_eval_count": 7, "eval_count": TOKENS}


def _stub_answers() -> dict[bool, bytes]:
    whole = json.dumps(LAST).encode()
    line, last = (json.dumps(item).encode() + b"\n" for item in ({**LINE, "done": False}, LAST))
    chunk = b"%x\r\n%b\r\n" % (len(line), line)
    stream = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    return {
        False: b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (len(whole), whole),
        True: stream + chunk * (TOKENS - 1) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(last), last),
    }


class Stub(asyncio.Protocol):
    """Answers every request at once; a stream goes out in ten writes, as its tokens would."""

    answers = _stub_answers()

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
            streamed = b'"stream": true' in body
            answer = self.answers[streamed]
            if not streamed:
                self.transport.write(answer)
                continue
            asyncio.get_running_loop().create_task(self.drip(answer))

    async def drip(self, answer: bytes) -> None:
        step = len(answer) // 10 + 1
        for at in range(0, len(answer), step):
            if self.transport.is_closing():  # the round is over
                return
            self.transport.write(answer[at : at + step])
            await asyncio.sleep(0)


def _serve_stub(pipe: Connection, count: int) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        servers = [await loop.create_server(Stub, "127.0.0.1", 0) for _ in range(count)]
        pipe.send([server.sockets[0].getsockname()[1] for server in servers])
        await loop.run_in_executor(None, pipe.recv)

    uvloop.run(main())


class Client(asyncio.Protocol):
    """Asks, waits for the whole answer, asks again."""

    def __init__(self, request: bytes, left: list[int], done: asyncio.Event) -> None:
        self.request, self.left, self.done = request, left, done
        self.transport: Any = None
        self.buffer = b""
        self.length = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.length < 0:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.buffer[:end].lower()
            assert head.startswith(b"http/1.1 200"), self.buffer
            size = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
            self.length = end + 4 + int(size) if size else 0
        if len(self.buffer) < self.length or (self.length == 0 and not self.buffer.endswith(b"\r\n0\r\n\r\n")):
            return
        self.buffer, self.length = b"", -1
        self.left[0] -= 1
        if self.left[0] > 0:
            self.transport.write(self.request)
        else:
            self.done.set()


async def _load(port: int, *, streamed: bool, clients: int, requests: int) -> None:
    body = json.dumps({"model": "m", "messages": MESSAGES, "stream": streamed}).encode()
    request = b"POST /api/chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
    left, done = [requests], asyncio.Event()
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Client(request % (len(body), body), left, done), "127.0.0.1", port)
        for _ in range(clients)
    ]
    await asyncio.wait_for(done.wait(), 300)
    for transport, _ in made:
        transport.abort()


@dataclass
class Running:
    """A router in a process of its own."""

    process: subprocess.Popen[bytes]
    port: int

    def cpu_seconds(self) -> float:
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system


def start_router(checkout: Path, contract: Path, log: Path) -> Running:
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "agent_runtime.router", "--fleet", str(contract), "--port", "0"],
            cwd=checkout,
            env={**os.environ, "PYTHONPATH": str(checkout)},
            stderr=out,
        )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text().splitlines():
            event = json.loads(line) if line.endswith("}") else {}
            if event.get("event") == "listening":
                return Running(process, event["port"])
        time.sleep(0.02)
    process.kill()
    raise SystemExit(f"the router of {checkout} did not start: {log.read_text()}")


def contract_for(ports: list[int], balancing: str) -> dict[str, Any]:
    url = "http://127.0.0.1:1"
    endpoints = [{"url": f"http://127.0.0.1:{port}"} for port in ports]
    model = {"model": "m", "engine": "ollama", "contextLength": 2048, "endpoints": endpoints}
    addresses = {"url": url, "openai": url, "ollama": url, "metrics": url}
    routing = {"balancing": balancing}
    base = {"version": 1, "stack": "bench", "target": "local", "router": addresses}
    return {**base, "models": {"m": model}, "routing": routing}


def measure(checkouts: dict[str, Path], options: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    here, there = multiprocessing.Pipe()
    stub = multiprocessing.get_context("fork").Process(target=_serve_stub, args=(there, options.replicas))
    stub.start()
    ports = here.recv()
    found: dict[str, dict[str, list[float]]] = {name: {"plain": [], "streamed": []} for name in checkouts}
    with tempfile.TemporaryDirectory() as folder:
        contract = Path(folder, "fleet.json")
        contract.write_text(json.dumps(contract_for(ports, options.balancing)))
        routers: dict[str, Running] = {}
        try:
            for name, path in checkouts.items():
                routers[name] = start_router(path, contract, Path(folder, f"{name}.log"))
            for turn in range(options.rounds + 1):
                for name, router in routers.items():
                    for kind, requests in (("plain", options.requests), ("streamed", options.requests // 3)):
                        began = router.cpu_seconds()
                        load = _load(
                            router.port, streamed=kind == "streamed", clients=options.clients, requests=requests
                        )
                        uvloop.run(load)
                        if turn > 0:  # the first round warms up
                            found[name][kind].append((router.cpu_seconds() - began) / requests * 1e6)
        finally:
            for router in routers.values():
                router.process.terminate()
                router.process.wait(10)
            here.send(None)
            stub.join(10)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=12_000, help="plain ones a round; a third as many streamed")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--balancing", default="leastOutstanding")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    checkouts = {"this": ROOT, **({"other": options.against.resolve()} if options.against else {})}
    found = measure(checkouts, options)
    summary = {
        name: {kind: round(statistics.median(values), 1) for kind, values in kinds.items()}
        for name, kinds in found.items()
    }
    for name, kinds in summary.items():
        print(f"{name}: plain {kinds['plain']} us, streamed {kinds['streamed']} us of CPU a request (median)")
    if options.json:
        options.json.write_text(json.dumps({"microseconds": summary, "rounds": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
