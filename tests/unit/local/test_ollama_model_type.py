"""An OllamaModel against a server that answers as Ollama does; the real one has a test of its own."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from components.local.provider.ollama_api import OllamaError, OllamaUnreachableError, PullProgress
from components.local.provider.ollama_model import OllamaModelType, definition
from components.local.provider.resource import Session

pytestmark = pytest.mark.unit
MODEL = OllamaModelType()


class Store(BaseHTTPRequestHandler):
    """The store behind Ollama's HTTP API: models are a dict of name to digest."""

    models: dict[str, str]
    blobs: dict[str, bytes]
    calls: list[tuple[str, str, Any]]
    pull_lines: list[dict[str, Any]]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing."""

    def _answer(self, status: int, *lines: dict[str, Any]) -> None:
        self.send_response(status)
        body = b"\n".join(json.dumps(line).encode() for line in lines)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_HEAD(self) -> None:
        self._answer(200 if self.path.rpartition("/")[2] in self.blobs else 404)

    def do_GET(self) -> None:
        self._answer(200, {"models": [{"model": name, "digest": one} for name, one in self.models.items()]})

    def do_DELETE(self) -> None:
        name = json.loads(self._body())["model"]
        self._answer(200 if self.models.pop(name, None) else 404, {"error": "not found"})

    def do_POST(self) -> None:
        raw = self._body()
        if self.path.startswith("/api/blobs/"):
            digest = self.path.rpartition("/")[2]
            good = digest == "sha256:" + hashlib.sha256(raw).hexdigest()
            if good:
                self.blobs[digest] = raw
            self._answer(201 if good else 400, {"error": "digest mismatch"})
            return
        body = json.loads(raw)
        self.calls.append((self.path, body["model"], body))
        if self.path == "/api/show":
            self._answer(200 if body["model"] in self.models else 404, {"error": "not found"})
        elif self.path == "/api/pull":
            if not any("error" in line for line in self.pull_lines):
                self.models[body["model"]] = "pulled"
            self._answer(200, *self.pull_lines)
        elif self.path == "/api/create":
            self.models[body["model"]] = hashlib.sha256(raw).hexdigest()
            self._answer(200, {"status": "writing manifest"}, {"status": "success"})
        elif self.path == "/api/generate" and "embed" in body["model"]:
            self._answer(400, {"error": f'"{body["model"]}" does not support generate'})
        else:
            self._answer(200, {"done": True})


@pytest.fixture
def store() -> type[Store]:
    fresh = type("FreshStore", (Store,), {"models": {}, "blobs": {}, "calls": []})
    fresh.pull_lines = [{"status": "pulling manifest"}, {"status": "success"}]
    return fresh


@pytest.fixture
def url(store: type[Store]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), store)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def checked(**given: Any) -> dict[str, Any]:
    inputs, failures = MODEL.check(given, {})
    assert failures == []
    return inputs


def paths(store: type[Store]) -> list[str]:
    return [path for path, _, _ in store.calls]


def test_a_pulled_model_lives_and_goes(store, url):
    inputs = checked(serverUrl=url, model="llama3.1:8b", warm=True)
    shown: list[str] = []
    resource_id, state = MODEL.create(inputs, Session(status=shown.append))

    assert paths(store) == ["/api/pull", "/api/show", "/api/generate"]
    assert "pulling llama3.1:8b: pulling manifest" in shown
    assert MODEL.diff(state, inputs, inputs) == {}
    assert MODEL.read(resource_id, state, Session()) == state

    store.models["llama3.1:8b"] = "made anew by somebody"
    assert set(MODEL.diff(state, inputs, inputs)) == {"digest"}

    MODEL.delete(resource_id, state, Session())
    MODEL.delete(resource_id, state, Session())
    assert store.models == {}
    assert MODEL.read(resource_id, state, Session()) is None
    assert set(MODEL.diff(state, inputs, inputs)) == {"digest"}


def test_a_model_whose_tag_has_another_name_is_made_from_it(store, url):
    MODEL.create(checked(serverUrl=url, model="mathstral:7b", pullTag="mathstral:7b-v0.1-q4_K_M"), Session())

    assert set(store.models) == {"mathstral:7b", "mathstral:7b-v0.1-q4_K_M"}
    assert store.calls[1][2] == {"model": "mathstral:7b", "from": "mathstral:7b-v0.1-q4_K_M"}


@pytest.mark.parametrize("hash_given", [True, False])
def test_a_file_is_stored_once_and_becomes_a_model(store, url, tmp_path: Path, hash_given):
    file = tmp_path / "tiny.gguf"
    file.write_bytes(b"GGUF")
    digest = hashlib.sha256(b"GGUF").hexdigest()
    given: dict[str, Any] = {
        "serverUrl": url,
        "model": "tiny:1b",
        "fromFile": str(file),
        "pullTag": "ignored",
        "template": "Q: {{ .Prompt }}",
        "stop": ["\nQ:"],
        "parameters": {"num_ctx": 512},
    }
    inputs = checked(**given, **({"fromFileSha256": digest.upper()} if hash_given else {}))
    _, state = MODEL.create(inputs, Session())
    changed = {**inputs, "template": "Frage: {{ .Prompt }}"}
    assert set(MODEL.diff(state, inputs, changed)) == {"template"}
    MODEL.update("tiny:1b", state, changed, Session())

    assert store.blobs == {f"sha256:{digest}": b"GGUF"}
    assert "/api/pull" not in paths(store)
    assert store.calls[0][2] == {
        "model": "tiny:1b",
        "files": {"tiny.gguf": f"sha256:{digest}"},
        "template": "Q: {{ .Prompt }}",
        "parameters": {"num_ctx": 512, "stop": ["\nQ:"]},
    }


def test_an_embedding_model_is_warmed_by_embedding(store, url):
    MODEL.create(checked(serverUrl=url, model="embeddinggemma:300m", warm=True), Session())

    assert paths(store)[-2:] == ["/api/generate", "/api/embed"]


def test_the_servers_own_words_reach_the_error(store, url):
    store.pull_lines = [{"status": "pulling manifest"}, {"error": "pull model manifest: file does not exist"}]

    with pytest.raises(OllamaError, match=r"'nosuch:1b': pull model manifest: file does not exist"):
        MODEL.create(checked(serverUrl=url, model="nosuch:1b"), Session())


def test_an_answer_that_ends_early_is_no_success(store, url):
    store.pull_lines = [{"status": "downloading", "total": 10, "completed": 5}]

    with pytest.raises(OllamaError, match="the answer ended early"):
        MODEL.create(checked(serverUrl=url, model="llama3.1:8b"), Session())


def test_cancelling_ends_a_pull(store, url):
    session = Session()
    session.cancelled.set()

    with pytest.raises(OllamaError, match="cancelled"):
        MODEL.create(checked(serverUrl=url, model="llama3.1:8b"), session)


def test_a_server_that_is_gone_changes_nothing_and_is_told(unused_tcp_port: int):
    gone = f"http://127.0.0.1:{unused_tcp_port}"
    inputs = checked(serverUrl=gone, model="llama3.1:8b")
    state = {**inputs, "digest": "a"}
    warnings: list[str] = []
    session = Session(warn=warnings.append)

    assert MODEL.diff(state, inputs, inputs) == {}
    assert MODEL.read("llama3.1:8b", state, session) == state
    MODEL.delete("llama3.1:8b", state, session)
    assert len(warnings) == 2
    assert all(gone in warning and "does not answer" in warning for warning in warnings)
    with pytest.raises(OllamaUnreachableError, match=gone):
        MODEL.create(inputs, session)


@pytest.fixture
def unused_tcp_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_progress_tells_bytes_speed_and_the_time_left():
    now = 0.0
    progress = PullProgress("llama3.1:8b", lambda: now)
    line = {"status": "pulling 66", "digest": "sha256:66", "total": 4_000_000_000}

    assert progress.describe({"status": "pulling manifest"}) == "pulling llama3.1:8b: pulling manifest"
    assert progress.describe(line) == "pulling llama3.1:8b: 0 of 4000 MB"
    now = 10.0
    assert progress.describe({**line, "completed": 1_000_000_000}) == (
        "pulling llama3.1:8b: 1000 of 4000 MB, 100.0 MB/s, 30 s left"
    )


def test_a_pull_that_goes_on_from_before_counts_only_what_it_fetched():
    now = 0.0
    progress = PullProgress("a", lambda: now)
    line = {"digest": "sha256:66", "total": 4_000_000_000}
    progress.describe({**line, "completed": 3_000_000_000})
    now = 10.0

    assert "10.0 MB/s, 90 s left" in progress.describe({**line, "completed": 3_100_000_000})


def test_bad_inputs_are_found_at_once():
    _, failures = MODEL.check({"serverUrl": "localhost:1", "fromFile": "a.gguf", "stop": "x"}, {})

    assert {failure.property_name for failure in failures} == {"serverUrl", "model", "fromFile", "stop"}


def test_a_model_that_is_only_pulled_needs_no_definition():
    assert definition({"model": "a", "pullTag": "a"}) == {}
    assert definition({"model": "a", "parameters": {"num_ctx": 1}}) == {"from": "a", "parameters": {"num_ctx": 1}}
