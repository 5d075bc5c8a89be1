"""Runs a benchmark: model after model, load after load. What fails is written down, and the rest goes on."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import httpx

from agent_runtime.benchmark.formulas import FORMULAS
from agent_runtime.benchmark.generator import Asking, Generator
from agent_runtime.benchmark.http_stream import Clock, StreamClient
from agent_runtime.benchmark.memory import MemoryUse, MemoryWatch, unload
from agent_runtime.benchmark.prompts import Prompt, PromptOrder
from agent_runtime.benchmark.sample import Level, Sample, Status
from agent_runtime.benchmark.settings import Settings
from agent_runtime.benchmark.summary import knee_of, level_document, sample_document
from agent_runtime.benchmark.target import Target

DOCUMENT_VERSION: Final = 1
DOCUMENT_KIND: Final = "paddock-benchmark"
Progress = Callable[[str], None]


@dataclass
class ModelResult:
    """What was measured of one model, while it is and afterwards."""

    target: Target
    first: Sample | None = None
    """The first request, which may have found the model cold."""
    was_unloaded: bool = False
    """Whether the model was unloaded before it."""
    warmup: list[Sample] = field(default_factory=list[Sample])
    levels: list[Level] = field(default_factory=list[Level])
    memory: MemoryUse = field(default_factory=MemoryUse)
    problem: str | None = None
    """Why something is missing."""
    done: bool = False

    @property
    def status(self) -> Status:
        """How much of what was asked for there is."""
        if not any(level.good for level in self.levels):
            return "failed"
        whole = self.done and self.problem is None and all(level.status == "complete" for level in self.levels)
        return "complete" if whole else "partial"

    def document(self, settings: Settings) -> dict[str, Any]:
        """The result as plain data."""
        target = self.target
        levels = [level_document(level, target, settings.limits) for level in self.levels]
        return {
            "name": target.name,
            "model": target.model,
            "engine": target.engine,
            "tier": target.tier,
            "url": target.url,
            "dialect": target.dialect,
            "status": self.status,
            "problem": self.problem,
            "fixedLength": _fixed_length(target, settings),
            "first": None
            if self.first is None
            else {**sample_document(self.first), "unloadedBefore": self.was_unloaded},
            "warmup": [sample_document(sample) for sample in self.warmup],
            "memory": {
                "engineSizeBytes": self.memory.engine_size_bytes,
                "engineVramBytes": self.memory.engine_vram_bytes,
                "rssPeakBytes": self.memory.rss_peak_bytes,
            },
            "usdPerHour": target.usd_per_hour,
            "price": None if target.price is None else target.price.source,
            "knee": knee_of(levels),
            "levels": levels,
        }


@dataclass
class Results:
    """All of a benchmark, while it runs and afterwards: whatever stops it, what was measured is here."""

    settings: Settings
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    models: list[ModelResult] = field(default_factory=list[ModelResult])
    interrupted: bool = False

    @property
    def complete(self) -> bool:
        """Whether all that was asked for was measured."""
        return not self.interrupted and all(model.status == "complete" for model in self.models)

    def document(self) -> dict[str, Any]:
        """The results as plain data, as they are written to a file."""
        settings = self.settings
        return {
            "kind": DOCUMENT_KIND,
            "version": DOCUMENT_VERSION,
            "startedAt": self.started_at.isoformat(timespec="seconds"),
            "complete": self.complete,
            "interrupted": self.interrupted,
            "machine": f"Python {platform.python_version()}, {platform.machine()}",
            "settings": {
                "requests": settings.requests,
                "durationSeconds": settings.duration_seconds,
                "maxTokens": settings.max_tokens,
                "uniquePrompts": settings.unique_prompts,
                "seed": settings.seed,
                "limits": {_camel(name): value for name, value in asdict(settings.limits).items() if value is not None},
                "timeoutSeconds": settings.timeout_seconds,
            },
            "models": [model.document(settings) for model in self.models],
            "formulas": FORMULAS,
        }


class BenchmarkRun:
    """Measures models one after the other."""

    def __init__(
        self,
        settings: Settings,
        prompts: Sequence[Prompt],
        *,
        progress: Progress = lambda _: None,
        pids: Mapping[int, int] | None = None,
        clock: Clock = time.perf_counter,
        client_for: Callable[[Target], StreamClient] | None = None,
    ) -> None:
        """Prepare a run; nothing is sent.

        Args:
            settings: What is done.
            prompts: What is asked.
            progress: Told in a line what is being done, often.
            pids: Processes of model servers on this machine: port -> process id. Others are looked for by their port.
            clock: What times are read from.
            client_for: Makes the client for a target, with the same clock; by default over the network.
        """
        self._settings = settings
        self._prompts = prompts
        self._progress = progress
        self._pids = pids or {}
        self._clock = clock
        self._client_for = client_for or self._client
        self.results = Results(settings)

    async def measure(self, targets: Sequence[Target]) -> Results:
        """Measure every target. What fails is in the results; where this is cancelled, they hold what there is."""
        for target in targets:
            result = ModelResult(target)
            self.results.models.append(result)
            with closing(self._client_for(target)) as client:
                watch = MemoryWatch(target, self._pids)
                try:
                    async with watch:
                        await self._measure(result, client, watch)
                finally:
                    result.memory = watch.use
        return self.results

    async def _measure(self, result: ModelResult, client: StreamClient, watch: MemoryWatch) -> None:
        target, settings = result.target, self._settings
        asking = Asking(
            target.dialect, target.asked, settings.max_tokens, settings.seed, _fixed_length(target, settings)
        )
        # Each model is asked the same, in the same order.
        order = PromptOrder(self._prompts, settings.seed, unique=settings.unique_prompts)
        generator = Generator(client, asking, order, self._clock, lambda level: self._tell(target, level))
        if settings.unload_first and not await self._unload(result):
            return
        self._progress(f"{target.name}: first request")
        result.first = await generator.one()
        if result.first.failure is not None:
            result.problem = f"the first request failed: {result.first.failure.kind}: {result.first.failure.detail}"
            return
        self._progress(f"{target.name}: warming up")
        for _ in range(settings.warmup_requests):
            result.warmup.append(await generator.one())
        for load in settings.loads:
            await watch.refresh()
            level = Level(load)
            result.levels.append(level)
            await generator.run(level, settings)
            if level.problem is not None:
                result.problem = level.problem
                return
        result.done = True

    async def _unload(self, result: ModelResult) -> bool:
        target = result.target
        if target.engine != "ollama" or not target.replica_urls:
            result.problem = "only a model on an Ollama server that is reached from here can be unloaded first"
            return False
        try:
            await unload(target)
        except httpx.HTTPError as error:
            result.problem = f"the model could not be unloaded: {error}"
            return False
        result.was_unloaded = True
        return True

    def _tell(self, target: Target, level: Level) -> None:
        requests = self._settings.requests_of(level.load)
        of = "" if requests is None else f" of {requests}"
        failed = len(level.samples) - len(level.good)
        self._progress(
            f"{target.name}, {level.load}: {len(level.samples)}{of} requests" + (f", {failed} failed" if failed else "")
        )

    def _client(self, target: Target) -> StreamClient:
        return StreamClient(
            target.url, target.headers, timeout_seconds=self._settings.timeout_seconds, clock=self._clock
        )


def _fixed_length(target: Target, settings: Settings) -> bool:
    wanted = settings.ignore_eos
    return target.takes_fixed_length if wanted is None else wanted


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)
