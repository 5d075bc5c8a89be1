"""What is counted of an arm: counts, sums and sums of squares, which can be added up over time and over workers."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, fields
from math import inf
from typing import Final

from agent_runtime.router.exposition import SECONDS

BOUNDS: Final = (*SECONDS, inf)
"""Upper bounds of the histograms, in seconds."""

_CLIENT_LEFT: Final = 499


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one request ended."""

    status: int
    duration_seconds: float
    """From the request to the end of the answer."""
    first_byte_seconds: float | None = None
    """From the request to the first byte of the answer."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0
    cached: bool = False
    """Whether the answer was one given before, which says nothing about the model."""


@dataclass(slots=True)
class Tally:
    """Sums over requests. Times, tokens and dollars are those of requests that a model answered without an error."""

    requests: int = 0
    errors: int = 0
    """Answered with a status of 400 or more. Bad requests are among them: both arms get the same share of those, and a
    model that refuses what the other one takes is worse."""
    left: int = 0
    """Given up by their clients."""
    fallbacks: int = 0
    """Answered in place of another arm that was out of order."""
    cached: int = 0
    answered: int = 0
    """How many the sums below are over."""
    duration_seconds: float = 0.0
    duration_seconds_squared: float = 0.0
    first_bytes: int = 0
    first_byte_seconds: float = 0.0
    first_byte_seconds_squared: float = 0.0
    prompt_tokens: int = 0
    prompt_tokens_squared: float = 0.0
    completion_tokens: int = 0
    completion_tokens_squared: float = 0.0
    usd: float = 0.0
    usd_squared: float = 0.0
    votes: int = 0
    score: float = 0.0
    score_squared: float = 0.0

    def count(self, outcome: Outcome, *, fallen_back: bool) -> None:
        """Add one request."""
        self.requests += 1
        self.fallbacks += fallen_back
        if outcome.status == _CLIENT_LEFT:
            self.left += 1
        elif outcome.status >= 400:
            self.errors += 1
        elif outcome.cached:
            self.cached += 1
        else:
            self._count_answer(outcome)

    def _count_answer(self, outcome: Outcome) -> None:
        self.answered += 1
        self.duration_seconds += outcome.duration_seconds
        self.duration_seconds_squared += outcome.duration_seconds**2
        if outcome.first_byte_seconds is not None:
            self.first_bytes += 1
            self.first_byte_seconds += outcome.first_byte_seconds
            self.first_byte_seconds_squared += outcome.first_byte_seconds**2
        self.prompt_tokens += outcome.prompt_tokens
        self.prompt_tokens_squared += outcome.prompt_tokens**2
        self.completion_tokens += outcome.completion_tokens
        self.completion_tokens_squared += outcome.completion_tokens**2
        self.usd += outcome.usd
        self.usd_squared += outcome.usd**2

    def add(self, other: Tally) -> None:
        """Add all that another one counted."""
        for name in COLUMNS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def row(self) -> tuple[float, ...]:
        """The values in the order of :data:`COLUMNS`."""
        return astuple(self)


COLUMNS: Final = tuple(field.name for field in fields(Tally))


@dataclass(slots=True)
class Spread:
    """How often times fell under each of :data:`BOUNDS`."""

    duration: list[int] = field(default_factory=lambda: [0] * len(BOUNDS))
    first_byte: list[int] = field(default_factory=lambda: [0] * len(BOUNDS))

    def count(self, outcome: Outcome) -> None:
        """Add one request, if a model answered it."""
        if outcome.status >= 400 or outcome.cached:
            return
        self.duration[bisect_left(BOUNDS, outcome.duration_seconds)] += 1
        if outcome.first_byte_seconds is not None:
            self.first_byte[bisect_left(BOUNDS, outcome.first_byte_seconds)] += 1

    def add(self, other: Spread) -> None:
        """Add all that another one counted."""
        self.duration = [a + b for a, b in zip(self.duration, other.duration, strict=True)]
        self.first_byte = [a + b for a, b in zip(self.first_byte, other.first_byte, strict=True)]


def quantile(counts: Sequence[int], share: float) -> float | None:
    """The time under which a share of the requests stayed, in seconds; None where there were none.

    Straight lines between the bounds, as Prometheus' ``histogram_quantile`` draws them; past the last, that bound.
    """
    wanted = share * sum(counts)
    if not wanted:
        return None
    below, lower = 0, 0.0
    for bound, count in zip(BOUNDS, counts, strict=True):
        if count and below + count >= wanted:
            return lower if bound == inf else lower + (bound - lower) * (wanted - below) / count
        below, lower = below + count, bound
    return SECONDS[-1]
