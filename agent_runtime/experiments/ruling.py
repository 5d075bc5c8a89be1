"""Which arms of a running experiment are to get no more requests, and whether one is to get them all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from agent_runtime.experiments.compare import ArmRecord, compare, share_of_alpha, verdict
from agent_runtime.experiments.shares import Share, beyond
from fleet_spec.experiment_spec import ExperimentSpec

GUARD_ALPHA: Final = 0.01
"""The chance that a guard ever stops an arm which keeps its limit."""
_P95_SHARE: Final = 0.05
"""95 % of the answers are to be under a limit, so this share may be over it."""


def breaches(spec: ExperimentSpec, arms: Mapping[str, ArmRecord]) -> Iterator[tuple[str, str]]:
    """The arms that are beyond a limit, and not by chance, each with why; the worst first.

    Args:
        spec: The experiment.
        arms: What is known of each arm that still gets requests.
    """
    found = [(p_value, arm, why) for arm, record in arms.items() for p_value, why in _beyond(spec, record)]
    seen: set[str] = set()
    for _, arm, why in sorted(found):
        if arm not in seen:
            seen.add(arm)
            yield arm, why


def _beyond(spec: ExperimentSpec, record: ArmRecord) -> Iterator[tuple[float, str]]:
    guards = spec.guards
    watched: list[tuple[Share, float, str]] = []
    if guards.error_rate is not None:
        watched.append((record.errors, guards.error_rate, f"errors, limit {guards.error_rate:.1%}"))
    if guards.ttft_p95_ms is not None:
        watched.append((record.slow_ttft, _P95_SHARE, f"first bytes after {guards.ttft_p95_ms:g} ms, limit 5%"))
    if guards.latency_p95_ms is not None:
        watched.append((record.slow_latency, _P95_SHARE, f"answers after {guards.latency_p95_ms:g} ms, limit 5%"))
    for share, limit, what in watched:
        if share.count and (p_value := beyond(share, limit)) <= GUARD_ALPHA / len(watched):
            yield p_value, f"{share.share:.1%} {what} ({share.hits} of {share.count}, p = {p_value:.1g})"


def winner(spec: ExperimentSpec, baseline: str, arms: Mapping[str, ArmRecord], all_arms: int) -> tuple[str, str] | None:
    """The arm that is better than each of the others, with why, if there is one.

    It must be better than the baseline by the experiment's ``min_effect``, and must not err more than any other. The
    baseline itself can be it.

    Args:
        spec: The experiment.
        baseline: The arm that the others are compared with.
        arms: What is known of each arm that still gets requests.
        all_arms: How many there were.
    """
    if len(arms) < 2:
        return None
    alpha = share_of_alpha(spec.alpha, all_arms)
    for name, record in arms.items():
        others = {other: found for other, found in arms.items() if other != name}
        found = {other: compare(spec.metric, record, there, alpha) for other, there in others.items()}
        least = {other: spec.min_effect if baseline in (name, other) else 0.0 for other in others}
        if any(verdict(spec.metric, found[other], least[other]) != "better" for other in others):
            continue
        if any(verdict("errors", compare("errors", record, there, alpha)) == "worse" for there in others.values()):
            continue
        against = baseline if baseline in others else next(iter(others))
        effect = found[against]
        if effect is not None:
            told = f"{effect.estimate:+.3g} [{effect.low:.3g}, {effect.high:.3g}]"
            return name, f"{spec.metric} against {against}: {told}, p = {effect.p_value:.2g}"
    return None
