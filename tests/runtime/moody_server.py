"""A model server whose answers a test decides while it runs."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.ports import free_port


class ModelServer:
    """Speaks OpenAI's API well enough for the router, on one port, and does what it is told."""

    def __init__(self) -> None:
        self.port = free_port()
        self.mood = "well"
        """``well``, ``broken`` (answers 500), ``slow`` (answers when it is let) or ``gone`` (hangs up)."""
        self.let = threading.Event()
        self._listener: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.let.clear()
        self._listener = _Listener(("127.0.0.1", self.port), _handler_of(self))
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.let.set()
        if self._listener is not None and self._thread is not None:
            self._listener.shutdown()
            self._listener.server_close()
            self._thread.join()
            self._listener = self._thread = None


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are part of the tests."""


def _handler_of(server: ModelServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._json(200, {"data": []})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if server.mood == "slow":
                server.let.wait(60)
            if server.mood == "gone":
                self.close_connection = True
            elif server.mood == "broken":
                self._json(500, {"error": {"message": "out of memory", "type": "server_error"}})
            elif asked.get("stream"):
                self._stream(asked)
            else:
                message = {"role": "assistant", "content": "four words of answer"}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                self._json(200, {**_part(asked, "chat.completion"), "choices": [choice], "usage": _USAGE})

        def _json(self, status: int, document: Any) -> None:
            data = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _stream(self, asked: dict[str, Any]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            base = _part(asked, "chat.completion.chunk")
            for word in ("four ", "words ", "of ", "answer"):
                choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
                self._event({**base, "choices": [choice]})
                time.sleep(0.002)
            self._event({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            self._event({**base, "choices": [], "usage": _USAGE})
            self.wfile.write(b"data: [DONE]\n\n")

        def _event(self, document: Any) -> None:
            self.wfile.write(f"data: {json.dumps(document)}\n\n".encode())
            self.wfile.flush()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as the base class calls it
            pass

    return Handler


_USAGE = {"prompt_tokens": 8, "completion_tokens": 4, "total_tokens": 12}


def _part(asked: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": asked["model"]}
