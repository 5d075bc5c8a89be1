"""What a real Ollama holds, changed through the router: by who may, with Ollama's own client."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import ollama
import pytest

from fleet_spec.keys import hash_of, new_key
from tests.ports import free_port
from tests.runtime.conftest import MODEL, RouterFor

pytestmark = pytest.mark.runtime


@dataclass(frozen=True)
class Gate:
    """A router that asks for keys."""

    url: str
    keys: dict[str, str]
    straight: str
    """The Ollama behind it."""

    def headers(self, name: str) -> dict[str, str]:
        """How a caller shows a key; none for an empty name."""
        return {"Authorization": f"Bearer {self.keys[name]}"} if name else {}

    def ask(self, method: str, path: str, key: str = "admin", **sent: Any) -> httpx.Response:
        """Ask something with a key."""
        headers = self.headers(key)
        return httpx.request(method, self.url + path, headers=headers, timeout=60, trust_env=False, **sent)

    def names(self) -> set[str]:
        """What the Ollama behind it holds."""
        found = httpx.get(f"{self.straight}/api/tags", trust_env=False).json()["models"]
        return {model["name"] for model in found}


@pytest.fixture(scope="module")
def gate(ollama_url: str, router_for: RouterFor) -> Gate:
    keys = {"admin": new_key(), "chat": new_key()}
    specs = {name: {"hash": hash_of(key), "scopes": sorted({name, "chat"})} for name, key in keys.items()}
    return Gate(router_for("ollama", ollama_url, keys=specs), keys, ollama_url)


@pytest.fixture
def client(gate: Gate) -> Iterator[ollama.Client]:
    with ollama.Client(host=gate.url, headers=gate.headers("admin"), timeout=120, trust_env=False) as made:
        yield made


CHANGES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/api/pull", {"model": "x"}),
    ("POST", "/api/push", {"model": "x"}),
    ("POST", "/api/create", {"model": "x", "from": MODEL}),
    ("POST", "/api/copy", {"source": MODEL, "destination": "x"}),
    ("DELETE", "/api/delete", {"model": MODEL}),
    ("POST", "/api/blobs/sha256:" + "0" * 64, {}),
    ("HEAD", "/api/blobs/sha256:" + "0" * 64, {}),
]


@pytest.mark.parametrize(("key", "status"), [("", 401), ("chat", 403)])
@pytest.mark.parametrize(("method", "path", "body"), CHANGES, ids=[path[5:9] for _, path, _ in CHANGES])
def test_nothing_changes_without_the_right_key(
    gate: Gate, method: str, path: str, body: dict[str, Any], key: str, status: int
) -> None:
    before = gate.names()
    reply = gate.ask(method, path, key, json=body)
    assert reply.status_code == status
    if method != "HEAD":
        assert set(reply.json()) == {"error"}
    assert gate.names() == before


def nowhere() -> str:
    """A model of a registry that nobody runs."""
    return f"http://127.0.0.1:{free_port()}/none/none:latest"


def test_a_model_that_cannot_be_pulled_ends_in_the_same_error_as_straight(gate: Gate) -> None:
    asked = {"model": nowhere(), "insecure": True}
    told = gate.ask("POST", "/api/pull", json=asked)
    straight = httpx.post(f"{gate.straight}/api/pull", json=asked, timeout=60, trust_env=False)
    lines, lines_straight = ([json.loads(line) for line in reply.text.splitlines()] for reply in (told, straight))
    assert told.headers["content-type"] == "application/x-ndjson"
    assert lines == lines_straight
    assert "error" in lines[-1]
    assert not any(line.get("status") == "success" for line in lines)


def test_an_error_of_a_pull_reaches_ollamas_client(gate: Gate, client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError):
        list(client.pull(nowhere(), insecure=True, stream=True))
    with pytest.raises(ollama.ResponseError):
        client.pull(nowhere(), insecure=True)


def test_a_model_is_created_from_a_file_shown_copied_asked_and_deleted(
    gate: Gate, client: ollama.Client, weights: Path
) -> None:
    # The store has this file already: what a client that uploads finds out first.
    with weights.open("rb") as file:
        digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    assert gate.ask("HEAD", f"/api/blobs/{digest}").status_code == 200
    said = list(client.create("made", files={weights.name: digest}, system="Say yes.", stream=True))
    assert said[-1].status == "success"
    try:
        client.copy("made", "made-too")
        assert {"made:latest", "made-too:latest"} <= gate.names()
        straight = httpx.post(f"{gate.straight}/api/show", json={"model": "made-too"}, trust_env=False).json()
        assert straight["system"] == "Say yes."
    finally:
        for name in {"made:latest", "made-too:latest"} & gate.names():
            client.delete(name)
    assert not {"made:latest", "made-too:latest"} & gate.names()
    with pytest.raises(ollama.ResponseError) as gone:
        client.delete("made")
    assert gone.value.status_code == 404


def test_a_file_is_sent_through_and_kept(gate: Gate) -> None:
    content = b"not weights, but a file" * 100_000
    path = f"/api/blobs/sha256:{hashlib.sha256(content).hexdigest()}"
    assert gate.ask("HEAD", path).status_code == 404
    assert gate.ask("POST", path, content=content).status_code == 201
    assert gate.ask("HEAD", path).status_code == 200
    # Ollama looks whether it is what it says it is.
    wrong = f"/api/blobs/sha256:{'1' * 64}"
    assert gate.ask("POST", wrong, content=content).status_code == 400


def test_what_belongs_to_the_stack_stays(gate: Gate) -> None:
    for method, path, body in (
        ("DELETE", "/api/delete", {"model": "assistant"}),
        ("POST", "/api/create", {"model": "assistant", "from": MODEL}),
        ("POST", "/api/copy", {"source": MODEL, "destination": "assistant"}),
    ):
        reply = gate.ask(method, path, json=body)
        assert reply.status_code == 409
        assert "belongs to the stack" in reply.json()["error"]
