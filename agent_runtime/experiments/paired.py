"""Whether one arm's answers to the same prompts are scored better than another's. Exact for any number of prompts.

Each prompt gives one difference of two scores in [0, 1]. The hedged capital process of Waudby-Smith and Ramdas,
"Estimating means of bounded random variables by betting" (JRSS B 86(1), 2024), section 4, bets for and against every
mean that may be, with stakes that depend on earlier prompts alone; a mean against which somebody has become rich by
more than 1 / alpha is out. It needs neither many prompts nor a normal distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log, log1p, sqrt
from typing import Final

from agent_runtime.experiments.means import Finding

_STEPS: Final = 30
_BOLDEST: Final = 0.5
"""The largest share of its capital that a bet can lose."""


def paired_difference(differences: Sequence[float], alpha: float) -> Finding | None:
    """The mean of differences in [-1, 1], in the order in which they came; None without any."""
    if not differences:
        return None
    values = [(one + 1) / 2 for one in differences]
    stakes = _stakes(values, alpha)
    mean = sum(values) / len(values)
    allowed = -log(alpha)
    low = _edge(values, stakes, allowed, mean, 0.0)
    high = _edge(values, stakes, allowed, mean, 1.0)
    evidence = _capital(values, stakes, 0.5)
    return Finding(2 * mean - 1, 2 * low - 1, 2 * high - 1, min(1.0, exp(-max(evidence, 0.0))))


def _stakes(values: Sequence[float], alpha: float) -> list[float]:
    """The predictable plug-in bets of the paper's equation 26."""
    stakes: list[float] = []
    total, squares = 0.5, 0.25
    for number, value in enumerate(values, 1):
        variance = squares / number
        stakes.append(sqrt(2 * log(2 / alpha) / (variance * number * log(number + 1))))
        total += value
        squares += (value - total / (number + 1)) ** 2
    return stakes


def _capital(values: Sequence[float], stakes: Sequence[float], mean: float) -> float:
    """The logarithm of what half a unit on "more than this mean" and half a unit on "less" have become."""
    most_up = _BOLDEST / mean if mean > 0 else None
    most_down = _BOLDEST / (1 - mean) if mean < 1 else None
    up = down = -log(2)
    for value, stake in zip(values, stakes, strict=True):
        gain = value - mean
        up += log1p(gain * (stake if most_up is None else min(stake, most_up)))
        down += log1p(-gain * (stake if most_down is None else min(stake, most_down)))
    return max(up, down)


def _edge(values: Sequence[float], stakes: Sequence[float], allowed: float, start: float, end: float) -> float:
    """How far from the sample's mean a mean may be that nobody has become rich against."""
    if _capital(values, stakes, end) < allowed:
        return end
    for _ in range(_STEPS):
        middle = (start + end) / 2
        if _capital(values, stakes, middle) < allowed:
            start = middle
        else:
            end = middle
    return end
