"""A plan as one HTML page, complete in itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from agent_runtime.reports.bars import Bar, Piece, bar_plot
from agent_runtime.reports.elements import (
    Cell,
    Html,
    Tone,
    Toned,
    bullets,
    document,
    figures,
    heading,
    paragraph,
    table,
    verdict,
)
from agent_runtime.reports.plots import Key, plots, series
from cli.plan.against import Comparison
from cli.plan.build import Plan
from cli.plan.model_plan import ModelPlan
from cli.plan.words import COLUMNS, change_line, difference_line, lines, not_counted_lines, rows, total_row, usd_span
from fleet_spec.sizing.estimate import GIB
from policies.judgement import Verdict

_FITS: Final = COLUMNS.index("fits")
_NUMBERS: Final = range(COLUMNS.index("GPUs"), len(COLUMNS))
_FIT_TONES: Final[dict[str, Tone]] = {"yes": "good", "no": "bad", "?": "warn"}
_PAINT: Final = series(0)


def page(plan: Plan, comparison: Comparison | None) -> str:
    """The whole page."""
    total = total_row(plan)
    summed = dict(zip(COLUMNS, total, strict=True))
    parts = [
        verdict("It must not go up.", "bad") if plan.blocked else verdict("It may go up.", "good"),
        figures(
            [
                ("US dollars a month", summed["USD/month"]),
                *([("US dollars expected", summed["expected"])] if summed["expected"] != "-" else []),
                *([("GPUs", summed["GPUs"])] if summed["GPUs"] != "-" else []),
                ("replicas", summed["replicas"]),
                *([("storage", summed["storage"])] if summed["storage"] != "-" else []),
            ]
        ),
        *_against(comparison),
        heading("Models"),
        table("Models", COLUMNS, [_with_tone(cells) for cells in rows(plan)], numbers=_NUMBERS, total=total),
        bullets(lines(plan)),
        plots([costs_plot(plan.models), memory_plot(plan.models)]),
        heading("Policies"),
    ]
    if plan.verdicts:
        columns = ("rule", "level", "where", "what", "why", "fix")
        parts.append(table("Policies that are broken", columns, [_broken(one) for one in plan.verdicts]))
    else:
        parts.append(paragraph("No policy is broken."))
    return document(f"Plan of stack {plan.stack}", parts, about=f"Target {plan.target}.")


def _against(comparison: Comparison | None) -> list[Html]:
    if comparison is None:
        return []
    changes = [change_line(change) for change in comparison.changes] or ["no model changes"]
    difference = difference_line(comparison)
    return [
        heading(f"Against {comparison.source}"),
        *([paragraph(difference)] if difference is not None else []),
        bullets([*changes, *not_counted_lines(comparison)]),
    ]


def _with_tone(cells: Sequence[str]) -> list[Cell]:
    fits = cells[_FITS]
    if fits.lower() not in _FIT_TONES:
        return list(cells)
    return [*cells[:_FITS], Toned(fits, _FIT_TONES[fits.lower()]), *cells[_FITS + 1 :]]


def _broken(one: Verdict) -> list[Cell]:
    level: Cell = Toned(one.level, "bad" if one.blocks else "warn")
    if one.exception is not None:
        level = f"excepted until {one.exception.until}"
    return [one.rule.name, level, one.finding.where, one.finding.what, one.rule.why, one.finding.fix]


def costs_plot(models: Sequence[ModelPlan]) -> Html:
    """A bar for each model: up to its least cost dark, up to its most light."""
    bars = [
        Bar(
            model.name,
            usd_span(model.cost.least_usd, model.cost.most_usd),
            [Piece(model.cost.least_usd or 0.0, _PAINT), Piece(model.cost.most_usd or 0.0, _PAINT, "pale")],
        )
        for model in models
    ]
    keys = [Key("at least", _PAINT), Key("at most", _PAINT, "pale area")]
    return bar_plot("Cost of a month, US dollars", bars, keys=keys)


def memory_plot(models: Sequence[ModelPlan]) -> Html:
    """A bar for each model that is known: weights dark, with the KV cache and the rest light."""
    bars = [
        Bar(
            model.name,
            f"{memory.weights_bytes / GIB:.1f} weights, {memory.total_bytes / GIB:.1f} in all",
            [Piece(memory.weights_bytes / GIB, _PAINT), Piece(memory.total_bytes / GIB, _PAINT, "pale")],
        )
        for model in models
        if (memory := model.size.memory) is not None
    ]
    keys = [Key("weights", _PAINT), Key("with KV cache and the rest", _PAINT, "pale area")]
    return bar_plot("Memory of a replica, GiB", bars, keys=keys)
