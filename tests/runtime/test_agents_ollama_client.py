"""The Ollama client against a real Ollama with a real small model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from agent_runtime.ollama_client import (
    AsyncOllamaLLMClient,
    OllamaError,
    OllamaLLMClient,
    OllamaNotFoundError,
    OllamaRefusedError,
    OllamaUnreachableError,
)
from tests.ports import free_port
from tests.runtime.conftest import MODEL

pytestmark = pytest.mark.runtime
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
STEADY = {"temperature": 0, "num_predict": 16, "seed": 1}


@pytest.fixture
def client(ollama_url: str) -> Iterator[OllamaLLMClient]:
    with OllamaLLMClient(ollama_url) as opened:
        yield opened


def test_what_the_server_holds_is_listed_and_shown(client: OllamaLLMClient) -> None:
    assert MODEL in client.refresh()
    assert client.list().models[0].size
    shown = client.show(MODEL)
    assert shown.details is not None
    assert shown.details.family == "gemma3"
    assert client.version()[0].isdigit()


def test_a_chat_whole_and_streamed(client: OllamaLLMClient) -> None:
    whole = client.chat(MODEL, QUESTION, options=STEADY, keep_alive="5m")
    pieces = list(client.chat_stream(MODEL, QUESTION, options=STEADY))
    assert "Paris" in (whole.message.content or "")
    assert len(pieces) > 2
    assert "".join(piece.message.content or "" for piece in pieces) == whole.message.content
    assert pieces[-1].eval_count == whole.eval_count
    assert MODEL in [model.model for model in client.ps().models]


def test_text_generated_whole_and_streamed(client: OllamaLLMClient) -> None:
    whole = client.generate(MODEL, "The capital of France is", raw=True, options=STEADY)
    pieces = list(client.generate_stream(MODEL, "The capital of France is", raw=True, options=STEADY))
    assert whole.response
    assert "".join(piece.response or "" for piece in pieces) == whole.response


def test_a_schema_is_followed(client: OllamaLLMClient) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}, "big": {"type": "boolean"}},
        "required": ["city", "big"],
    }
    reply = client.chat(MODEL, QUESTION, format=schema, options={**STEADY, "num_predict": 128})
    assert set(json.loads(reply.message.content or "")) == {"city", "big"}


def test_a_model_is_copied_made_and_deleted(client: OllamaLLMClient) -> None:
    client.copy(MODEL, "twin:1")
    client.create("polite:1", from_=MODEL, system="Be polite.")
    assert {"twin:1", "polite:1"} <= set(client.refresh())
    client.delete("twin:1")
    client.delete("polite:1")
    assert not {"twin:1", "polite:1"} & set(client.refresh())


def test_failures_are_told_apart(client: OllamaLLMClient) -> None:
    with pytest.raises(OllamaNotFoundError):
        client.chat("nobody:1b", QUESTION)
    with pytest.raises(OllamaNotFoundError):
        list(client.chat_stream("nobody:1b", QUESTION))
    with pytest.raises(OllamaNotFoundError):
        client.show("nobody:1b")
    with pytest.raises(OllamaNotFoundError):
        client.delete("nobody:1b")
    tool = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
    with pytest.raises(OllamaRefusedError, match="does not support tools"):
        client.chat(MODEL, QUESTION, tools=[tool])
    with OllamaLLMClient(f"http://127.0.0.1:{free_port()}") as nobody, pytest.raises(OllamaUnreachableError):
        nobody.chat(MODEL, QUESTION)


def test_a_pull_of_what_no_registry_has_is_an_error(client: OllamaLLMClient) -> None:
    with pytest.raises(OllamaError, match=r"pull 127\.0\.0\.1"):
        list(client.pull(f"127.0.0.1:{free_port()}/nobody/nothing:1b", insecure=True))


def test_the_asynchronous_client_says_the_same(ollama_url: str) -> None:
    async def work() -> tuple[str, str]:
        async with AsyncOllamaLLMClient(ollama_url) as opened:
            whole = await opened.chat(MODEL, QUESTION, options=STEADY)
            pieces = [piece async for piece in opened.chat_stream(MODEL, QUESTION, options=STEADY)]
            return whole.message.content or "", "".join(piece.message.content or "" for piece in pieces)

    whole, streamed = asyncio.run(work())
    assert "Paris" in whole
    assert whole == streamed
