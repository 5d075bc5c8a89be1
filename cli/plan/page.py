"""A plan as one HTML page, complete in itself: no script, nothing loaded, plots as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from cli.plan.against import Comparison
from cli.plan.build import ModelPlan, Plan
from cli.plan.words import COLUMNS, change_line, difference_line, lines, row, total_row, usd
from fleet_spec.sizing.estimate import GIB

_STYLE = """
:root { color-scheme: light dark; --bar: #4878a8; --soft: #a8c4de; --bad: #c0392b; --line: #8886; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
tr.total td { font-weight: 600; } .bad { color: var(--bad); font-weight: 600; }
svg { width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: currentColor; }
"""
_WIDTH, _LABELS, _ROW, _BAR = 760, 170, 26, 16


def page(plan: Plan, comparison: Comparison | None) -> str:
    """The whole page."""
    verdict = '<span class="bad">must not go up</span>' if plan.blocked else "may go up"
    body = [f"<h1>Plan of stack {escape(plan.stack)}</h1>", f"<p>Target {escape(plan.target)}: it {verdict}.</p>"]
    if comparison is not None:
        changes = [change_line(change) for change in comparison.changes] or ["no model changes"]
        difference = difference_line(comparison)
        body += [
            f"<h2>Against {escape(comparison.source)}</h2>",
            *([f"<p>{escape(difference)}</p>"] if difference is not None else []),
            _list(changes),
        ]
    body += [_table(COLUMNS, [row(model) for model in plan.models], total_row(plan)), _list(lines(plan))]
    body += ["<h2>Cost of a month, US dollars</h2>", costs_plot(plan.models)]
    body += ["<h2>Memory of a replica, GiB</h2>", memory_plot(plan.models)]
    body.append("<h2>Policies</h2>")
    if plan.verdicts:
        rows = [
            [
                one.rule.name,
                f"excepted until {one.exception.until}" if one.exception is not None else one.level,
                one.finding.where,
                one.finding.what,
                one.rule.why,
                one.finding.fix,
            ]
            for one in plan.verdicts
        ]
        body.append(_table(("rule", "level", "where", "what", "why", "fix"), rows))
    else:
        body.append("<p>No policy is broken.</p>")
    title = escape(f"Plan of stack {plan.stack}")
    head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(body) + "\n</body></html>\n"


def costs_plot(models: Sequence[ModelPlan]) -> str:
    """A bar for each model: up to its least cost dark, up to its most light."""
    bars = [
        (model.name, [(model.cost.least_usd or 0.0, "bar"), (model.cost.most_usd or 0.0, "soft")]) for model in models
    ]
    texts = [f"{usd(model.cost.least_usd)} to {usd(model.cost.most_usd)}" for model in models]
    return _bars(bars, texts)


def memory_plot(models: Sequence[ModelPlan]) -> str:
    """A bar for each model that is known: weights dark, with the KV cache and the rest light."""
    known = [(model, model.size.memory) for model in models if model.size.memory is not None]
    bars = [
        (model.name, [(memory.weights_bytes / GIB, "bar"), (memory.total_bytes / GIB, "soft")])
        for model, memory in known
    ]
    texts = [f"{memory.weights_bytes / GIB:.1f} weights, {memory.total_bytes / GIB:.1f} in all" for _, memory in known]
    return _bars(bars, texts)


def _bars(bars: Sequence[tuple[str, list[tuple[float, str]]]], texts: Sequence[str]) -> str:
    most = max((value for _, parts in bars for value, _ in parts), default=0.0) or 1.0
    room = _WIDTH - _LABELS - 190
    drawn: list[str] = []
    for index, ((label, parts), text) in enumerate(zip(bars, texts, strict=True)):
        top = index * _ROW
        drawn.append(f'<text x="0" y="{top + 13}">{escape(label[:24])}</text>')
        for value, colour in sorted(parts, reverse=True):
            width = value / most * room
            drawn.append(f'<rect x="{_LABELS}" y="{top}" width="{width:.1f}" height="{_BAR}" fill="var(--{colour})"/>')
        end = _LABELS + max(value for value, _ in parts) / most * room + 6
        drawn.append(f'<text x="{end:.1f}" y="{top + 13}">{escape(text)}</text>')
    height = max(len(bars) * _ROW, _ROW)
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img">{"".join(drawn)}</svg>'


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], total: Sequence[str] | None = None) -> str:
    def cells(values: Sequence[str], kind: str = "td") -> str:
        return "".join(f"<{kind}>{escape(value)}</{kind}>" for value in values)

    last = f'<tr class="total">{cells(total)}</tr>' if total is not None else ""
    body = "".join(f"<tr>{cells(values)}</tr>" for values in rows)
    return f"<table><thead><tr>{cells(columns, 'th')}</tr></thead><tbody>{body}{last}</tbody></table>"


def _list(texts: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in texts)}</ul>" if texts else ""
