"""A benchmark's results as one HTML page, complete in itself: tables, plots, and what each number means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from agent_runtime.benchmark.tables import COLUMNS, COMPARISON_COLUMNS, comparison_rows, load_text, notes, number, rows
from agent_runtime.reports import elements
from agent_runtime.reports.bars import Bar, Piece, bar_plot
from agent_runtime.reports.elements import Cell, Html, Tone, Toned, bullets, heading, note, table, verdict
from agent_runtime.reports.lines import Line, Point, line_plot
from agent_runtime.reports.plots import plots, series

Document = Mapping[str, Any]
_LATENCIES: Final = (
    ("Time to first token (TTFT)", "ttftSeconds"),
    ("Inter-token latency (ITL)", "itlSeconds"),
    ("End to end (E2E)", "e2eSeconds"),
)
_TONES: Final[dict[str, Tone]] = {"better": "good", "worse": "bad"}


def benchmark_page(document: Document, title: str) -> str:
    """The page of the results that :meth:`Results.document` gives."""
    parts = [] if document["complete"] else [verdict("Not all that was asked for was measured.", "bad")]
    if found := rows(document):
        levels = table(
            "Latency and throughput of each model at each load", COLUMNS, found, numbers=range(2, len(COLUMNS))
        )
        parts += [heading("Measured"), levels]
    parts.append(bullets(notes(document)))
    if len(document["models"]) > 1:
        parts += [heading("Models compared"), plots(_models(document["models"]))]
    parts += _load_plots(document["models"])
    comparison = document.get("comparison")
    if comparison is not None:
        parts += _beside(comparison)
    parts += [heading("What each number means"), elements.meanings(document["formulas"])]
    about = f"Measured at {document['startedAt']}. {_settings(document)}"
    return elements.document(title, parts, about=about)


def _beside(comparison: Document) -> list[Html]:
    """The differences from a baseline; none where nothing could be compared."""
    found: list[list[Cell]] = [
        [*cells[:-1], Toned(cells[-1], _TONES[cells[-1]]) if cells[-1] in _TONES else cells[-1]]
        for cells in comparison_rows(comparison)
    ]
    return [
        heading(f"Beside the baseline of {comparison['baselineStartedAt']}"),
        note(f"{comparison['method']}; {comparison['comparisons']} comparisons."),
        bullets(comparison["warnings"]),
        *([table("Differences from the baseline", COMPARISON_COLUMNS, found, numbers=range(3, 7))] if found else []),
    ]


def _settings(document: Document) -> str:
    settings = document["settings"]
    limits = ", ".join(
        f"{name.removesuffix('Seconds').upper()} {value * 1000:g} ms" for name, value in settings["limits"].items()
    )
    parts = [f"At most {settings['maxTokens']} output tokens a reply, seed {settings['seed']}"]
    parts += [f"limits: {limits}"] if limits else []
    return "; ".join([*parts, document["machine"]]) + "."


def _load_plots(models: Sequence[Document]) -> list[Html]:
    """Latency and throughput against load, closed and open loops apart; all models in one plot each."""
    parts: list[Html] = []
    for is_open, x_title in ((False, "requests at once"), (True, "requests a second")):
        chosen = [(number, model, _levels(model, is_open=is_open)) for number, model in enumerate(models)]
        chosen = [one for one in chosen if one[2]]
        if not chosen:
            continue
        drawn = [
            line_plot(
                title,
                [line for one in chosen for line in _latency_lines(one, measure)],
                x_title=x_title,
                y_title="milliseconds",
                mark="knee",
            )
            for title, measure in _LATENCIES
        ]
        lines = [_throughput_line(*one) for one in chosen]
        drawn.append(
            line_plot("Throughput of the system", lines, x_title=x_title, y_title="output tokens/s", mark="knee")
        )
        parts += [heading(f"Against load in {x_title}"), plots(drawn)]
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


def _models(models: Sequence[Document]) -> list[Html]:
    """The best throughput of each model, its latency at its lightest load, and its memory."""
    throughput = [
        (place, model["name"], best, f"{number(best)} tokens/s")
        for place, model in enumerate(models)
        if (best := max((lv["throughput"]["outputTokensPerSecond"] or 0 for lv in model["levels"]), default=0))
    ]
    latency = [
        (place, model["name"], seconds * 1000, f"{number(seconds * 1000)} ms")
        for place, model in enumerate(models)
        for level in model["levels"][:1]
        if level["latency"]["e2eSeconds"] is not None and (seconds := level["latency"]["e2eSeconds"]["p50"]["value"])
    ]
    memory = [
        (place, model["name"], size / 2**30, f"{size / 2**30:.2f} GiB")
        for place, model in enumerate(models)
        if (size := model["memory"]["engineSizeBytes"] or model["memory"]["rssPeakBytes"])
    ]
    return [
        bar_plot(title, [Bar(name, text, [Piece(value, series(place))]) for place, name, value, text in values])
        for title, values in (
            ("Most output tokens/s of the system", throughput),
            ("Median E2E at the first load", latency),
            ("Memory", memory),
        )
    ]
