"""Real clients, through the router, to real engines; and the same requests straight to the engines.

Temperature 0 and a seed make the engines say the same thing twice, so that answers can be compared.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import ollama
import openai
import pytest

from tests.runtime.conftest import MODEL, RouterFor

pytestmark = pytest.mark.runtime

QUESTION: Any = {"role": "user", "content": "What is the capital of Japan?"}
OLLAMA_OPTIONS = {"temperature": 0, "seed": 1, "num_predict": 12}
OPENAI_OPTIONS: dict[str, Any] = {"temperature": 0, "seed": 1, "max_tokens": 12}

VOLATILE = {"created_at", "total_duration", "load_duration", "prompt_eval_duration", "eval_duration"}
"""What no two answers have in common."""


@pytest.fixture(scope="module", params=["llamacpp", "ollama"])
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def engine_url(engine: str, request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue(f"{engine}_url")


@pytest.fixture(scope="module")
def router(engine: str, engine_url: str, router_for: RouterFor) -> str:
    return router_for(engine, engine_url)


@pytest.fixture(scope="module")
def openai_client(router: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{router}/v1", api_key="unused", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def ollama_client(router: str) -> Iterator[ollama.Client]:
    with ollama.Client(host=router, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def straight(engine: str, engine_url: str) -> tuple[str, int, int]:
    """What the engine itself answers: text, tokens of the prompt, tokens of the answer."""
    if engine == "ollama":
        body = {"model": MODEL, "messages": [QUESTION], "options": OLLAMA_OPTIONS, "stream": False}
        reply = post(f"{engine_url}/api/chat", body)
        return reply["message"]["content"], reply["prompt_eval_count"], reply["eval_count"]
    reply = post(f"{engine_url}/v1/chat/completions", {"model": MODEL, "messages": [QUESTION], **OPENAI_OPTIONS})
    usage = reply["usage"]
    return reply["choices"][0]["message"]["content"], usage["prompt_tokens"], usage["completion_tokens"]


def post(url: str, body: object) -> dict[str, Any]:
    reply = httpx.post(url, json=body, timeout=120, trust_env=False)
    assert reply.status_code == 200, reply.text
    return reply.json()


def stream(url: str, body: object) -> list[str]:
    """The lines of a streamed answer that are not empty."""
    with httpx.stream("POST", url, json=body, timeout=120, trust_env=False) as reply:
        assert reply.status_code == 200, reply.read()
        return [line for line in reply.iter_lines() if line]


# The ollama package


@pytest.mark.parametrize("name", ["assistant", "default", MODEL, "assistant:latest"])
def test_the_ollama_package_chats(ollama_client: ollama.Client, straight: tuple[str, int, int], name: str) -> None:
    reply = ollama_client.chat(model=name, messages=[QUESTION], options=OLLAMA_OPTIONS)
    assert (reply.message.content, reply.prompt_eval_count, reply.eval_count) == straight
    assert reply.done
    assert reply.total_duration


def test_the_ollama_package_streams(ollama_client: ollama.Client, straight: tuple[str, int, int]) -> None:
    parts: list[Any] = list(
        ollama_client.chat(model="assistant", messages=[QUESTION], options=OLLAMA_OPTIONS, stream=True)
    )
    assert len(parts) > 2
    last = parts[-1]
    said = "".join(part.message.content or "" for part in parts)
    assert (said, last.prompt_eval_count, last.eval_count) == straight
    assert last.done_reason in ("stop", "length")


@pytest.mark.parametrize("raw", [True, False])
def test_the_ollama_package_generates(ollama_client: ollama.Client, raw: bool) -> None:
    options: dict[str, Any] = {"model": "assistant", "prompt": "The sky is", "raw": raw, "options": OLLAMA_OPTIONS}
    whole: Any = ollama_client.generate(**options)
    streamed = "".join(part.response or "" for part in ollama_client.generate(**options, stream=True))
    assert whole.response == streamed
    assert whole.response


def test_the_ollama_package_looks_around(ollama_client: ollama.Client) -> None:
    names = {model.model for model in ollama_client.list().models}
    assert names == {"default:latest", "assistant:latest", MODEL}
    shown = ollama_client.show("assistant")
    assert "completion" in (shown.capabilities or [])
    assert shown.modelinfo
    ollama_client.generate(model="assistant")  # loads the model
    assert [model.model for model in ollama_client.ps().models]


def test_the_ollama_package_gets_its_own_kind_of_error(ollama_client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="model 'none' not found") as error:
        ollama_client.chat(model="none", messages=[QUESTION])
    assert error.value.status_code == 404


def test_structured_output_follows_the_schema(ollama_client: ollama.Client, openai_client: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 12}},
        "required": ["city"],
        "additionalProperties": False,
    }
    options = {"temperature": 0, "seed": 1, "num_predict": 60}
    by_ollama = ollama_client.chat(model="assistant", messages=[QUESTION], format=schema, options=options)
    assert set(json.loads(by_ollama.message.content or "")) == {"city"}
    by_openai = openai_client.chat.completions.create(
        model="assistant",
        messages=[QUESTION],
        response_format={"type": "json_schema", "json_schema": {"name": "city", "schema": schema}},
        temperature=0,
        seed=1,
        max_tokens=60,
    )
    assert set(json.loads(by_openai.choices[0].message.content or "")) == {"city"}


# OpenAI's SDK


@pytest.mark.parametrize("name", ["assistant", "default", MODEL])
def test_openais_sdk_chats(openai_client: openai.OpenAI, straight: tuple[str, int, int], name: str) -> None:
    reply = openai_client.chat.completions.create(model=name, messages=[QUESTION], **OPENAI_OPTIONS)
    assert reply.usage is not None
    found = reply.choices[0].message.content, reply.usage.prompt_tokens, reply.usage.completion_tokens
    assert found == straight
    assert reply.choices[0].finish_reason in ("stop", "length")


@pytest.mark.parametrize("counted", [True, False])
def test_openais_sdk_streams(openai_client: openai.OpenAI, straight: tuple[str, int, int], counted: bool) -> None:
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if counted else {}
    chunks: list[Any] = list(
        openai_client.chat.completions.create(
            model="assistant", messages=[QUESTION], stream=True, **OPENAI_OPTIONS, **options
        )
    )
    said = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert said == straight[0]
    assert len({chunk.id for chunk in chunks}) == 1
    usages = [(chunk.usage.prompt_tokens, chunk.usage.completion_tokens) for chunk in chunks if chunk.usage]
    assert usages == ([straight[1:]] if counted else [])


def test_openais_sdk_completes(openai_client: openai.OpenAI) -> None:
    whole = openai_client.completions.create(model="assistant", prompt="The sky is", **OPENAI_OPTIONS)
    chunks: Any = openai_client.completions.create(
        model="assistant", prompt="The sky is", stream=True, **OPENAI_OPTIONS
    )
    assert whole.choices[0].text
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == whole.choices[0].text


def test_openais_sdk_looks_around(openai_client: openai.OpenAI) -> None:
    assert {model.id for model in openai_client.models.list()} == {"default", "assistant", MODEL}
    assert openai_client.models.retrieve("assistant").id == "assistant"


def test_openais_sdk_gets_its_own_kind_of_error(openai_client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="model 'none' not found"):
        openai_client.chat.completions.create(model="none", messages=[QUESTION])
    with pytest.raises(openai.BadRequestError, match="temperature must be a number"):
        openai_client.chat.completions.create(model="assistant", messages=[QUESTION], temperature="hot")  # type: ignore[arg-type]


# The same, straight and through the router


def native(engine: str) -> list[tuple[str, dict[str, Any]]]:
    """Requests in the engine's own dialect."""
    if engine == "ollama":
        chat = {"model": MODEL, "messages": [QUESTION], "options": OLLAMA_OPTIONS}
        generate = {"model": MODEL, "prompt": "The sky is", "options": OLLAMA_OPTIONS}
        return [
            ("/api/chat", chat),
            ("/api/generate", generate),
            ("/api/generate", {**generate, "raw": True}),
            ("/api/chat", {**chat, "format": "json"}),
            ("/api/chat", {"model": MODEL}),
        ]
    chat = {"model": MODEL, "messages": [QUESTION], **OPENAI_OPTIONS, "cache_prompt": False}
    completion = {"model": MODEL, "prompt": "The sky is", **OPENAI_OPTIONS, "cache_prompt": False}
    return [
        ("/v1/chat/completions", chat),
        ("/v1/chat/completions", {**chat, "logprobs": True, "top_logprobs": 2, "stop": ["."]}),
        ("/v1/completions", completion),
    ]


