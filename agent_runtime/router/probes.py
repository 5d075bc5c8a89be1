"""Small requests of the router's own: is an endpoint well, and what does it hold?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from agent_runtime.router.accounts import Account
from agent_runtime.router.fleet_state import EndpointState
from agent_runtime.router.http_head import ReplyHead, parse_reply_head
from agent_runtime.router.limits import Limits
from agent_runtime.router.pool import connect, describe, take_idle
from fleet_spec.contract import EngineName

_HEALTH_PATHS: dict[EngineName, str] = {
    "ollama": "/api/version",
    "llamacpp": "/health",
    "vllm": "/health",
    "openai": "/v1/models",
}


_PROBES_AT_ONCE: Final = 256
"""In a fleet of thousands not all are asked at the same moment; those that are left have their turn at the next."""


class _Fetch:
    """Waits for one small answer."""

    unframe = True

    def __init__(self, answer: asyncio.Future[tuple[int, bytes]]) -> None:
        self._answer = answer
        self._status = 0
        self._body: list[bytes] = []

    def read_head(self, raw: bytes) -> ReplyHead:
        return parse_reply_head(raw)

    def on_reply_head(self, head: ReplyHead) -> _Fetch:
        self._status = head.status
        return self

    def write(self, data: bytes) -> None:
        self._body.append(data)

    def on_reply_end(self) -> None:
        if not self._answer.done():
            self._answer.set_result((self._status, b"".join(self._body)))

    def on_reply_lost(self, kind: str, problem: str) -> None:
        if not self._answer.done():
            self._answer.set_exception(ConnectionError(f"{kind}: it {problem}"))


async def fetch(endpoint: EndpointState, path: str, timeout_seconds: float) -> tuple[int, bytes]:
    """GET something small from a model server: status and body.

    Raises:
        OSError: it could not be reached, broke off, or did not answer in time.
    """
    async with asyncio.timeout(timeout_seconds):
        connection = take_idle(endpoint) or await connect(endpoint, timeout_seconds)
        answer: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        handler = _Fetch(answer)
        connection.ask(b"GET", path, b"", handler)
        try:
            return await answer
        finally:
            if connection.handler is handler:
                connection.abandon()


class Prober:
    """Keeps up with the endpoints' health: those that are down often, the others seldom."""

    def __init__(self, account: Account, limits: Limits) -> None:
        self._account = account
        self._limits = limits
        self._running: dict[EndpointState, asyncio.Task[None]] = {}

    def tick(self, endpoints: Iterable[EndpointState], now: float) -> None:
        """Start the checks that are due."""
        for endpoint in endpoints:
            if now >= endpoint.next_probe and endpoint.probed and endpoint not in self._running:
                if len(self._running) >= _PROBES_AT_ONCE:
                    return
                pause = self._limits.probe_idle_seconds if endpoint.health == "up" else self._limits.probe_seconds
                endpoint.next_probe = now + pause
                self._running[endpoint] = asyncio.get_running_loop().create_task(self._probe(endpoint))

    async def _probe(self, endpoint: EndpointState) -> None:
        try:
            status, _ = await fetch(endpoint, _HEALTH_PATHS[endpoint.engine], self._limits.probe_answer_seconds)
        except TimeoutError as error:
            # A server that computes may be slow to answer: that alone does not take it out of service.
            if endpoint.health != "up":
                self._account.endpoint_failed(endpoint, describe(error))
        except OSError as error:
            self._account.endpoint_failed(endpoint, describe(error))
        else:
            if status < 500 and (status < 400 or endpoint.engine == "openai"):
                self._account.endpoint_answered(endpoint)
            else:
                self._account.endpoint_failed(endpoint, f"its health check answers {status}")
        finally:
            self._running.pop(endpoint, None)

    async def stop(self) -> None:
        """Give the running checks up."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
