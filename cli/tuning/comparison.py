"""Whether one candidate is really faster than another, from bursts that were measured by turns.

Each round measures every candidate once, close together in time, so that what else the machine does touches all of
them alike. What counts is the ratio of two candidates in the same round. Ratios multiply, so their logarithms are
averaged; the interval is Student's, for as few rounds as there are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Final

CONFIDENCE: Final = 0.95
LEAST_ROUNDS: Final = 3
"""With fewer, nothing is said of how sure a difference is."""


@dataclass(frozen=True)
class Ratio:
    """How many times the speed of another: 1.2 is a fifth faster."""

    value: float
    low: float | None
    """Where the true value lies with the confidence asked for, ``low`` to ``high``; None with too few rounds."""
    high: float | None
    rounds: int

    @property
    def faster(self) -> bool:
        """Whether it is faster beyond the noise."""
        return self.low is not None and self.low > 1

    @property
    def slower(self) -> bool:
        """Whether it is slower beyond the noise."""
        return self.high is not None and self.high < 1


def ratio(speeds: Sequence[float], others: Sequence[float], *, comparisons: int = 1) -> Ratio:
    """Compare two candidates, round by round.

    Args:
        speeds: Of the one, at least one, all above zero.
        others: Of the other in the same rounds.
        comparisons: How many such intervals are to hold together (Bonferroni): one of several candidates always
            looks faster by chance.
    """
    logs = [math.log(one / other) for one, other in zip(speeds, others, strict=True)]
    middle = fmean(logs)
    if len(logs) < LEAST_ROUNDS:
        return Ratio(math.exp(middle), None, None, len(logs))
    tail = (1 - CONFIDENCE) / (2 * comparisons)
    reach = student_quantile(1 - tail, len(logs) - 1) * stdev(logs) / math.sqrt(len(logs))
    return Ratio(math.exp(middle), math.exp(middle - reach), math.exp(middle + reach), len(logs))


def student_quantile(probability: float, degrees: int) -> float:
    """The value that Student's t stays below with a probability from 0.5 to 1, by halving."""
    low, high = 0.0, 1.0
    while _student_below(high, degrees) < probability:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        if _student_below(middle, degrees) < probability:
            low = middle
        else:
            high = middle
    return high


def _student_below(t: float, degrees: int) -> float:
    """The distribution of Student's t for ``t`` of 0 or more: Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(degrees))
    cosine = math.cos(angle)
    if degrees % 2:
        term, total = cosine, 0.0
        for step in range(1, (degrees - 1) // 2 + 1):
            total += term
            term *= cosine**2 * 2 * step / (2 * step + 1)
        both_sides = 2 / math.pi * (angle + math.sin(angle) * total)
    else:
        term, total = 1.0, 0.0
        for step in range(1, degrees // 2 + 1):
            total += term
            term *= cosine**2 * (2 * step - 1) / (2 * step)
        both_sides = math.sin(angle) * total
    return (1 + both_sides) / 2