def steady(reply: dict[str, Any]) -> dict[str, Any]:
    """An answer without what changes from one to the next."""
    return {
        name: value
        for name, value in reply.items()
        if name not in VOLATILE and name not in ("id", "created", "timings", "usage")
    } | {"usage": {k: v for k, v in reply.get("usage", {}).items() if k.endswith("_tokens")}}


def test_whole_answers_are_the_same_field_by_field(engine: str, engine_url: str, router: str) -> None:
    for path, body in native(engine):
        asked = {**body, "stream": False}
        assert steady(post(router + path, asked)) == steady(post(engine_url + path, asked)), path


def test_streams_are_the_same_line_by_line(engine: str, engine_url: str, router: str) -> None:
    def lines(url: str, body: object) -> list[object]:
        found = [line.removeprefix("data: ") for line in stream(url, body)]
        return [line if line == "[DONE]" else steady(json.loads(line)) for line in found]

    for path, body in native(engine):
        asked = {**body, "stream": True}
        assert lines(router + path, asked) == lines(engine_url + path, asked), path


def test_an_engines_own_refusals_are_the_same(engine: str, engine_url: str, router: str) -> None:
    if engine == "ollama":
        path, body = "/api/chat", {"model": MODEL, "messages": [QUESTION], "think": True}
    else:
        path, body = "/v1/chat/completions", {"model": MODEL, "messages": [{"role": "user", "content": "x " * 9000}]}
    there = httpx.post(engine_url + path, json=body, timeout=60, trust_env=False)
    here = httpx.post(router + path, json=body, timeout=60, trust_env=False)
    assert here.status_code == there.status_code >= 400
    expected = there.json()
    if engine == "llamacpp":
        # Programs look for OpenAI's words for it.
        expected["error"] |= {"code": "context_length_exceeded", "type": "invalid_request_error", "param": "messages"}
    assert here.json() == expected


