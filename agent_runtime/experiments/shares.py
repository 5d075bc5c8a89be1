"""The same for shares: of requests that failed, or that were slower than a limit. Exact from the first request on.

Test martingales: each multiplies up, request by request, how much likelier what happened is under a mixture of shares
than under the one that is doubted. One that is true keeps the product under 1 / alpha at all times together, with a
chance of at least 1 - alpha (Ville's inequality; Robbins, "Statistical methods related to the law of the iterated
logarithm", Annals of Mathematical Statistics 41(5), 1970).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, inf, lgamma, log
from typing import Final

from agent_runtime.experiments.means import Finding

_STEPS: Final = 40
"""Halvings in a search for the likeliest share, which is found to 1e-12."""
_EDGE_STEPS: Final = 26
"""The same for an end of an interval: it is found to 1e-7."""
_WORSE: Final = tuple(number / 16 for number in range(1, 17))
"""How far between a limit and 1 the shares lie, on a scale of squares, that the guards' mixture is made of."""


@dataclass(frozen=True, slots=True)
class Share:
    """How many of an arm's requests something is true of."""

    hits: int
    count: int

    @property
    def share(self) -> float:
        """The share; there must be requests."""
        return self.hits / self.count


def beyond(found: Share, limit: float) -> float:
    """An always-valid p-value for the claim that a share is at most ``limit``.

    The mixture is over shares above the limit only: its likelihood ratios are supermartingales under every share up
    to the limit, so that a small value is evidence for "above" and never for "below".

    Args:
        found: What happened.
        limit: Between 0 and 1.
    """
    misses = found.count - found.hits
    logs: list[float] = []
    for step in _WORSE:
        worse = limit + (1 - limit) * step * step
        if worse >= 1 and misses:
            continue
        logs.append(found.hits * log(worse / limit) + (misses * log((1 - worse) / (1 - limit)) if misses else 0.0))
    most = max(logs)
    evidence = most + log(sum(exp(one - most) for one in logs) / len(_WORSE))
    return min(1.0, exp(-max(evidence, 0.0)))


def share_difference(arm: Share, baseline: Share, alpha: float) -> Finding | None:
    """By how much an arm's share is over the baseline's; None where an arm has no request.

    The product of both arms' Beta(1/2, 1/2) mixtures over the likelihood of a pair of shares is a martingale where the
    pair is true. A difference is kept as long as one pair with it is: the likeliest, which is found by halving, since
    the likelihood is concave.
    """
    if not arm.count or not baseline.count:
        return None
    mixtures = _mixture(arm) + _mixture(baseline)

    def evidence(gap: float) -> float:
        return mixtures - _likeliest(arm, baseline, gap)

    estimate = arm.share - baseline.share
    allowed = -log(alpha)
    low = _edge(lambda gap: evidence(gap) < allowed, estimate, -1.0)
    high = _edge(lambda gap: evidence(gap) < allowed, estimate, 1.0)
    return Finding(estimate, low, high, min(1.0, exp(-max(evidence(0.0), 0.0))))


def _mixture(found: Share) -> float:
    """The logarithm of how likely what happened is under a share drawn from Beta(1/2, 1/2)."""
    misses = found.count - found.hits
    return lgamma(found.hits + 0.5) + lgamma(misses + 0.5) - lgamma(found.count + 1) - 2 * lgamma(0.5)


def _likelihood(found: Share, share: float) -> float:
    total = 0.0
    for count, chance in ((found.hits, share), (found.count - found.hits, 1 - share)):
        if count:
            total += count * log(chance) if chance > 0 else -inf
    return total


def _slope(found: Share, share: float) -> float:
    """The likelihood's derivative."""
    misses = found.count - found.hits
    return (found.hits / share if found.hits else 0.0) - (misses / (1 - share) if misses else 0.0)


def _likeliest(arm: Share, baseline: Share, gap: float) -> float:
    """The logarithm of the highest likelihood of a pair of shares with this difference."""
    low, high = max(0.0, -gap), min(1.0, 1.0 - gap)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        if _slope(arm, middle + gap) + _slope(baseline, middle) > 0:
            low = middle
        else:
            high = middle
    middle = (low + high) / 2
    shares = (middle, max(0.0, -gap), min(1.0, 1.0 - gap))
    return max(_likelihood(arm, min(max(share + gap, 0.0), 1.0)) + _likelihood(baseline, share) for share in shares)


def _edge(inside: Callable[[float], bool], start: float, end: float) -> float:
    """The last point from ``start`` towards ``end`` that is inside."""
    if inside(end):
        return end
    for _ in range(_EDGE_STEPS):
        middle = (start + end) / 2
        if inside(middle):
            start = middle
        else:
            end = middle
    return end
