"""Intervals and p-values for the difference of two arms' means that hold at every look, not at one planned in advance.

A fixed test that is looked at every few seconds finds a difference sooner or later where there is none. These do not:
over an experiment of any length, the chance that the interval ever misses the truth, or the p-value ever falls under
alpha without an effect, is at most alpha.

The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit
theory and asymptotic confidence sequences" (Annals of Statistics 52(6), 2024), theorem 2.2: after t observations with
the standard deviation s, the mean is within

    s * sqrt(2 (t r^2 + 1) / (t^2 r^2) * log(sqrt(t r^2 + 1) / alpha))

of the sample's mean at all t together, where r is chosen for the t at which the interval is to be tightest (their
appendix B.2). Two arms to which requests are drawn by weight are one such sample of t = n1 + n0 observations: those of
the augmented inverse-probability estimator (their section 3), whose mean is the difference of the arms' means and
whose variance is t (s1^2 / n1 + s0^2 / n0). Counts, sums and sums of squares are all that this needs.

"Asymptotic" means that a central limit theorem stands behind it: it says nothing before each arm has :data:`LEAST`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, log, sqrt
from typing import Final

LEAST: Final = 30
"""Observations that each arm needs before its mean says anything."""
_TIGHTEST_AT: Final = 1000
"""The number of observations, both arms together, at which an interval is to be as narrow as it can be."""
_NO_SPREAD: Final = 1e-9
"""A variance below this share of the squared mean is what rounding leaves of none at all."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What an arm has of a measure."""

    count: int
    total: float
    total_squared: float

    @property
    def mean(self) -> float:
        """The mean; the sample must not be empty."""
        return self.total / self.count

    @property
    def squared_error(self) -> float:
        """The variance of the mean."""
        return max(self.total_squared / self.count - self.mean**2, 0.0) / (self.count - 1)


@dataclass(frozen=True, slots=True)
class Finding:
    """An effect, as far as it is known."""

    estimate: float
    low: float
    high: float
    """The interval that holds the truth at every look together, with a chance of 1 - alpha."""
    p_value: float
    """Always valid: under alpha at any look with a chance of at most alpha where there is no effect."""


def difference(arm: Sample, baseline: Sample, alpha: float, *, bound: float | None = None) -> Finding | None:
    """By how much an arm's mean is over the baseline's; None where too little is known.

    Args:
        arm: The arm's sample.
        baseline: The baseline's.
        alpha: The chance of being wrong at any look.
        bound: How far apart two values can be, where that is known: keeps a sample in which all are the same from
            seeming to have no spread (Waudby-Smith and Ramdas, "Estimating means of bounded random variables by
            betting", JRSS B 86(1), 2024, section 3).
    """
    if min(arm.count, baseline.count) < LEAST:
        return None
    spread = arm.squared_error + baseline.squared_error
    if bound is not None:
        spread += (bound / 2) ** 2 * (1 / arm.count**2 + 1 / baseline.count**2)
    if _none_at_all(arm) and _none_at_all(baseline) and bound is None:
        return None
    found = arm.mean - baseline.mean
    count = arm.count + baseline.count
    half = sqrt(spread * _widening(count, alpha))
    return Finding(found, found - half, found + half, _p_value(found**2 / spread, count, alpha))


def ratio(arm: Sample, baseline: Sample, alpha: float) -> Finding | None:
    """By which share an arm's mean is over the baseline's, of a measure that cannot be negative; None as before.

    The interval holds every c for which the mean of the one and 1 + c times the mean of the other may be the same, by
    :func:`difference` (Fieller's way).
    """
    test = difference(arm, baseline, alpha)
    if test is None or baseline.mean <= 0:
        return None
    widening = _widening(arm.count + baseline.count, alpha)
    # (m1 - c m0)^2 <= w (v1 + c^2 v0), a parabola in c
    a = baseline.mean**2 - widening * baseline.squared_error
    b = arm.mean * baseline.mean
    c = arm.mean**2 - widening * arm.squared_error
    root = b * b - a * c
    low, high = 0.0, inf
    if a > 0 and root >= 0:
        low, high = max((b - sqrt(root)) / a, 0.0), (b + sqrt(root)) / a
    return Finding(arm.mean / baseline.mean - 1, low - 1, high - 1, test.p_value)


def log_ratio(arm: Sample, baseline: Sample, alpha: float) -> Finding | None:
    """By which share an arm's geometric mean is over the baseline's, from samples of logarithms; None as before."""
    found = difference(arm, baseline, alpha)
    if found is None:
        return None
    return Finding(_share(found.estimate), _share(found.low), _share(found.high), found.p_value)


def _share(logarithm: float) -> float:
    return exp(min(logarithm, 700.0)) - 1


def _none_at_all(sample: Sample) -> bool:
    return sample.squared_error * sample.count <= _NO_SPREAD * sample.mean**2


def _rho_squared(alpha: float) -> float:
    """The r of the boundary that is tightest at :data:`_TIGHTEST_AT`."""
    base = -2 * log(alpha)
    return (base + log(base + 1)) / _TIGHTEST_AT


def _widening(count: int, alpha: float) -> float:
    """By what the variance of an estimate is multiplied for the squared half-width of its interval."""
    scaled = count * _rho_squared(alpha)
    return 2 * (scaled + 1) / scaled * log(sqrt(scaled + 1) / alpha)


def _p_value(squared_z: float, count: int, alpha: float) -> float:
    """One over the mixture martingale whose level 1 / alpha draws the interval above."""
    scaled = count * _rho_squared(alpha)
    evidence = squared_z * scaled / (2 * (scaled + 1)) - log(scaled + 1) / 2
    return min(1.0, exp(-max(evidence, 0.0)))
