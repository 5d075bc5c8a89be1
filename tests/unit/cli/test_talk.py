"""ask and chat, with a router that is played."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator

import httpx
import pytest

from agent_runtime.chat_client import ChatClient
from cli.commands import talk
from fleet_spec.errors import BadInputError

pytestmark = pytest.mark.unit


class Interrupted(httpx.SyncByteStream):
    """A reply in the middle of which the person presses Ctrl-C."""

    def __init__(self) -> None:
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield b'data: {"choices": [{"delta": {"content": "Once upon"}}]}\n\n'
        raise KeyboardInterrupt

    def close(self) -> None:
        self.closed = True


def answers(monkeypatch: pytest.MonkeyPatch, *streams: httpx.SyncByteStream | bytes) -> list[dict[str, object]]:
    """A router that gives these replies. The list fills with what it is asked."""
    asked: list[dict[str, object]] = []
    left = iter(streams)

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(request.content))
        reply = next(left)
        if isinstance(reply, bytes):
            return httpx.Response(200, content=reply)
        return httpx.Response(200, stream=reply)

    client = ChatClient("http://router/v1", transport=httpx.MockTransport(handle))
    monkeypatch.setattr(talk, "_client", lambda stack, model: (client, "default"))
    return asked


DONE = b'data: {"choices": [{"delta": {"content": "The end."}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'


def test_ctrl_c_stops_a_reply_and_not_the_conversation(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    endless = Interrupted()
    asked = answers(monkeypatch, endless, DONE)
    monkeypatch.setattr(sys, "stdin", io.StringIO("Tell me a story\nShorter\n"))

    talk.chat("dev", model=None, system=None, temperature=0.0)

    assert endless.closed, "the model stops too"
    assert asked[1]["messages"] == [
        {"role": "user", "content": "Tell me a story"},
        {"role": "assistant", "content": "Once upon"},
        {"role": "user", "content": "Shorter"},
    ]
    said = capsys.readouterr()
    assert said.out == "Once uponThe end.\n"
    assert "(stopped)" in said.err


def test_ctrl_c_ends_a_single_question(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, Interrupted())
    with pytest.raises(KeyboardInterrupt):
        talk.ask("Tell me a story", "dev", model=None, max_tokens=9, temperature=0, as_json=False)


def test_a_long_conversation_always_begins_with_the_person(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answers(monkeypatch, *[DONE] * 15)
    monkeypatch.setattr(sys, "stdin", io.StringIO("Go on\n" * 15))
    talk.chat("dev", model=None, system=None, temperature=0.0)
    assert len(asked) == 15
    for one in asked:
        messages: object = one["messages"]
        assert isinstance(messages, list)
        assert messages[0]["role"] == messages[-1]["role"] == "user"


@pytest.mark.parametrize("as_json", [True, False])
def test_a_question_that_is_not_text_is_refused(monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:
    answers(monkeypatch)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe"), "utf-8", errors="surrogateescape"))
    with pytest.raises(BadInputError, match="not UTF-8"):
        talk.ask("-", "dev", model=None, max_tokens=9, temperature=0, as_json=as_json)
