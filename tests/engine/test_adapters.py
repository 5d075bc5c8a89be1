"""Adapters and a catalogue of the stack's own, on the real engine: up, another adapter beside, and a mistake."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.engine.checkout import Checkout

pytest.importorskip("gguf")
from tests.tiny_llama import write_adapter, write_base

pytestmark = [pytest.mark.engine, pytest.mark.slow]

CATALOGUE = """
models:
  - name: tiny:95k
    family: llama
    parameters: {total: 94912}
    architecture: {layers: 2, hiddenSize: 64, heads: 4, kvHeads: 2, feedForwardSize: 96, vocabularySize: 259,
                   contextLength: 512}
    licence: MIT
    capabilities: [chat, completion]
    useCases: [general]
    sources: {}
    deprecated: {since: 2026-01-31, replacement: "gemma3:270m", reason: It is too small to be of use}
"""


def write_stack(checkout: Checkout, base: Path, **adapters: Any) -> None:
    digest = hashlib.sha256(base.read_bytes()).hexdigest()
    model = {"model": "tiny:95k", "contextLength": 256, "weights": {"path": base.name, "sha256": digest}}
    checkout.write(
        models={"assistant": {**model, "adapters": adapters}},
        aliases={"default": {"assistant": 1, "law": 1}},
        catalogues=["own.yaml"],
    )


def answer(checkout: Checkout, model: str) -> str:
    asked = {"model": model, "prompt": "The notice period", "max_tokens": 12, "temperature": 0}
    reply = httpx.post(f"http://127.0.0.1:{checkout.router_port}/v1/completions", json=asked, trust_env=False)
    assert reply.status_code == 200, reply.text
    assert reply.headers["x-paddock-model"] == model
    return reply.json()["choices"][0]["text"]


def test_adapters_are_models_of_the_fleet_and_change_beside_their_base(checkout: Checkout) -> None:
    base = write_base(checkout.directory / "base.gguf")
    write_adapter(checkout.directory / "law.gguf", seed=2)
    write_adapter(checkout.directory / "medicine.gguf", seed=3)
    (checkout.directory / "own.yaml").write_text(CATALOGUE)

    write_stack(checkout, base, law="law.gguf")
    up = checkout.paddock("up", "--yes", "--json")
    assert "tiny:95k is deprecated since 2026-01-31" in up.stderr
    models = checkout.json("outputs")["models"]
    assert models["law"]["adapterOf"] == "assistant"
    assert models["law"]["endpoints"] == models["assistant"]["endpoints"]
    assert models["law"]["capabilities"] == ["chat", "completion"]
    alone, law = answer(checkout, "assistant"), answer(checkout, "law")
    assert alone != law

    # Another adapter in front: another server, so that no number changes its meaning, and the old one goes.
    before = set(checkout.pids())
    write_stack(checkout, base, medicine="medicine.gguf", law={"source": "law.gguf", "scale": 0})
    checkout.up()
    after = set(checkout.pids())
    assert len(after) == len(before) == 2
    assert len(before - after) == 1
    assert answer(checkout, "assistant") == alone
    assert answer(checkout, "law") == alone
    assert answer(checkout, "medicine") not in (alone, law)

    # One of another base is refused before anything is touched.
    write_adapter(checkout.directory / "strange.gguf", targets=(), extra={"blk.7.attn_q.weight": (64, 64)})
    write_stack(checkout, base, law="strange.gguf")
    refused = checkout.paddock("up", "--yes", exit_code=2)
    assert "models.assistant.adapters.law.source" in refused.stderr
    assert "base.gguf has no blk.7.attn_q.weight" in refused.stderr
    assert set(checkout.pids()) == after
