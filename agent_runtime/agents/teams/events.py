"""What happens in a team's run, as it happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent_runtime.agents.builder_choice import ModelChoice
    from agent_runtime.agents.events import Event
    from agent_runtime.agents.teams.records import StepRecord, TeamResult


@dataclass(frozen=True)
class TeamStarted:
    """The run begins, or goes on."""

    run_id: str
    team: str
    task: str
    models: Mapping[str, ModelChoice]
    """Which model each member has, and why."""
    finished_steps: int
    """How many steps an earlier run had finished."""


@dataclass(frozen=True)
class TeamStepStarted:
    """A member is asked, or work between is done (``member`` is None)."""

    number: int
    member: str | None
    purpose: str


@dataclass(frozen=True)
class MemberEvent:
    """Something happens in a member's run."""

    member: str
    event: Event


@dataclass(frozen=True)
class TeamStepEnded:
    """A step came to its end."""

    record: StepRecord
    replayed: bool
    """Whether it was finished in an earlier run."""


@dataclass(frozen=True)
class TeamEnded:
    """The run reached its end."""

    result: TeamResult


TeamEvent = TeamStarted | TeamStepStarted | MemberEvent | TeamStepEnded | TeamEnded
Tell = Callable[[TeamEvent], None]
