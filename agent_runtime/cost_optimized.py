"""Completions at the least cost, over a running router, which does the choosing.

The router tries the fleet, then your own cloud, then a commercial API, within the month's budget; this is its door for
Python. It keeps nothing: what was spent is the router's to remember, over restarts and for all of its clients.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import httpx

from agent_runtime.authorization import KEY_VARIABLE, authorization
from fleet_spec.contract import FleetContract
from fleet_spec.errors import BadInputError, PaddockError
from fleet_spec.governance_spec import Priority

COSTS_PATH = "/api/paddock/costs"
_CONNECT_TIMEOUT_SECONDS = 5.0
_REPLY_TIMEOUT_SECONDS = 600.0
_T = TypeVar("_T")


class CompletionError(PaddockError):
    """The router answered with an error, or not at all."""

    def __init__(self, message: str, *, status: int | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        """HTTP's, None where nobody answered."""
        self.code = code
        """The router's, such as ``budget_exceeded``."""


class BudgetExceededError(CompletionError):
    """What may be spent this month is spent."""


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer, and what the router says of how it came about."""

    text: str
    model: str
    """The fleet's model that answered."""
    tier: str | None
    """``local``, ``cloud`` or ``commercial``."""
    reason: str | None
    """Why the router chose that tier."""
    prompt_tokens: int
    completion_tokens: int
    usd: float | None
    """What it cost, where the router knew it before it answered. The report has it always."""
    cached: bool
    """Whether it is an answer that was given before, and so cost nothing."""
    finish_reason: str
    seconds: float


