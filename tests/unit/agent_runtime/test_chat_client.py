"""Asking a router: whole answers, pieces, and what is said where something goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from agent_runtime.chat_client import (
    ChatClient,
    KeyRefusedError,
    ReplyError,
    RouterUnreachableError,
    UnknownModelError,
)

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


KEY = "not-" + "a-real-key"


def guarded(seen: list[str | None]) -> Callable[[httpx.Request], httpx.Response]:
    """A router that asks for the key, and what it was shown."""

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("Authorization"))
        if seen[-1] != f"Bearer {KEY}":
            return httpx.Response(401, json={"error": {"message": "show a key"}})
        return stream(piece("Tokyo.", "stop"), USAGE)

    return answer


def test_a_key_that_is_given_is_shown_at_once() -> None:
    seen: list[str | None] = []
    ask = ChatClient("http://router/v1", api_key=KEY, transport=httpx.MockTransport(guarded(seen)))
    assert ask.ask("?", model="m", max_tokens=8).text == "Tokyo."
    assert seen == [f"Bearer {KEY}"]


def test_a_key_is_looked_for_once_and_only_where_the_router_asks_for_one() -> None:
    seen: list[str | None] = []
    looked: list[bool] = []

    def find() -> str:
        looked.append(True)
        return KEY

    ask = ChatClient("http://router/v1", find_key=find, transport=httpx.MockTransport(guarded(seen)))
    for _ in range(2):
        assert ask.ask("?", model="m", max_tokens=8).text == "Tokyo."
    assert seen == [None, f"Bearer {KEY}", f"Bearer {KEY}"]
    assert len(looked) == 1

    open_router = httpx.MockTransport(lambda _: stream(piece("Tokyo.", "stop"), USAGE))
    ChatClient("http://router/v1", find_key=find, transport=open_router).ask("?", model="m", max_tokens=8)
    assert len(looked) == 1


@pytest.mark.parametrize("key", [None, "another-" + "fake-key"])
def test_a_key_that_is_lacking_or_wrong_is_told_with_the_fix_and_never_shown(key: str | None) -> None:
    seen: list[str | None] = []
    ask = ChatClient("http://router/v1", find_key=lambda: key, transport=httpx.MockTransport(guarded(seen)))
    with pytest.raises(KeyRefusedError, match=r"show a key\. fix: export PADDOCK_API_KEY") as refused:
        ask.ask("?", model="m", max_tokens=8)
    assert len(seen) == (1 if key is None else 2)
    assert key is None or key not in str(refused.value)
