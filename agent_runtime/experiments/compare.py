"""What an experiment's arms say of each other, by every metric there is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from agent_runtime.experiments.means import Finding, Sample, difference, log_ratio, ratio
from agent_runtime.experiments.paired import paired_difference
from agent_runtime.experiments.shares import Share, share_difference
from fleet_spec.experiment_spec import HIGHER_IS_BETTER, Metric

METRICS: Final[tuple[Metric, ...]] = get_args(Metric)
_NOTHING: Final = Sample(0, 0.0, 0.0)
_NONE: Final = Share(0, 0)
_VOTES_APART: Final = 2.0
"""Votes are from -1 to 1."""

Verdict = Literal["better", "worse", "undecided"]


@dataclass(frozen=True, slots=True)
class ArmRecord:
    """What is known of an arm. Requests that it answered in another's place are not in it."""

    errors: Share = _NONE
    latency: Sample = _NOTHING
    """Natural logarithms of seconds."""
    ttft: Sample = _NOTHING
    """The same to the first byte."""
    slow_latency: Share = _NONE
    """Answers beyond the guard's limit."""
    slow_ttft: Share = _NONE
    cost: Sample = _NOTHING
    """US dollars an answer."""
    feedback: Sample = _NOTHING
    scores: Mapping[str, float] = field(default_factory=dict[str, float])
    """Scores from 0 to 1, by prompt, in the order in which they were given."""


def compare(metric: Metric, arm: ArmRecord, other: ArmRecord, alpha: float) -> Finding | None:
    """The effect of an arm over another one; None where too little is known.

    Args:
        metric: Which one.
        arm: The arm.
        other: What it is compared with.
        alpha: The chance of being wrong at any look.
    """
    match metric:
        case "latency":
            return log_ratio(arm.latency, other.latency, alpha)
        case "ttft":
            return log_ratio(arm.ttft, other.ttft, alpha)
        case "errors":
            return share_difference(arm.errors, other.errors, alpha)
        case "cost":
            return ratio(arm.cost, other.cost, alpha)
        case "feedback":
            return difference(arm.feedback, other.feedback, alpha, bound=_VOTES_APART)
        case "score":
            both = [score - other.scores[case] for case, score in arm.scores.items() if case in other.scores]
            return paired_difference(both, alpha)


def verdict(metric: Metric, found: Finding | None, least: float = 0.0) -> Verdict:
    """Whether an effect is better or worse, for certain and by more than ``least``."""
    if found is None:
        return "undecided"
    low, high = (-found.high, -found.low) if metric in HIGHER_IS_BETTER else (found.low, found.high)
    if high < -least:
        return "better"
    return "worse" if low > least else "undecided"


def share_of_alpha(alpha: float, arms: int) -> float:
    """What each of several comparisons with the baseline may take of the chance of being wrong (Bonferroni)."""
    return alpha / max(arms - 1, 1)


def comparisons(arms: Mapping[str, ArmRecord], baseline: str, alpha: float) -> dict[str, dict[str, Any]]:
    """Every arm against the baseline by every metric, as plain JSON data: arm -> metric -> finding.

    Args:
        arms: What is known, by arm.
        baseline: The arm to compare with.
        alpha: The chance of being wrong in anything that is told here of one metric.
    """
    each = share_of_alpha(alpha, len(arms))
    return {
        name: {metric: _told(metric, compare(metric, arm, arms[baseline], each)) for metric in METRICS}
        for name, arm in arms.items()
        if name != baseline
    }


def _told(metric: Metric, found: Finding | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "effect": found.estimate,
        "low": found.low,
        "high": found.high if found.high != float("inf") else None,
        "pValue": found.p_value,
        "verdict": verdict(metric, found),
    }
