"""Rate limits of keys: how many requests and tokens a minute may bring.

A request is counted when it comes, together with a low estimate of its tokens (those of the prompt), and is
refused where either does not fit. When it has ended, what it used beyond the estimate is counted as well,
whether it fits or not: the next requests wait for it. Nothing is given back where it used less.

Counts are kept in memory for one router, in a file for several workers of one machine, in Valkey or Redis for
routers on several. Where these cannot be reached, each router counts for itself, so that a key may have its
limit at every one of them for a while, and says so.
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from agent_runtime.router.access.caller import Caller
from agent_runtime.router.access.local_windows import FileWindows, LocalWindows, MemoryWindows
from agent_runtime.router.access.shared_windows import SharedWindows, SharedWindowsError
from agent_runtime.router.access.window import Taken, Want, Window
from agent_runtime.router.dialects.errors import RequestError
from agent_runtime.router.log import Log
from fleet_spec.errors import BadInputError

REST_SECONDS: Final = 5.0
"""How long a shared store that failed is left alone."""

_Unit = Literal["requests", "tokens"]


@dataclass(frozen=True, slots=True)
class Passage:
    """A request that was let through. Give it back with :meth:`RateLimits.settle` when the request has ended."""

    headers: dict[str, str] = field(default_factory=dict[str, str])
    """For the answer: OpenAI's ``x-ratelimit-`` headers."""
    tokens_key: str = ""
    """Under what its tokens are counted; empty where they are not."""
    counted_tokens: int = 0
    """How many are counted already."""


FREE: Final = Passage()
"""The passage of a caller without limits."""


