"""A benchmark's results as one HTML page, complete in itself: tables, plots, and what each number means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from agent_runtime.benchmark.plots import Line, Point, bars, line_plot
from agent_runtime.benchmark.tables import COLUMNS, COMPARISON_COLUMNS, comparison_rows, load_text, notes, number, rows

Document = Mapping[str, Any]
_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #8884; vertical-align: top; }
.scroll { overflow-x: auto; } .bad { color: #c0392b; font-weight: 600; } .soft { opacity: .75; }
svg { max-width: 760px; width: 100%; height: auto; display: block; }
svg text { font: 12px system-ui, sans-serif; fill: currentColor; }
dt { font-weight: 600; } dd { margin: 0 0 .4rem 1.2rem; }
"""
_LATENCIES: Final = (
    ("Time to first token (TTFT)", "ttftSeconds"),
    ("Inter-token latency (ITL)", "itlSeconds"),
    ("End to end (E2E)", "e2eSeconds"),
)


def benchmark_page(document: Document, title: str) -> str:
    """The page of the results that :meth:`Results.document` gives."""
    verdict = "" if document["complete"] else '<p class="bad">Not all that was asked for was measured.</p>'
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="soft">Measured at {escape(document["startedAt"])}. {_settings(document)}</p>',
        verdict,
        _table(COLUMNS, rows(document)),
        _list(notes(document)),
    ]
    if len(document["models"]) > 1:
        body += ["<h2>Models compared</h2>", *_models(document["models"])]
    body += _load_plots(document["models"])
    comparison = document.get("comparison")
    if comparison is not None:
        body += [
            f"<h2>Beside the baseline of {escape(comparison['baselineStartedAt'])}</h2>",
            f'<p class="soft">{escape(comparison["method"])}; {comparison["comparisons"]} comparisons.</p>',
            _list(comparison["warnings"]),
            _table(COMPARISON_COLUMNS, comparison_rows(comparison)),
        ]
    meanings = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in document["formulas"].items())
    body += ["<h2>What each number means</h2>", f"<dl>{meanings}</dl>"]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head>\n<body>\n'
        + "\n".join(part for part in body if part)
        + "\n</body></html>\n"
    )


def _settings(document: Document) -> str:
    settings = document["settings"]
    limits = ", ".join(
        f"{name.removesuffix('Seconds').upper()} {value * 1000:g} ms" for name, value in settings["limits"].items()
    )
    parts = [f"At most {settings['maxTokens']} output tokens a reply, seed {settings['seed']}"]
    parts += [f"limits: {limits}"] if limits else []
    return escape("; ".join([*parts, document["machine"]]) + ".")


def _load_plots(models: Sequence[Document]) -> list[str]:
    """Latency and throughput against load, closed and open loops apart; all models in one plot each."""
    parts: list[str] = []
    for is_open, x_title in ((False, "requests at once"), (True, "requests a second")):
        chosen = [(number, model, _levels(model, is_open=is_open)) for number, model in enumerate(models)]
        chosen = [one for one in chosen if one[2]]
        if not chosen:
            continue
        for title, measure in _LATENCIES:
            lines = [line for one in chosen for line in _latency_lines(one, measure)]
            parts.append(f"<h2>{title} against load</h2>")
            parts.append(line_plot(lines, x_title=x_title, y_title="milliseconds", mark="knee"))
        parts.append("<h2>Throughput against load</h2>")
        lines = [_throughput_line(*one) for one in chosen]
        parts.append(line_plot(lines, x_title=x_title, y_title="output tokens/s of the system", mark="knee"))
    return parts


_Levels = list[tuple[bool, Document]]
"""Levels, each with whether it is the knee."""


def _levels(model: Document, *, is_open: bool) -> _Levels:
    found = [
        (index == model["knee"], level)
        for index, level in enumerate(model["levels"])
        if (level["load"]["kind"] != "closed") == is_open and level["latency"]["e2eSeconds"] is not None
    ]
    return sorted(found, key=lambda one: one[1]["load"]["value"])


def _latency_lines(one: tuple[int, Document, _Levels], measure: str) -> list[Line]:
    colour, model, levels = one
    lines: list[Line] = []
    for percentile in ("p50", "p95"):
        points = [
            _latency_point(level, percentile, measure, knee=knee and percentile == "p50")
            for knee, level in levels
            if level["latency"][measure] is not None
        ]
        lines.append(Line(f"{model['name']} {percentile}", points, dashed=percentile != "p50", colour=colour))
    return lines


def _latency_point(level: Document, percentile: str, measure: str, *, knee: bool) -> Point:
    spread = level["latency"][measure][percentile]
    low, high = (None if end is None else end * 1000 for end in (spread["low"], spread["high"]))
    text = f"{load_text(level['load'])}: {percentile} {number(spread['value'] * 1000)} ms"
    if low is not None:
        text += f", {number(low)} to {number(high)}"
    return Point(level["load"]["value"], spread["value"] * 1000, text, low, high, knee)


def _throughput_line(colour: int, model: Document, levels: _Levels) -> Line:
    points = [
        Point(level["load"]["value"], rate, f"{load_text(level['load'])}: {number(rate)} tokens/s", marked=knee)
        for knee, level in levels
        if (rate := level["throughput"]["outputTokensPerSecond"]) is not None
    ]
    return Line(model["name"], points, colour=colour)


def _models(models: Sequence[Document]) -> list[str]:
    """The best throughput of each model, its latency at its lightest load, and its memory."""
    throughput = [
        (model["name"], best, f"{number(best)} tokens/s")
        for model in models
        if (best := max((lv["throughput"]["outputTokensPerSecond"] or 0 for lv in model["levels"]), default=0))
    ]
    latency = [
        (model["name"], seconds * 1000, f"{number(seconds * 1000)} ms")
        for model in models
        for level in model["levels"][:1]
        if level["latency"]["e2eSeconds"] is not None and (seconds := level["latency"]["e2eSeconds"]["p50"]["value"])
    ]
    memory = [
        (model["name"], size / 2**30, f"{size / 2**30:.2f} GiB")
        for model in models
        if (size := model["memory"]["engineSizeBytes"] or model["memory"]["rssPeakBytes"])
    ]
    parts: list[str] = []
    for title, values in (
        ("Most output tokens/s of the system", throughput),
        ("Median E2E at the first load", latency),
        ("Memory", memory),
    ):
        if values:
            parts += [f"<h3>{title}</h3>", bars(values)]
    return parts


def _table(columns: Sequence[str], found: Sequence[Sequence[str]]) -> str:
    if not found:
        return ""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in found)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _list(texts: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in texts)}</ul>" if texts else ""