class CostOptimizedLLMService:
    """Asks a router. Use as an async context manager, or ``close`` it in the end.

    ``get_completion`` and ``get_cost_report`` are coroutines; ``complete`` and ``cost_report`` are the same for code
    that is none.
    """

    def __init__(
        self,
        router: str | FleetContract,
        *,
        api_key: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Make a service.

        Args:
            router: the router's address, such as ``http://127.0.0.1:8080``, or the fleet's contract.
            api_key: a key of the router's; the environment's PADDOCK_API_KEY by default. The cost report needs the
                scope ``metrics``.
            transport: where requests go in a test.

        Raises:
            BadInputError: the address is none.
        """
        url = router.router.url if isinstance(router, FleetContract) else router
        if not url.startswith(("http://", "https://")):
            raise BadInputError(f"the router's address {url!r} is none. fix: such as http://127.0.0.1:8080")
        self.url = url.rstrip("/").removesuffix("/v1")
        key = api_key or os.environ.get(KEY_VARIABLE)
        self._headers = authorization(key)
        self._transport = transport
        self._client = self._new_client()

    async def get_completion(
        self,
        prompt: str,
        model: str = "default",
        max_tokens: int = 1000,
        priority: Priority = "normal",
        *,
        temperature: float | None = None,
        private: bool = False,
    ) -> Completion:
        """Ask for an answer, wherever it is had at the least cost.

        Args:
            prompt: the question.
            model: a model or alias of the fleet.
            max_tokens: the longest answer.
            priority: ``high`` may use the commercial tier past the budget's soft limit, as far as the key allows.
            temperature: 0 gives the likeliest answer, which the router may keep for the next who asks.
            private: whether the prompt must not leave the fleet, whatever the router's detectors say.

        Raises:
            BudgetExceededError: no tier may be used that could answer, for want of money.
            CompletionError: the router answered with an error, or cannot be reached.
        """
        return await self._complete(
            self._client, _body(prompt, model, max_tokens, temperature), _wishes(priority, private=private)
        )

    async def get_cost_report(self, since: str | None = None, until: str | None = None) -> dict[str, Any]:
        """What was spent on what: see :func:`agent_runtime.router.money.report.cost_report`.

        Args:
            since: the first day, such as ``2026-11-01``; the router's default is the first of this month.
            until: the last day; today by default.

        Raises:
            CompletionError: the router answered with an error, or cannot be reached.
        """
        return await self._report(self._client, since, until)

    def complete(
        self,
        prompt: str,
        model: str = "default",
        max_tokens: int = 1000,
        priority: Priority = "normal",
        *,
        temperature: float | None = None,
        private: bool = False,
    ) -> Completion:
        """:meth:`get_completion` for code that is no coroutine."""

        async def ask() -> Completion:
            async with self._new_client() as client:
                return await self._complete(
                    client, _body(prompt, model, max_tokens, temperature), _wishes(priority, private=private)
                )

        return _run(ask())

    def cost_report(self, since: str | None = None, until: str | None = None) -> dict[str, Any]:
        """:meth:`get_cost_report` for code that is no coroutine."""

        async def ask() -> dict[str, Any]:
            async with self._new_client() as client:
                return await self._report(client, since, until)

        return _run(ask())

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _new_client(self) -> httpx.AsyncClient:
        timeout = httpx.Timeout(_REPLY_TIMEOUT_SECONDS, connect=_CONNECT_TIMEOUT_SECONDS)
        return httpx.AsyncClient(
            base_url=self.url, headers=self._headers, timeout=timeout, transport=self._transport, trust_env=False
        )

    async def _complete(
        self, client: httpx.AsyncClient, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Completion:
        started = time.monotonic()
        response = await self._send(client, "POST", "/v1/chat/completions", json=body, headers=headers)
        document = _decoded(response)
        try:
            choice = document["choices"][0]
            text: str = choice["message"].get("content") or ""
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise CompletionError(f"what answers at {self.url} is no chat model: {response.text[:200]}") from error
        usage = cast("dict[str, int]", document.get("usage") or {})
        usd = response.headers.get("X-Paddock-Cost-Usd")
        return Completion(
            text=text,
            model=response.headers.get("X-Paddock-Model") or str(document.get("model", "")),
            tier=response.headers.get("X-Paddock-Tier"),
            reason=response.headers.get("X-Paddock-Reason"),
            prompt_tokens=usage.get("prompt_tokens", 0),
            completion_tokens=usage.get("completion_tokens", 0),
            usd=None if usd is None else float(usd),
            cached=response.headers.get("X-Paddock-Cache") == "hit",
            finish_reason=choice.get("finish_reason") or "",
            seconds=time.monotonic() - started,
        )

    async def _report(self, client: httpx.AsyncClient, since: str | None, until: str | None) -> dict[str, Any]:
        asked = {name: day for name, day in (("from", since), ("to", until)) if day is not None}
        return _decoded(await self._send(client, "GET", COSTS_PATH, params=asked))

    async def _send(self, client: httpx.AsyncClient, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            response = await client.request(method, path, **more)
        except httpx.HTTPError as error:
            problem = str(error) or type(error).__name__
            raise CompletionError(f"no answer from the router at {self.url}: {problem}. fix: paddock up") from error
        if not response.is_success:
            raise _refusal(response)
        return response


def _body(prompt: str, model: str, max_tokens: int, temperature: float | None) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": max_tokens,
    }
    if temperature is not None:
        body["temperature"] = temperature
    return body


def _wishes(priority: Priority, *, private: bool) -> dict[str, str]:
    wishes = {"X-Paddock-Priority": priority}
    if private:
        wishes["X-Paddock-Privacy"] = "private"
    return wishes


def _decoded(response: httpx.Response) -> dict[str, Any]:
    try:
        document: object = response.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise CompletionError(f"what answers at {response.url} is no router of Paddock")
    return cast("dict[str, Any]", document)


def _refusal(response: httpx.Response) -> CompletionError:
    try:
        error = cast("dict[str, Any]", response.json())["error"]
        message, code = str(error["message"]), error.get("code")
    except (ValueError, KeyError, TypeError, AttributeError):
        message, code = response.text[:200], None
    text = f"the router answered {response.status_code}: {message}"
    kind = BudgetExceededError if code == "budget_exceeded" else CompletionError
    return kind(text, status=response.status_code, code=code)


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    work.close()
    raise BadInputError("this is a coroutine's event loop. fix: await get_completion or get_cost_report here")
