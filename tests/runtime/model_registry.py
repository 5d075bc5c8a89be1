"""A registry of models on this machine: the part of the protocol that Ollama pulls with."""

from __future__ import annotations

import hashlib
import json
import random
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_RANGE = re.compile(r"bytes=(\d+)-(\d+)")
_PIECE_BYTES = 64 * 1024
_LONGEST_HOLD_SECONDS = 60


def digest_of(data: bytes) -> str:
    """As the registry writes it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class ModelRegistry:
    """A running registry that holds one model."""

    address: str
    weights: bytes
    config: bytes
    served: bytes
    """What is sent for the weights: other bytes, where a test wants a registry that is broken."""
    starts: list[int] = field(default_factory=list[int])
    """Where each request for the weights began."""
    stop_after: list[int] = field(default_factory=list[int])
    """After how many bytes each of the next requests for the weights breaks off; none does where it is empty."""
    held: threading.Event = field(default_factory=threading.Event)
    """Cleared, the weights stop coming in their middle until it is set again."""

    @property
    def name(self) -> str:
        """The model's name, with which this registry is asked."""
        return f"{self.address}/library/tiny:1b"

    def manifest(self) -> bytes:
        """The model's manifest."""
        layers = [("application/vnd.ollama.image.model", self.weights)]
        document = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": _described("application/vnd.docker.container.image.v1+json", self.config),
            "layers": [_described(kind, data) for kind, data in layers],
        }
        return json.dumps(document).encode()


def _described(kind: str, data: bytes) -> dict[str, str | int]:
    return {"mediaType": kind, "digest": digest_of(data), "size": len(data)}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    registry: ModelRegistry

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that left in the middle is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    @property
    def _registry(self) -> ModelRegistry:
        assert isinstance(self.server, _Server)
        return self.server.registry

    def _answer(self, *, with_body: bool) -> None:
        registry = self._registry
        if self.path == "/v2/library/tiny/manifests/1b":
            self._send(200, registry.manifest(), with_body=with_body)
        elif self.path.endswith(digest_of(registry.config)):
            self._blob(registry.config, with_body=with_body)
        elif self.path.endswith(digest_of(registry.weights)):
            self._blob(registry.served, with_body=with_body)
        else:
            self._send(404, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}', with_body=with_body)

    def _blob(self, data: bytes, *, with_body: bool) -> None:
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        if not with_body:
            self._send(200, data, with_body=False)
        elif asked is None:
            # The store of the bytes is on another host than the registry, and Ollama relies on it.
            store = self._registry.address.replace("127.0.0.1", "localhost")
            self._send(307, b"", with_body=True, location=f"http://{store}{self.path}")
        else:
            self._part(data, int(asked[1]), int(asked[2]))

    def _part(self, data: bytes, first: int, last: int) -> None:
        registry, part = self._registry, data[first : last + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if data is registry.config:
            self.wfile.write(part)
            return
        registry.starts.append(first)
        most = registry.stop_after.pop(0) if registry.stop_after else len(part)
        for start in range(0, most, _PIECE_BYTES):
            if start >= len(part) // 2:
                registry.held.wait(_LONGEST_HOLD_SECONDS)
            self.wfile.write(part[start : min(start + _PIECE_BYTES, most)])
        self.close_connection = most < len(part)

    def _send(self, status: int, data: bytes, *, with_body: bool, location: str | None = None) -> None:
        self.send_response(status)
        if location is not None:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if with_body:
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the class above it calls it
        """Say nothing."""


@contextmanager
def model_registry(size_bytes: int = 8 << 20, *, broken: bool = False) -> Iterator[ModelRegistry]:
    """A registry that is gone when the block ends.

    Args:
        size_bytes: Of the model's weights, which are noise.
        broken: Whether it sends other bytes than its manifest says.
    """
    server = _Server(("127.0.0.1", 0), _Handler)
    weights = random.Random(size_bytes).randbytes(size_bytes)
    config = json.dumps({"model_format": "gguf", "model_family": "tiny", "model_type": "1B", "file_type": "Q4_0"})
    served = bytes(len(weights)) if broken else weights
    registry = ModelRegistry(f"127.0.0.1:{server.server_port}", weights, config.encode(), served)
    registry.held.set()
    server.registry = registry
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield registry
    finally:
        registry.held.set()
        server.shutdown()
        server.server_close()
        thread.join()
