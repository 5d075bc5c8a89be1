"""A fleet on a real Ollama: a server and a store of its own, the model made from the packaged weights."""

from __future__ import annotations

import os

import httpx
import pytest

from tests.engine.checkout import Checkout
from tests.programs import ollama_binary

pytestmark = pytest.mark.engine
MODEL = {"model": "gemma3:270m", "contextLength": 512}


def test_ollama_and_llamacpp_serve_one_fleet(checkout: Checkout) -> None:
    path = os.pathsep.join([str(ollama_binary().parent), checkout.environment["PATH"]])
    checkout.environment["PATH"] = path
    checkout.write(models={"assistant": MODEL, "other": {**MODEL, "engine": "ollama"}})
    first = checkout.up()
    # Two weights, two servers, one model, a key and its file, the contract, the router.
    assert first["changes"] == {"created": 9}
    assert first["fleet"]["models"]["other"]["engine"] == "ollama"

    # The store is the fleet's own, below the checkout, and it holds the model.
    (endpoint,) = first["fleet"]["models"]["other"]["endpoints"]
    tags = httpx.get(f"{endpoint['url']}/api/tags", trust_env=False).json()
    assert [model["name"] for model in tags["models"]] == ["gemma3:270m"]
    assert (checkout.directory / ".paddock" / "dev" / "ollama" / "other" / "models").is_dir()

    answer = checkout.json("ask", "What is the capital of Japan?", "--model", "other")
    assert "Tokyo" in answer["text"]
    assert answer["completionTokens"] > 0
    assert checkout.up()["changes"] == {}
    assert checkout.json("status")["healthy"] is True


def test_an_ollama_that_is_not_there_is_named_before_anything_is_touched(checkout: Checkout) -> None:
    checkout.environment["PATH"] = os.pathsep.join(
        part
        for part in checkout.environment["PATH"].split(os.pathsep)
        if not os.access(os.path.join(part, "ollama"), os.X_OK)  # noqa: PTH118
    )
    checkout.write(models={"assistant": {**MODEL, "engine": "ollama"}})
    refused = checkout.paddock("up", "--yes", exit_code=2)
    assert "models.assistant.engine" in refused.stderr
    assert "install Ollama" in refused.stderr
    assert checkout.records() == {}
    checkout.write()
