"""The load that candidates are measured under: requests at once, and how long their prompts and answers are."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import random
import time
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import psutil

from agent_runtime.benchmark.dialects import Dialect
from agent_runtime.benchmark.generator import Asking, Generator
from agent_runtime.benchmark.http_stream import StreamClient
from agent_runtime.benchmark.prompts import Prompt, PromptOrder
from agent_runtime.benchmark.sample import Level
from agent_runtime.benchmark.settings import Load, Settings
from cli.tuning.race import Burst
from cli.tuning.servers import Server

_WORDS: Final = (
    *("river", "stone", "window", "paper", "morning", "garden", "letter", "bridge", "market", "winter", "signal"),
    *("orange", "pocket", "silver", "thunder", "village", "whistle", "yellow", "anchor", "basket", "candle"),
)
_TOKENS_OF_A_WORD: Final = 1.15
"""With its space before it, in the vocabularies of common models. The engine's own count is what is reported."""
_TIMEOUT_SECONDS: Final = 600.0
_PROBE_SECONDS: Final = 5.0


@dataclass(frozen=True)
class Asked:
    """How a server is asked."""

    dialect: Dialect
    """``openai`` for llama.cpp, whose answers have then all the same length; ``ollama`` for Ollama."""
    model: str
    """What the server calls it."""


@dataclass(frozen=True)
class Workload:
    """What is asked."""

    concurrency: int
    prompt_tokens: int
    answer_tokens: int
    waves: int = 2
    """Requests of each client in one burst."""
    seed: int = 1

    @property
    def requests(self) -> int:
        """Requests of one burst."""
        return self.concurrency * self.waves

    def prompts(self) -> list[Prompt]:
        """Prompts of about the length, of words by chance."""
        chance = random.Random(self.seed)  # noqa: S311 - a load, not a secret
        count = max(1, round(self.prompt_tokens / _TOKENS_OF_A_WORD))
        return [
            Prompt(({"role": "user", "content": " ".join(chance.choices(_WORDS, k=count))},))
            for _ in range(self.requests)
        ]


def answers(port: int, path: str) -> bool:
    """Whether a server answers 200 at a path."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PROBE_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def burst(server: Server, asked: Asked, workload: Workload, give_up_seconds: float | None = None) -> Burst | str:
    """Load a server once and measure it, or say why that failed.

    Args:
        server: Which one.
        asked: How it is asked.
        workload: The load.
        give_up_seconds: When a burst is cut short. Its figures are then the best that it could have reached: all of
            its tokens by then, so that a comparison never makes a slow candidate slower than it is.
    """
    busy, own, began = _busy_seconds(), _own_seconds(server), time.monotonic()
    level = asyncio.run(_run(server.port, asked, workload, give_up_seconds))
    seconds = time.monotonic() - began
    failed = [sample.failure for sample in level.samples if sample.failure is not None]
    if failed or level.problem is not None:
        return level.problem or f"{len(failed)} of {len(level.samples)} requests failed: {failed[0].detail}"
    missing = workload.requests - len(level.good)
    tokens = sum(one.output_tokens or 0 for one in level.good) + missing * workload.answer_tokens
    other = (_busy_seconds() - busy) - (_own_seconds(server) - own)
    return Burst(
        tokens_per_second=tokens / seconds,
        seconds=seconds,
        cut_short=missing > 0,
        ttft_seconds=(*(one.ttft_seconds or 0.0 for one in level.good), *[seconds] * missing),
        itl_seconds=(
            *(one.itl_seconds or 0.0 for one in level.good),
            *[seconds / workload.answer_tokens] * missing,
        ),
        memory_bytes=server.memory_bytes,
        other_cpu_share=min(1.0, max(0.0, other / (seconds * (psutil.cpu_count() or 1)))),
    )


async def _run(port: int, asked: Asked, workload: Workload, give_up_seconds: float | None) -> Level:
    fixed_length = asked.dialect == "openai"
    asking = Asking(asked.dialect, asked.model, workload.answer_tokens, workload.seed, ignore_eos=fixed_length)
    order = PromptOrder(workload.prompts(), workload.seed, unique=True)
    client = StreamClient(f"http://127.0.0.1:{port}", {}, timeout_seconds=_TIMEOUT_SECONDS)
    with closing(client):
        level = Level(Load("closed", workload.concurrency))
        settings = Settings(requests=workload.requests)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(give_up_seconds):
                await Generator(client, asking, order, time.perf_counter).run(level, settings)
    return level


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)


def _own_seconds(server: Server) -> float:
    own = psutil.Process(os.getpid()).cpu_times()
    return server.cpu_seconds + own.user + own.system