def test_counts_reach_the_metrics(router: str, ollama_client: ollama.Client) -> None:
    def tokens() -> int:
        text = httpx.get(f"{router}/metrics", trust_env=False).text
        line = next(line for line in text.splitlines() if line.startswith("paddock_completion_tokens_total{"))
        return int(line.rpartition(" ")[2])

    ollama_client.chat(model="assistant", messages=[QUESTION], options=OLLAMA_OPTIONS)
    before = tokens()
    # Another seed: the same question would be answered with what was answered before.
    reply = ollama_client.chat(model="assistant", messages=[QUESTION], options={**OLLAMA_OPTIONS, "seed": 12})
    assert tokens() == before + (reply.eval_count or 0)


# Leaving


def busy_slots(url: str) -> int:
    slots = httpx.get(f"{url}/slots", timeout=10, trust_env=False).json()
    return sum(slot["is_processing"] for slot in slots)


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
def test_a_client_that_leaves_a_stream_frees_the_engine(llamacpp_url: str, router_for: RouterFor, path: str) -> None:
    router = router_for("llamacpp", llamacpp_url)
    endless = {"model": "assistant", "messages": [QUESTION], "stream": True, "max_tokens": 1800}
    endless |= {"options": {"num_predict": 1800}, "ignore_eos": True}
    with httpx.stream("POST", router + path, json=endless, timeout=60, trust_env=False) as reply:
        assert next(reply.iter_lines())
    eventually(lambda: busy_slots(llamacpp_url) == 0)


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
def test_a_client_that_leaves_before_its_whole_answer_frees_the_engine(
    llamacpp_url: str, router_for: RouterFor, path: str
) -> None:
    # Straight, llama.cpp would go on to the end: it does not look after the client of an answer in one piece.
    router = router_for("llamacpp", llamacpp_url)
    options = {"num_predict": 1800, "stop": ["\0"]}
    endless = {"model": "assistant", "messages": [QUESTION], "stream": False, "max_tokens": 1800, "options": options}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(router + path, json={**endless, "ignore_eos": True}, timeout=1.5, trust_env=False)
    eventually(lambda: busy_slots(llamacpp_url) == 0)


def eventually(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.05)
