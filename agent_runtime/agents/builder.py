"""Builds agents and teams by what they are for, with the best model for it that the fleet really has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from agent_runtime.agents.builder_choice import SPECIALISATIONS, ModelChoice, choose_model, specialisation_named
from agent_runtime.agents.tools.catalogue import ToolSettings, make_tools

if TYPE_CHECKING:
    from pydantic_ai.models import Model

    from agent_runtime.agents.agent import Agent
    from agent_runtime.agents.options import RunLimits
    from agent_runtime.agents.run_state import Approve
    from agent_runtime.agents.teams.team import Team
    from agent_runtime.fleet import Fleet

__all__ = ["SPECIALISATIONS", "ModelChoice", "OpenSourceAgentBuilder", "SystemName"]

UNKNOWN_CONTEXT_LENGTH = 8192
"""The context window, in tokens, that a model is taken to have where nobody says."""
SystemName = Literal["research", "software_development"]


class OpenSourceAgentBuilder:
    """Builds research agents and multi-agent systems on one fleet.

    ::

        builder = OpenSourceAgentBuilder(Fleet.from_stack("dev"))
        print(builder.create_research_agent("math").run_sync("What is 15% of 240?").output)
        print(builder.create_multi_agent_system("research").run_sync("Why is the sky blue?").output)
    """

    def __init__(
        self,
        fleet: Fleet | None = None,
        *,
        settings: ToolSettings | None = None,
        models: Mapping[str, str | Model] | None = None,
        limits: RunLimits | None = None,
        approve: Approve | None = None,
    ) -> None:
        """Make a builder.

        Args:
            fleet: where to ask; the one that the environment names by default, looked for when it is needed.
            settings: what the tools need.
            models: specialisation -> a model or alias of the fleet, or a model object of pydantic-ai, in place of the
                one that would be chosen.
            limits: where an agent's run is stopped.
            approve: asked before a tool that needs approval is called.

        Raises:
            BadInputError: ``models`` names a specialisation that there is not.
        """
        for name in models or {}:
            specialisation_named(name)
        self._fleet = fleet
        self.settings = settings or ToolSettings()
        self._models = dict(models or {})
        self._limits = limits
        self._approve = approve

    @property
    def fleet(self) -> Fleet:
        """The fleet that is asked.

        Raises:
            BadInputError: the environment names none.
        """
        if self._fleet is None:
            from agent_runtime.fleet import Fleet

            self._fleet = Fleet.from_env()
        return self._fleet

    def choose(self, specialisation: str, model: str | None = None) -> ModelChoice:
        """Which model an agent of a specialisation gets, and why.

        Args:
            specialisation: one of :data:`SPECIALISATIONS`.
            model: a model or alias of the fleet that is to be taken.

        Raises:
            BadInputError: there is no such specialisation or model, or no model that chats.
        """
        made = specialisation_named(specialisation)
        given = model or self._models.get(specialisation)
        if given is None:
            return choose_model(self.fleet.contract, made)
        if isinstance(given, str):
            found = self.fleet.model(given)
            return ModelChoice(found.name, found.model, found.model, f"{given} was asked for", found.context_length)
        name = given.model_name
        return ModelChoice(name, name, name, "it was handed over", _context_length(given))

    def create_research_agent(
        self,
        specialisation: str = "general",
        *,
        name: str | None = None,
        instructions: str | None = None,
        tools: Sequence[str] | None = None,
        model: str | None = None,
        max_tokens: int | None = None,
    ) -> Agent[str]:
        """An agent for a specialisation.

        Args:
            specialisation: general, code, math, science or creative.
            name: what it is called; the specialisation by default.
            instructions: in place of the specialisation's own.
            tools: the names of its tools, in place of the specialisation's own.
            model: a model or alias of the fleet that is to be taken.
            max_tokens: the longest reply; None leaves it to the server.

        Raises:
            BadInputError: as for :meth:`choose`.
            ToolSetupError: there is no such tool, or it lacks a setting.
        """
        from agent_runtime.agents.agent import Agent
        from agent_runtime.agents.options import AgentOptions, RunLimits

        made = specialisation_named(specialisation)
        handed_over = self._models.get(specialisation) if model is None else None
        choice = self.choose(specialisation, model)
        # One result must not fill a small window: a character for each token of it is about a quarter.
        most = min(RunLimits.tool_output_chars, choice.context_length)
        return Agent(
            name or made.name,
            made.instructions if instructions is None else instructions,
            model=choice.name if handed_over is None else handed_over,
            fleet=self._fleet,
            tools=make_tools(made.tools if tools is None else tools, self.settings),
            options=AgentOptions(temperature=made.temperature, max_tokens=max_tokens),
            limits=self._limits or RunLimits(tool_output_chars=most),
            approve=self._approve,
        )

    def create_multi_agent_system(self, kind: SystemName | str) -> Team:
        """A team: ``research`` or ``software_development``.

        Raises:
            BadInputError: there is no such team, or as for :meth:`choose`.
            ToolSetupError: a tool lacks a setting.
        """
        from agent_runtime.agents.teams.systems import team_named

        return team_named(kind, self)


def _context_length(model: Model) -> int:
    profile: Any = model.profile
    found = profile.get("context_window") if isinstance(profile, dict) else None  # pyright: ignore
    return found if isinstance(found, int) else UNKNOWN_CONTEXT_LENGTH
