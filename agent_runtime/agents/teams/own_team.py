"""Makes a team of what its file says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from agent_runtime.agents.teams.handoff import Section
from agent_runtime.agents.teams.records import Outcome
from agent_runtime.agents.teams.sources import sources_of
from agent_runtime.agents.teams.systems import MemberPlan, build_member, fleet_asked
from agent_runtime.agents.teams.team import Team, TeamLimits
from agent_runtime.agents.teams.team_file import FEEDBACK, PLACEHOLDER, TASK, StepEntry, TeamFile

if TYPE_CHECKING:
    from agent_runtime.agents.builder import OpenSourceAgentBuilder
    from agent_runtime.agents.teams.team_run import TeamRun


def own_team(file: TeamFile, builder: OpenSourceAgentBuilder) -> Team:
    """The team that a file describes.

    Raises:
        BadInputError: the fleet lacks a model that is named, or has none that chats.
        ToolSetupError: a tool lacks a setting.
    """
    members = [
        build_member(MemberPlan(name, entry.specialisation, entry.instructions, entry.tools, entry.model), builder)
        for name, entry in file.members.items()
    ]
    limits = TeamLimits(
        steps=file.limits.steps,
        total_tokens=file.limits.total_tokens,
        timeout_seconds=file.limits.timeout_seconds,
    )

    async def flow(run: TeamRun) -> Outcome:
        return await _go(run, file)

    return Team(file.name, members, flow, limits=limits, fleet=fleet_asked(builder, members))


async def _go(run: TeamRun, file: TeamFile) -> Outcome:
    said: dict[str, str] = {TASK: run.task, FEEDBACK: ""}
    rounds = {index: 0 for index, step in enumerate(file.steps) if step.rework is not None}
    unmet: list[str] = []
    position = 0
    while position < len(file.steps):
        step = file.steps[position]
        said[step.called] = (await _ask(run, step, said)).strip()
        rework = step.rework
        if rework is not None and not _holds(said[step.called], rework.until):
            if rounds[position] < rework.rounds:
                rounds[position] += 1
                said[FEEDBACK] = said[step.called]
                position = next(index for index, one in enumerate(file.steps) if one.called == rework.from_)
                continue
            unmet.append(f"{step.called} did not say {rework.until!r} after {rework.rounds} rounds of rework")
        position += 1
    output = said[file.result_step]
    problems = unmet or ([] if output else [f"{file.result_step} gave no answer"])
    sources = sources_of(use for record in run.steps for use in record.tools)
    return Outcome(output, not problems, "; ".join(problems) or "all steps were done", sources=sources)


async def _ask(run: TeamRun, step: StepEntry, said: dict[str, str]) -> str:
    """Ask for a step. What others said stands in sections of its own, so that it can be cut where it is too long."""
    used = list(dict.fromkeys(PLACEHOLDER.findall(step.prompt)))
    sections = [Section(name, said[name], keep=name == TASK) for name in used]
    if said[FEEDBACK] and FEEDBACK not in used:
        sections.append(Section(FEEDBACK, said[FEEDBACK]))
    request = PLACEHOLDER.sub(lambda match: f"({match[1]}, above)" if said[match[1]] else "", step.prompt)
    return (await run.ask(step.member, step.called, request.strip(), sections)).output


def _holds(text: str, word: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None
