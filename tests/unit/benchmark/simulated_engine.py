"""A model server whose latencies are known, in virtual time and on a real port.

In virtual time nothing waits: the event loop's clock jumps to the next thing that is due, so that what a benchmark
reports can be held against the truth to the last digit, on a machine however busy.
"""

from __future__ import annotations

import asyncio
import json
import selectors
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from agent_runtime.benchmark.http_stream import StreamClient

Found = TypeVar("Found")


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes at once."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self.now


class _Jumping(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if not found:
            assert timeout is not None, "nothing is due any more, and the test still waits"
            self._loop.now += timeout
        return found


def in_virtual_time(work: Callable[[VirtualLoop], Coroutine[Any, Any, Found]]) -> Found:
    """Run ``work`` on a loop of its own, whose time begins at 0."""
    loop = VirtualLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(work(loop))


@dataclass(frozen=True)
class Reply:
    """How one request is answered."""

    ttft_seconds: float = 0.0
    itl_seconds: float = 0.0
    tokens: int = 4
    """How many there are; ``sent`` of them come."""
    prompt_tokens: int = 10
    status: int = 200
    usage: bool = True
    whole: bool = True
    """Without it the stream has no end, and the connection is closed."""
    error: str | None = None
    """Told in the middle of the stream."""


Answers = Callable[[int, dict[str, Any]], Reply | None]
"""The number of a request, from 0, and its body -> how it is answered; None: the connection is closed at once."""


@dataclass
class SimulatedEngine:
    """Speaks OpenAI's dialect under /v1 and Ollama's under /api."""

    answers: Answers = lambda _number, _body: Reply()
    stall: tuple[float, float] | None = None
    """From when to when it says nothing, in the loop's time: what was due then comes at the end of it."""
    asked: list[dict[str, Any]] = field(default_factory=list)
    """The bodies of all requests."""
    heads: list[str] = field(default_factory=list)

    def take(self, path: str, head: str, body: dict[str, Any]) -> tuple[list[tuple[float, bytes]], bool]:
        """What is answered: pieces with the seconds after which each comes, and whether the connection stays open."""
        number = len(self.asked)
        self.asked.append(body)
        self.heads.append(head)
        reply = self.answers(number, body)
        if reply is None:
            return [], False
        if reply.status != 200:
            return [(reply.ttft_seconds, _plain(reply.status, {"error": {"message": "simulated"}}))], True
        events = _openai(reply) if path.startswith("/v1") else _ollama(reply)
        kind = b"text/event-stream" if path.startswith("/v1") else b"application/x-ndjson"
        pieces = [(0.0, b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % kind)]
        pieces += [(after, b"%x\r\n%b\r\n" % (len(data), data)) for after, data in events]
        if reply.whole:
            pieces.append((pieces[-1][0], b"0\r\n\r\n"))
        return pieces, reply.whole

    def due(self, moment: float) -> float:
        """When something that is due comes."""
        if self.stall is not None and self.stall[0] <= moment < self.stall[1]:
            return self.stall[1]
        return moment

    def client(self, loop: VirtualLoop, timeout_seconds: float = 600.0) -> StreamClient:
        """A client that is connected in memory."""

        async def connect(protocol: asyncio.Protocol) -> None:
            protocol.connection_made(_MemoryTransport(self, protocol, loop))

        return StreamClient("http://simulated", {}, timeout_seconds=timeout_seconds, clock=loop.time, connect=connect)


class _MemoryTransport(asyncio.Transport):
    def __init__(self, engine: SimulatedEngine, protocol: asyncio.Protocol, loop: VirtualLoop) -> None:
        super().__init__()
        self._engine, self._protocol, self._loop = engine, protocol, loop
        self._closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        head, _, body = bytes(data).partition(b"\r\n\r\n")
        path = head.decode().split(" ")[1]
        pieces, stays = self._engine.take(path, head.decode(), json.loads(body))
        now = self._loop.time()
        # What is due at the same moment comes together: the loop promises no order among equal times.
        together: dict[float, bytes] = {}
        for after, piece in pieces:
            moment = self._engine.due(now + after)
            together[moment] = together.get(moment, b"") + piece
        last = max(together, default=now)
        for moment, data in together.items():
            self._loop.call_at(moment, self._deliver, data, not stays and moment == last)
        if not together:
            self.abort()

    def _deliver(self, data: bytes, is_last: bool) -> None:
        if not self._closed:
            self._protocol.data_received(data)
        if is_last:
            self.abort()

    def abort(self) -> None:
        if not self._closed:
            self._closed = True
            self._loop.call_soon(self._protocol.connection_lost, None)

    def is_closing(self) -> bool:
        return self._closed


def _plain(status: int, document: dict[str, Any]) -> bytes:
    data = json.dumps(document).encode()
    return b"HTTP/1.1 %d Simulated\r\nContent-Length: %d\r\n\r\n%b" % (status, len(data), data)


def _openai(reply: Reply) -> list[tuple[float, bytes]]:
    def event(document: dict[str, Any]) -> bytes:
        named = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "simulated"}
        return b"data: " + json.dumps(named | document).encode() + b"\n\n"

    def delta(content: dict[str, str], reason: str | None = None) -> bytes:
        return event({"choices": [{"index": 0, "delta": content, "finish_reason": reason}]})

    # Engines begin with a role and no text: that is no token.
    found = [(0.0, delta({"role": "assistant", "content": ""}))]
    found += [(_at(reply, number), delta({"content": "word "})) for number in range(reply.tokens)]
    end = found[-1][0]
    if reply.error is not None:
        found.append((end, event({"error": {"message": reply.error}})))
    elif reply.whole:
        found.append((end, delta({}, "length")))
        if reply.usage:
            usage = {"prompt_tokens": reply.prompt_tokens, "completion_tokens": reply.tokens}
            found.append((end, event({"choices": [], "usage": usage})))
        found.append((end, b"data: [DONE]\n\n"))
    return found


