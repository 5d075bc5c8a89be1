"""Puts one level of load on a server and measures each request.

A closed loop has so many clients, each of which asks again when it has its answer: it shows what a server computes at
most, and slows down with it. An open loop sends when a request is due, however slow the server is, as independent
people do; latencies count from when a request was due, so that a stall is seen in every request that it would have
hit, and not in one alone (coordinated omission).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from agent_runtime.benchmark.dialects import PATHS, Dialect, Reply, read_reply, request_body
from agent_runtime.benchmark.generator_health import HealthWatch
from agent_runtime.benchmark.http_stream import Clock, Exchange, Failure, StreamClient
from agent_runtime.benchmark.prompts import PromptOrder
from agent_runtime.benchmark.sample import Level, Sample, sample_of
from agent_runtime.benchmark.settings import Load, Settings

GIVE_UP_AFTER: Final = 10
"""So many failures in a row, and the server is taken for gone. A refusal because of a rate limit is none."""
MOST_AT_ONCE: Final = 900
"""Requests that an open loop has under way at most: a process may open 1,024 files on many machines."""
_RATE_LIMITED: Final = "http_429"


@dataclass(frozen=True)
class Asking:
    """How a model is asked."""

    dialect: Dialect
    model: str
    """What the server calls it."""
    max_tokens: int
    seed: int
    ignore_eos: bool


class Generator:
    """Sends requests for one model to one server."""

    def __init__(
        self,
        client: StreamClient,
        asking: Asking,
        prompts: PromptOrder,
        clock: Clock,
        on_sample: Callable[[Level], None] = lambda _: None,
    ) -> None:
        """Make a generator.

        Args:
            client: Where requests go.
            asking: How the model is asked.
            prompts: What is asked.
            clock: The one that ``client`` has.
            on_sample: Called after each request of a level.
        """
        self._client = client
        self._asking = asking
        self._prompts = prompts
        self._clock = clock
        self._on_sample = on_sample
        self._failures = 0

    async def one(self) -> Sample:
        """One request by itself."""
        return await self._request()

    async def run(self, level: Level, settings: Settings) -> None:
        """Run a level. What was measured is in ``level`` at any time, also where this is cancelled."""
        self._failures = 0
        async with HealthWatch(self._clock) as watch:
            if level.load.open:
                await self._open_loop(level, settings)
            else:
                await self._closed_loop(level, settings)
        level.health = watch.health
        level.whole = level.problem is None

    async def _closed_loop(self, level: Level, settings: Settings) -> None:
        requests = settings.requests_of(level.load)
        left = iter(range(requests)) if requests is not None else iter(int, 1)
        began = self._clock()

        async def client() -> None:
            for _ in left:
                if level.problem is not None or _is_over(self._clock() - began, settings):
                    return
                self._take(level, await self._request())

        async with asyncio.TaskGroup() as group:
            for _ in range(round(level.load.value)):
                group.create_task(client())

    async def _open_loop(self, level: Level, settings: Settings) -> None:
        running: set[asyncio.Task[None]] = set()
        began = self._clock()

        async def ask(due: float) -> None:
            self._take(level, await self._request(due))

        async with asyncio.TaskGroup() as group:
            for after_seconds in arrivals(level.load, settings):
                due = began + after_seconds
                wait = due - self._clock()
                if wait > 0:
                    await asyncio.sleep(wait)
                if level.problem is not None:
                    return
                if len(running) >= MOST_AT_ONCE:
                    self._take(level, _not_sent(due, self._clock()))
                    continue
                task = group.create_task(ask(due))
                running.add(task)
                task.add_done_callback(running.discard)

    async def _request(self, due: float | None = None) -> Sample:
        asking = self._asking
        body = request_body(
            asking.dialect,
            asking.model,
            self._prompts.take(),
            max_tokens=asking.max_tokens,
            seed=asking.seed,
            ignore_eos=asking.ignore_eos,
        )
        exchange = await self._client.post(PATHS[asking.dialect], body)
        return sample_of(exchange, read_reply(asking.dialect, exchange), due)

    def _take(self, level: Level, sample: Sample) -> None:
        level.samples.append(sample)
        failure = sample.failure
        if failure is None:
            self._failures = 0
        elif failure.kind != _RATE_LIMITED:
            self._failures += 1
            if self._failures >= GIVE_UP_AFTER and level.problem is None:
                level.problem = (
                    f"given up after {len(level.samples)} requests, the last {GIVE_UP_AFTER} of which failed: "
                    f"{failure.kind}: {failure.detail}"
                )
        self._on_sample(level)


def arrivals(load: Load, settings: Settings) -> Iterator[float]:
    """When the requests of an open loop are due, in seconds from its begin.

    Evenly, or as a Poisson process: with gaps from an exponential distribution, drawn with the settings' seed.
    """
    requests = settings.requests_of(load)
    chance = random.Random(settings.seed)  # noqa: S311 - a load, not a secret
    due, sent = 0.0, 0
    while (requests is None or sent < requests) and not _is_over(due, settings):
        yield due
        sent += 1
        due = sent / load.value if load.kind == "constant" else due + chance.expovariate(load.value)


def _is_over(elapsed_seconds: float, settings: Settings) -> bool:
    return settings.duration_seconds is not None and elapsed_seconds >= settings.duration_seconds


def _not_sent(due: float, now: float) -> Sample:
    failure = Failure("not_sent", f"{MOST_AT_ONCE} requests were under way, more than which the generator has none")
    exchange = Exchange(sent_at=now, ended_at=now, failure=failure)
    return sample_of(exchange, Reply(failure=failure), due)
