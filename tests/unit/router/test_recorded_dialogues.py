"""What vLLM and commercial APIs really said, through the router, to clients of both dialects.

``tests/data/dialogues`` holds answers as they were recorded or quoted in public, each with its source and what was
shortened. A scripted server says them again: as the fleet's own vLLM, or as the commercial tier.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent_runtime.router.dialects.framing import EventSplitter
from tests.unit.router.rig import Rig, Talk, running
from tests.unit.router.tiers import tiered

pytestmark = pytest.mark.unit

DIALOGUES = Path(__file__).parents[2] / "data" / "dialogues"
RESPONSES = "openai_responses_streamed"
NAMES = sorted(path.stem for path in DIALOGUES.glob("*.json"))
CHATS = [name for name in NAMES if name != RESPONSES]
COMMERCIAL_FIRST = {"routine": ["commercial", "local"]}
COMMERCIAL_ONLY = {"routine": ["commercial"], "complex": ["commercial"]}
SECRETS_OF_ACCOUNTS = (
    "openai-organization",
    "x-ratelimit-remaining-requests",
    "cf-cache-status",
    "mistral-correlation-id",
)


@dataclass(frozen=True)
class Dialogue:
    """A question and its answer."""

    engine: str
    request: dict[str, Any]
    status: int
    headers: dict[str, str]
    said: bytes
    """The body as the server sends it."""
    events: list[Any] | None
    body: Any
    expected: dict[str, Any]

    @classmethod
    def load(cls, name: str) -> Dialogue:
        """The dialogue of this name."""
        data = json.loads((DIALOGUES / f"{name}.json").read_text())
        events, body = data.get("events"), data.get("body")
        said = written(body) if events is None else b"".join(event_bytes(event) for event in events)
        return cls(
            data["engine"], data["request"], data["status"], data["headers"], said, events, body, data["expected"]
        )

    @property
    def streamed(self) -> bool:
        """Whether it is a stream."""
        return self.events is not None

    async def script(self, talk: Talk, read_bytes: int) -> None:
        """Say it, in pieces of so many bytes."""
        headers = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        if not self.streamed:
            await talk.reply(self.said, status=f"{self.status} As Recorded", headers=headers)
            return
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{headers}Transfer-Encoding: chunked\r\n\r\n"
        await talk.send(head.encode())
        for start in range(0, len(self.said), read_bytes):
            await talk.chunk(self.said[start : start + read_bytes])
        await talk.end()


def written(value: Any) -> bytes:
    """JSON as servers write it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def event_bytes(event: Any) -> bytes:
    """An event; a comment where it begins with a colon."""
    if not isinstance(event, str):
        if "type" in event:  # events of responses are named
            return f"event: {event['type']}\n".encode() + b"data: " + written(event) + b"\n\n"
        return b"data: " + written(event) + b"\n\n"
    return event.encode() + b"\n\n" if event.startswith(":") else b"data: " + event.encode() + b"\n\n"


@asynccontextmanager
async def replayed(tmp_path: Path, dialogue: Dialogue, read_bytes: int = 1 << 20) -> AsyncIterator[Rig]:
    """A router before a server that says the dialogue."""

    async def script(talk: Talk) -> None:
        await dialogue.script(talk, read_bytes)

    if dialogue.engine == "vllm":
        async with running(tmp_path, script, engine="vllm") as rig:
            yield rig
    else:
        async with tiered(tmp_path, local=None, routing=COMMERCIAL_ONLY, commercial=script) as (rig, _):
            yield rig


async def demand_account(rig: Rig, expected: dict[str, Any]) -> None:
    """The tokens were booked as the server counted them."""
    if "prompt_tokens" in expected:
        assert await rig.metric('paddock_prompt_tokens_total{model="m"}') == expected["prompt_tokens"]
        assert await rig.metric('paddock_completion_tokens_total{model="m"}') == expected["completion_tokens"]


def demand_refusal(reply: httpx.Response, message: str, expected: dict[str, Any]) -> None:
    """An error in the client's words, that tells nothing of whose account the router uses."""
    assert reply.status_code == expected["status"]
    if "numbers" in expected:
        assert "context length" in message
    else:
        assert expected.get("error", expected.get("refused", "")) in message
    for number in expected.get("numbers", ()):
        assert number in message
    if "retry_after_seconds" in expected:
        assert int(reply.headers["retry-after"]) in range(1, expected["retry_after_seconds"] + 1)
    if "refused" in expected:
        assert "api" not in message.lower()
        assert "organization" not in message
    assert not any(name in reply.headers for name in SECRETS_OF_ACCOUNTS)


