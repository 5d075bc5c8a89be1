"""A run as Markdown, for people."""

from __future__ import annotations

import json
import re

from agent_runtime.agents.teams.records import MemberTotals, StepRecord, TeamResult, ToolUse

_SHOWN_CHARACTERS = 4000


def markdown(result: TeamResult) -> str:
    """The whole run: the result, who took what, and each step with what was asked, called and said."""
    parts = [
        f"# Team {result.team}",
        f"Task: {result.task.strip()}",
        f"Run {result.run_id}: {result.outcome.summary}.",
        "## Result",
        result.output or "None.",
        "## Members",
        _members(result),
        "## Steps",
        *(_step(step) for step in result.steps),
    ]
    return "\n\n".join(parts) + "\n"


def usd_text(totals: MemberTotals) -> str:
    """What a member cost, and who says so."""
    if totals.cost_usd is None:
        return "unknown"
    return f"{totals.cost_usd:.6f}" + (" (from the contract's prices)" if totals.cost_source == "contract" else "")


def _members(result: TeamResult) -> str:
    head = "| member | model | steps | tool calls | prompt tokens | reply tokens | USD | seconds |"
    rule = "|---|---|---:|---:|---:|---:|---:|---:|"
    rows = [
        f"| {one.member} | {one.model} | {one.steps} | {one.tool_calls} | {one.input_tokens} | {one.output_tokens} "
        f"| {usd_text(one)} | {one.seconds:.1f} |"
        for one in result.members
    ]
    reasons = [f"- {name}: {choice['reason']}" for name, choice in result.models.items()]
    return "\n".join([head, rule, *rows, "", *reasons])


def _step(step: StepRecord) -> str:
    who = step.member or "the team's own work"
    took = f"{step.seconds:.1f} s"
    if step.member is not None:
        took += f", {step.input_tokens} + {step.output_tokens} tokens"
    parts = [f"### {step.number}. {who}: {step.purpose} ({took})"]
    parts += [f"> {note}" for note in step.notes]
    if step.prompt:
        parts.append(f"<details><summary>What was asked</summary>\n\n{fenced(step.prompt)}\n\n</details>")
    parts += [_tool(tool) for tool in step.tools]
    parts.append(fenced(step.output) if step.member is None else step.output or "(no answer)")
    return "\n\n".join(parts)


def _tool(tool: ToolUse) -> str:
    arguments = json.dumps(tool.arguments, ensure_ascii=False)
    how = " (written as text)" if tool.recovered else ""
    failed = ", which failed" if tool.is_error else ""
    return f"Called `{tool.name}` with `{arguments[:500]}`{how}{failed}:\n\n{fenced(tool.result[:_SHOWN_CHARACTERS])}"


def fenced(text: str) -> str:
    """The text as a block, whatever fences are in it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"
