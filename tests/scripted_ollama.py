"""As much of an Ollama server as clients need that list, pull and delete models: it holds names."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SIZE_BYTES = 5 * 2**20


@dataclass
class ScriptedOllama:
    """A running server."""

    url: str
    held: set[str]
    """The models that it holds; each pull adds one."""


@contextmanager
def scripted_ollama(held: set[str]) -> Iterator[ScriptedOllama]:
    """A server that holds ``held`` and is gone when the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({"models": [{"model": name, "size": SIZE_BYTES} for name in sorted(held)]})

        def do_POST(self) -> None:
            held.add(self._body()["model"])
            self._answer({"status": "pulling", "digest": "a", "total": 100, "completed": 100}, {"status": "success"})

        def do_DELETE(self) -> None:
            held.discard(self._body()["model"])
            self._answer({})

        def _body(self) -> dict[str, Any]:
            return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, *documents: dict[str, Any]) -> None:
            data = b"\n".join(json.dumps(document).encode() for document in documents)
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as the base class calls it
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield ScriptedOllama(f"http://127.0.0.1:{listener.server_address[1]}", held)
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()