@pytest.mark.parametrize("read_bytes", [1 << 20, 61], ids=["at once", "in pieces"])
@pytest.mark.parametrize("name", CHATS)
async def test_a_client_of_openais_gets_the_answer_as_it_was_said(tmp_path: Path, name: str, read_bytes: int) -> None:
    dialogue = Dialogue.load(name)
    expected = dialogue.expected
    async with replayed(tmp_path, dialogue, read_bytes) as rig:
        reply = await rig.client.post("/v1/chat/completions", json={"model": "m", **dialogue.request})
        if "status" in expected:
            error = reply.json().get("error") or reply.json()
            demand_refusal(reply, error["message"], expected)
            assert error["code"] == expected.get("code", error["code"])
            return
        assert not any(header in reply.headers for header in SECRETS_OF_ACCOUNTS)
        if not dialogue.streamed:
            assert reply.json() == dialogue.body
        else:
            # Counts that the client has not asked for are kept back; nothing else is.
            got = EventSplitter().feed(reply.content)
            said = [event for event in dialogue.events or [] if not (isinstance(event, str) and event[0] == ":")]
            shown = [event for event in said if isinstance(event, str) or event.get("choices") != []]
            assert [event if event == b"[DONE]" else json.loads(event) for event in got] == [
                b"[DONE]" if event == "[DONE]" else event for event in shown
            ]
        await demand_account(rig, expected)


@pytest.mark.parametrize("read_bytes", [1 << 20, 61], ids=["at once", "in pieces"])
@pytest.mark.parametrize("name", CHATS)
async def test_a_client_of_ollamas_gets_it_in_its_own_words(tmp_path: Path, name: str, read_bytes: int) -> None:
    dialogue = Dialogue.load(name)
    expected, request = dialogue.expected, dialogue.request
    asked = {key: request[key] for key in ("messages", "tools", "logprobs", "top_logprobs") if key in request}
    async with replayed(tmp_path, dialogue, read_bytes) as rig:
        reply = await rig.client.post("/api/chat", json={"model": "m", **asked, "stream": dialogue.streamed})
        if "status" in expected:
            demand_refusal(reply, reply.json()["error"], expected)
            return
        assert reply.status_code == 200
        assert not any(header in reply.headers for header in SECRETS_OF_ACCOUNTS)
        lines = [json.loads(line) for line in reply.content.splitlines()]
        messages = [line["message"] for line in lines if "message" in line]
        assert "".join(message["content"] for message in messages) == expected["text"]
        assert "".join(message.get("thinking", "") for message in messages) == expected.get("thinking", "")
        if "stream_error" in expected:
            assert expected["stream_error"] in lines[-1]["error"]
            assert not any(line.get("done") for line in lines)
        else:
            calls = [call for message in messages for call in message.get("tool_calls", [])]
            wanted = expected.get("tool_calls", [])
            assert [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in calls] == [
                (call["id"], call["name"], call["arguments"]) for call in wanted
            ]
            assert [call["function"]["index"] for call in calls] == list(range(len(wanted)))
            assert lines[-1]["done_reason"] == ("length" if expected["finish"] == "length" else "stop")
            assert lines[-1]["prompt_eval_count"] == expected["prompt_tokens"]
            assert lines[-1]["eval_count"] == expected["completion_tokens"]
            told = [token["token"] for line in lines for token in line.get("logprobs", [])]
            assert told == expected.get("logprobs", [])
        await demand_account(rig, expected)


@pytest.mark.parametrize("read_bytes", [1 << 20, 400], ids=["at once", "in pieces"])
async def test_responses_are_passed_on_byte_for_byte_and_counted(tmp_path: Path, read_bytes: int) -> None:
    dialogue = Dialogue.load(RESPONSES)
    async with replayed(tmp_path, dialogue, read_bytes) as rig:
        reply = await rig.client.post("/v1/responses", json={"model": "m", **dialogue.request})
        assert reply.content == dialogue.said
        await demand_account(rig, dialogue.expected)


@pytest.mark.parametrize("name", [name for name in NAMES if "refused" in Dialogue.load(name).expected])
async def test_what_an_api_will_not_answer_the_fleet_does(tmp_path: Path, name: str) -> None:
    dialogue = Dialogue.load(name)

    async def refuses(talk: Talk) -> None:
        await dialogue.script(talk, 1 << 20)

    async def answers(talk: Talk) -> None:
        await talk.reply(Dialogue.load("openai_whole").body)

    async with tiered(tmp_path, local=answers, routing=COMMERCIAL_FIRST, commercial=refuses) as (rig, engines):
        for _ in range(2):
            reply = await rig.completion()
            assert reply.headers["x-paddock-tier"] == "local"
        # It was told so once, and is left alone for a while.
        assert len(engines["commercial"].asked) == 1


def test_every_dialogue_says_where_it_is_from() -> None:
    assert len(NAMES) > 20
    for name in NAMES:
        data = json.loads((DIALOGUES / f"{name}.json").read_text())
        assert data["source"]
        assert data["licence"]
