"""Prompts longer than the context: both numbers, in the client's dialect, whatever the engine calls it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.dialects.too_long import LONGEST_TOKEN_BYTES, engine_error, refuse_certainly_too_long

pytestmark = pytest.mark.unit

LLAMACPP = {
    "error": {
        "code": 400,
        "message": "request (3007 tokens) exceeds the available context size (2048 tokens), try increasing it",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": 3007,
        "n_ctx": 2048,
    }
}
VLLM = {
    "object": "error",
    "message": "This model's maximum context length is 2048 tokens. However, you requested 3007 tokens (2907 in the "
    "messages, 100 in the completion). Please reduce the length of the messages or completion.",
    "type": "BadRequestError",
    "param": None,
    "code": 400,
}
OLLAMA = {"error": "the input length exceeds the context length"}


def told(dialect: Any, body: object, *, same: bool = False, status: int = 400) -> tuple[int, Any]:
    raw = json.dumps(body).encode()
    found, said = engine_error(dialect, status, raw, same_dialect=same, context_length=2048, sent_bytes=15_000)
    return found, json.loads(said)


@pytest.mark.parametrize("body", [LLAMACPP, VLLM])
def test_an_ollama_client_gets_both_numbers(body: object) -> None:
    status, said = told("ollama", body)
    assert status == 400
    wanted = "the input length exceeds the context length: 3007 tokens, and the model takes 2048 tokens"
    assert said == {"error": wanted}


def test_an_openai_client_gets_the_code_that_it_knows() -> None:
    status, said = told("openai", OLLAMA, status=500)
    assert status == 400
    assert said["error"]["code"] == "context_length_exceeded"
    assert said["error"]["type"] == "invalid_request_error"
    assert "maximum context length is 2048 tokens" in said["error"]["message"]
    assert "15000 bytes" in said["error"]["message"]


def test_an_engine_of_the_same_dialect_keeps_its_words_and_gets_the_code() -> None:
    _, said = told("openai", LLAMACPP, same=True)
    named = {"code": "context_length_exceeded", "type": "invalid_request_error", "param": "messages"}
    assert said == {"error": {**LLAMACPP["error"], **named}}
    _, said = told("openai", VLLM, same=True)
    assert said["error"]["message"] == VLLM["message"]
    raw = json.dumps(OLLAMA).encode()
    assert engine_error("ollama", 400, raw, same_dialect=True, context_length=1, sent_bytes=1) == (400, raw)


def test_other_errors_stay_the_bytes_they_are_or_change_their_shape() -> None:
    raw = b'{"error":{"message":"no such thing","code":404}}'
    assert engine_error("openai", 404, raw, same_dialect=True, context_length=1, sent_bytes=1) == (404, raw)
    assert told("ollama", json.loads(raw), status=404) == (404, {"error": "no such thing"})
    assert told("ollama", {"detail": "Not Found"}, status=404) == (404, {"error": "Not Found"})


SURELY = "x" * (2048 * LONGEST_TOKEN_BYTES + 1)


def refuse(body: dict[str, Any], *, cuts: bool = False, dialect: Any = "openai") -> None:
    refuse_certainly_too_long(dialect, json.dumps(body).encode(), body, 2048, cuts=cuts)


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": SURELY}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": SURELY}]}]},
        {"prompt": SURELY},
        {"prompt": ["a", SURELY]},
    ],
)
def test_what_no_tokenizer_could_make_fit_is_refused_before_it_is_sent(body: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=r"2048 tokens.*524289 bytes of text.*at least 2049 tokens") as error:
        refuse(body)
    assert (error.value.status, error.value.code) == (400, "context_length_exceeded")


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": SURELY[1:]}]},
        {"messages": [{"role": "user", "content": "Look", "images": [SURELY * 2]}]},
        {"prompt": ["y" * 300_000, "z" * 300_000]},
        {"prompt": "\u00e9" * 10, "other": SURELY},
        {"prompt": SURELY, "options": {"num_ctx": 4096}},
        {"prompt": SURELY, "truncate": True},
    ],
)
def test_what_might_fit_goes_through(body: dict[str, Any]) -> None:
    refuse(body)


def test_what_ollama_leaves_out_does_not_count_for_its_own_clients() -> None:
    last = {"role": "user", "content": "And now?"}
    long = {"messages": [{"role": "user", "content": SURELY}, last]}
    refuse(long, cuts=True, dialect="ollama")
    with pytest.raises(RequestError, match="at least 2049 tokens"):
        refuse(long)
    with pytest.raises(RequestError, match="exceeds the context length"):
        refuse({"messages": [{"role": "system", "content": SURELY}, last]}, cuts=True, dialect="ollama")
