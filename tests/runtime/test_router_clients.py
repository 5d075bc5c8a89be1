"""Clients that people use, unmodified, through the router to real engines."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import ollama
import openai
import pytest
from pydantic import BaseModel, Field

from tests.runtime.conftest import MODEL, ROOT, RouterFor

pytestmark = [pytest.mark.runtime, pytest.mark.slow]

QUESTION: Any = {"role": "user", "content": "What is the capital of Japan?"}
OPTIONS = {"temperature": 0, "seed": 1, "num_predict": 6}


class City(BaseModel):
    """What structured output is to look like."""

    city: str = Field(max_length=8)


@pytest.fixture(scope="module", params=["llamacpp", "ollama"])
def router(request: pytest.FixtureRequest, router_for: RouterFor) -> str:
    return router_for(request.param, request.getfixturevalue(f"{request.param}_url"))


def home(tmp_path: Path, router: str) -> dict[str, str]:
    """An environment in which a program finds nothing of its user's, and the router as its Ollama."""
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "OLLAMA_HOST": router, "LLM_USER_PATH": str(tmp_path)}


def run(command: list[str], env: dict[str, str], asked: str = "") -> str:
    done = subprocess.run(
        command, env=env, cwd=ROOT, input=asked, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def first_words(command: list[str], env: dict[str, str]) -> str:
    """What a program says first. It is not waited for: these weights know no end."""
    with subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        try:
            said = b""
            while len(said.strip()) < 3 and (more := os.read(program.stdout.fileno(), 64)):
                said += more
            return said.decode("utf-8", "replace").strip()
        finally:
            program.terminate()


# The ollama command line


def test_the_ollama_command_line_lists_shows_and_runs(ollama: Path, router: str, tmp_path: Path) -> None:
    program, env = str(ollama), home(tmp_path, router)
    rows = run([program, "list"], env).splitlines()
    assert {row.split()[0] for row in rows[1:]} == {"default:latest", "assistant:latest", MODEL}
    shown = run([program, "show", "assistant"], env)
    assert "Capabilities" in shown
    assert "completion" in shown
    assert first_words([program, "run", "assistant", QUESTION["content"]], env)
    assert MODEL in run([program, "ps"], env) or "assistant" in run([program, "ps"], env)
    run([program, "stop", "assistant"], env)


def test_the_ollama_command_line_tells_of_a_model_that_is_not_there(ollama: Path, router: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(ollama), "show", "none"],
        env=home(tmp_path, router),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "model 'none' not found" in done.stderr


# The ollama package, in an event loop


def test_the_ollama_package_works_in_an_event_loop(router: str) -> None:
    async def talk() -> tuple[str, str]:
        client = ollama.AsyncClient(host=router, trust_env=False)
        asked: dict[str, Any] = {"model": "assistant", "messages": [QUESTION], "options": OPTIONS}
        whole = await client.chat(**asked)
        parts = [part.message.content or "" async for part in await client.chat(**asked, stream=True)]
        await client._client.aclose()
        return whole.message.content or "", "".join(parts)

    whole, streamed = asyncio.run(talk())
    assert whole == streamed
    assert whole


# OpenAI's SDK


@pytest.fixture(scope="module")
def sdk(router: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{router}/v1", api_key="unused", max_retries=0) as client:
        yield client


def test_openais_sdk_parses_structured_output(sdk: openai.OpenAI) -> None:
    reply = sdk.chat.completions.parse(
        model="assistant", messages=[QUESTION], response_format=City, temperature=0, seed=1, max_tokens=120
    )
    assert isinstance(reply.choices[0].message.parsed, City)


def test_openais_sdk_asks_for_responses(sdk: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "assistant", "input": "Hello", "temperature": 0, "max_output_tokens": 6}
    reply = sdk.responses.create(**asked)
    assert reply.output_text
    assert reply.usage is not None
    assert reply.usage.output_tokens == 6
    events = list(sdk.responses.create(**asked, stream=True))
    assert events[-1].type in ("response.completed", "response.incomplete")
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == reply.output_text


def test_openais_sdk_works_in_an_event_loop(router: str) -> None:
    async def talk() -> str:
        async with openai.AsyncOpenAI(base_url=f"{router}/v1", api_key="unused", max_retries=0) as client:
            stream = await client.chat.completions.create(
                model="assistant", messages=[QUESTION], stream=True, temperature=0, seed=1, max_tokens=6
            )
            return "".join([c.delta.content or "" async for chunk in stream for c in chunk.choices])

    assert asyncio.run(talk())


def test_openais_sdk_offers_tools(sdk: openai.OpenAI, router: str) -> None:
    tool: Any = {
        "type": "function",
        "function": {"name": "look_up", "parameters": {"type": "object", "properties": {"name": {"type": "string"}}}},
    }
    asked: dict[str, Any] = {"model": "assistant", "messages": [QUESTION], "max_tokens": 8}
    if "llama.cpp" in httpx.post(f"{router}/api/show", json={"model": "assistant"}, trust_env=False).text:
        assert sdk.chat.completions.create(**asked, tools=[tool]).choices
        return
    try:
        assert sdk.chat.completions.create(**asked, tools=[tool]).choices
    except openai.BadRequestError as refusal:
        # Ollama goes by the template, and that of these weights has no place for tools.
        assert "does not support tools" in refusal.message  # noqa: PT017


# LangChain


def test_langchain_talks_by_either_dialect(router: str) -> None:
    langchain_ollama = pytest.importorskip("langchain_ollama")
    langchain_openai = pytest.importorskip("langchain_openai")
    by_ollama = langchain_ollama.ChatOllama(
        model="assistant", base_url=router, temperature=0, seed=1, num_predict=6, client_kwargs={"trust_env": False}
    )
    by_openai = langchain_openai.ChatOpenAI(
        model="assistant", base_url=f"{router}/v1", api_key="unused", temperature=0, seed=1, max_tokens=6, max_retries=0
    )
    said: list[str] = []
    for model in (by_ollama, by_openai):
        whole = model.invoke("What is the capital of Japan?")
        assert whole.usage_metadata["output_tokens"] == 6
        streamed = "".join(part.content for part in model.stream("What is the capital of Japan?"))
        assert streamed == whole.content
        said.append(streamed)
    assert said[0] == said[1]
    by_ollama._client._client.close()
    by_openai.root_client.close()


def test_langchain_gets_structured_output(router: str) -> None:
    langchain_ollama = pytest.importorskip("langchain_ollama")
    model = langchain_ollama.ChatOllama(
        model="assistant", base_url=router, temperature=0, seed=1, num_predict=120, client_kwargs={"trust_env": False}
    )
    reply = model.with_structured_output(City, method="json_schema").invoke("What is the capital of Japan?")
    model._client._client.close()
    assert isinstance(reply, City)


# llm, with llm-ollama


def test_llm_talks_through_its_ollama_plugin(router: str, tmp_path: Path) -> None:
    pytest.importorskip("llm_ollama")
    env = home(tmp_path, router)
    llm = [sys.executable, "-m", "llm"]
    assert "assistant:latest" in run([*llm, "models"], env)
    asked = ["-m", "ollama/assistant", "-o", "num_predict", "6", "-o", "temperature", "0"]
    assert run([*llm, *asked, "What is the capital of Japan?"], env).strip()


# open-webui: the requests that it makes, with the fields that it sends


OPEN_WEBUI_CHAT = {
    "model": "assistant:latest",
    "messages": [{"role": "user", "content": "Hello"}],
    "stream": True,
    "options": {"temperature": 0, "num_predict": 6, "num_ctx": 2048, "stop": ["Q:"]},
    "metadata": {"chat_id": "a", "features": {}},
    "keep_alive": "5m",
    "format": "",
    "tools": [],
}


def test_open_webui_finds_and_asks_an_ollama(router: str) -> None:
    with httpx.Client(base_url=router, timeout=60, trust_env=False) as client:
        # How it verifies a connection, fills its list of models, and shows what is loaded.
        assert client.get("/api/version").json()["version"]
        listed = client.get("/api/tags").json()["models"]
        for entry in listed:
            assert {"name", "model", "modified_at", "size", "digest", "details"} <= entry.keys()
            assert {"family", "families", "parameter_size", "quantization_level"} <= entry["details"].keys()
        assert client.get("/api/ps").status_code == 200
        assert client.head("/").status_code == 200
        assert client.post("/api/show", json={"name": "assistant:latest"}).json()["details"]
        with client.stream("POST", "/api/chat", json=OPEN_WEBUI_CHAT) as reply:
            assert reply.headers["content-type"].startswith("application/x-ndjson")
            lines = [json.loads(line) for line in reply.iter_lines()]
        assert lines[-1]["done"] is True
        assert lines[-1]["eval_count"] > 0
        # The title of a chat is asked for without a stream.
        title = client.post("/api/chat", json={**OPEN_WEBUI_CHAT, "stream": False}).json()
        assert title["message"]["role"] == "assistant"


def test_open_webui_finds_and_asks_an_openai(router: str) -> None:
    with httpx.Client(base_url=f"{router}/v1", timeout=60, trust_env=False) as client:
        assert {"assistant", "default"} <= {model["id"] for model in client.get("/models").json()["data"]}
        asked = {
            "model": "assistant",
            "messages": [{"role": "user", "content": "Hello"}],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": 6,
        }
        text = client.post("/chat/completions", json=asked, headers={"X-OpenWebUI-User-Id": "u"}).text
        assert text.endswith("data: [DONE]\n\n")
        assert re.search('"completion_tokens":[1-6]', text)
