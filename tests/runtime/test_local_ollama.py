"""An OllamaModel in a real Ollama server, made from the packaged weights."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.local.provider.ollama_api import OllamaError
from components.local.provider.ollama_model import OllamaModelType
from components.local.provider.process import ProcessType
from components.local.provider.resource import Session
from tests.ports import free_port

pytestmark = pytest.mark.runtime

WEIGHTS_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
MODEL = OllamaModelType()


@pytest.fixture
def server(ollama: Path, tmp_path: Path) -> Iterator[str]:
    process = ProcessType()
    given: dict[str, Any] = {
        "name": "ollama-0",
        "directory": str(tmp_path / "processes" / "ollama-0"),
        "command": [str(ollama), "serve"],
        "environment": {
            "HOME": str(tmp_path),
            "OLLAMA_HOST": "127.0.0.1:{port}",
            "OLLAMA_MODELS": str(tmp_path / "models"),
            "OLLAMA_NO_CLOUD": "1",
        },
        "portRangeStart": (first := free_port()),
        "portRangeEnd": min(first + 50, 65535),
        "healthPath": "/api/version",
    }
    inputs, failures = process.check(given, {})
    assert failures == []
    resource_id, state = process.create(inputs, Session())
    yield state["url"]
    process.delete(resource_id, state, Session())


def test_a_model_made_from_a_file_answers_changes_and_goes(server: str, weights: Path):
    words: list[str] = []
    session = Session(status=words.append)
    given: dict[str, Any] = {
        "serverUrl": server,
        "model": "gemma3:270m",
        "fromFile": str(weights),
        "fromFileSha256": WEIGHTS_SHA256,
        "template": "Q: {{ .Prompt }}\nA: ",
        "stop": ["\nQ:"],
        "parameters": {"num_ctx": 512},
        "warm": True,
    }
    inputs, failures = MODEL.check(given, {})
    assert failures == []

    resource_id, state = MODEL.create(inputs, session)
    assert any(word.startswith("storing gemma-3-270m") for word in words)
    assert [one["model"] for one in httpx.get(f"{server}/api/ps").json()["models"]] == ["gemma3:270m"], "warm"
    shown = httpx.post(f"{server}/api/show", json={"model": "gemma3:270m"}).json()
    assert shown["template"] == given["template"]
    assert "num_ctx" in shown["parameters"]
    assert MODEL.diff(state, inputs, inputs) == {}

    changed = {**inputs, "template": "Frage: {{ .Prompt }}\nAntwort: "}
    assert set(MODEL.diff(state, inputs, changed)) == {"template"}
    state = MODEL.update(resource_id, state, changed, session)
    assert MODEL.diff(state, changed, changed) == {}

    MODEL.delete(resource_id, state, session)
    assert MODEL.read(resource_id, state, session) is None
    MODEL.delete(resource_id, state, session)


def test_a_file_that_is_not_what_its_hash_says_is_refused_by_the_server(server: str, tmp_path: Path):
    file = tmp_path / "tiny.gguf"
    file.write_bytes(b"GGUF")
    given = {"serverUrl": server, "model": "tiny:1b", "fromFile": str(file), "fromFileSha256": "0" * 64}
    inputs, _ = MODEL.check(given, {})

    with pytest.raises(OllamaError, match="digest mismatch"):
        MODEL.create(inputs, Session())
