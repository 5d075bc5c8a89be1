"""A benchmark's results as rows for a person, as Markdown and as comma-separated values."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

Document = Mapping[str, Any]
COLUMNS: Final = (
    "model",
    "load",
    "requests",
    "TTFT p50 ms",
    "TTFT p95 ms",
    "ITL p50 ms",
    "ITL p95 ms",
    "E2E p50 ms",
    "E2E p95 ms",
    "tokens/s",
    "tokens/s user",
    "goodput/s",
    "USD per 1M out",
)
COMPARISON_COLUMNS: Final = ("model", "load", "measure", "before", "after", "change", "p (corrected)", "verdict")
_NOTHING: Final = "-"
_MIB: Final = 2**20
_SMALLEST_P: Final = 0.001
_MEASURES: Final = ("ttftSeconds", "itlSeconds", "e2eSeconds")


def rows(document: Document) -> list[list[str]]:
    """One row for each level of each model; a model without one has a row that says why."""
    found: list[list[str]] = []
    for model in document["models"]:
        for index, level in enumerate(model["levels"]):
            found.append(_row(model, level, knee=index == model["knee"]))
        if not model["levels"]:
            found.append([model["name"], _NOTHING, "failed", *[_NOTHING] * (len(COLUMNS) - 3)])
    return found


def _row(model: Document, level: Document, *, knee: bool) -> list[str]:
    latency, rate, goodput, money = level["latency"], level["throughput"], level["goodput"], level["money"]
    counts = level["requests"]
    requests = str(counts["good"]) if not counts["failed"] else f"{counts['good']} of {counts['sent']}"
    marks = [mark for mark, there in (("*", knee), (level["status"], level["status"] != "complete")) if there]
    return [
        model["name"],
        " ".join([load_text(level["load"]), *marks]),
        requests,
        *(
            _milliseconds(latency[name], percentile, with_interval=percentile == "p50")
            for name in _MEASURES
            for percentile in ("p50", "p95")
        ),
        number(rate["outputTokensPerSecond"]),
        number(rate["outputTokensPerSecondOfUser"]),
        _NOTHING if goodput is None else f"{number(goodput['requestsPerSecond'])} ({goodput['share'] or 0:.0%})",
        number(None if money is None else money["usdPerMillionOutputTokens"]),
    ]


def notes(document: Document) -> list[str]:
    """What a person has to know besides the rows: cold loads, memory, what failed, what is not to be trusted."""
    found: list[str] = []
    if any(model["knee"] is not None for model in document["models"]):
        found.append("* the knee: beyond it, more load costs more latency than it brings throughput")
    if document["interrupted"]:
        found.append("interrupted: what was measured until then is shown")
    for model in document["models"]:
        name = model["name"]
        if model["problem"]:
            found.append(f"{name}: {model['status']}: {model['problem']}")
        found += [f"{name}: {line}" for line in (*_first_lines(model), *_memory_lines(model))]
        for level in model["levels"]:
            found += [f"{name}, {load_text(level['load'])}: {line}" for line in _level_lines(level)]
        found += [f"{name}: {line}" for line in _saturation_lines(model)]
    return found


def _first_lines(model: Document) -> list[str]:
    first = model["first"]
    if first is None or first["error"] is not None or first["ttftSeconds"] is None:
        return []
    loaded = "" if first["loadSeconds"] is None else f", of which {first['loadSeconds']:.2f} s to load the model"
    cold = " after the model was unloaded" if first["unloadedBefore"] else ""
    return [f"first request{cold}: first token after {first['ttftSeconds']:.2f} s{loaded}"]


def _memory_lines(model: Document) -> list[str]:
    memory = model["memory"]
    parts = [
        f"{what} {memory[key] / _MIB:,.0f} MiB"
        for key, what in (("engineSizeBytes", "loaded"), ("engineVramBytes", "on GPUs"), ("rssPeakBytes", "processes"))
        if memory[key] is not None
    ]
    return [f"memory: {', '.join(parts)}"] if parts else []


def _level_lines(level: Document) -> list[str]:
    found = [f"{error['count']} {error['kind']}: {error['example']}" for error in level["errors"]]
    if level["tokens"]["repliesWithoutCount"]:
        found.append("the engine gives no token counts: no ITL and no tokens/s")
    return found


def _saturation_lines(model: Document) -> list[str]:
    """One line for all levels at which the generator did not keep up, with the reason of the last."""
    levels = [level for level in model["levels"] if level["generator"] and level["generator"]["saturated"]]
    if not levels:
        return []
    loads = ", ".join(load_text(level["load"]) for level in levels)
    return [f"not the server's numbers alone at {loads}: {levels[-1]['generator']['saturated']}"]


def comparison_rows(comparison: Document) -> list[list[str]]:
    """One row for each difference from the baseline."""
    return [
        [
            row["model"],
            load_text(row["load"]),
            row["measure"].replace("Seconds", ""),
            _compared(row, "before"),
            _compared(row, "after"),
            _NOTHING if row["change"] is None else f"{row['change']:+.1%}",
            "<0.001" if row["correctedPValue"] < _SMALLEST_P else f"{row['correctedPValue']:.3f}",
            _verdict(row),
        ]
        for row in comparison["rows"]
    ]


def _compared(row: Document, key: str) -> str:
    return f"{row[key]:.1%}" if row["measure"] == "errors" else f"{row[key] * 1000:.1f} ms"


def _verdict(row: Document) -> str:
    if not row["significant"]:
        return "no significant difference"
    return "worse" if row["after"] > row["before"] else "better"


def as_markdown(document: Document) -> str:
    """The results as Markdown, formulas included."""
    parts = [f"Measured at {document['startedAt']}.", "", _markdown_table(COLUMNS, rows(document)), ""]
    parts += [f"- {line}" for line in notes(document)]
    comparison = document.get("comparison")
    if comparison is not None:
        parts += ["", f"Beside the baseline of {comparison['baselineStartedAt']} ({comparison['method']}):", ""]
        parts.append(_markdown_table(COMPARISON_COLUMNS, comparison_rows(comparison)))
        parts += [f"- {line}" for line in comparison["warnings"]]
    parts += ["", *(f"- **{name}**: {meaning}" for name, meaning in document["formulas"].items())]
    return "\n".join(parts) + "\n"


def _markdown_table(columns: Sequence[str], found: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return "\n".join([line(columns), line(["---"] * len(columns)), *map(line, found)])


def as_csv(document: Document) -> str:
    """One line for each level of each model, plain numbers; seconds, tokens, dollars as the columns' names say."""
    records = [_record(model, level) for model in document["models"] for level in model["levels"]]
    columns = list(dict.fromkeys(name for record in records for name in record))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns or ["model"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()


def _record(model: Document, level: Document) -> dict[str, Any]:
    record: dict[str, Any] = {"model": model["name"], "engine": model["engine"], "tier": model["tier"]}
    for name in ("load", "requests", "latency", "throughput", "tokens", "goodput", "money", "generator"):
        _flatten(record, name, level[name])
    record |= {"seconds": level["seconds"], "status": level["status"], "problem": level["problem"]}
    return record


def _flatten(record: dict[str, Any], name: str, value: object) -> None:
    if isinstance(value, dict):
        for key, part in cast("dict[str, object]", value).items():
            _flatten(record, f"{name}.{key}", part)
    else:
        record[name] = value


def load_text(load: Document) -> str:
    """A load in a few words."""
    return f"{load['value']:g} at once" if load["kind"] == "closed" else f"{load['value']:g}/s {load['kind']}"


def number(value: float | None) -> str:
    """A number with three digits that matter; a dash where there is none."""
    if value is None:
        return _NOTHING
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _milliseconds(spread: Document | None, percentile: str, *, with_interval: bool) -> str:
    if spread is None:
        return _NOTHING
    one = spread[percentile]
    text = number(one["value"] * 1000)
    if with_interval and one["low"] is not None:
        text += f" ({number(one['low'] * 1000)} to {number(one['high'] * 1000)})"
    return text
