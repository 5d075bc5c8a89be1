"""A race: candidates measured by turns until it is clear which is best, or that nobody can tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Final

from agent_runtime.benchmark.quantiles import quantile
from cli.tuning.comparison import LEAST_ROUNDS, Ratio, ratio
from cli.tuning.settings import Candidate

LATENCY_SHARE: Final = 0.95
"""A limit is kept where this share of the requests keeps it."""


@dataclass(frozen=True)
class Burst:
    """What one candidate did in one round."""

    tokens_per_second: float
    """Output tokens of all requests together."""
    seconds: float
    """How long it took."""
    cut_short: bool
    """Whether it was given up: its speed is then the most that it can have been, its latencies the least."""
    ttft_seconds: tuple[float, ...]
    itl_seconds: tuple[float, ...]
    memory_bytes: int | None
    other_cpu_share: float | None
    """The share of the machine's processors that went to other programs meanwhile."""


@dataclass(frozen=True)
class Limits:
    """What 95 % of the requests have to keep. None: no limit."""

    ttft_seconds: float | None = None
    itl_seconds: float | None = None


@dataclass
class Run:
    """One candidate in a race."""

    candidate: Candidate
    bursts: list[Burst] = field(default_factory=list[Burst])
    problem: str | None = None
    """Why it cannot be served so."""

    @property
    def speeds(self) -> list[float]:
        """Tokens a second, round by round."""
        return [burst.tokens_per_second for burst in self.bursts]

    @property
    def tokens_per_second(self) -> float:
        """Their mean."""
        return fmean(self.speeds)

    @property
    def memory_bytes(self) -> int | None:
        """The most that its server held."""
        return max((burst.memory_bytes for burst in self.bursts if burst.memory_bytes is not None), default=None)

    def ttft_seconds(self, share: float) -> float:
        """A quantile of the time to the first token, over all its requests."""
        return quantile(sorted(one for burst in self.bursts for one in burst.ttft_seconds), share)

    def itl_seconds(self, share: float) -> float:
        """A quantile of the time between tokens, over all its requests."""
        return quantile(sorted(one for burst in self.bursts for one in burst.itl_seconds), share)

    def excess(self, limits: Limits) -> float:
        """How many times over its worst limit it is; 1 or less where all are kept."""
        worst = 0.0
        if limits.ttft_seconds is not None:
            worst = max(worst, self.ttft_seconds(LATENCY_SHARE) / limits.ttft_seconds)
        if limits.itl_seconds is not None:
            worst = max(worst, self.itl_seconds(LATENCY_SHARE) / limits.itl_seconds)
        return worst


@dataclass(frozen=True)
class Outcome:
    """How a race ended."""

    runs: tuple[Run, ...]
    """The first is the one to beat."""
    winner: Run
    reason: str
    ratios: tuple[Ratio | None, ...]
    """Each run's speed beside the first one's; None where it could not be served."""


class OutOfTimeError(Exception):
    """The time for the search is over. What was measured so far counts."""


def race(
    candidates: Sequence[Candidate],
    measure: Callable[[Candidate], Burst | str],
    *,
    limits: Limits,
    rounds: int,
) -> Outcome:
    """Measure candidates by turns, in an order that moves on by one each round.

    A candidate that is clearly slower than the first leaves early.

    Args:
        candidates: The first is the one that the others have to beat.
        measure: One burst of a candidate, or why there is none. May raise OutOfTimeError.
        limits: What the winner has to keep where any of them does.
        rounds: The most bursts of each.
    """
    runs = [Run(candidate) for candidate in candidates]
    racing = list(runs)
    for number in range(rounds):
        try:
            for place in range(len(racing)):
                run = racing[(place + number) % len(racing)]
                burst = measure(run.candidate)
                if isinstance(burst, str):
                    run.problem = burst
                else:
                    run.bursts.append(burst)
        except OutOfTimeError:
            break
        racing = [run for run in racing if run.problem is None]
        if len(racing) < 2 or racing[0] is not runs[0]:
            break
        if number + 1 >= LEAST_ROUNDS:
            racing = [run for run in racing if run is runs[0] or not _compared(run, runs[0], len(runs) - 1).slower]
            if len(racing) < 2:
                break
    return _decided(runs, limits)


def _compared(run: Run, first: Run, comparisons: int) -> Ratio:
    rounds = min(len(run.bursts), len(first.bursts))
    return ratio(run.speeds[:rounds], first.speeds[:rounds], comparisons=max(comparisons, 1))


def _decided(runs: list[Run], limits: Limits) -> Outcome:
    first = runs[0]
    ratios = [_compared(run, first, len(runs) - 1) if run.bursts and first.bursts else None for run in runs]

    def outcome(winner: Run, reason: str) -> Outcome:
        return Outcome(tuple(runs), winner, reason, tuple(ratios))

    able = [run for run in runs if run.bursts and run.problem is None]
    if first not in able:
        if not able:
            return outcome(first, "nothing could be measured")
        return outcome(max(able, key=lambda run: run.tokens_per_second), "the settings of now cannot be served")
    keeping = [run for run in able if run.excess(limits) <= 1]
    if first not in keeping:
        enough = [run for run in keeping if len(run.bursts) >= LEAST_ROUNDS]
        if enough:
            return outcome(max(enough, key=lambda run: run.tokens_per_second), "keeps the limits, as now is not so")
        nearest = min(able, key=lambda run: run.excess(limits))
        if nearest is first or len(nearest.bursts) < LEAST_ROUNDS:
            return outcome(first, "no other keeps the limits better")
        return outcome(nearest, "comes nearest to the limits, which none keeps")
    faster = [
        (found.value, place)
        for place, (run, found) in enumerate(zip(runs, ratios, strict=True))
        if run in keeping and found is not None and found.faster
    ]
    if faster:
        return outcome(runs[max(faster)[1]], "faster beyond the noise")
    if any(found is not None and found.faster for found in ratios):
        return outcome(first, "what is faster does not keep the limits")
    if all(found is None or found.low is None for found in ratios):
        return outcome(first, "too few rounds to tell")
    return outcome(first, "no other is faster beyond the noise")
