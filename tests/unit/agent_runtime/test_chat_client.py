"""Asking a router: whole answers, pieces, and what is said where something goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from agent_runtime.chat_client import ChatClient, ReplyError, RouterUnreachableError, UnknownModelError

pytestmark = pytest.mark.unit


def client(answer: Callable[[httpx.Request], httpx.Response]) -> ChatClient:
    return ChatClient("http://router/v1", transport=httpx.MockTransport(answer))


def stream(*events: object, done: bool = True) -> httpx.Response:
    lines = [f"data: {json.dumps(event)}\n\n" for event in events]
    return httpx.Response(200, text="".join([*lines, "data: [DONE]\n\n"] if done else lines))


def piece(text: str, finish_reason: str | None = None) -> dict[str, object]:
    return {"choices": [{"delta": {"content": text}, "finish_reason": finish_reason}]}


USAGE = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}


def test_an_answer_is_the_sum_of_its_pieces_with_the_engines_own_counts() -> None:
    seen: list[dict[str, object]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(json.loads(request.content))
        return stream(piece("Tok"), piece("yo.", "stop"), USAGE)

    answered = client(answer).ask("Capital of Japan?", model="default", max_tokens=8)
    assert (answered.text, answered.finish_reason) == ("Tokyo.", "stop")
    assert (answered.prompt_tokens, answered.completion_tokens) == (9, 2)
    assert seen[0]["model"] == "default"
    assert seen[0]["messages"] == [{"role": "user", "content": "Capital of Japan?"}]


def test_a_reply_that_breaks_off_is_never_taken_for_a_whole_one() -> None:
    with pytest.raises(ReplyError, match="broke off"):
        client(lambda _: stream(piece("Tok"), done=False)).ask("?", model="m", max_tokens=8)


def test_an_error_in_the_middle_of_a_stream_is_raised() -> None:
    with pytest.raises(ReplyError, match="out of memory"):
        client(lambda _: stream(piece("T"), {"error": {"message": "out of memory"}})).ask("?", model="m", max_tokens=8)


def test_an_unknown_model_is_the_askers_mistake() -> None:
    refused = httpx.Response(404, json={"error": {"message": "no model 'x'; there is: assistant"}})
    with pytest.raises(UnknownModelError, match="assistant") as caught:
        client(lambda _: refused).ask("?", model="x", max_tokens=8)
    assert caught.value.exit_code == 2


def test_a_refusal_carries_its_status_and_its_words() -> None:
    with pytest.raises(ReplyError, match="503: no endpoint"):
        client(lambda _: httpx.Response(503, json={"error": {"message": "no endpoint"}})).ask(
            "?", model="m", max_tokens=8
        )
    with pytest.raises(ReplyError, match="502"):
        client(lambda _: httpx.Response(502, text="<html>")).ask("?", model="m", max_tokens=8)


def test_nobody_there_says_how_to_bring_the_fleet_up() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(RouterUnreachableError, match="paddock up"):
        client(refuse).ask("?", model="m", max_tokens=8)
