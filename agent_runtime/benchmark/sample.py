"""What was measured of one request, and of one level of load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from agent_runtime.benchmark.dialects import Reply
from agent_runtime.benchmark.generator_health import GeneratorHealth
from agent_runtime.benchmark.http_stream import Exchange, Failure
from agent_runtime.benchmark.settings import Load

Status = Literal["complete", "partial", "failed"]
"""All that was asked for; some of it; nothing of it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One request. Durations begin when it was sent; in an open loop, when it was due."""

    began_at: float
    """By the generator's clock."""
    ended_at: float
    dispatch_delay_seconds: float
    """How much later than due it was sent; 0 in a closed loop."""
    ttft_seconds: float | None
    e2e_seconds: float
    prompt_tokens: int | None
    output_tokens: int | None
    chunks: int
    longest_gap_seconds: float | None
    """The longest silence between two pieces of its stream."""
    load_seconds: float | None
    prefill_tokens_per_second: float | None
    decode_tokens_per_second: float | None
    failure: Failure | None

    @property
    def itl_seconds(self) -> float | None:
        """``(E2E - TTFT) / (output tokens - 1)``; None below two tokens, or where the engine counts none."""
        if self.ttft_seconds is None or self.output_tokens is None or self.output_tokens < 2:
            return None
        return (self.e2e_seconds - self.ttft_seconds) / (self.output_tokens - 1)


def sample_of(exchange: Exchange, reply: Reply, due: float | None) -> Sample:
    """The measures of a request that has ended; ``due`` is when an open loop was to send it."""
    began_at = exchange.sent_at if due is None else due
    times = reply.token_times
    gaps = [later - earlier for earlier, later in pairwise(times)]
    return Sample(
        began_at=began_at,
        ended_at=exchange.ended_at,
        dispatch_delay_seconds=exchange.sent_at - began_at,
        ttft_seconds=times[0] - began_at if times else None,
        e2e_seconds=exchange.ended_at - began_at,
        prompt_tokens=reply.prompt_tokens,
        output_tokens=reply.output_tokens,
        chunks=len(times),
        longest_gap_seconds=max(gaps, default=None),
        load_seconds=reply.load_seconds,
        prefill_tokens_per_second=reply.prefill_tokens_per_second,
        decode_tokens_per_second=reply.decode_tokens_per_second,
        failure=reply.failure,
    )


@dataclass
class Level:
    """One level of load while it is measured, and afterwards."""

    load: Load
    samples: list[Sample] = field(default_factory=list[Sample])
    """In the order in which they ended."""
    health: GeneratorHealth | None = None
    problem: str | None = None
    """Why it was cut short."""
    whole: bool = False
    """Whether it came to its end."""

    @property
    def good(self) -> Sequence[Sample]:
        """Those with a whole reply."""
        return [sample for sample in self.samples if sample.failure is None]

    @property
    def status(self) -> Status:
        """How much of it there is."""
        if not self.good:
            return "failed"
        return "complete" if self.whole and self.problem is None else "partial"
