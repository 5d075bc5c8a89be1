"""What it costs the router to answer in another dialect than its engine's: CPU per request.

A stub answers as llama.cpp, vLLM or Ollama would, at once; the router, a process of its own, is asked for whole
answers and for streams of 50 tokens. CPU is the user and system time of the router's process, from /proc, over
the requests that it answered: the steady figure on a busy machine. Run from the repository's root:

    python -m bench.translation [--requests N] [--root DIR]

``--root`` takes the router from another checkout, to compare two states of the code in one run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.ports import free_port

ROOT = Path(__file__).parents[1]
TOKENS = 50
AT_ONCE = 8

CASES = (
    # name, engine, path, streamed
    ("OpenAI to vLLM, untouched", "vllm", "/v1/chat/completions", False),
    ("OpenAI to llama.cpp, in pieces", "llamacpp", "/v1/chat/completions", False),
    ("Ollama to vLLM", "vllm", "/api/chat", False),
    ("Ollama to llama.cpp, in pieces", "llamacpp", "/api/chat", False),
    ("OpenAI to Ollama", "ollama", "/v1/chat/completions", False),
    ("OpenAI to llama.cpp, streamed untouched", "llamacpp", "/v1/chat/completions", True),
    ("OpenAI to vLLM, streamed, counts hidden", "vllm", "/v1/chat/completions", True),
    ("Ollama to llama.cpp, streamed", "llamacpp", "/api/chat", True),
    ("OpenAI to Ollama, streamed", "ollama", "/v1/chat/completions", True),
)


def chunk(delta: dict[str, Any], reason: str | None = None, **more: Any) -> bytes:
    choice = {"finish_reason": reason, "index": 0, "delta": delta}
    head = {"created": 1, "id": "chatcmpl-1", "model": "tiny", "system_fingerprint": "b0", "object": "chat"}
    return b"data: " + json.dumps({"choices": [choice], **head, **more}, separators=(",", ":")).encode() + b"\n\n"


USAGE = {"prompt_tokens": 7, "completion_tokens": TOKENS, "total_tokens": TOKENS + 7}
TIMINGS = {"cache_n": 0, "prompt_n": 7, "prompt_ms": 10.0, "predicted_n": TOKENS, "predicted_ms": 100.0}
EVENTS = [
    chunk({"role": "assistant", "content": None}),
    *(chunk({"content": f" token{number}"}) for number in range(TOKENS)),
    chunk({}, "stop", usage=USAGE, timings=TIMINGS),
    b"data: [DONE]\n\n",
]
WHOLE = json.dumps(
    {
        "choices": [{"message": {"role": "assistant", "content": " token" * TOKENS}, "finish_reason": "stop"}],
        "usage": USAGE,
    }
).encode()


def line(content: str, **more: Any) -> bytes:
    said = {"model": "tiny", "created_at": "2026-01-01T00:00:00.123456789Z"}
    said |= {"message": {"role": "assistant", "content": content}, "done": False, **more}
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"


END = {"done": True, "done_reason": "stop", "prompt_eval_count": 7, "eval_count": TOKENS}
LINES = [*(line(f" token{number}") for number in range(TOKENS)), line("", **END)]


def framed(parts: list[bytes], content_type: str) -> list[bytes]:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return [head, *(b"%x\r\n%b\r\n" % (len(part), part) for part in parts), b"0\r\n\r\n"]


def sized(body: bytes) -> list[bytes]:
    return [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body]


class Stub(asyncio.Protocol):
    """Answers each request at once: a stream in one write a token, as an engine writes it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.waiting = b""

    def data_received(self, data: bytes) -> None:
        self.waiting += data
        head, end, body = self.waiting.partition(b"\r\n\r\n")
        if not end:
            return
        length = next((int(v) for k, _, v in _headers(head) if k.lower() == b"content-length"), 0)
        if len(body) < length:
            return
        self.waiting = b""
        path = head.split(b" ", 2)[1]
        streams = json.loads(body).get("stream", path.startswith(b"/api")) if body else False
        if path == b"/api/chat":
            whole = line(" token" * TOKENS, **END)
            parts = framed(LINES, "application/x-ndjson") if streams else sized(whole)
        elif path == b"/v1/chat/completions":
            parts = framed(EVENTS, "text/event-stream") if streams else sized(WHOLE)
        else:
            parts = sized(b"{}")
        for part in parts:
            self.transport.write(part)


