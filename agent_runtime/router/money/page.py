"""The cost report as one HTML page, complete in itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

from agent_runtime.reports.bars import Bar, Piece, bar_plot, column_plot
from agent_runtime.reports.elements import Html, bullets, document, figures, heading, note, table
from agent_runtime.reports.plots import plots, series

_TIERS: Final = ("local", "cloud", "commercial")
_MOST_DAYS: Final = 400
_MOST_MODELS: Final = 5
COLUMNS: Final = (
    ("requests", "requests"),
    ("errors", "errorRate"),
    ("prompt tokens", "promptTokens"),
    ("answer tokens", "completionTokens"),
    ("USD", "usd"),
    ("USD per 1M", "usdPerMillionTokens"),
    ("mean", "meanSeconds"),
    ("p95", "p95Seconds"),
    ("saved USD", "savedUsd"),
)
"""What a table shows of each group: the heading, and the report's field."""


def shown(field: str, value: float | None) -> str:
    """A value of the report for a person, with its unit; a dash where there is none."""
    if value is None:
        return "-"
    if field == "errorRate":
        return f"{value * 100:.1f} %"
    if field.endswith("Seconds"):
        return f"{value:.2f} s"
    if "usd" in field.lower():
        return f"{value:,.2f}" if abs(value) >= 1 or value == 0 else f"{value:.3g}"
    return f"{value:,}"


def cost_page(report: Mapping[str, Any], title: str) -> str:
    """The page of a report that :func:`cost_report` made."""
    parts = [_figures(report), heading("Spend"), _spend(report)]
    for what, name in (("tier", "byTier"), ("key", "byKey"), ("model", "byModel"), ("day", "byDay")):
        parts += [heading(f"By {what}"), _table(what, report[name])]
    parts += _comparison(report["comparedWith"])
    about = f"{report['from']} to {report['to']}, UTC. Made at {report['generatedAt']}."
    return document(title, parts, about=about)


def _figures(report: Mapping[str, Any]) -> Html:
    total = report["total"]
    pairs = [
        ("spent", f"{shown('usd', total['usd'])} USD"),
        ("requests", shown("requests", total["requests"])),
        ("tokens", shown("tokens", total["promptTokens"] + total["completionTokens"])),
        ("errors", shown("errorRate", total["errorRate"])),
        ("saved, compared with a commercial API", f"{shown('usd', total['savedUsd'])} USD"),
    ]
    budget = report["budget"]
    if budget is not None:
        of = "no budget" if budget["monthlyUsd"] is None else f"of {shown('usd', budget['monthlyUsd'])} USD"
        pairs += [
            (f"{budget['month']} beyond the fleet, {of}", f"{shown('usd', budget['spentUsd'])} USD"),
            ("forecast for the month's end", f"{shown('usd', budget['forecastUsd'])} USD"),
            ("budget", str(budget["state"])),
        ]
    return figures(pairs)


def _spend(report: Mapping[str, Any]) -> Html:
    """Stacked columns, one a day, the days without spend included; beside them the models that cost most."""
    spent: dict[str, dict[str, float]] = {}
    for entry in report["byDayAndTier"]:
        spent.setdefault(entry["day"], {})[entry["tier"]] = entry["usd"]
    days = _calendar(report["from"], report["to"])[-_MOST_DAYS:]
    tiers = sorted({tier for found in spent.values() for tier in found}, key=_order)
    plot = column_plot(
        "Spend by day and tier, US dollars",
        days,
        {day: spent[day] for day in days if day in spent},
        paints={tier: tier if tier in _TIERS else "muted" for tier in tiers},
        value=lambda usd: f"{shown('usd', usd)} USD",
        y_title="USD",
    )
    return plots([plot, _models(report["byModel"])]) if plot else note("Nothing was spent.")


def _models(groups: Sequence[Mapping[str, Any]]) -> Html:
    dearest = sorted(groups, key=lambda group: -group["usd"])[:_MOST_MODELS]
    bars = [
        Bar(group["model"], f"{shown('usd', group['usd'])} USD", [Piece(group["usd"], series(0))]) for group in dearest
    ]
    return bar_plot("Models that cost most, US dollars", bars)


def _order(tier: str) -> int:
    return _TIERS.index(tier) if tier in _TIERS else len(_TIERS)


def _calendar(first: str, last: str) -> list[str]:
    begin, end = date.fromisoformat(first), date.fromisoformat(last)
    return [(begin + timedelta(days=number)).isoformat() for number in range((end - begin).days + 1)]


def _table(what: str, groups: Sequence[Mapping[str, Any]]) -> Html:
    columns = (what, *(title for title, _ in COLUMNS))
    rows = [[str(group[what]), *(shown(field, group[field]) for _, field in COLUMNS)] for group in groups]
    return table(f"Requests, tokens and spend by {what}", columns, rows, numbers=range(1, len(columns)))


def _comparison(prices: Mapping[str, Mapping[str, Any]]) -> list[Html]:
    lines = [
        f"{model}: {price['inputUsdPerMillion']:g} USD for a million prompt tokens, "
        f"{price['outputUsdPerMillion']:g} USD for a million answer tokens ({price['source']})"
        for model, price in prices.items()
    ]
    return [heading("Compared with"), bullets(lines)] if lines else []
