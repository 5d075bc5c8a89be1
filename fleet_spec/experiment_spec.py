"""What a stack's config may say of an A/B test: what it is about, what stops an arm, and what ends it.

The arms and their weights stand where they always do, under ``aliases``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Literal, Self

from pydantic import Field, model_validator

from fleet_spec.base import Identifier, SpecPart

Metric = Literal["latency", "ttft", "errors", "cost", "feedback", "score"]
"""What arms are compared by: the time to the end of an answer and to its first byte, the share of errors, US dollars
for an answer, votes of users, and scores of a judge or of checkable tasks."""

RELATIVE_METRICS: frozenset[Metric] = frozenset({"latency", "ttft", "cost"})
"""Those whose effect is told in shares of the baseline, -0.1 for a tenth less; the others are differences."""

HIGHER_IS_BETTER: frozenset[Metric] = frozenset({"feedback", "score"})

_WHOLES = (1.0, 100.0)
_TOLERANCE = 1e-6
_MOMENT = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$"


class GuardsSpec(SpecPart):
    """Limits of an arm. One that is beyond a limit, and not by chance alone, gets no more requests."""

    error_rate: float | None = Field(default=None, gt=0, lt=1)
    """The share of its requests that may end with an error."""
    ttft_p95_ms: float | None = Field(default=None, gt=0, le=3_600_000)
    """The time to the first byte under which 95 % of its answers must stay."""
    latency_p95_ms: float | None = Field(default=None, gt=0, le=3_600_000)
    """The same for the whole answer."""


class ExperimentSpec(SpecPart):
    """An A/B test over the models behind an alias."""

    baseline: Identifier | None = None
    """The arm that the others are compared with. Default: the one with the most weight."""
    metric: Metric = "latency"
    """What decides."""
    guards: GuardsSpec = GuardsSpec()
    promote: bool = False
    """Whether the router gives every request to an arm as soon as it is better than each of the others."""
    min_effect: float = Field(default=0.0, ge=0, lt=1)
    """By how much it must be better than the baseline, as the metric tells effects: 0.05 is 5 % of the baseline's
    latency, or 0.05 more of a score."""
    alpha: float = Field(default=0.05, gt=0, le=0.5)
    """The chance of finding a difference where there is none, however often somebody looks."""
    started: str | None = Field(default=None, pattern=_MOMENT)
    """When it began (UTC). Nothing that was recorded under another moment counts."""

    @model_validator(mode="after")
    def _a_moment_that_is(self) -> Self:
        if self.started is not None:
            datetime.fromisoformat(self.started)
        return self

    def name(self, alias: str) -> str:
        """What its records are kept under: no alias is called so."""
        return f"{alias}@{self.started or ''}"

    def baseline_of(self, arms: Mapping[str, float]) -> str:
        """The arm that the others are compared with.

        Args:
            arms: The models behind the alias, with their weights.
        """
        if self.baseline is not None and self.baseline in arms:
            return self.baseline
        return min(arms, key=lambda arm: (-arms[arm], arm))


def weight_problems(arms: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    """What is wrong with the weights of an A/B test's arms, each with what to do about it."""
    told = ", ".join(f"{arm}={weight:g}" for arm, weight in arms.items())
    if len(arms) < 2:
        yield f"{told or 'no arm'}: one arm cannot be compared", "name two arms or more"
        return
    for arm, weight in arms.items():
        if not 0 < weight < float("inf"):
            yield f"arm {arm!r} has the weight {weight:g}", "give it one over 0, or leave the arm out"
            return
    total = sum(arms.values())
    if not any(abs(total - whole) <= _TOLERANCE * whole for whole in _WHOLES):
        shares = ", ".join(f"{arm}={weight / total:.4g}" for arm, weight in arms.items())
        yield f"the weights {told} sum to {total:g}", f"have them sum to 1 or to 100, such as {shares}"
