"""The cost report as one HTML page that holds everything it shows: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from html import escape
from typing import Any, Final

_TIERS: Final = ("local", "cloud", "commercial")
_COLOURS: Final = {"local": "#2f7d5b", "cloud": "#3a6ea5", "commercial": "#c2621b"}
_OTHER_COLOUR: Final = "#777777"
_WIDTH: Final = 860
_HEIGHT: Final = 240
_LEFT: Final = 70
_BOTTOM: Final = 36
_TOP: Final = 12
_MOST_DAYS: Final = 400
_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 920px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }
.cards { display: flex; flex-wrap: wrap; gap: .8em; }
.card { border: 1px solid #8886; border-radius: 8px; padding: .6em 1em; }
.card b { display: block; font-size: 1.3em; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25em .6em; border-bottom: 1px solid #8884; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.scroll { overflow-x: auto; }
svg { max-width: 100%; height: auto; } svg text { fill: currentColor; font: 12px system-ui, sans-serif; }
.note { opacity: .75; }
"""
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
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="note">{escape(report["from"])} to {escape(report["to"])}, UTC. '
        f"Made at {escape(report['generatedAt'])}.</p>",
        _cards(report),
        "<h2>Spend by day and tier</h2>",
        _days(report),
    ]
    for heading, name in (("tier", "byTier"), ("key", "byKey"), ("model", "byModel"), ("day", "byDay")):
        parts += [f"<h2>By {heading}</h2>", _table(heading, report[name])]
    parts.append(_comparison(report["comparedWith"]))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _cards(report: Mapping[str, Any]) -> str:
    total = report["total"]
    cards = [
        ("spent", f"{shown('usd', total['usd'])} USD"),
        ("requests", shown("requests", total["requests"])),
        ("tokens", shown("tokens", total["promptTokens"] + total["completionTokens"])),
        ("errors", shown("errorRate", total["errorRate"])),
        ("saved, compared with a commercial API", f"{shown('usd', total['savedUsd'])} USD"),
    ]
    budget = report["budget"]
    if budget is not None:
        of = "no budget" if budget["monthlyUsd"] is None else f"of {shown('usd', budget['monthlyUsd'])} USD"
        cards += [
            (f"{budget['month']} beyond the fleet, {of}", f"{shown('usd', budget['spentUsd'])} USD"),
            ("forecast for the month's end", f"{shown('usd', budget['forecastUsd'])} USD"),
            ("budget", str(budget["state"])),
        ]
    return (
        '<div class="cards">'
        + "".join(f'<div class="card"><b>{escape(value)}</b>{escape(name)}</div>' for name, value in cards)
        + "</div>"
    )


def _days(report: Mapping[str, Any]) -> str:
    """Stacked columns, one a day, the days without spend included."""
    spent: dict[str, dict[str, float]] = {}
    for entry in report["byDayAndTier"]:
        spent.setdefault(entry["day"], {})[entry["tier"]] = entry["usd"]
    days = _calendar(report["from"], report["to"])[-_MOST_DAYS:]
    highest = max((sum(tiers.values()) for tiers in spent.values()), default=0.0)
    if highest <= 0:
        return '<p class="note">Nothing was spent.</p>'
    plot_width, plot_height = _WIDTH - _LEFT, _HEIGHT - _BOTTOM - _TOP
    step = plot_width / len(days)
    out = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Spend by day and tier">']
    for share in (0.0, 0.5, 1.0):
        y = _TOP + plot_height * (1 - share)
        out.append(f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#8885"/>')
        label = escape(shown("usd", highest * share))
        out.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for number, day in enumerate(days):
        y = float(_TOP + plot_height)
        for tier in sorted(spent.get(day, {}), key=_order):
            usd = spent[day][tier]
            height = usd / highest * plot_height
            y -= height
            out.append(
                f'<rect x="{_LEFT + number * step + step * 0.1:.2f}" y="{y:.2f}" width="{step * 0.8:.2f}" '
                f'height="{height:.2f}" fill="{_COLOURS.get(tier, _OTHER_COLOUR)}">'
                f"<title>{escape(day)} {escape(tier)}: {escape(shown('usd', usd))} USD</title></rect>"
            )
        if number % max(1, len(days) // 8) == 0:
            x = _LEFT + (number + 0.5) * step
            out.append(f'<text x="{x:.1f}" y="{_HEIGHT - 18}" text-anchor="middle">{escape(day[5:])}</text>')
    tiers = sorted({tier for found in spent.values() for tier in found}, key=_order)
    for number, tier in enumerate(tiers):
        x = _LEFT + number * 120
        out.append(
            f'<rect x="{x}" y="{_HEIGHT - 11}" width="10" height="10" fill="{_COLOURS.get(tier, _OTHER_COLOUR)}"/>'
            f'<text x="{x + 15}" y="{_HEIGHT - 2}">{escape(tier)}</text>'
        )
    return "".join(out) + "</svg>"


def _order(tier: str) -> int:
    return _TIERS.index(tier) if tier in _TIERS else len(_TIERS)


def _calendar(first: str, last: str) -> list[str]:
    begin, end = date.fromisoformat(first), date.fromisoformat(last)
    return [(begin + timedelta(days=number)).isoformat() for number in range((end - begin).days + 1)]


def _table(heading: str, groups: Sequence[Mapping[str, Any]]) -> str:
    head = "".join(f"<th>{escape(title)}</th>" for title in (heading, *(title for title, _ in COLUMNS)))
    body = "".join(
        "<tr>"
        + "".join(
            f"<td>{escape(text)}</td>"
            for text in (str(group[heading]), *(shown(field, group[field]) for _, field in COLUMNS))
        )
        + "</tr>"
        for group in groups
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _comparison(prices: Mapping[str, Mapping[str, Any]]) -> str:
    lines = "".join(
        f"<li>{escape(model)}: {price['inputUsdPerMillion']:g} USD for a million prompt tokens, "
        f"{price['outputUsdPerMillion']:g} USD for a million answer tokens ({escape(str(price['source']))})</li>"
        for model, price in prices.items()
    )
    return f'<h2>Compared with</h2><ul class="note">{lines}</ul>' if lines else ""
