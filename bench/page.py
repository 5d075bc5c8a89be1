"""What the router's own page costs: its weight, and the router's CPU while 50 of them are open.

Four cases: a fleet of 3 models with 2 endpoints each and one of 100 models with 4, each at rest and while it answers
10 requests a second. In turns with the same load and nobody watching, so that what is told is the watching alone: user
and system time of the router's process over the time of the round, in parts of one core. A stub stands in the place of
model servers, and one process reads all streams; all on this machine.

Usage: python bench/page.py [--rounds N] [--seconds N] [--viewers N] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import multiprocessing
import os
import platform
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import uvloop
from router_cpu import MESSAGES, ROOT, Client, Running, Stub, start_router

ASSETS = ROOT / "agent_runtime" / "router" / "page" / "assets"
WATCH = b"GET /api/paddock/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
BODY = json.dumps({"model": "m0", "messages": MESSAGES, "stream": False}).encode()
ASK = b"POST /api/chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(BODY),
    BODY,
)


@dataclass
class Case:
    """A fleet under a load, and what watching it cost."""

    models: int
    endpoints: int
    requests_per_second: int
    core_percent: float = 0.0
    """Median over the rounds of the router's CPU with viewers, less that without."""
    core_percent_unwatched: float = 0.0
    bytes_per_second: float = 0.0
    """What one viewer was sent, the first event left out."""
    first_event_bytes: int = 0


def serve_stub(pipe: Connection, count: int) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        servers = [await loop.create_server(Stub, "127.0.0.1", 0) for _ in range(count)]
        pipe.send([server.sockets[0].getsockname()[1] for server in servers])
        await loop.run_in_executor(None, pipe.recv)

    uvloop.run(main())


def contract(case: Case, ports: list[int]) -> dict[str, Any]:
    url = "http://127.0.0.1:1"
    addresses = {"url": url, "openai": url, "ollama": url, "metrics": url}
    models: dict[str, Any] = {}
    for number in range(case.models):
        # The first one answers. Paths make endpoints of their own of one stub's port for the others.
        urls = [f"http://127.0.0.1:{ports[place]}" for place in range(case.endpoints)]
        if number:
            urls = [f"http://127.0.0.1:{ports[0]}/{number}/{place}" for place in range(case.endpoints)]
        endpoints = [{"url": one} for one in urls]
        models[f"m{number}"] = {"model": "m", "engine": "ollama", "contextLength": 2048, "endpoints": endpoints}
    return {"version": 1, "stack": "bench", "target": "local", "router": addresses, "models": models}


class Viewer(asyncio.Protocol):
    """Reads a stream, and counts its bytes."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.transport.write(WATCH)

    def data_received(self, data: bytes) -> None:
        self.size_bytes += len(data)


async def ask_steadily(port: int, per_second: int, seconds: float) -> None:
    """Requests at even distances, one connection each."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(int(per_second * seconds)):
        await asyncio.sleep(max(0.0, began + number / per_second - loop.time()))
        done = asyncio.Event()
        transport, _ = await loop.create_connection(lambda done=done: Client(ASK, [1], done), "127.0.0.1", port)
        await done.wait()
        transport.abort()
    await asyncio.sleep(max(0.0, began + seconds - loop.time()))


async def round_of(router: Running, case: Case, viewers: int, seconds: float) -> float:
    """The router's CPU in percent of a core."""
    loop = asyncio.get_running_loop()
    watching = [(await loop.create_connection(Viewer, "127.0.0.1", router.port))[1] for _ in range(viewers)]
    await asyncio.sleep(2)  # the first events are over
    before = [viewer.size_bytes for viewer in watching]
    began, cpu = time.monotonic(), router.cpu_seconds()
    await ask_steadily(router.port, case.requests_per_second, seconds)
    spent = (router.cpu_seconds() - cpu) / (time.monotonic() - began) * 100
    if watching:
        case.first_event_bytes = before[0]
        case.bytes_per_second = (watching[0].size_bytes - before[0]) / (time.monotonic() - began)
    for viewer in watching:
        assert viewer.size_bytes > 0
        viewer.transport.abort()
    await asyncio.sleep(0.5)
    return spent


def measure(case: Case, ports: list[int], options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "fleet.json")
        path.write_text(json.dumps(contract(case, ports)))
        router = start_router(ROOT, path, Path(folder, "router.log"))
        try:
            watched: list[float] = []
            alone: list[float] = []
            for _ in range(options.rounds):
                alone.append(uvloop.run(round_of(router, case, 0, options.seconds)))
                watched.append(uvloop.run(round_of(router, case, options.viewers, options.seconds)))
            case.core_percent_unwatched = statistics.median(alone)
            case.core_percent = statistics.median(
                with_ - without for with_, without in zip(watched, alone, strict=True)
            )
        finally:
            router.process.terminate()
            router.process.wait(40)


def weight() -> dict[str, int]:
    files = [path.read_bytes() for path in ASSETS.iterdir()]
    return {
        "files": len(files),
        "size_bytes": sum(map(len, files)),
        "sent_bytes": sum(len(gzip.compress(data, 9)) for data in files),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    here, there = multiprocessing.Pipe()
    stub = multiprocessing.get_context("fork").Process(target=serve_stub, args=(there, 4))
    stub.start()
    ports: list[int] = here.recv()
    cases = [Case(models, ends, rate) for models, ends in ((3, 2), (100, 4)) for rate in (0, 10)]
    try:
        for case in cases:
            measure(case, ports, options)
    finally:
        here.send(None)
        stub.join(10)
    light = weight()
    print(
        f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, {options.rounds} rounds.\n"
    )
    print(f"{light['files']} files, {light['size_bytes']} bytes, {light['sent_bytes']} compressed.\n")
    watching = f"core, {options.viewers} viewers"
    print(f"| models | endpoints | requests/s | {watching} | core, nobody | bytes/s a viewer | first event |")
    print("|---|---|---|---|---|---|---|")
    for case in cases:
        print(
            f"| {case.models} | {case.models * case.endpoints} | {case.requests_per_second} | "
            f"{case.core_percent:+.2f} % | {case.core_percent_unwatched:.2f} % | {case.bytes_per_second:.0f} | "
            f"{case.first_event_bytes} |"
        )
    if options.json:
        options.json.write_text(json.dumps({"weight": light, "cases": [asdict(case) for case in cases]}, indent=2))


if __name__ == "__main__":
    main()
