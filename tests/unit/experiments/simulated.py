"""Requests as engines of known latency and known errors would answer them, drawn to two arms as a router does."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import log

from agent_runtime.experiments.compare import ArmRecord
from agent_runtime.experiments.means import Sample
from agent_runtime.experiments.shares import Share


@dataclass
class Sums:
    """What is counted of one arm."""

    count: int = 0
    total: float = 0.0
    squared: float = 0.0
    hits: int = 0

    def add(self, value: float, hit: bool) -> None:
        self.count += 1
        self.total += value
        self.squared += value * value
        self.hits += hit

    def record(self) -> ArmRecord:
        sample = Sample(self.count, self.total, self.squared)
        return ArmRecord(errors=Share(self.hits, self.count), latency=sample)


@dataclass
class Engine:
    """Log-normal times, with some requests failing."""

    median_seconds: float = 1.0
    spread: float = 0.6
    """Of the logarithm: most answers take between half and twice the median."""
    error_rate: float = 0.0

    def answer(self, rng: random.Random) -> tuple[float, bool]:
        return rng.gauss(log(self.median_seconds), self.spread), rng.random() < self.error_rate


@dataclass
class Run:
    """One experiment, looked at after every batch."""

    arm: Engine = field(default_factory=Engine)
    baseline: Engine = field(default_factory=Engine)
    requests: int = 1000
    batch: int = 25
    weight: float = 0.5

    def looks(self, seed: int) -> Iterator[tuple[int, ArmRecord, ArmRecord]]:
        rng = random.Random(seed)
        arm, baseline = Sums(), Sums()
        for number in range(1, self.requests + 1):
            if rng.random() < self.weight:
                arm.add(*self.arm.answer(rng))
            else:
                baseline.add(*self.baseline.answer(rng))
            if number % self.batch == 0:
                yield number, arm.record(), baseline.record()
