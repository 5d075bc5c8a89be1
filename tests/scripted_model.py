"""A model server that plays a script: OpenAI's chat API over HTTP, with the replies that a test gives it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from agent_runtime.fleet import Fleet
from fleet_spec.contract import FleetContract

CONTEXT_LENGTH = 2048


@dataclass(frozen=True)
class Reply:
    """One answer of the script."""

    text: str = ""
    calls: Sequence[tuple[str, Mapping[str, Any] | str]] = ()
    """Names and arguments of tool calls."""
    status: int = 200
    error: str = "refused"
    seconds: float = 0.0
    """How long the answer takes."""
    finish: str | None = None
    cut_off: bool = False
    """Whether a streamed answer breaks off in its middle."""
    cost_usd: float | None = None
    prompt_tokens: int | None = None
    """What the server says that it read; by default one for every four characters."""


Script = Sequence[Reply | str] | Callable[[dict[str, Any]], Reply | str]
"""Replies in their order, the last of them again and again, or a function of the request's body."""


@dataclass
class ScriptedServer:
    """A running server."""

    url: str
    requests: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """The bodies of the requests, in their order."""
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    stopped: threading.Event = field(default_factory=threading.Event)

    def fleet(self, *, capabilities: Sequence[str] = ("chat", "tools"), context: int = CONTEXT_LENGTH) -> Fleet:
        """A fleet whose router is this server."""
        return Fleet(FleetContract.from_mapping(self.contract(capabilities=capabilities, context=context)))

    def contract(self, *, capabilities: Sequence[str] = ("chat", "tools"), context: int = CONTEXT_LENGTH) -> Any:
        """The contract of that fleet."""
        return {
            "version": 1,
            "stack": "test",
            "target": "local",
            "router": {
                "url": self.url,
                "openai": f"{self.url}/v1",
                "ollama": self.url,
                "metrics": f"{self.url}/metrics",
            },
            "models": {
                "assistant": {
                    "model": "llama3.1:8b",
                    "engine": "openai",
                    "contextLength": context,
                    "capabilities": list(capabilities),
                    "endpoints": [{"url": self.url}],
                }
            },
            "aliases": {"default": {"assistant": 1.0}},
        }

    def write_contract(self, path: Path) -> Path:
        """The contract as a file."""
        path.write_text(json.dumps(self.contract()), encoding="utf-8")
        return path


@contextmanager
def scripted_server(script: Script) -> Iterator[ScriptedServer]:
    """A server that plays ``script`` and is gone when the block ends."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                server.requests.append(body)
                server.headers.append({key.lower(): value for key, value in self.headers.items()})
                number = len(server.requests) - 1
            reply = script(body) if callable(script) else script[min(number, len(script) - 1)]
            self._play(Reply(reply) if isinstance(reply, str) else reply, body)

        def _play(self, reply: Reply, body: dict[str, Any]) -> None:
            server.stopped.wait(reply.seconds)
            if reply.status != 200:
                self._json(reply.status, {"error": {"message": reply.error, "type": "error"}}, reply)
            elif body.get("stream"):
                self._stream(reply, body)
            else:
                self._json(200, _completion(reply, body), reply)

        def _json(self, status: int, document: Any, reply: Reply) -> None:
            data = json.dumps(document).encode()
            self._head(status, "application/json", reply)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _stream(self, reply: Reply, body: dict[str, Any]) -> None:
            self._head(200, "text/event-stream", reply)
            self.send_header("Connection", "close")
            self.end_headers()
            events = list(_chunks(reply, body))
            for event in events[: len(events) // 2] if reply.cut_off else events:
                self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
                self.wfile.flush()
            if not reply.cut_off:
                self.wfile.write(b"data: [DONE]\n\n")
            self.close_connection = True

        def _head(self, status: int, kind: str, reply: Reply) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            if reply.cost_usd is not None:
                self.send_header("X-Paddock-Cost-Usd", str(reply.cost_usd))

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as the base class calls it
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = ScriptedServer(f"http://127.0.0.1:{listener.server_address[1]}")
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stopped.set()
        listener.shutdown()
        listener.server_close()
        thread.join()


def _tool_calls(reply: Reply) -> list[dict[str, Any]]:
    return [
        {
            "index": index,
            "id": f"call_{index}_{time.monotonic_ns()}",
            "type": "function",
            "function": {
                "name": name,
                "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments),
            },
        }
        for index, (name, arguments) in enumerate(reply.calls)
    ]


def _usage(reply: Reply, body: dict[str, Any]) -> dict[str, int]:
    tokens = max(1, len(reply.text.split()))
    read = reply.prompt_tokens or len(json.dumps([body["messages"], body.get("tools")])) // 4
    return {"prompt_tokens": read, "completion_tokens": tokens, "total_tokens": read + tokens}


def _completion(reply: Reply, body: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.calls:
        message["tool_calls"] = _tool_calls(reply)
    finish = reply.finish or ("tool_calls" if reply.calls else "stop")
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": _usage(reply, body),
    }


def _chunks(reply: Reply, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
    pieces = [reply.text[start : start + 7] for start in range(0, len(reply.text), 7)]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}, *({"content": piece} for piece in pieces)]
    deltas += [{"tool_calls": [call]} for call in _tool_calls(reply)]
    for delta in deltas:
        yield {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    finish = reply.finish or ("tool_calls" if reply.calls else "stop")
    yield {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}
    yield {**base, "choices": [], "usage": _usage(reply, body)}