def _headers(head: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    return (row.partition(b":") for row in head.split(b"\r\n")[1:])


async def ask(port: int, model: str, path: str, streamed: bool, count: int) -> None:
    """One client's requests, one after the other."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "stream": streamed}
    raw = json.dumps(body).encode()
    request = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(raw)}\r\n\r\n".encode() + raw
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(count):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = next((int(v) for k, _, v in _headers(head) if k.lower() == b"content-length"), None)
        if length is None:
            await reader.readuntil(b"\r\n0\r\n\r\n")
        else:
            await reader.readexactly(length)
    writer.close()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def router(root: Path, stub_port: int) -> Iterator[tuple[int, int]]:
    """A router for a model of each engine, called after it: the router's process id and port."""
    url = "http://127.0.0.1:1"
    endpoints = [{"url": f"http://127.0.0.1:{stub_port}"}]
    models = {
        engine: {"model": "tiny", "engine": engine, "contextLength": 2048, "endpoints": endpoints}
        for engine in sorted({engine for _, engine, _, _ in CASES})
    }
    addresses = {"url": url, "openai": url, "ollama": url, "metrics": url}
    contract = {"version": 1, "stack": "bench", "target": "local", "router": addresses, "models": models}
    with tempfile.TemporaryDirectory() as folder:
        path, log = Path(folder) / "fleet.json", Path(folder) / "log"
        path.write_text(json.dumps(contract))
        command = [sys.executable, "-m", "agent_runtime.router", "--fleet", str(path), "--port", "0"]
        with log.open("wb") as output:
            started = subprocess.Popen(command, cwd=root, stderr=output)
        try:
            yield started.pid, _port(started, log)
        finally:
            started.terminate()
            started.wait(20)


def _port(started: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and started.poll() is None:
        for row in log.read_text().splitlines():
            event = json.loads(row)
            if event["event"] == "listening":
                return int(event["port"])
        time.sleep(0.05)
    raise SystemExit(f"the router did not start:\n{log.read_text()}")


async def measure(pid: int, port: int, requests: int) -> list[float]:
    """CPU microseconds of the router per request, for each case."""
    found: list[float] = []
    for _, engine, path, streamed in CASES:
        await asyncio.gather(*(ask(port, engine, path, streamed, 5) for _ in range(AT_ONCE)))
        before = cpu_seconds(pid)
        await asyncio.gather(*(ask(port, engine, path, streamed, requests // AT_ONCE) for _ in range(AT_ONCE)))
        found.append((cpu_seconds(pid) - before) / (requests // AT_ONCE * AT_ONCE) * 1e6)
    return found


def serve_stub(port: int) -> None:
    """The stub, in a process of its own."""

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", port)
        await server.serve_forever()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run())


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU per translated request.")
    parser.add_argument("--requests", type=int, default=1600, help="for each case")
    parser.add_argument("--root", type=Path, action="append", help="a checkout to measure; may be repeated")
    options = parser.parse_args()
    port = free_port()
    stub = multiprocessing.get_context("spawn").Process(target=serve_stub, args=(port,))
    stub.start()
    roots: list[Path] = options.root or [ROOT]
    try:
        columns: list[list[float]] = []
        for root in roots:
            with router(root, port) as (pid, router_port):
                columns.append(asyncio.run(measure(pid, router_port, options.requests)))
    finally:
        stub.terminate()
        stub.join()
    print(f"CPU of the router per request, {options.requests} requests a case, {TOKENS} tokens an answer\n")
    print("| case | " + " | ".join(str(root) for root in roots) + " |")
    print("|---|" + "---|" * len(roots))
    for (name, *_), *values in zip(CASES, *columns, strict=True):
        print(f"| {name} | " + " | ".join(f"{value:.0f} us" for value in values) + " |")


if __name__ == "__main__":
    main()
