"""Catalogues are fetched once, over https, and only what their hash says is kept."""

from __future__ import annotations

import hashlib
import http.server
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme

from components.catalogues import fetch_catalogues
from fleet_spec.errors import SpecError
from fleet_spec.stack_catalogue import MOST_BYTES, stack_catalogue

pytestmark = pytest.mark.unit
TEXT = b"models:\n  - name: llama3.1:8b\n    useCases: [code]\n"


@dataclass
class Server:
    """An https server of this machine."""

    url: str
    context: ssl.SSLContext
    asked: list[str] = field(default_factory=list[str])
    answers: dict[str, tuple[int, bytes, dict[str, str]]] = field(
        default_factory=dict[str, tuple[int, bytes, dict[str, str]]]
    )


@pytest.fixture
def server() -> Iterator[Server]:
    authority = trustme.CA()
    context = ssl.create_default_context()
    authority.configure_trust(context)
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(own)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path)
            status, body, headers = made.answers.get(self.path, (404, b"", {}))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the library's
            """Nothing is logged."""

    class Quiet(http.server.ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that has read enough goes away."""

    listening = Quiet(("127.0.0.1", 0), Handler)
    listening.socket = own.wrap_socket(listening.socket, server_side=True)
    made = Server(f"https://localhost:{listening.server_address[1]}", context)
    thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
    thread.start()
    yield made
    listening.shutdown()
    thread.join()
    listening.server_close()


def raw(server: Server, path: str = "/own.yaml", text: bytes = TEXT) -> dict[str, Any]:
    return {"catalogues": [{"url": server.url + path, "sha256": hashlib.sha256(text).hexdigest()}]}


def test_it_is_fetched_once_and_read_from_what_was_kept(server: Server, tmp_path: Path) -> None:
    server.answers["/own.yaml"] = (200, TEXT, {})
    for _ in range(2):
        fetch_catalogues(raw(server), tmp_path, context=server.context)
    assert server.asked == ["/own.yaml"]
    assert stack_catalogue(raw(server), tmp_path).get("llama3.1:8b").use_cases == ("code",)


def test_another_text_than_the_hash_says_is_not_kept(server: Server, tmp_path: Path) -> None:
    server.answers["/own.yaml"] = (200, TEXT + b"# changed\n", {})
    with pytest.raises(SpecError, match=r"catalogues\.0\.sha256: .* has the hash"):
        fetch_catalogues(raw(server), tmp_path, context=server.context)
    with pytest.raises(SpecError, match="was never fetched"):
        stack_catalogue(raw(server), tmp_path)


def test_what_is_too_large_is_not_read_to_its_end(server: Server, tmp_path: Path) -> None:
    server.answers["/own.yaml"] = (200, b"#" * (2 * MOST_BYTES), {})
    with pytest.raises(SpecError, match=f"is over {MOST_BYTES} bytes"):
        fetch_catalogues(raw(server), tmp_path, context=server.context)


def test_an_address_may_lead_on_but_never_away_from_https(server: Server, tmp_path: Path) -> None:
    server.answers["/old.yaml"] = (302, b"", {"Location": "/own.yaml"})
    server.answers["/own.yaml"] = (200, TEXT, {})
    fetch_catalogues(raw(server, "/old.yaml"), tmp_path, context=server.context)
    server.answers["/plain.yaml"] = (302, b"", {"Location": "http://127.0.0.1:9/own.yaml"})
    with pytest.raises(SpecError, match="which is not https"):
        fetch_catalogues(raw(server, "/plain.yaml", b"other"), tmp_path, context=server.context)


def test_everything_that_cannot_be_fetched_is_told_at_once(server: Server, tmp_path: Path) -> None:
    both = {"catalogues": [*raw(server, "/a.yaml")["catalogues"], *raw(server, "/b.yaml")["catalogues"]]}
    with pytest.raises(SpecError) as refused:
        fetch_catalogues(both, tmp_path, context=server.context)
    assert [problem.key for problem in refused.value.problems] == ["catalogues.0.url", "catalogues.1.url"]
    assert "answered 404" in str(refused.value)


def test_a_server_that_nobody_vouches_for_is_not_believed(server: Server, tmp_path: Path) -> None:
    server.answers["/own.yaml"] = (200, TEXT, {})
    with pytest.raises(SpecError, match="certificate verify failed"):
        fetch_catalogues(raw(server), tmp_path)
    assert server.asked == []


def test_without_anything_to_fetch_no_network_is_needed(tmp_path: Path) -> None:
    fetch_catalogues({"catalogues": ["own.yaml"]}, tmp_path)
