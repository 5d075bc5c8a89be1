"""Figures of an experiment as people read them, with their units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fleet_spec.experiment_spec import RELATIVE_METRICS, Metric

MEANING: Final[Mapping[Metric, str]] = {
    "latency": "time to the end of an answer",
    "ttft": "time to its first byte",
    "errors": "share of requests that failed",
    "cost": "US dollars an answer",
    "feedback": "votes of users, up to 1",
    "score": "scores of a judge or of checkable tasks, 0 to 1",
}


def ratio_told(value: float, *, signed: bool = True) -> str:
    """A share in per cent."""
    return f"{value * 100:+.1f} %" if signed else f"{value * 100:.1f} %"


def seconds_told(value: float | None) -> str:
    """A time; a dash where there is none."""
    if value is None:
        return "-"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def usd_told(value: float | None) -> str:
    """Dollars; a dash where there are none known."""
    return "-" if value is None else f"{value:.3g}"


def value_told(metric: Metric, value: float | None) -> str:
    """One end of an effect's interval, or the effect."""
    if value is None:
        return "any"
    if metric in RELATIVE_METRICS or metric == "errors":
        return ratio_told(value)
    return f"{value:+.3f}"


def effect_told(metric: Metric, found: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """An effect, its interval, its p-value and what that comes to."""
    interval = f"{value_told(metric, found['low'])} to {value_told(metric, found['high'])}"
    p_value = found["pValue"]
    told = "<0.0001" if p_value < 0.0001 else f"{p_value:.4f}"
    return value_told(metric, found["effect"]), interval, told, str(found["verdict"])
