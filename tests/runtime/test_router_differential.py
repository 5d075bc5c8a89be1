"""The same requests straight to an engine and through the router: the same answers, field by field.

A real Ollama is asked in its own dialect, and a real llama.cpp in OpenAI's: whole and streamed, right and wrong.
Temperature 0 and a seed make them say the same thing twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from tests.runtime.conftest import MODEL, RouterFor

pytestmark = [pytest.mark.runtime, pytest.mark.slow]

VOLATILE = {
    *("created_at", "total_duration", "load_duration", "prompt_eval_duration", "eval_duration"),
    *("id", "created", "completed_at", "timings", "item_id", "prompt_tokens_details", "input_tokens_details"),
}
"""What no two answers have in common: names, times, and what was found in a cache."""

QUESTION = {"role": "user", "content": "What is the capital of Japan?"}
TURNS = [
    {"role": "system", "content": "You answer briefly."},
    {"role": "user", "content": "What is the capital of Spain?"},
    {"role": "assistant", "content": "Madrid"},
    QUESTION,
]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 8}}, "required": ["city"]}
TOOL = {
    "type": "function",
    "function": {"name": "look_up", "description": "Looks up.", "parameters": {"type": "object", "properties": {}}},
}
PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # one pixel
)


class Case(NamedTuple):
    """A request, and what of its answer is to be the same."""

    path: str
    body: Any
    own_words: bool = False
    """Whether the router refuses it itself: then the status and the shape are the same, and not the words."""


def chat(**more: Any) -> Case:
    options = {"temperature": 0, "seed": 1, "num_predict": 4, **more.pop("options", {})}
    return Case("/api/chat", {"model": MODEL, "messages": [QUESTION], "options": options, **more})


def generate(**more: Any) -> Case:
    options = {"temperature": 0, "seed": 1, "num_predict": 4, **more.pop("options", {})}
    return Case("/api/generate", {"model": MODEL, "prompt": "The sky is", "options": options, **more})


OLLAMA = {
    "chat": chat(),
    "several turns": chat(messages=TURNS),
    "another language": chat(messages=[{"role": "user", "content": "¿Cuál es la capital de Japón? 日本の首都は? 🗾"}]),
    "half a pair": chat(messages=[{"role": "user", "content": "\ud83d"}]),
    "an unknown role": chat(messages=[{"role": "narrator", "content": "Once upon a time"}]),
    "no role": chat(messages=[{"content": "Hello"}]),
    "nothing said": chat(messages=[{"role": "user", "content": ""}]),
    "stop texts": chat(options={"stop": ["Tokyo", "."], "num_predict": 12}),
    "samplers": chat(options={"top_k": 5, "top_p": 0.5, "min_p": 0.1, "typical_p": 0.9, "repeat_penalty": 1.2}),
    "penalties": chat(options={"presence_penalty": 0.5, "frequency_penalty": 0.5, "repeat_last_n": 16}),
    "an option that is none": chat(options={"warmth": 3}),
    "an option of the wrong type": chat(options={"temperature": "hot"}),
    "no limit left": chat(options={"num_predict": 1}),
    "json": chat(format="json", options={"num_predict": 8}),
    "a schema": chat(format=SCHEMA, options={"num_predict": 16}),
    "no such format": chat(format="xml"),
    "an empty format": chat(format=""),
    "chances": chat(logprobs=True),
    "chances of others": chat(logprobs=True, top_logprobs=2),
    "too many chances": chat(logprobs=True, top_logprobs=30),
    "no thoughts": chat(think=False),
    "thoughts it cannot have": chat(think=True),
    "a level of thought": chat(think="high"),
    "a tool it cannot use": chat(tools=[TOOL]),
    "kept for a while": chat(keep_alive="5m"),
    "kept by number": chat(keep_alive=300),
    "kept for nonsense": chat(keep_alive="soon"),
    "a conversation that is cut": chat(messages=[{"role": "user", "content": "word " * 2200}, *TURNS]),
    "a prompt that may not be cut": chat(messages=[{"role": "user", "content": "word " * 3000}], truncate=False),
    "no shift": chat(shift=False),
    "load": Case("/api/chat", {"model": MODEL, "messages": []}),
    "load without messages": Case("/api/chat", {"model": MODEL}),
    "a picture": chat(messages=[{**QUESTION, "images": [PICTURE]}]),
    "a picture that is none": chat(messages=[{**QUESTION, "images": ["%%%"]}]),
    "a tool's answer": chat(messages=[*TURNS, {"role": "tool", "tool_name": "look_up", "content": "Tokyo"}]),
    "generate": generate(),
    "generate raw": generate(raw=True),
    "generate raw with a system": generate(raw=True, system="You are a pirate."),
    "generate with a system": generate(system="You are a pirate."),
    "generate by a template": generate(template="{{ .Prompt }} very"),
    "generate by a broken template": generate(template="{{ .Prompt"),
    "generate a gap": generate(suffix="today."),
    "generate json": generate(format="json", options={"num_predict": 8}),
    "generate with chances": generate(logprobs=True, top_logprobs=1),
    "generate with thoughts": generate(think=True),
    "generate load": Case("/api/generate", {"model": MODEL}),
    "generate load and keep": Case("/api/generate", {"model": MODEL, "prompt": "", "keep_alive": "10m"}),
    "generate with a picture": generate(images=[PICTURE]),
    "embed": Case("/api/embed", {"model": MODEL, "input": "a"}),
    "embed several": Case("/api/embed", {"model": MODEL, "input": ["a", "b"], "truncate": False}),
    "embed nothing": Case("/api/embed", {"model": MODEL, "input": []}),
    "embed a number": Case("/api/embed", {"model": MODEL, "input": 5}, own_words=True),
    "embeddings": Case("/api/embeddings", {"model": MODEL, "prompt": "a"}),
    "embeddings of nothing": Case("/api/embeddings", {"model": MODEL, "prompt": ""}),
    "no such model": Case("/api/chat", {"model": "none", "messages": [QUESTION]}, own_words=True),
    "no model": Case("/api/chat", {"messages": [QUESTION]}, own_words=True),
    "messages that are none": Case("/api/chat", {"model": MODEL, "messages": "Hi"}, own_words=True),
    "a prompt that is none": Case("/api/generate", {"model": MODEL, "prompt": ["Hi"]}, own_words=True),
    "not an object": Case("/api/chat", [], own_words=True),
    "not JSON": Case("/api/generate", "{", own_words=True),
    "nothing": Case("/api/generate", "", own_words=True),
}


def openai_chat(**more: Any) -> Case:
    options = {"temperature": 0, "seed": 1, "max_tokens": 4, "cache_prompt": False}
    return Case("/v1/chat/completions", {"model": MODEL, "messages": [QUESTION], **options, **more})


def completion(**more: Any) -> Case:
    options = {"temperature": 0, "seed": 1, "max_tokens": 4, "cache_prompt": False}
    return Case("/v1/completions", {"model": MODEL, "prompt": "The sky is", **options, **more})


def response(**more: Any) -> Case:
    options = {"temperature": 0, "max_output_tokens": 4}
    return Case("/v1/responses", {"model": MODEL, "input": "What is the capital of Japan?", **options, **more})


LLAMACPP = {
    "chat": openai_chat(),
    "long enough for pieces": openai_chat(max_tokens=40),
    "pieces with quotation marks": openai_chat(
        max_tokens=40, messages=[{"role": "user", "content": 'Say "a\\b" and then: \n "c" \t{}'}]
    ),
    "pieces in another language": openai_chat(
        max_tokens=40, messages=[{"role": "user", "content": "日本の首都は? 🗾"}]
    ),
    "pieces with chances": openai_chat(max_tokens=40, logprobs=True, top_logprobs=2),
    "pieces that stop": openai_chat(max_tokens=60, stop=["Q:"]),
    "several turns": openai_chat(messages=TURNS),
    "parts": openai_chat(messages=[{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]),
    "a developer": openai_chat(messages=[{"role": "developer", "content": "Be brief."}, QUESTION]),
    "nothing said": openai_chat(messages=[{"role": "user", "content": ""}]),
    "stop texts": openai_chat(max_tokens=12, stop=["Tokyo", "."]),
    "one stop text": openai_chat(max_tokens=12, stop="."),
    "a newer limit": openai_chat(max_tokens=None, max_completion_tokens=3),
    "samplers": openai_chat(top_k=5, top_p=0.5, min_p=0.1, typical_p=0.9, repeat_penalty=1.2),
    "penalties": openai_chat(presence_penalty=0.5, frequency_penalty=0.5, repeat_last_n=16),
    "a bias": openai_chat(logit_bias={"236743": -100}),
    "no end": openai_chat(max_tokens=6, ignore_eos=True),
    "one answer": openai_chat(n=1),
    "chances": openai_chat(logprobs=True),
    "chances of others": openai_chat(logprobs=True, top_logprobs=3),
    "json": openai_chat(response_format={"type": "json_object"}, max_tokens=8),
    "a schema": openai_chat(
        response_format={"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA}}, max_tokens=16
    ),
    "a format that is none": openai_chat(response_format={"type": "yaml"}),
    "a grammar": openai_chat(grammar='root ::= "yes" | "no"'),
    "a broken grammar": openai_chat(grammar="root ::="),
    "tools": openai_chat(tools=[TOOL], max_tokens=8),
    "tools not to be used": openai_chat(tools=[TOOL], tool_choice="none"),
    "a tool's answer": openai_chat(
        messages=[
            QUESTION,
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "Tokyo"},
        ]
    ),
    "counts": openai_chat(stream_options={"include_usage": True}),
    "a template's words": openai_chat(chat_template_kwargs={"enable_thinking": False}),
    "a field that is none": openai_chat(warmth=3, user="someone", metadata={"a": "b"}),
    "half a pair": openai_chat(messages=[{"role": "user", "content": "\ud83d"}]),
    "a limit of the wrong sign": openai_chat(max_tokens=4, top_k=-5),
    "completion": completion(),
    "completion in pieces": completion(max_tokens=40),
    "completion in pieces with chances": completion(max_tokens=40, logprobs=1),
    "several prompts": completion(prompt=["The sky is", "The sea is"]),
    "tokens": completion(prompt=[818, 7217, 563]),
    "completion with chances": completion(logprobs=2),
    "completion that stops": completion(max_tokens=12, stop=[",", "."]),
    "completion of nothing": completion(prompt=""),
    "completion with a suffix": completion(suffix="today."),
    "response": response(),
    "response with instructions": response(instructions="Be brief."),
    "response of several turns": response(input=TURNS),
    "embeddings it cannot make": Case("/v1/embeddings", {"model": MODEL, "input": "a"}),
    "no such model": Case("/v1/chat/completions", {"model": "none", "messages": "Hi"}, own_words=True),
    "messages that are none": Case("/v1/chat/completions", {"model": MODEL, "messages": "Hi"}, own_words=True),
    "not JSON": Case("/v1/chat/completions", "{", own_words=True),
    "too hot": openai_chat(temperature="hot")._replace(own_words=True),
}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60, trust_env=False) as shared:
        yield shared


def answer(client: httpx.Client, url: str, case: Case, streamed: bool | None) -> tuple[int, list[Any]]:
    """Status and decoded lines, less what is volatile."""
    body = case.body
    if isinstance(body, dict) and streamed is not None:
        body = {**body, "stream": streamed}
    content = body if isinstance(body, str) else json.dumps(body)
    reply = client.post(url + case.path, content=content, headers={"Content-Type": "application/json"})
    rows = [row for row in reply.text.splitlines() if row and not row.startswith("event: ")]
    decoded = [row if row == "data: [DONE]" else json.loads(row.removeprefix("data: ")) for row in rows]
    return reply.status_code, [steady(row) for row in decoded]


def steady(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: steady(inner) for name, inner in value.items() if name not in VOLATILE}
    return [steady(inner) for inner in value] if isinstance(value, list) else value


def shape(status: int, rows: list[Any]) -> tuple[int, list[str]]:
    return status // 100, [key for row in rows for key in row]


@pytest.fixture(scope="module")
def ollama_router(ollama_url: str, router_for: RouterFor) -> str:
    return router_for("ollama", ollama_url, capabilities=["chat", "completion", "embedding"])


@pytest.fixture(scope="module")
def llamacpp_router(llamacpp_url: str, router_for: RouterFor) -> str:
    return router_for("llamacpp", llamacpp_url, capabilities=["chat", "completion", "embedding"])


def same(client: httpx.Client, engine_url: str, router: str, case: Case, streamed: bool | None) -> None:
    straight = answer(client, engine_url, case, streamed)
    routed = answer(client, router, case, streamed)
    if case.own_words:
        assert straight[0] >= 400
        assert routed[0] == straight[0]
        assert shape(*routed) == shape(*straight)
    else:
        assert routed == straight


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", OLLAMA)
def test_an_ollama_answers_alike(
    client: httpx.Client, ollama_url: str, ollama_router: str, name: str, streamed: bool
) -> None:
    same(client, ollama_url, ollama_router, OLLAMA[name], streamed)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", LLAMACPP)
def test_a_llama_cpp_answers_alike(
    client: httpx.Client, llamacpp_url: str, llamacpp_router: str, name: str, streamed: bool
) -> None:
    same(client, llamacpp_url, llamacpp_router, LLAMACPP[name], streamed)


def test_a_prompt_that_is_too_long_has_openais_code_and_is_the_same_otherwise(
    client: httpx.Client, llamacpp_url: str, llamacpp_router: str
) -> None:
    case = openai_chat(messages=[{"role": "user", "content": "word " * 3000}])
    status, (straight,) = answer(client, llamacpp_url, case, None)
    routed_status, (routed,) = answer(client, llamacpp_router, case, None)
    named = {"code": "context_length_exceeded", "type": "invalid_request_error", "param": "messages"}
    assert (routed_status, routed) == (status, {"error": {**straight["error"], **named}})
    assert "3007 tokens" in routed["error"]["message"]
    assert "2048 tokens" in routed["error"]["message"]


@pytest.mark.parametrize(("engine", "path"), [("llamacpp", "/api/chat"), ("ollama", "/v1/chat/completions")])
def test_a_prompt_that_is_too_long_is_told_in_the_clients_dialect(
    client: httpx.Client, request: pytest.FixtureRequest, engine: str, path: str
) -> None:
    router = request.getfixturevalue(f"{engine}_router")
    body = {"model": MODEL, "messages": [{"role": "user", "content": "word " * 3000}]}
    status, (said,) = answer(client, router, Case(path, body), None)
    assert status == 400
    if path == "/api/chat":
        wanted = "the input length exceeds the context length: 3007 tokens, and the model takes 2048 tokens"
        assert said == {"error": wanted}
    else:
        assert said["error"]["code"] == "context_length_exceeded"
        assert "maximum context length is 2048 tokens" in said["error"]["message"]