class RateLimits:
    """Counts requests and tokens of callers that have limits. :meth:`open` chooses where.

    Args:
        log: is told when a store fails and when it is back.
        local: where counts are kept that can be had at once; in memory by default.
        shared: where they are kept for routers on several machines.
        now: seconds since 1970.
    """

    def __init__(
        self,
        log: Log,
        *,
        local: LocalWindows | None = None,
        shared: SharedWindows | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.problem: str | None = None
        """Why each router counts for itself at present."""
        self._log = log
        self._now = now
        self._shared = shared
        self._memory = MemoryWindows(now)
        self._local = local or self._memory
        self._rest_until = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    def open(
        cls,
        log: Log,
        *,
        stack: str,
        valkey_url: str | None = None,
        valkey_password: str | None = None,
        shared_file: Path | None = None,
    ) -> RateLimits:
        """Rate limits in Valkey where there is one, else in a file where workers share one, else in memory.

        Raises:
            BadInputError: the address cannot be used, or the file.
        """
        if valkey_url is not None:
            return cls(log, shared=SharedWindows(valkey_url, valkey_password, stack))
        if shared_file is None:
            return cls(log)
        try:
            return cls(log, local=FileWindows(shared_file))
        except (OSError, sqlite3.Error) as error:
            raise BadInputError(
                f"cannot count requests in {shared_file}: {error}. Remove the file if it is there; it holds a minute's "
                "counts and nothing else."
            ) from error

    @property
    def waits(self) -> bool:
        """Whether a request has to wait for its counts: then call :meth:`admit`, else :meth:`admit_now`."""
        return self._shared is not None

    def admit_now(self, caller: Caller, estimated_tokens: int = 0) -> Passage:
        """Count a request by what this machine knows.

        Args:
            caller: who asks.
            estimated_tokens: what its prompt has at least.

        Raises:
            RequestError: 429, a limit is used up.
        """
        if not caller.limited:
            return FREE
        wants = _wants(caller, estimated_tokens)
        return _passage(caller, wants, self._take_here(wants))

    async def admit(self, caller: Caller, estimated_tokens: int = 0) -> Passage:
        """Count a request among those of all routers. Takes and raises what :meth:`admit_now` does."""
        if not caller.limited:
            return FREE
        wants = _wants(caller, estimated_tokens)
        if self._shared is not None and self._now() >= self._rest_until:
            try:
                taken = await self._shared.take(wants)
            except SharedWindowsError as error:
                self._failed(f"Valkey does not answer: {error}")
            else:
                self._worked()
                return _passage(caller, wants, taken)
        return _passage(caller, wants, self._take_here(wants))

    def settle(self, passage: Passage, tokens: int) -> None:
        """A request has ended that used so many tokens, prompt and answer together. Never raises."""
        beyond = tokens - passage.counted_tokens
        if not passage.tokens_key or beyond <= 0:
            return
        if self._shared is not None and self._now() >= self._rest_until:
            task = asyncio.ensure_future(self._add_there(self._shared, passage.tokens_key, beyond))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._add_here(passage.tokens_key, beyond)

    async def close(self) -> None:
        """Write what is still to be counted, and let go of the store."""
        await asyncio.gather(*self._tasks)
        self._local.close()
        if self._shared is not None:
            await self._shared.close()

    def _take_here(self, wants: tuple[Want, ...]) -> Taken:
        if self._local is not self._memory and self._now() >= self._rest_until:
            try:
                taken = self._local.take(wants)
            except sqlite3.Error as error:
                self._failed(f"the file that workers share cannot be used: {error}")
            else:
                self._worked()
                return taken
        return self._memory.take(wants)

    def _add_here(self, key: str, cost: int) -> None:
        if self._local is not self._memory and self._now() >= self._rest_until:
            try:
                self._local.add(key, cost)
            except sqlite3.Error as error:
                self._failed(f"the file that workers share cannot be used: {error}")
            else:
                return
        self._memory.add(key, cost)

    async def _add_there(self, shared: SharedWindows, key: str, cost: int) -> None:
        try:
            await shared.add(key, cost)
        except SharedWindowsError as error:
            self._failed(f"Valkey does not answer: {error}")
            self._memory.add(key, cost)

    def _failed(self, problem: str) -> None:
        self._rest_until = self._now() + REST_SECONDS
        if self.problem is None:
            self._log.event("rate_limits_apart", level="warning", problem=problem)
        self.problem = problem

    def _worked(self) -> None:
        if self.problem is not None:
            self.problem = None
            self._log.event("rate_limits_shared")


def _wants(caller: Caller, estimated_tokens: int) -> tuple[Want, ...]:
    wants: list[Want] = []
    if caller.requests_per_minute is not None:
        wants.append(Want(f"{caller.name}/requests", caller.requests_per_minute, 1))
    if caller.tokens_per_minute is not None:
        # At least one, so that a limit that is used up refuses whatever the estimate.
        wants.append(Want(f"{caller.name}/tokens", caller.tokens_per_minute, max(1, estimated_tokens)))
    return tuple(wants)


def _passage(caller: Caller, wants: tuple[Want, ...], taken: Taken) -> Passage:
    """What a counted request gets.

    Raises:
        RequestError: 429, it did not fit.
    """
    headers: dict[str, str] = {}
    for want, window in zip(wants, taken.windows, strict=True):
        headers |= _headers(want, window)
    if taken.refused is not None:
        raise _refusal(caller, wants[taken.refused], taken.windows[taken.refused], headers)
    last = wants[-1]
    if _unit(last) == "tokens":
        return Passage(headers, last.key, last.cost)
    return Passage(headers)


def _refusal(caller: Caller, want: Want, window: Window, headers: dict[str, str]) -> RequestError:
    limit = f"{want.limit} {_unit(want)} a minute of the key {caller.name!r}"
    seconds = window.wait_seconds(want.limit, want.cost)
    if math.isinf(seconds):
        error = RequestError(
            429,
            f"this request has about {want.cost} tokens, more than the {limit}: make it shorter",
            code="rate_limit_exceeded",
        )
        # What OpenAI's own clients go by: the same request can never succeed.
        error.headers = {**headers, "x-should-retry": "false"}
        return error
    retry_after = max(1, math.ceil(seconds))
    error = RequestError(429, f"the {limit} are used up; try again in {retry_after} s", code="rate_limit_exceeded")
    error.headers = {"Retry-After": str(retry_after), **headers}
    return error


def _headers(want: Want, window: Window) -> dict[str, str]:
    unit = _unit(want)
    return {
        f"x-ratelimit-limit-{unit}": str(want.limit),
        f"x-ratelimit-remaining-{unit}": str(max(0, want.limit - window.used())),
        f"x-ratelimit-reset-{unit}": f"{math.ceil(window.empty_seconds())}s",
    }


def _unit(want: Want) -> _Unit:
    return "tokens" if want.key.endswith("/tokens") else "requests"
