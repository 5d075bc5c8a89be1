"""Asking a fleet's router: who answers to a name, how soon, how well, and what is still in flight."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, cast

import httpx

from agent_runtime.router_auth import RouterAuth

ANSWER_SECONDS = 600.0
"""Longest silence while an answer is awaited: a cold model may take minutes to load."""
_CONNECT_SECONDS = 5.0
_ACTIVE = re.compile(r"^paddock_model_active_requests\{(?P<labels>.*)\} (?P<count>\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Question:
    """What to ask."""

    prompt: str
    system: str | None = None
    max_tokens: int = 64
    stream: bool = True
    schema: dict[str, Any] | None = None
    """The JSON Schema that the answer is to follow."""
    embedding: bool = False
    """Whether the prompt is to be turned into a vector, and not to be answered."""


@dataclass(frozen=True)
class Reply:
    """What came of it."""

    text: str = ""
    model: str = ""
    """Which model of the fleet answered."""
    endpoint: str = ""
    """Which of its servers."""
    ttft_seconds: float | None = None
    """Until the first piece of a stream's text."""
    seconds: float = 0.0
    status: int = 0
    """The answer's, in HTTP; 0 where nobody answered."""
    problem: str | None = None
    """Why there is no whole answer; None where there is one."""


class Asking(Protocol):
    """What a swap needs of a router."""

    def ask(self, name: str, question: Question) -> Reply:
        """Ask a model or an alias. Never raises: what goes wrong is in the reply."""
        ...

    def in_flight(self, model: str) -> int | None:
        """Requests that a model computes or that wait for it; None where the router does not tell."""
        ...


class RouterAsking:
    """Asks over HTTP, each request on a connection of its own, so that every worker of the router is met."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        find_key: Callable[[], str | None] | None = None,
        through_proxies: bool = False,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Make a client.

        Args:
            url: The router's root, such as ``http://127.0.0.1:8080``.
            api_key: What to show to the router.
            find_key: Asked for a key, once, where the router wants one and ``api_key`` is None.
            through_proxies: Whether the environment's proxies and certificates count.
            transport: Where requests go in a test.
        """
        self._http = httpx.Client(
            base_url=url,
            auth=RouterAuth(api_key, find_key),
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=_CONNECT_SECONDS),
            limits=httpx.Limits(max_keepalive_connections=0),
            trust_env=through_proxies,
            transport=transport,
        )

    def ask(self, name: str, question: Question) -> Reply:
        """See :meth:`Asking.ask`. The answer is the fleet's own: no other tier's, and none that was kept."""
        path, body = _request(name, question)
        started = time.monotonic()
        try:
            with self._opened("POST", path, body) as response:
                return _read(response, question, started)
        except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError) as error:
            return Reply(seconds=time.monotonic() - started, problem=f"{name} gave no answer: {error!r}")

    def in_flight(self, model: str) -> int | None:
        """See :meth:`Asking.in_flight`. The figure is that of all workers together."""
        try:
            with self._opened("GET", "/metrics", None) as response:
                text = response.read().decode()
                if not response.is_success:
                    return None
        except httpx.HTTPError:
            return None
        wanted = {f'model="{_escaped(model)}"', 'tier="local"'}
        counts = [one["count"] for one in _ACTIVE.finditer(text) if wanted <= set(one["labels"].split(","))]
        return sum(int(float(count)) for count in counts)

    def _opened(self, method: str, path: str, body: dict[str, Any] | None) -> AbstractContextManager[httpx.Response]:
        headers = {"X-Paddock-Tier": "local", "Cache-Control": "no-store"} if body is not None else {}
        return self._http.stream(method, path, json=body, headers=headers)


def _request(name: str, question: Question) -> tuple[str, dict[str, Any]]:
    if question.embedding:
        return "/v1/embeddings", {"model": name, "input": question.prompt}
    system = [{"role": "system", "content": question.system}] if question.system is not None else []
    body: dict[str, Any] = {
        "model": name,
        "messages": [*system, {"role": "user", "content": question.prompt}],
        "max_tokens": question.max_tokens,
        "temperature": 0,
        "stream": question.stream,
    }
    if question.schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": question.schema, "strict": True},
        }
    return "/v1/chat/completions", body


def _read(response: httpx.Response, question: Question, started: float) -> Reply:
    headers = response.headers
    who = {"model": headers.get("X-Paddock-Model", ""), "endpoint": headers.get("X-Paddock-Endpoint", "")}
    if not response.is_success:
        told = response.read().decode(errors="replace")[:300]
        problem = f"the router answered {response.status_code}: {told}"
        seconds = time.monotonic() - started
        return Reply(**who, status=response.status_code, seconds=seconds, problem=problem)
    if question.stream and not question.embedding:
        return _read_stream(response, who, started)
    document = json.loads(response.read())
    seconds = time.monotonic() - started
    if question.embedding:
        vector = cast("list[float]", document["data"][0]["embedding"])
        good = bool(vector) and all(math.isfinite(number) for number in vector) and any(vector)
        text = f"a vector of {len(vector)} numbers" if good else ""
        problem = None if good else "the vector is empty, zero, or of no numbers"
        return Reply(text, **who, seconds=seconds, status=response.status_code, problem=problem)
    choice = document["choices"][0]
    text = choice["message"].get("content") or ""
    return Reply(text, **who, seconds=seconds, status=response.status_code, problem=_ending(choice))


def _read_stream(response: httpx.Response, who: dict[str, str], started: float) -> Reply:
    pieces: list[str] = []
    first: float | None = None
    problem: str | None = "the stream broke off"
    for event in _events(response.iter_lines()):
        if event is None:
            break
        if "error" in event:
            problem = f"the stream ended with an error: {event['error']}"
            break
        for choice in cast("list[dict[str, Any]]", event.get("choices") or []):
            piece = cast("dict[str, Any]", choice.get("delta") or {}).get("content")
            if piece:
                first = time.monotonic() - started if first is None else first
                pieces.append(piece)
            if choice.get("finish_reason"):
                problem = _ending(choice)
    seconds = time.monotonic() - started
    text = "".join(pieces)
    return Reply(text, **who, ttft_seconds=first, seconds=seconds, status=response.status_code, problem=problem)


def _events(lines: Iterator[str]) -> Iterator[dict[str, Any] | None]:
    """A stream's events, and None at its proper end."""
    for line in lines:
        data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
        if data:
            yield None if data == "[DONE]" else json.loads(data)


def _ending(choice: dict[str, Any]) -> str | None:
    reason = choice.get("finish_reason")
    return None if reason in ("stop", "length") else f"it ended with {reason!r}"


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"')
