"""How a GGUF file comes from Hugging Face into a volume: against a hub of the test's own on loopback."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from components.docker.scripts import FETCH_GGUF

pytestmark = pytest.mark.unit
CONTENT = os.urandom(300_000)
TOKEN = "hf_" + "made-up"


@dataclass
class Hub:
    """A hub that redirects to a store, as the real one does, and what it was asked."""

    port: int = 0
    sha256: str = hashlib.sha256(CONTENT).hexdigest()
    content: bytes = CONTENT
    asked: list[tuple[str, str, str | None, str | None]] = field(
        default_factory=list[tuple[str, str, str | None, str | None]]
    )
    """Method, path, range and authorization of each request."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    state = Hub()

    class Handler(BaseHTTPRequestHandler):
        def _note(self) -> None:
            state.asked.append((self.command, self.path, self.headers.get("Range"), self.headers.get("Authorization")))

        def do_HEAD(self) -> None:
            self._note()
            known = self.path == "/org/model/resolve/main/w.gguf"
            self.send_response(302 if known else 404)
            if known:
                self.send_header("X-Linked-Etag", f'"{state.sha256}"')
                self.send_header("X-Linked-Size", str(len(state.content)))
                self.send_header("Location", f"http://127.0.0.1:{state.port}/store")
            self.end_headers()

        def do_GET(self) -> None:
            self._note()
            if self.path != "/store":
                self.send_response(302)
                self.send_header("Location", f"http://127.0.0.1:{state.port}/store")
                self.end_headers()
                return
            begin = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
            self.send_response(206 if begin else 200)
            self.end_headers()
            self.wfile.write(state.content[begin:])

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class calls it
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield state
        server.shutdown()
        thread.join()


def fetch(hub: Hub, target: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.port}",
        "no_proxy": "127.0.0.1",
        "PADDOCK_REPOSITORY": "org/model",
        "PADDOCK_FILE": "w.gguf",
        "PADDOCK_WEIGHTS": str(target),
        **environment,
    }
    return subprocess.run(
        [sys.executable, "-c", FETCH_GGUF], check=False, env=given, capture_output=True, text=True, timeout=60
    )


def test_a_file_comes_whole_and_is_not_asked_for_again(hub: Hub, tmp_path: Path) -> None:
    target = tmp_path / "w.gguf"
    first = fetch(hub, target)
    assert first.returncode == 0, first.stderr
    assert target.read_bytes() == CONTENT
    assert "checked" in first.stdout
    hub.asked.clear()
    assert fetch(hub, target).returncode == 0
    assert hub.asked == []


def test_what_was_begun_is_gone_on_with(hub: Hub, tmp_path: Path) -> None:
    target = tmp_path / "w.gguf"
    (tmp_path / "w.gguf.part").write_bytes(CONTENT[:100_000])
    assert fetch(hub, target).returncode == 0
    assert target.read_bytes() == CONTENT
    assert ("GET", "/store", "bytes=100000-", None) in hub.asked


def test_a_damaged_file_never_gets_its_name(hub: Hub, tmp_path: Path) -> None:
    hub.content = CONTENT[:-1] + b"x" if CONTENT[-1:] != b"x" else CONTENT[:-1] + b"y"
    said = fetch(hub, tmp_path / "w.gguf")
    assert said.returncode == 1
    assert "came damaged" in said.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_token_is_shown_to_the_hub_and_to_nobody_behind_it(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    assert fetch(hub, tmp_path / "w.gguf", HF_TOKEN_PATH=str(tmp_path / "token")).returncode == 0
    shown = {path: authorization for _, path, _, authorization in hub.asked}
    assert shown["/org/model/resolve/main/w.gguf"] == f"Bearer {TOKEN}"
    assert shown["/store"] is None


def test_a_file_that_is_not_there_is_said(hub: Hub, tmp_path: Path) -> None:
    said = fetch(hub, tmp_path / "w.gguf", PADDOCK_FILE="other.gguf")
    assert said.returncode == 1
    assert "answered 404" in said.stderr
