"""An A/B test as one HTML page: what was decided, each effect over time with its interval, and the arms' times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from math import isfinite
from typing import Any, Final, cast

from agent_runtime.experiments.compare import METRICS
from agent_runtime.experiments.told import MEANING, effect_told, seconds_told, value_told
from agent_runtime.html import html_page, html_table
from fleet_spec.experiment_spec import Metric

_COLOURS: Final = ("#3a6ea5", "#c2621b", "#2f7d5b", "#8a4fa3", "#a33a4f", "#777777")
_WIDTH: Final = 860
_HEIGHT: Final = 240
_LEFT: Final = 80
_TOP: Final = 14
_BOTTOM: Final = 30
_WIDEST: Final = 3.0
"""How many times the last interval's reach a plot shows: the first ones are as wide as can be."""
_PLOTTED: Final[tuple[Metric, ...]] = ("latency", "ttft", "errors", "cost", "feedback")
_METHOD: Final = """
<p class="note">Every interval holds the truth at all looks together with a chance of 1 - alpha, and every p-value is
valid whenever somebody looks. Times: difference of mean logarithms, told as a share of the baseline's geometric mean;
cost: ratio of means; both by asymptotic confidence sequences (Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2024).
Errors: difference of shares by Beta mixture martingales (Robbins 1970). Votes: difference of means, as times. Scores:
mean difference over the same prompts by betting (Waudby-Smith, Ramdas 2024). With several arms, alpha is shared.</p>
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
    rulings = "".join(
        f"<li><b>{escape(one['arm'])}</b> was {escape(one['kind'])} at {_moment(one['timestampSeconds'])} UTC: "
        f"{escape(one['reason'])}</li>"
        for one in declared["rulings"]
    )
    parts = [
        f'<p class="note">Since {escape(declared.get("started") or "the records begin")}, decided by {escape(metric)} '
        f"({escape(MEANING[metric])}) against {escape(baseline)}, alpha {declared['alpha']:g}.</p>",
        f"<ul>{rulings}</ul>" if rulings else "<p>Nothing was decided yet.</p>",
        "<h2>Effects</h2>",
        _effects(declared),
        "<h2>Effects over time</h2>",
        *[
            plot
            for one in sorted(_PLOTTED, key=lambda one: one != metric)
            if (plot := effect_plot(one, declared.get("history", []), baseline))
        ],
        "<h2>Times of the arms</h2>",
        times_plot("time to the first byte", {name: arm["timeToFirstTokenSeconds"] for name, arm in arms.items()}),
        times_plot("time to the end", {name: arm["durationSeconds"] for name, arm in arms.items()}),
        "<h2>Arms</h2>",
        _arms(arms),
        _METHOD,
    ]
    return html_page(title, parts)


def _effects(declared: Mapping[str, Any]) -> str:
    rows = [
        [f"{arm}: {MEANING[metric]}", *effect_told(metric, found[metric])]
        for arm, found in cast("dict[str, dict[Metric, Any]]", declared["comparisons"]).items()
        for metric in METRICS
        if found[metric] is not None
    ]
    if not rows:
        return "<p>Too little is known yet.</p>"
    return html_table((f"against {declared['baseline']}", "effect", "interval", "p", "verdict"), rows)


def _arms(arms: Mapping[str, Any]) -> str:
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
    return html_table(columns, rows)


def effect_plot(metric: Metric, history: Sequence[Mapping[str, Any]], baseline: str) -> str:
    """A metric's effects over time: a line for each arm, its interval as a band; nothing where nothing is known."""
    lines: dict[str, list[tuple[int, float, float, float]]] = {}
    for moment in history:
        for arm, found in moment["comparisons"].items():
            one = found.get(metric)
            if one is not None:
                high = one["high"] if one["high"] is not None else float("inf")
                lines.setdefault(arm, []).append((moment["minute"], one["effect"], one["low"], high))
    if not lines:
        return ""
    ends = [value for points in lines.values() for value in points[-1][1:] if isfinite(value)]
    reach = _WIDEST * (max(abs(value) for value in ends) or 1e-9)
    drawn = [point for points in lines.values() for point in points]
    lowest = max(min(low for _, _, low, _ in drawn), -reach)
    highest = min(max(high for _, _, _, high in drawn), reach)
    scale = _Scale(min(one[0] for one in drawn), max(one[0] for one in drawn), min(lowest, 0.0), max(highest, 0.0))
    label = f"{MEANING[metric]}, against {baseline}"
    out = [f'<h3>{escape(label)}</h3><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">']
    for value in sorted({scale.low, 0.0, scale.high}):
        y = scale.y(value)
        out.append(f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#8885"/>')
        told = escape(value_told(metric, value))
        out.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{told}</text>')
    for number, (arm, points) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        upper = [f"{scale.x(minute):.1f},{scale.y(high):.1f}" for minute, _, _, high in points]
        lower = [f"{scale.x(minute):.1f},{scale.y(low):.1f}" for minute, _, low, _ in points]
        line = " ".join(f"{scale.x(minute):.1f},{scale.y(effect):.1f}" for minute, effect, _, _ in points)
        out.append(f'<polygon points="{" ".join([*upper, *reversed(lower)])}" fill="{colour}" opacity="0.2"/>')
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        x, y = scale.x(points[-1][0]), scale.y(points[-1][1])
        out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')
        out.append(_legend(number, arm, colour))
    times = f"{_moment(scale.first * 60)} to {_moment(scale.last * 60)} UTC"
    out.append(f'<text x="{_WIDTH}" y="{_HEIGHT - 4}" text-anchor="end">{times}</text>')
    return "".join(out) + "</svg>"


class _Scale:
    """From minutes and effects to places in a plot."""

    def __init__(self, first: int, last: int, low: float, high: float) -> None:
        self.first, self.last, self.low, self.high = first, last, low, high if high > low else low + 1.0

    def x(self, minute: int) -> float:
        return _LEFT + (_WIDTH - _LEFT - 6) * ((minute - self.first) / ((self.last - self.first) or 1))

    def y(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (self.high - inside) / (self.high - self.low)


def times_plot(title: str, arms: Mapping[str, Mapping[str, Any]]) -> str:
    """Bars of the times under which half, 95 and 99 per cent of each arm's answers stayed."""
    shares = ("p50", "p95", "p99")
    longest = max((arm[share] or 0.0 for arm in arms.values() for share in shares), default=0.0)
    if longest <= 0:
        return ""
    bar, gap = 14, 12
    height = len(arms) * (len(shares) * bar + gap)
    room = _WIDTH - 220 - 90
    out = [f'<h3>{escape(title)}</h3><svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">']
    for number, (name, arm) in enumerate(arms.items()):
        top = number * (len(shares) * bar + gap)
        out.append(f'<text x="0" y="{top + 12}">{escape(name[:24])}</text>')
        for place, share in enumerate(shares):
            y, seconds = top + place * bar, arm[share] or 0.0
            width = seconds / longest * room
            out.append(f'<text x="212" y="{y + 11}" text-anchor="end">{share}</text>')
            out.append(
                f'<rect x="220" y="{y + 1}" width="{width:.1f}" height="{bar - 3}" '
                f'fill="{_COLOURS[number % len(_COLOURS)]}" opacity="{1 - place * 0.25:.2f}"/>'
            )
            out.append(f'<text x="{226 + width:.1f}" y="{y + 11}">{escape(seconds_told(arm[share]))}</text>')
    return "".join(out) + "</svg>"


def _legend(number: int, name: str, colour: str) -> str:
    x = _LEFT + number * 150
    return (
        f'<rect x="{x}" y="{_HEIGHT - 13}" width="10" height="10" fill="{colour}"/>'
        f'<text x="{x + 15}" y="{_HEIGHT - 4}">{escape(name[:18])}</text>'
    )


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
