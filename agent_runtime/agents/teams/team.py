"""A team: members, and a flow that hands work from one to the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_runtime.agents.agent import Agent
from agent_runtime.agents.teams import journal as journals
from agent_runtime.agents.teams.errors import ResumeError
from agent_runtime.agents.teams.events import Tell
from agent_runtime.agents.teams.journal import Journal
from agent_runtime.agents.teams.records import Outcome, TeamResult
from agent_runtime.agents.teams.team_run import TeamRun
from fleet_spec.errors import BadInputError

if TYPE_CHECKING:
    from agent_runtime.agents.builder_choice import ModelChoice
    from agent_runtime.fleet import Fleet
    from fleet_spec.contract import FleetContract


@dataclass(frozen=True, kw_only=True)
class TeamLimits:
    """Where a team's run is stopped."""

    steps: int = 60
    total_tokens: int = 1_000_000
    """Prompt and reply tokens of all members together."""
    timeout_seconds: float = 3600.0
    """Of one run; a resumed one has as much again."""
    rework_rounds: int = 3
    """How often work is given back to be put right."""


@dataclass(frozen=True)
class Member:
    """An agent in a team."""

    name: str
    agent: Agent[str]
    choice: ModelChoice

    @property
    def has_tools(self) -> bool:
        """Whether it can call any."""
        return bool(self.agent.tools)


Flow = Callable[["TeamRun"], Awaitable[Outcome]]


class Team:
    """Members and how they work together."""

    def __init__(
        self,
        name: str,
        members: Sequence[Member],
        flow: Flow,
        *,
        limits: TeamLimits | None = None,
        fleet: Fleet | None = None,
    ) -> None:
        """Make a team.

        Args:
            name: what it is called.
            members: who is in it.
            flow: what they do.
            limits: where a run is stopped.
            fleet: what its members ask, for prices; None where none of them asks a fleet.
        """
        self.name = name
        self.members = {member.name: member for member in members}
        self.flow = flow
        self.limits = limits or TeamLimits()
        self._fleet = fleet

    @property
    def contract(self) -> FleetContract | None:
        """The fleet's contract as it is now, with its prices."""
        return self._fleet.contract if self._fleet is not None else None

    def run_sync(self, task: str = "", **options: Any) -> TeamResult:
        """As :meth:`run`, for code that is not asynchronous."""

        async def work() -> TeamResult:
            try:
                return await self.run(task, **options)
            finally:
                await self.aclose()

        return asyncio.run(work())

    async def aclose(self) -> None:
        """Close the connections that the members keep in the running event loop."""
        if self._fleet is not None:
            await self._fleet.aclose()

    async def run(
        self,
        task: str = "",
        *,
        tell: Tell | None = None,
        runs_directory: Path | None = None,
        resume: str | None = None,
        about: dict[str, Any] | None = None,
    ) -> TeamResult:
        """Work on a task to the end.

        Args:
            task: what to do; of a resumed run it is known already.
            tell: called with each event.
            runs_directory: where the run's journal is kept. None keeps none: then it cannot be resumed.
            resume: the run to go on with. Its finished steps are not done again.
            about: what to keep in the journal for whoever resumes the run.

        Raises:
            TeamRunError: a model's server failed, or a limit was reached. The run can be resumed.
            ResumeError: there is no such run, or it is another team's.
            JournalCorruptError: the run's journal cannot be read.
            BadInputError: the task is empty.
        """
        with self._journal(task, runs_directory, resume, about) as journal:
            run = TeamRun(self, journal, tell or (lambda _: None))
            try:
                async with asyncio.timeout(self.limits.timeout_seconds):
                    return await run.to_the_end()
            except TimeoutError as error:
                raise run.stopped(f"at its limit of {self.limits.timeout_seconds:g} seconds") from error

    def _journal(
        self, task: str, directory: Path | None, resume: str | None, about: dict[str, Any] | None
    ) -> AbstractContextManager[Journal]:
        if resume is None:
            if not task.strip():
                raise BadInputError("the task is empty. fix: say what the team is to do")
            if not _is_text(task):
                raise BadInputError("the task is not UTF-8. fix: convert it")
            return journals.begin(directory, self.name, task, about)
        if directory is None:
            raise ResumeError("a run is resumed from its journal. fix: name the directory that it is in")
        return journals.resume(directory, resume)


def _is_text(task: str) -> bool:
    """Whether it can be sent: bytes of a command line that are no UTF-8 become characters that cannot."""
    try:
        task.encode()
    except UnicodeEncodeError:
        return False
    return True
