"""Percentiles of what was measured, how sure they are, and whether two differ.

The bootstrap draws as many values from the sample as it has, with replacement, and looks at the percentile of each
draw. For a percentile nothing needs to be drawn: the chance that the k-th smallest of n draws is at most the j-th
smallest value of the sample is that of k or more successes in n trials of probability j / n (Hutson and Ernst, "The
exact bootstrap mean and variance of an L-estimator", 2000). So the intervals here are those of endless resampling,
without a seed.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

CONFIDENCE: Final = 0.95
LEAST_BEYOND: Final = 10
"""How many values are to lie beyond a percentile, on either side: with fewer, the bootstrap knows too little of it."""
_SMALLEST: Final = 1e-12


@dataclass(frozen=True)
class Interval:
    """A percentile and where its true value lies with a confidence of 95 %."""

    value: float
    low: float | None
    """None, like ``high``, where too few values lie beyond it to say."""
    high: float | None


def quantile(ordered: Sequence[float], share: float) -> float:
    """The quantile of values in rising order, with straight lines between neighbours (numpy's default).

    Args:
        ordered: at least one value.
        share: from 0 to 1: 0.95 for the 95th percentile.
    """
    place = (len(ordered) - 1) * share
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def is_supported(count: int, share: float) -> bool:
    """Whether so many values say enough of a quantile for an interval or a comparison."""
    return count * min(share, 1 - share) >= LEAST_BEYOND - _SMALLEST


def interval(values: Sequence[float], share: float) -> Interval:
    """A quantile with its bootstrap interval (the percentile method), of values in any order, at least one."""
    ordered = sorted(values)
    value = quantile(ordered, share)
    if not is_supported(len(ordered), share):
        return Interval(value, None, None)
    tail = (1 - CONFIDENCE) / 2
    low = high = value
    reached = 0.0
    for place, weight in _weights(len(ordered), share):
        if reached < tail <= reached + weight:
            low = ordered[place]
        reached += weight
        if reached >= 1 - tail:
            high = ordered[place]
            break
    # Between neighbours, the value is interpolated and the interval is not.
    return Interval(value, min(low, value), max(high, value))


def difference_p_value(before: Sequence[float], after: Sequence[float], share: float) -> float:
    """How likely a difference of two quantiles as large as this one is where there is none: the bootstrap's p-value.

    ``2 * min(P(D <= 0), P(D >= 0))``, where D is the difference of the quantiles of two independent draws, one from
    each sample. Both samples need :func:`is_supported`; their requests are taken as independent of each other.
    """
    first, second = sorted(before), sorted(after)
    # Running sums over the values of the first: chance that its quantile is at most, or below, some value.
    places = [(first[place], weight) for place, weight in _weights(len(first), share)]
    keys = [value for value, _ in places]
    sums = [0.0]
    for _, weight in places:
        sums.append(sums[-1] + weight)
    at_most_zero = at_least_zero = 0.0
    for place, weight in _weights(len(second), share):
        value = second[place]
        at_most_zero += weight * (sums[-1] - sums[bisect_left(keys, value)])
        at_least_zero += weight * sums[bisect_right(keys, value)]
    return min(1.0, 2 * min(at_most_zero, at_least_zero))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for how many there are, after Holm (1979): the chance of any false alarm stays what it is."""
    count = len(p_values)
    corrected = [1.0] * count
    highest = 0.0
    for rank, index in enumerate(sorted(range(count), key=lambda index: p_values[index])):
        highest = max(highest, min(1.0, p_values[index] * (count - rank)))
        corrected[index] = highest
    return corrected


def errors_p_value(errors_before: int, count_before: int, errors_after: int, count_after: int) -> float:
    """Fisher's exact test, both sides: how likely error counts so far apart are where the rates are the same."""
    total, errors = count_before + count_after, errors_before + errors_after

    def chance(first: int) -> float:
        ways = _log_choose(count_before, first) + _log_choose(count_after, errors - first)
        return math.exp(ways - _log_choose(total, errors))

    seen = chance(errors_before) * (1 + 1e-7)  # equal chances that were rounded apart count as equal
    possible = range(max(0, errors - count_after), min(errors, count_before) + 1)
    return min(1.0, sum(one for one in map(chance, possible) if one <= seen))


def _log_choose(count: int, chosen: int) -> float:
    return math.lgamma(count + 1) - math.lgamma(chosen + 1) - math.lgamma(count - chosen + 1)


@lru_cache(maxsize=256)
def _weights(count: int, share: float) -> tuple[tuple[int, float], ...]:
    """With which chance a draw's quantile is the value at each place (from 0); places that no draw gives left out."""
    rank = min(max(math.ceil(count * share - _SMALLEST), 1), count)
    found: list[tuple[int, float]] = []
    before = 0.0
    for place in range(count):
        reached = _at_least(rank, count, (place + 1) / count)
        if reached - before > _SMALLEST:
            found.append((place, reached - before))
        before = reached
        if reached > 1 - _SMALLEST:
            break
    return tuple(found)


def _at_least(successes: int, trials: int, chance: float) -> float:
    """The chance of so many successes or more: the regularised incomplete beta function I(chance; k, n - k + 1)."""
    if chance >= 1:
        return 1.0
    a, b = float(successes), float(trials - successes + 1)
    if chance > (a + 1) / (a + b + 2):
        return 1 - _beta_tail(b, a, 1 - chance)
    return _beta_tail(a, b, chance)


def _beta_tail(a: float, b: float, x: float) -> float:
    """I(x; a, b) by its continued fraction (DLMF 8.17.22), Lentz's way; quick for x below (a + 1) / (a + b + 2)."""
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    tiny = 1e-300
    c, d = 1.0, 1 / max(1 - (a + b) * x / (a + 1), tiny)
    fraction = d
    for m in range(1, 1000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d, c = 1 / _away_from_zero(1 + even * d, tiny), _away_from_zero(1 + even / c, tiny)
        fraction *= c * d
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d, c = 1 / _away_from_zero(1 + odd * d, tiny), _away_from_zero(1 + odd / c, tiny)
        step = c * d
        fraction *= step
        if abs(step - 1) < 1e-14:
            break
    return front * fraction / a


def _away_from_zero(value: float, tiny: float) -> float:
    return value if abs(value) > tiny else tiny
