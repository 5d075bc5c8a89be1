"""How often A/B tests are wrong, and how soon they are right: simulated engines of known latency and error rates.

Each experiment is looked at after every 50 requests (a guard after every 10), as a router does every few seconds, and
counts as found with the first look that finds a difference. Beside each test stands the one that is made for a single
look, looked at as often. Last, what counting a request costs.

Usage: python bench/ab.py [--runs N] [--requests N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import timeit
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import log, sqrt
from pathlib import Path
from typing import Any

from agent_runtime.experiments.means import Sample, log_ratio
from agent_runtime.experiments.paired import paired_difference
from agent_runtime.experiments.shares import Share, beyond, share_difference
from agent_runtime.router.experiments import Assignment, Experiments, Outcome

ALPHA = 0.05
BATCH = 50
SPREAD = 0.6
"""Of the logarithm of a time: most answers take between half and twice the median."""

Look = tuple[int, bool, bool, bool]
"""Requests so far; whether the test finds something; whether the one for a single look does; whether the truth is out
of the interval."""


@dataclass
class Scenario:
    """What is simulated."""

    name: str
    looks: Callable[[random.Random, int], Iterator[Look]]
    null: bool
    """Whether there is nothing to be found."""


def latency(effect: float) -> Callable[[random.Random, int], Iterator[Look]]:
    """Two arms, one slower by a share."""

    def looks(rng: random.Random, requests: int) -> Iterator[Look]:
        sums = [[0, 0.0, 0.0], [0, 0.0, 0.0]]
        for number in range(1, requests + 1):
            arm = rng.random() < 0.5
            value = rng.gauss(log(1 + effect) if arm else 0.0, SPREAD)
            mine = sums[arm]
            mine[0] += 1
            mine[1] += value
            mine[2] += value * value
            if number % BATCH == 0:
                new, old = (Sample(int(one[0]), one[1], one[2]) for one in (sums[1], sums[0]))
                found = log_ratio(new, old, ALPHA)
                if found is not None:
                    single = abs(new.mean - old.mean) > 1.96 * sqrt(new.squared_error + old.squared_error)
                    yield number, found.p_value <= ALPHA, single, not found.low <= effect <= found.high

    return looks


def errors(new: float, old: float) -> Callable[[random.Random, int], Iterator[Look]]:
    """Two arms that err."""

    def looks(rng: random.Random, requests: int) -> Iterator[Look]:
        hits, counts = [0, 0], [0, 0]
        for number in range(1, requests + 1):
            arm = rng.random() < 0.5
            counts[arm] += 1
            hits[arm] += rng.random() < (new if arm else old)
            if number % BATCH == 0:
                one, other = Share(hits[1], counts[1]), Share(hits[0], counts[0])
                found = share_difference(one, other, ALPHA)
                if found is not None:
                    pooled = sum(hits) / number
                    error = sqrt(pooled * (1 - pooled) * (1 / one.count + 1 / other.count))
                    single = error > 0 and abs(one.share - other.share) > 1.96 * error
                    yield number, found.p_value <= ALPHA, single, not found.low <= new - old <= found.high

    return looks


def scores(effect: float) -> Callable[[random.Random, int], Iterator[Look]]:
    """Two arms that a judge scores in steps of a tenth, for prompts of their own number: a tenth of the requests."""

    def looks(rng: random.Random, requests: int) -> Iterator[Look]:
        found: list[float] = []
        for number in range(1, requests // 10 + 1):
            noise = rng.choice([-0.4, -0.2, -0.1, 0.0, 0.1, 0.2, 0.4])
            found.append(noise + effect)
            if number % 10 == 0:
                told = paired_difference(found, ALPHA)
                if told is not None:
                    error = statistics.stdev(found) / sqrt(number)
                    single = abs(statistics.fmean(found)) > 1.96 * error
                    yield number, told.p_value <= ALPHA, single, not told.low <= effect <= told.high

    return looks


def guard(rate: float) -> Callable[[random.Random, int], Iterator[Look]]:
    """A guard at 5 % errors, and an arm that errs at a rate."""

    def looks(rng: random.Random, requests: int) -> Iterator[Look]:
        hits = 0
        for number in range(1, requests + 1):
            hits += rng.random() < rate
            if number % 10 == 0:
                stopped = beyond(Share(hits, number), 0.05) <= 0.01
                yield number, stopped, hits / number > 0.05 + 2.33 * sqrt(0.05 * 0.95 / number), False

    return looks


SCENARIOS = (
    Scenario("latency, A/A", latency(0.0), True),
    Scenario("latency, 10 % slower", latency(0.1), False),
    Scenario("latency, 20 % slower", latency(0.2), False),
    Scenario("latency, twice as slow", latency(1.0), False),
    Scenario("errors, A/A at 2 %", errors(0.02, 0.02), True),
    Scenario("errors, 10 % against 2 %", errors(0.10, 0.02), False),
    Scenario("scores, A/A (requests are prompts)", scores(0.0), True),
    Scenario("scores, 0.1 better (requests are prompts)", scores(0.1), False),
    Scenario("guard at 5 %, arm at 5 % (alpha 0.01)", guard(0.05), True),
    Scenario("guard at 5 %, arm at 10 %", guard(0.10), False),
    Scenario("guard at 5 %, arm at 50 %", guard(0.50), False),
)


def measure(scenario: Scenario, runs: int, requests: int) -> dict[str, Any]:
    """One scenario, over and over, each time from another seed."""
    found: list[int] = []
    single = missed = 0
    for seed in range(runs):
        first: int | None = None
        fooled = out = False
        for number, one, other, beside in scenario.looks(random.Random(seed), requests):
            fooled, out = fooled or other, out or beside
            if one and first is None:
                first = number
        single += fooled
        missed += out
        if first is not None:
            found.append(first)
    return {
        "scenario": scenario.name,
        "null": scenario.null,
        "foundShare": len(found) / runs,
        "medianRequests": statistics.median(found) if found and not scenario.null else None,
        "intervalMissedShare": missed / runs,
        "singleLookTestShare": single / runs,
    }


def microseconds_to_count() -> float:
    """What counting a request costs, the least of several rounds."""
    experiments = Experiments(None)
    experiments.update({"x": {"a": 0.5, "b": 0.5}})
    assignment, outcome = Assignment("x", "a", "a"), Outcome(200, 1.2, 0.3, 10, 20, 0.01)
    repeat = 20_000
    return min(timeit.repeat(lambda: experiments.record(assignment, outcome), number=repeat, repeat=7)) / repeat * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    print("| simulated | found | at request (median) | interval missed | single-look test, looked at as often |")
    print("|---|---|---|---|---|")
    for scenario in SCENARIOS:
        row = measure(scenario, arguments.runs, arguments.requests)
        rows.append(row)
        print(
            f"| {row['scenario']} | {row['foundShare']:.1%} | {row['medianRequests'] or '-'} | "
            f"{row['intervalMissedShare']:.1%} | {row['singleLookTestShare']:.1%} |"
        )
        sys.stdout.flush()
    cost = microseconds_to_count()
    print(f"\nA request counted: {cost:.1f} us")
    if arguments.json is not None:
        told = {"runs": arguments.runs, "requests": arguments.requests, "rows": rows, "countMicroseconds": cost}
        arguments.json.write_text(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
