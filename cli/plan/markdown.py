"""A plan as Markdown, for a pull request."""

from __future__ import annotations

from collections.abc import Sequence

from cli.plan.against import Comparison
from cli.plan.build import Plan
from cli.plan.words import COLUMNS, change_line, difference_line, lines, not_counted_lines, rows, total_row


def markdown(plan: Plan, comparison: Comparison | None) -> str:
    """The whole plan; ends with a newline."""
    verdict = "must not go up" if plan.blocked else "may go up"
    parts = [f"### Plan of stack `{plan.stack}`: {verdict}", ""]
    if comparison is not None:
        difference = difference_line(comparison)
        parts += [f"**Against {_text(comparison.source)}**" + (f": {difference}" if difference else ""), ""]
        parts += [f"- {_text(change_line(change))}" for change in comparison.changes] or ["- no model changes"]
        parts += [f"- {_text(line)}" for line in not_counted_lines(comparison)]
        parts.append("")
    cells = [*rows(plan), [f"**{cell}**" for cell in total_row(plan)]]
    parts += _table(COLUMNS, cells)
    parts += ["", *(f"- {_text(line)}" for line in lines(plan)), ""]
    if plan.verdicts:
        parts += ["**Policies**", ""]
        parts += _table(
            ("rule", "level", "where", "what", "fix"),
            [
                [
                    one.rule.name,
                    f"excepted until {one.exception.until}" if one.exception is not None else one.level,
                    one.finding.where,
                    one.finding.what,
                    one.finding.fix,
                ]
                for one in plan.verdicts
            ],
        )
    else:
        parts.append("No policy is broken.")
    return "\n".join(parts).rstrip() + "\n"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(columns)} |",
        f"|{'---|' * len(columns)}",
        *(f"| {' | '.join(_text(cell) for cell in cells)} |" for cells in rows),
    ]


def _text(text: str) -> str:
    """A text that Markdown takes as it is: names of the config may hold what it would read as something else."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
