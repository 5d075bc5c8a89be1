"""Asking a fleet's router, over OpenAI's API. What `ask`, `chat` and the last step of `up` use."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict, cast

import httpx

from agent_runtime.router_auth import UNAUTHORIZED, RouterAuth
from fleet_spec.errors import BadInputError, PaddockError

HTTP_NOT_FOUND = 404
CONNECT_TIMEOUT_SECONDS = 5.0
REPLY_TIMEOUT_SECONDS = 600.0
"""Longest silence while a reply is awaited: a cold model may take minutes to load."""


class RouterUnreachableError(PaddockError):
    """No router answered at the address."""


class ReplyError(PaddockError):
    """The router answered with an error, or the reply broke off."""


class UnknownModelError(BadInputError):
    """The fleet serves no model or alias of that name."""


class KeyRefusedError(BadInputError):
    """The router asks for a key, and none was at hand or the one that was shown is not good."""


class Message(TypedDict):
    """One turn of a conversation."""

    role: str
    content: str


@dataclass(frozen=True)
class Answer:
    """A whole reply."""

    text: str
    model: str
    """What was asked for: a model or an alias."""
    prompt_tokens: int
    completion_tokens: int
    finish_reason: str
    seconds: float

    def to_mapping(self) -> dict[str, Any]:
        """The answer as plain JSON data, camelCase keys."""
        return {
            "text": self.text,
            "model": self.model,
            "promptTokens": self.prompt_tokens,
            "completionTokens": self.completion_tokens,
            "finishReason": self.finish_reason,
            "seconds": round(self.seconds, 3),
        }


@dataclass
class Reply:
    """A reply while it comes: iterate over its pieces of text, then read the rest."""

    model: str
    _events: Generator[dict[str, Any]] = field(repr=False)
    _started_at: float = field(default_factory=time.monotonic, repr=False)
    text: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    finish_reason: str = ""

    def __iter__(self) -> Iterator[str]:
        for event in self._events:
            usage = event.get("usage")
            if usage:
                self.prompt_tokens = int(usage.get("prompt_tokens", 0))
                self.completion_tokens = int(usage.get("completion_tokens", 0))
            for choice in cast("list[dict[str, Any]]", event.get("choices") or []):
                self.finish_reason = choice.get("finish_reason") or self.finish_reason
                delta = cast("dict[str, Any]", choice.get("delta") or {})
                piece: str = delta.get("content") or ""
                if piece:
                    self.text += piece
                    yield piece

    def close(self) -> None:
        """Let the rest go: the connection closes, and the model stops."""
        self._events.close()

    def answer(self) -> Answer:
        """What came, once the pieces have been read."""
        return Answer(
            text=self.text,
            model=self.model,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            finish_reason=self.finish_reason,
            seconds=time.monotonic() - self._started_at,
        )


class ChatClient:
    """Talks to one router."""

    def __init__(
        self,
        openai_url: str,
        *,
        api_key: str | None = None,
        find_key: Callable[[], str | None] | None = None,
        through_proxies: bool = False,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Make a client.

        Args:
            openai_url: The contract's ``router.openai``, such as ``http://127.0.0.1:8080/v1``.
            api_key: What to show to the router.
            find_key: Asked for a key, once, where the router wants one and ``api_key`` is None: looking for one may
                take a while, and a router on loopback wants none.
            through_proxies: Whether the environment's proxies and certificates count.
            transport: Where requests go in a test.
        """
        self._url = openai_url
        auth = RouterAuth(api_key, find_key, statuses=(UNAUTHORIZED,))
        timeout = httpx.Timeout(REPLY_TIMEOUT_SECONDS, connect=CONNECT_TIMEOUT_SECONDS)
        # The environment's proxies are for the world outside; a router that is near is reached directly.
        self._http = httpx.Client(auth=auth, timeout=timeout, transport=transport, trust_env=through_proxies)

    def ask(self, question: str, *, model: str, max_tokens: int, temperature: float = 0.0) -> Answer:
        """Ask one question and wait for the whole answer. Raises what :meth:`stream` raises."""
        messages: list[Message] = [{"role": "user", "content": question}]
        reply = self.stream(messages, model=model, max_tokens=max_tokens, temperature=temperature)
        for _ in reply:
            pass
        return reply.answer()

    def stream(self, messages: Sequence[Message], *, model: str, max_tokens: int, temperature: float = 0.0) -> Reply:
        """Send a conversation; the reply comes in pieces.

        Args:
            messages: The turns so far, the last one the user's.
            model: A model or an alias of the fleet.
            max_tokens: Longest reply, in tokens.
            temperature: 0 gives the likeliest reply.

        Raises:
            RouterUnreachableError: while iterating, nobody answers at the address.
            UnknownModelError: while iterating, the fleet has no such model.
            KeyRefusedError: while iterating, the router wants a key, or another one.
            ReplyError: while iterating, the router reports an error or the reply breaks off.
        """
        body = {
            "model": model,
            "messages": list(messages),
            "max_tokens": max_tokens,
            "temperature": temperature,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return Reply(model, self._events(body))

    def _events(self, body: dict[str, Any]) -> Generator[dict[str, Any]]:
        try:
            with self._http.stream("POST", f"{self._url}/chat/completions", json=body) as response:
                yield from _reply_events(response)
        except httpx.ConnectError as error:
            raise RouterUnreachableError(f"no router answers at {self._url}. fix: paddock up") from error
        except httpx.HTTPError as error:
            raise ReplyError(f"the reply from {self._url} broke off: {error}") from error


def _reply_events(response: httpx.Response) -> Iterator[dict[str, Any]]:
    if not response.is_success:
        response.read()
        raise _error(response)
    yield from _server_sent_events(response.iter_lines())


def _server_sent_events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            return
        event = cast("dict[str, Any]", json.loads(data))
        if "error" in event:
            raise ReplyError(f"the reply ended with an error: {_message(event)}")
        yield event
    raise ReplyError("the reply broke off before its end")


def _error(response: httpx.Response) -> PaddockError:
    try:
        message = _message(cast("dict[str, Any]", response.json()))
    except (ValueError, TypeError, AttributeError):
        message = response.text[:200]
    if response.status_code == HTTP_NOT_FOUND:
        return UnknownModelError(message)
    if response.status_code == UNAUTHORIZED:
        return KeyRefusedError(f"the router wants a key: {message}. fix: export PADDOCK_API_KEY with one that it knows")
    return ReplyError(f"the router answered {response.status_code}: {message}")


def _message(document: dict[str, Any]) -> str:
    error = document.get("error")
    return str(error.get("message")) if isinstance(error, dict) else str(error)  # pyright: ignore
