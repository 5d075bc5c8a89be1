"""The Ollama client against replies that a test writes: progress, resuming, and every kind of failure."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from ollama import ProgressResponse

from agent_runtime.ollama_client import (
    AsyncOllamaLLMClient,
    OllamaCutOffError,
    OllamaError,
    OllamaLLMClient,
    OllamaNotFoundError,
    OllamaOutOfMemoryError,
    OllamaOverloadedError,
    OllamaProtocolError,
    OllamaRefusedError,
    OllamaTimeoutError,
    OllamaUnreachableError,
    PullProgress,
)
from agent_runtime.ollama_client import requests as shared
from agent_runtime.ollama_client.progress import ProgressMeter

Handler = Callable[[httpx.Request], httpx.Response]
HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "FIRST_PAUSE_SECONDS", 0.0)


def client(handler: Handler, **options: Any) -> OllamaLLMClient:
    return OllamaLLMClient("http://ollama.test", transport=httpx.MockTransport(handler), **options)


def lines(*documents: dict[str, Any]) -> httpx.Response:
    return httpx.Response(200, content="".join(json.dumps(document) + "\n" for document in documents))


def part(text: str, *, done: bool = False) -> dict[str, Any]:
    return {"model": "m", "message": {"role": "assistant", "content": text}, "done": done}


def tags(*names: str) -> httpx.Response:
    return httpx.Response(200, json={"models": [{"model": name, "size": 5} for name in names]})


def test_a_chat_sends_what_it_was_given() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=part("Hi", done=True))

    with client(answer, api_key="k" * 8) as ollama:
        reply = ollama.chat(
            "m",
            HELLO,
            options={"num_ctx": 512},
            format="json",
            think=False,
            keep_alive="10m",
            tools=[{"type": "function"}],
        )
    assert reply.message.content == "Hi"
    body = json.loads(seen[0].content)
    assert body["options"] == {"num_ctx": 512}
    assert (body["format"], body["think"], body["keep_alive"], body["stream"]) == ("json", False, "10m", False)
    assert seen[0].headers["authorization"] == "Bearer " + "k" * 8


def test_a_stream_comes_in_pieces() -> None:
    with client(lambda _: lines(part("He"), part("llo"), part("", done=True))) as ollama:
        assert [one.message.content for one in ollama.chat_stream("m", HELLO)] == ["He", "llo", ""]


def test_a_stream_is_read_by_lines_however_the_network_cuts_it() -> None:
    whole = b"".join(json.dumps(one).encode() + b"\n" for one in (part("ö" * 9), part("", done=True)))

    class Crumbs(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            return (whole[at : at + 3] for at in range(0, len(whole), 3))

    with client(lambda _: httpx.Response(200, stream=Crumbs())) as ollama:
        assert [one.message.content for one in ollama.chat_stream("m", HELLO)] == ["ö" * 9, ""]


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (404, "model 'm' not found", OllamaNotFoundError),
        (503, "server busy, please try again. maximum pending requests exceeded", OllamaOverloadedError),
        (429, "too many requests", OllamaOverloadedError),
        (500, "model requires more system memory (8.0 GiB) than is available (3.1 GiB)", OllamaOutOfMemoryError),
        (500, "llama runner: CUDA error: out of memory", OllamaOutOfMemoryError),
        (504, "gateway timeout", OllamaTimeoutError),
        (400, "m does not support tools", OllamaRefusedError),
        (500, "something broke", OllamaError),
    ],
)
def test_a_refusal_is_told_apart(status: int, text: str, kind: type[OllamaError]) -> None:
    with (
        client(lambda _: httpx.Response(status, json={"error": text})) as ollama,
        pytest.raises(kind, match=r"chat with m at http://ollama\.test") as refused,
    ):
        ollama.chat("m", HELLO)
    assert type(refused.value) is kind


def raising(error: Exception) -> Handler:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error

    return answer


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectError("refused"), OllamaUnreachableError),
        (httpx.ReadTimeout("slow"), OllamaTimeoutError),
        (httpx.RemoteProtocolError("peer closed connection"), OllamaCutOffError),
    ],
)
def test_a_broken_connection_is_told_apart(error: Exception, kind: type[OllamaError]) -> None:
    with client(raising(error)) as ollama, pytest.raises(kind):
        ollama.chat("m", HELLO)
    with client(raising(error)) as ollama, pytest.raises(kind):
        list(ollama.chat_stream("m", HELLO))


def test_a_stream_without_an_end_is_cut_off() -> None:
    with client(lambda _: lines(part("He"))) as ollama, pytest.raises(OllamaCutOffError, match="after 1 pieces"):
        list(ollama.chat_stream("m", HELLO))


def test_an_error_in_the_middle_of_a_stream_is_no_answer() -> None:
    broken = lines(part("He"), {"error": "an unknown error was encountered while running the model"})
    with client(lambda _: broken) as ollama, pytest.raises(OllamaCutOffError, match="unknown error"):
        list(ollama.chat_stream("m", HELLO))


def test_what_is_no_json_is_a_breach_of_the_protocol() -> None:
    with client(lambda _: httpx.Response(200, text="<html>")) as ollama:
        with pytest.raises(OllamaProtocolError):
            ollama.chat("m", HELLO)
        with pytest.raises(OllamaProtocolError):
            list(ollama.chat_stream("m", HELLO))
        with pytest.raises(OllamaProtocolError):
            ollama.version()


def test_reads_are_asked_again_and_a_chat_is_not() -> None:
    asked: list[str] = []

    def busy(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if asked.count(request.url.path) < 3:
            return httpx.Response(503, json={"error": "server busy"})
        return tags("m:latest")

    with client(busy) as ollama:
        assert ollama.refresh() == ["m:latest"] == ollama.models
        with pytest.raises(OllamaOverloadedError):
            ollama.chat("m", HELLO)
    assert asked == ["/api/tags"] * 3 + ["/api/chat"]


def test_a_pull_tells_bytes_and_sees_that_the_model_is_there() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/tags":
            return tags("m:latest")
        return lines(
            {"status": "pulling manifest"},
            {"status": "pulling a", "digest": "a", "total": 100, "completed": 40},
            {"status": "pulling a", "digest": "a", "total": 100, "completed": 100},
            {"status": "pulling b", "digest": "b", "total": 10, "completed": 10},
            {"status": "success"},
        )

    with client(answer) as ollama:
        seen = list(ollama.pull("m"))
    assert [(one.completed_bytes, one.total_bytes) for one in seen] == [
        (0, 0),
        (40, 100),
        (100, 100),
        (110, 110),
        (110, 110),
    ]
    assert seen[-1].done


def test_a_pull_that_breaks_off_is_taken_up_again() -> None:
    pulls: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/tags":
            return tags("m:1b")
        pulls.append(1)
        if len(pulls) == 1:
            return lines({"status": "pulling a", "digest": "a", "total": 100, "completed": 40})
        if len(pulls) == 2:
            raise httpx.ReadError("reset")
        return lines({"status": "pulling a", "digest": "a", "total": 100, "completed": 90}, {"status": "success"})

    with client(answer) as ollama:
        assert [one.completed_bytes for one in ollama.pull("m:1b")] == [40, 90, 90]
    assert len(pulls) == 3


def test_a_pull_ends_in_an_error_where_nothing_comes_of_it() -> None:
    def absent(request: httpx.Request) -> httpx.Response:
        return tags("other:1b") if request.url.path == "/api/tags" else lines({"status": "success"})

    with client(absent) as ollama, pytest.raises(OllamaNotFoundError, match="does not hold it"):
        list(ollama.pull("m"))
    unknown = lines({"error": "pull model manifest: file does not exist"})
    with client(lambda _: unknown) as ollama, pytest.raises(OllamaNotFoundError):
        list(ollama.pull("m"))
    with client(lambda _: lines({"status": "pulling"})) as ollama, pytest.raises(OllamaCutOffError):
        list(ollama.pull("m"))


def test_speed_and_the_time_left_come_from_the_last_seconds() -> None:
    now = iter([0.0, 1.0, 2.0])
    meter = ProgressMeter(clock=lambda: next(now))
    looks = [
        meter.add(ProgressResponse(status="p", digest="a", total=1000, completed=done)) for done in (500, 600, 700)
    ]
    assert looks[0].bytes_per_second is None
    assert looks[2] == PullProgress("p", 700, 1000, 100.0, 3.0)


def test_the_asynchronous_client_does_the_same() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/api/version":
            return httpx.Response(200, json={"version": "0.17.4"})
        if path == "/api/tags":
            return tags("m:latest")
        if path == "/api/pull":
            return lines({"status": "success"})
        if path == "/api/delete":
            return httpx.Response(404, json={"error": "model 'x' not found"})
        return (
            lines(part("He"), part("y", done=True))
            if b'"stream":true' in request.content
            else lines(part("Hi", done=True))
        )

    async def work() -> None:
        async with AsyncOllamaLLMClient("http://ollama.test", transport=httpx.MockTransport(answer)) as ollama:
            assert await ollama.version() == "0.17.4"
            assert [one.done async for one in ollama.pull("m")] == [True]
            assert (await ollama.chat("m", HELLO)).message.content == "Hi"
            assert [one.message.content async for one in ollama.chat_stream("m", HELLO)] == ["He", "y"]
            with pytest.raises(OllamaNotFoundError):
                await ollama.delete("x")

    asyncio.run(work())


def test_a_key_is_never_shown() -> None:
    secret = "s" + "k-1234"
    with client(lambda _: tags(), api_key=secret) as ollama:
        assert secret not in repr(ollama) + str(vars(ollama).get("url"))
