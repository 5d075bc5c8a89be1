"""Whether the load generator itself was the bottleneck: its event loop's lag, and its share of a processor."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from agent_runtime.benchmark.http_stream import Clock
from agent_runtime.benchmark.quantiles import quantile

_LOOK_SECONDS: Final = 0.02
LAG_LIMIT_SECONDS: Final = 0.02
"""The 99th percentile of the lag from which on times are not to be trusted to better than this."""
CPU_SHARE_LIMIT: Final = 0.8
"""The share of one processor from which on more load is not to be had from one generator."""


@dataclass(frozen=True)
class GeneratorHealth:
    """How the generator was while a level ran."""

    elapsed_seconds: float
    cpu_seconds: float
    """The processor's time that this process used, of all that it did."""
    lag_p50_seconds: float
    """How much later than asked for the event loop woke."""
    lag_p99_seconds: float
    lag_max_seconds: float

    @property
    def cpu_share(self) -> float:
        """Of one processor."""
        return self.cpu_seconds / self.elapsed_seconds if self.elapsed_seconds > 0 else 0.0

    @property
    def why_saturated(self) -> str | None:
        """Why the numbers may be the generator's and not the server's; None where it kept up."""
        if self.cpu_share > CPU_SHARE_LIMIT:
            return (
                f"the generator used {self.cpu_share:.0%} of a processor (limit {CPU_SHARE_LIMIT:.0%}): "
                "run several, or on another machine"
            )
        if self.lag_p99_seconds > LAG_LIMIT_SECONDS:
            return (
                f"the generator woke up to {self.lag_p99_seconds * 1000:.0f} ms late (p99, limit "
                f"{LAG_LIMIT_SECONDS * 1000:.0f} ms): give it a processor of its own"
            )
        return None


class HealthWatch:
    """Watches the generator while its block runs; :attr:`health` says how it was."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lags: list[float] = []
        self._task: asyncio.Task[None] | None = None
        self._began = self._cpu_began = 0.0
        self.health: GeneratorHealth | None = None

    async def __aenter__(self) -> Self:
        self._began, self._cpu_began = self._clock(), time.process_time()
        self._task = asyncio.create_task(self._look())
        return self

    async def _look(self) -> None:
        while True:
            began = self._clock()
            await asyncio.sleep(_LOOK_SECONDS)
            self._lags.append(max(self._clock() - began - _LOOK_SECONDS, 0.0))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None  # noqa: S101 - entering made it
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        lags = sorted(self._lags) or [0.0]
        self.health = GeneratorHealth(
            elapsed_seconds=self._clock() - self._began,
            cpu_seconds=time.process_time() - self._cpu_began,
            lag_p50_seconds=quantile(lags, 0.5),
            lag_p99_seconds=quantile(lags, 0.99),
            lag_max_seconds=lags[-1],
        )
