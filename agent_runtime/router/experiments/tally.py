"""What is counted of an arm: counts, sums and sums of squares, which can be added up over time and over workers."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, fields
from math import inf, log
from typing import Final

from agent_runtime.router.exposition import SECONDS

BOUNDS: Final = (*SECONDS, inf)
"""Upper bounds of the histograms, in seconds."""

_CLIENT_LEFT: Final = 499


@dataclass(frozen=True, slots=True)
class Slow:
    """From when on an answer counts as slow."""

    first_byte_seconds: float = inf
    duration_seconds: float = inf


NEVER: Final = Slow()
_SHORTEST_SECONDS: Final = 1e-6
"""A clock may not see the shortest times, and nothing has no logarithm."""


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
    # What arms are compared by. Requests that an arm answered in another's place are not in it: they were not drawn
    # for it.
    trials: int = 0
    """Requests of its own whose clients stayed, those answered from the cache left out."""
    trial_errors: int = 0
    trial_usd: float = 0.0
    trial_usd_squared: float = 0.0
    log_durations: int = 0
    """How many of them were answered: what the two sums below are over, natural logarithms of seconds."""
    log_duration: float = 0.0
    log_duration_squared: float = 0.0
    slow_durations: int = 0
    log_first_bytes: int = 0
    log_first_byte: float = 0.0
    log_first_byte_squared: float = 0.0
    slow_first_bytes: int = 0

    def count(self, outcome: Outcome, *, fallen_back: bool, slow: Slow = NEVER) -> None:
        """Add one request.

        Args:
            outcome: How it ended.
            fallen_back: Whether it was another arm's.
            slow: From when on it counts as slow.
        """
        self.requests += 1
        if fallen_back:
            self.fallbacks += 1
        elif not outcome.cached and outcome.status != _CLIENT_LEFT:
            self._count_trial(outcome, slow)
        if outcome.status == _CLIENT_LEFT:
            self.left += 1
        elif outcome.status >= 400:
            self.errors += 1
        elif outcome.cached:
            self.cached += 1
        else:
            self._count_answer(outcome)

    def _count_trial(self, outcome: Outcome, slow: Slow) -> None:
        self.trials += 1
        if outcome.status >= 400:
            self.trial_errors += 1
            return
        usd, duration, first = outcome.usd, outcome.duration_seconds, outcome.first_byte_seconds
        self.trial_usd += usd
        self.trial_usd_squared += usd * usd
        self.log_durations += 1
        logarithm = log(duration if duration > _SHORTEST_SECONDS else _SHORTEST_SECONDS)
        self.log_duration += logarithm
        self.log_duration_squared += logarithm * logarithm
        if duration > slow.duration_seconds:
            self.slow_durations += 1
        if first is not None:
            self.log_first_bytes += 1
            logarithm = log(first if first > _SHORTEST_SECONDS else _SHORTEST_SECONDS)
            self.log_first_byte += logarithm
            self.log_first_byte_squared += logarithm * logarithm
            if first > slow.first_byte_seconds:
                self.slow_first_bytes += 1

    def _count_answer(self, outcome: Outcome) -> None:
        # Every answer passes here: x * x takes half as long as x**2.
        duration, first, usd = outcome.duration_seconds, outcome.first_byte_seconds, outcome.usd
        prompt, completion = outcome.prompt_tokens, outcome.completion_tokens
        self.answered += 1
        self.duration_seconds += duration
        self.duration_seconds_squared += duration * duration
        if first is not None:
            self.first_bytes += 1
            self.first_byte_seconds += first
            self.first_byte_seconds_squared += first * first
        self.prompt_tokens += prompt
        self.prompt_tokens_squared += prompt * prompt
        self.completion_tokens += completion
        self.completion_tokens_squared += completion * completion
        self.usd += usd
        self.usd_squared += usd * usd

    def add(self, other: Tally, times: int = 1) -> None:
        """Add all that another one counted; with -1 take it away."""
        for name in COLUMNS:
            setattr(self, name, getattr(self, name) + times * getattr(other, name))

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
