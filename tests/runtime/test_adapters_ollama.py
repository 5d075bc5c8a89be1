"""A base and adapters of it on a real Ollama, made by the resource that the local target makes them with."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.local.provider.ollama_api import OllamaError
from components.local.provider.ollama_model import OllamaModelType
from components.local.provider.resource import Session
from fleet_spec.adapters import OLLAMA_WITHOUT_ADAPTERS
from tests.ports import free_port
from tests.runtime.conftest import process, wait_until_healthy

pytest.importorskip("gguf")
from tests.tiny_llama import write_adapter, write_base

pytestmark = pytest.mark.runtime


@pytest.fixture(scope="module")
def url(ollama: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("ollama")
    port = free_port()
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "OLLAMA_HOST": f"127.0.0.1:{port}"}
    environment |= {"OLLAMA_MODELS": str(home / "models"), "OLLAMA_NO_CLOUD": "1", "OLLAMA_CONTEXT_LENGTH": "256"}
    with process([str(ollama), "serve"], home / "log", env=environment) as started:
        wait_until_healthy(f"http://127.0.0.1:{port}/api/version", started, home / "log")
        yield f"http://127.0.0.1:{port}"


def make(**given: Any) -> dict[str, Any]:
    inputs, failures = OllamaModelType().check(given, {})
    assert failures == []
    return OllamaModelType().create(inputs, Session())[1]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def answer(url: str, model: str) -> str:
    options = {"temperature": 0, "seed": 1, "num_predict": 12, "num_thread": 1}
    asked = {"model": model, "prompt": "The notice period", "stream": False, "options": options}
    reply = httpx.post(f"{url}/api/generate", json=asked, timeout=120, trust_env=False)
    assert reply.status_code == 200, reply.text
    return reply.json()["response"]


def test_each_adapter_answers_under_its_name_and_the_base_as_before(url: str, tmp_path: Path) -> None:
    path = write_base(tmp_path / "base.gguf")
    base = make(serverUrl=url, model="tiny", fromFile=str(path), fromFileSha256=sha256(path))
    alone = answer(url, "tiny")
    for seed, name in enumerate(("law", "medicine"), 2):
        adapter = write_adapter(tmp_path / f"{name}.gguf", seed=seed)
        made = {"serverUrl": url, "model": name, "base": "tiny", "baseDigest": base["digest"], "warm": True}
        make(**made, adapterFile=str(adapter), adapterSha256=sha256(adapter))
    said = [answer(url, name) for name in ("tiny", "law", "medicine")]
    assert len(set(said)) == 3
    assert [answer(url, name) for name in ("medicine", "tiny", "law")] == [said[2], alone, said[1]]


@pytest.mark.slow
def test_an_architecture_without_adapters_is_told_as_it_loads(url: str, weights: Path, tmp_path: Path) -> None:
    """The list of those architectures is what the plan goes by; here is why it has this one."""
    assert "gemma3" in OLLAMA_WITHOUT_ADAPTERS
    base = make(serverUrl=url, model="gemma3:270m", fromFile=str(weights), fromFileSha256=sha256(weights))
    extra = {"blk.0.attn_q.weight": (1024, 640)}
    adapter = write_adapter(tmp_path / "law.gguf", targets=(), architecture="gemma3", extra=extra)
    made = {"serverUrl": url, "model": "law-gemma", "base": "gemma3:270m", "baseDigest": base["digest"], "warm": True}
    with pytest.raises(OllamaError, match="loras are not yet implemented"):
        make(**made, adapterFile=str(adapter), adapterSha256=sha256(adapter))