def _ollama(reply: Reply) -> list[tuple[float, bytes]]:
    def line(document: dict[str, Any]) -> bytes:
        return json.dumps(document).encode() + b"\n"

    found = [
        (_at(reply, number), line({"message": {"role": "assistant", "content": "word "}, "done": False}))
        for number in range(reply.tokens)
    ]
    counts: dict[str, Any] = {"prompt_eval_count": reply.prompt_tokens, "eval_count": reply.tokens}
    durations = {"load_duration": 1_500_000_000, "eval_duration": 2_000_000_000, "prompt_eval_duration": 500_000_000}
    end = {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "length"}
    found.append((_at(reply, reply.tokens - 1), line({**end, **(counts | durations if reply.usage else {})})))
    return found


def _at(reply: Reply, number: int) -> float:
    return reply.ttft_seconds + number * reply.itl_seconds


@contextmanager
def serving(engine: SimulatedEngine, *, models: tuple[str, ...] = ("simulated",), owner: str = "vllm") -> Iterator[str]:
    """The engine on a port of loopback, in a thread of its own; gives its address."""
    started = threading.Event()
    addresses: list[str] = []
    loop = asyncio.new_event_loop()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await _answer_one(engine, reader, writer, models, owner):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        finally:
            writer.close()

    async def serve(stopped: asyncio.Event) -> None:
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        addresses.append(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        started.set()
        await stopped.wait()
        server.close()

    stopped = asyncio.Event()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve(stopped))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(20)
    try:
        yield addresses[0]
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join(20)


async def _answer_one(
    engine: SimulatedEngine,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    models: tuple[str, ...],
    owner: str,
) -> bool:
    """Answer one request; whether another may follow."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    method, path, _ = head.split(" ", 2)
    lengths = [line.split(":")[1] for line in head.lower().splitlines() if line.startswith("content-length:")]
    body = await reader.readexactly(int(lengths[0])) if lengths else b"{}"
    if method == "GET":
        listed = {"data": [{"id": name, "object": "model", "owned_by": owner} for name in models]}
        known = {"/v1/models": listed, "/health": {"status": "ok"}}
        writer.write(_plain(200 if path in known else 404, known.get(path, {})))
        return True
    pieces, stays = engine.take(path, head, json.loads(body))
    began = asyncio.get_running_loop().time()
    for after, piece in pieces:
        wait = began + after - asyncio.get_running_loop().time()
        if wait > 0:
            await asyncio.sleep(wait)
        writer.write(piece)
        await writer.drain()
    return stays
