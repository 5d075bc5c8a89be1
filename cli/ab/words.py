"""What an A/B test looks like to a person at a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from agent_runtime.experiments.compare import METRICS
from agent_runtime.experiments.told import effect_told, ratio_told, seconds_told, usd_told
from fleet_spec.experiment_spec import Metric

ARM_COLUMNS: Final = (
    "arm",
    "share",
    "requests",
    "errors",
    "TTFT p50",
    "TTFT p95",
    "latency p50",
    "latency p95",
    "USD/answer",
    "votes",
    "score",
)
EFFECT_COLUMNS: Final = ("arm", "metric", "effect", "interval", "p", "verdict")


def heading(alias: str, told: Mapping[str, Any]) -> str:
    """One line over a test."""
    declared = cast("Mapping[str, Any] | None", told.get("declared"))
    if declared is None:
        state = "no test is declared over it" if told["running"] else "over"
        return f"{alias}: {state}"
    guards = ", ".join(f"{name} {limit:g}" for name, limit in cast("dict[str, float]", declared["guards"]).items())
    promote = f"promotes past {declared['minEffect']:g}" if declared["promote"] else "promotes nothing by itself"
    return (
        f"{alias}: since {declared.get('started') or 'the records begin'}, by {declared['metric']} against "
        f"{declared['baseline']}; guards: {guards or 'none'}; {promote}"
    )


def arm_rows(told: Mapping[str, Any]) -> list[list[str]]:
    """What each arm did."""
    rulings = {one["arm"]: one["kind"] for one in told.get("declared", {}).get("rulings", [])}
    scores = cast("dict[str, Any]", told.get("declared", {}).get("scores", {}))
    rows: list[list[str]] = []
    for name, arm in cast("dict[str, Any]", told["arms"]).items():
        feedback, score = arm["feedback"], scores.get(name)
        rows.append(
            [
                f"{name} ({rulings[name]})" if name in rulings else name,
                ratio_told(arm["share"], signed=False),
                str(arm["requests"]),
                "-" if arm["errorRate"] is None else ratio_told(arm["errorRate"], signed=False),
                seconds_told(arm["timeToFirstTokenSeconds"]["p50"]),
                seconds_told(arm["timeToFirstTokenSeconds"]["p95"]),
                seconds_told(arm["durationSeconds"]["p50"]),
                seconds_told(arm["durationSeconds"]["p95"]),
                usd_told(arm["usd"]["mean"]),
                "-" if feedback["mean"] is None else f"{feedback['mean']:.2f} ({feedback['count']})",
                "-" if score is None else f"{score['mean']:.2f} ({score['count']})",
            ]
        )
    return rows


def effect_rows(told: Mapping[str, Any], metrics: tuple[Metric, ...] = METRICS) -> list[list[str]]:
    """What is known of each arm against the baseline, by each metric that says anything."""
    found = cast("dict[str, dict[Metric, Any]]", told.get("declared", {}).get("comparisons", {}))
    return [
        [arm, metric, *effect_told(metric, by_metric[metric])]
        for arm, by_metric in found.items()
        for metric in metrics
        if by_metric[metric] is not None
    ]


def ruling_lines(alias: str, told: Mapping[str, Any], command: str) -> list[str]:
    """What was decided, and what to type so that it stays."""
    declared = cast("Mapping[str, Any]", told.get("declared", {}))
    rulings = cast("list[Mapping[str, Any]]", declared.get("rulings", []))
    lines = [f"{one['arm']} was {one['kind']}: {one['reason']}" for one in rulings]
    kept = [arm for arm, weight in cast("dict[str, float]", declared.get("weights", {})).items() if weight > 0]
    if rulings and len(kept) == 1:
        lines.append(f"next: {command} ab end {alias} --keep {kept[0]}")
    return lines
