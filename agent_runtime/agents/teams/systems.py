"""The two multi-agent systems, put together: who is in them, for what, with which tools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent_runtime.agents.teams import research, software
from agent_runtime.agents.teams.handoff import reply_tokens
from agent_runtime.agents.teams.team import Member, Team, TeamLimits
from agent_runtime.agents.tools.catalogue import research_tools
from agent_runtime.agents.tools.python_tools import PythonTools
from agent_runtime.agents.tools.sandbox.run import Sandbox
from fleet_spec.errors import BadInputError

if TYPE_CHECKING:
    from agent_runtime.agents.builder import OpenSourceAgentBuilder
    from agent_runtime.fleet import Fleet

SYSTEMS = ("research", "software_development")


@dataclass(frozen=True)
class MemberPlan:
    """Who is to be in a team."""

    name: str
    specialisation: str
    instructions: str | None = None
    """In place of the specialisation's own."""
    tools: tuple[str, ...] | None = ()
    """None: the specialisation's own."""
    model: str | None = None
    """A model or alias of the fleet; None lets the specialisation choose."""


def team_named(kind: str, builder: OpenSourceAgentBuilder, limits: TeamLimits | None = None) -> Team:
    """The team of that name.

    Raises:
        BadInputError: there is none, or the fleet has no model for it.
        ToolSetupError: a tool lacks a setting.
        SandboxUnavailableError: code cannot be isolated on this machine, and it was not allowed to go without.
    """
    if kind == "research":
        return research_team(builder, limits)
    if kind == "software_development":
        return software_team(builder, limits)
    raise BadInputError(f"there is no team {kind!r}. fix: one of {', '.join(SYSTEMS)}")


def research_team(builder: OpenSourceAgentBuilder, limits: TeamLimits | None = None) -> Team:
    """Gatherer (general), analyzer (science), synthesizer (creative)."""
    tools = tuple(research_tools(builder.settings))
    gather = research.GATHERER if tools else research.GATHERER_WITHOUT_TOOLS
    if builder.settings.allowed_hosts:
        gather = f"{gather} Pages can be fetched from: {', '.join(builder.settings.allowed_hosts)}."
    plans = [
        MemberPlan("gatherer", "general", gather, tools),
        MemberPlan("analyzer", "science", research.ANALYZER),
        MemberPlan("synthesizer", "creative", research.SYNTHESIZER),
    ]
    members = [build_member(plan, builder) for plan in plans]
    flow = research.research_flow(builder.settings)
    return Team("research", members, flow, limits=limits, fleet=fleet_asked(builder, members))


def software_team(builder: OpenSourceAgentBuilder, limits: TeamLimits | None = None) -> Team:
    """Architect, developer, tester (code), reviewer (general)."""
    sandbox = Sandbox(allow_unisolated=builder.settings.allow_unisolated)
    # Better now than after three members have worked.
    sandbox.check()
    plans = [
        MemberPlan("architect", "code", software.ARCHITECT),
        MemberPlan("developer", "code", software.DEVELOPER),
        MemberPlan("tester", "code", software.TESTER),
        MemberPlan("reviewer", "general", software.REVIEWER),
    ]
    members = [build_member(plan, builder) for plan in plans]
    flow = software.software_flow(PythonTools(sandbox))
    return Team("software_development", members, flow, limits=limits, fleet=fleet_asked(builder, members))


def build_member(plan: MemberPlan, builder: OpenSourceAgentBuilder) -> Member:
    """The agent that a plan asks for, with the model that the fleet has for it."""
    choice = builder.choose(plan.specialisation, plan.model)
    agent = builder.create_research_agent(
        plan.specialisation,
        name=plan.name,
        instructions=plan.instructions,
        tools=plan.tools,
        model=plan.model,
        max_tokens=reply_tokens(choice.context_length),
    )
    return Member(plan.name, agent, choice)


def fleet_asked(builder: OpenSourceAgentBuilder, members: Sequence[Member]) -> Fleet | None:
    """The builder's fleet, where any member asks it."""
    return builder.fleet if any(isinstance(member.agent.model, str) for member in members) else None
