"""An A/B test as one HTML page: what was decided, each effect over time with its interval, and the arms' times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Final, Literal, cast

from agent_runtime.experiments.compare import METRICS
from agent_runtime.experiments.told import MEANING, effect_told, seconds_told, value_told
from agent_runtime.reports.bars import Bar, Piece, bar_plot
from agent_runtime.reports.elements import (
    Cell,
    Html,
    Tone,
    Toned,
    document,
    heading,
    note,
    paragraph,
    table,
    verdict,
)
from agent_runtime.reports.lines import Band, band_plot
from agent_runtime.reports.plots import plots, series
from fleet_spec.experiment_spec import Metric

_WIDEST: Final = 3.0
"""How many times the last interval's reach a plot shows: the first ones are as wide as can be."""
_PLOTTED: Final[tuple[Metric, ...]] = ("latency", "ttft", "errors", "cost", "feedback")
_TONES: Final[dict[str, Tone]] = {"better": "good", "worse": "bad"}
_RULING_TONES: Final[dict[str, Tone]] = {"promoted": "good", "stopped": "bad"}
_SHADES: Final[tuple[tuple[str, Literal["", "half", "pale"]], ...]] = (("p50", ""), ("p95", "half"), ("p99", "pale"))
_METHOD: Final = """
Every interval holds the truth at all looks together with a chance of 1 - alpha, and every p-value is
valid whenever somebody looks. Times: difference of mean logarithms, told as a share of the baseline's geometric mean;
cost: ratio of means; both by asymptotic confidence sequences (Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2024).
Errors: difference of shares by Beta mixture martingales (Robbins 1970). Votes: difference of means, as times. Scores:
mean difference over the same prompts by betting (Waudby-Smith, Ramdas 2024). With several arms, alpha is shared.
"""


def experiment_page(title: str, told: Mapping[str, Any]) -> str:
    """The page.

    Args:
        title: What it is called.
        told: A declared test as the router tells it, with its history.
    """
    declared = cast("Mapping[str, Any]", told["declared"])
    baseline, metric = str(declared["baseline"]), cast("Metric", declared["metric"])
    arms = cast("dict[str, Any]", told["arms"])
    over_time = [
        effect_plot(one, declared.get("history", []), baseline)
        for one in sorted(_PLOTTED, key=lambda one: one != metric)
    ]
    parts = [
        *_rulings(declared["rulings"]),
        heading("Effects"),
        _effects(declared),
        *([heading("Effects over time"), plots(over_time)] if any(over_time) else []),
        *_times(arms),
        heading("Arms"),
        _arms(arms),
        heading("Method"),
        note(_METHOD.strip()),
    ]
    about = (
        f"Since {declared.get('started') or 'the records begin'}, decided by {metric} ({MEANING[metric]}) "
        f"against {baseline}, alpha {declared['alpha']:g}."
    )
    return document(title, parts, about=about)


def _rulings(rulings: Sequence[Mapping[str, Any]]) -> list[Html]:
    if not rulings:
        return [paragraph("Nothing was decided yet.")]
    return [
        verdict(
            f"{one['arm']} was {one['kind']} at {_moment(one['timestampSeconds'])} UTC: {one['reason']}",
            _RULING_TONES.get(one["kind"], "warn"),
        )
        for one in rulings
    ]


def _effects(declared: Mapping[str, Any]) -> Html:
    rows: list[list[Cell]] = []
    for arm, found in cast("dict[str, dict[Metric, Any]]", declared["comparisons"]).items():
        for metric in METRICS:
            if found[metric] is not None:
                *cells, ruling = effect_told(metric, found[metric])
                rows.append(
                    [
                        f"{arm}: {MEANING[metric]}",
                        *cells,
                        Toned(ruling, _TONES[ruling]) if ruling in _TONES else ruling,
                    ]
                )
    if not rows:
        return paragraph("Too little is known yet.")
    columns = (f"against {declared['baseline']}", "effect", "interval", "p", "verdict")
    return table("Effects of each arm", columns, rows, numbers=range(1, 4))


def _arms(arms: Mapping[str, Any]) -> Html:
    rows = [
        [
            name,
            f"{arm['share'] * 100:.0f} %",
            str(arm["requests"]),
            str(arm["errors"]),
            str(arm["clientLeft"]),
            str(arm["fallbacks"]),
            str(arm["cached"]),
            *(seconds_told(arm["durationSeconds"][name]) for name in ("p50", "p95", "p99")),
        ]
        for name, arm in arms.items()
    ]
    columns = ("arm", "share", "requests", "errors", "client left", "for another arm", "cached", "p50", "p95", "p99")
    return table("Requests of each arm", columns, rows, numbers=range(1, len(columns)))


def effect_plot(metric: Metric, history: Sequence[Mapping[str, Any]], baseline: str) -> Html:
    """A metric's effects over time: a line for each arm, its interval as a band; nothing where nothing is known."""
    lines: dict[str, list[tuple[float, float, float, float]]] = {}
    for moment in history:
        for arm, found in moment["comparisons"].items():
            one = found.get(metric)
            if one is not None:
                high = one["high"] if one["high"] is not None else float("inf")
                lines.setdefault(arm, []).append((moment["minute"] * 60, one["effect"], one["low"], high))
    if not lines:
        return Html("")
    ends = [value for points in lines.values() for value in points[-1][1:] if isfinite(value)]
    return band_plot(
        f"{MEANING[metric][0].upper()}{MEANING[metric][1:]}, against {baseline}",
        [Band(arm, points) for arm, points in lines.items()],
        reach=_WIDEST * (max(abs(value) for value in ends) or 1e-9),
        moment=_moment,
        value=lambda value: value_told(metric, value),
        y_title=f"difference from {baseline}",
    )


def _times(arms: Mapping[str, Any]) -> list[Html]:
    found = plots(
        [
            times_plot("Time to the first byte", {name: arm["timeToFirstTokenSeconds"] for name, arm in arms.items()}),
            times_plot("Time to the end", {name: arm["durationSeconds"] for name, arm in arms.items()}),
        ]
    )
    return [heading("Times of the arms"), found] if found else []


def times_plot(title: str, arms: Mapping[str, Mapping[str, Any]]) -> Html:
    """Bars of the times under which half, 95 and 99 per cent of each arm's answers stayed; nothing without any."""
    if not any(arm[share] for arm in arms.values() for share, _ in _SHADES):
        return Html("")
    bars = [
        Bar(name, f"{share} {seconds_told(arm[share])}", [Piece(arm[share] or 0.0, series(number), shade)])
        for number, (name, arm) in enumerate(arms.items())
        for share, shade in _SHADES
    ]
    return bar_plot(title, bars)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
