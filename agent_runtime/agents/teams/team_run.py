"""One run of a team: asks members, does work between, writes each step down, and stops at the limits."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from agent_runtime.agents.errors import (
    AgentError,
    ContextWindowError,
    LimitExceededError,
    ModelFailedError,
    OutputError,
)
from agent_runtime.agents.events import RunEnded, ToolCall, ToolResult, UsageReported
from agent_runtime.agents.result import AgentResult, Usage
from agent_runtime.agents.teams.costs import cost_of
from agent_runtime.agents.teams.errors import ResumeError, TeamRunError
from agent_runtime.agents.teams.events import (
    MemberEvent,
    TeamEnded,
    TeamStarted,
    TeamStepEnded,
    TeamStepStarted,
    Tell,
)
from agent_runtime.agents.teams.handoff import Section, compose, prompt_characters
from agent_runtime.agents.teams.journal import Journal
from agent_runtime.agents.teams.records import StepRecord, TeamResult, ToolUse, totals_of
from fleet_spec.errors import BadInputError

if TYPE_CHECKING:
    from agent_runtime.agents.teams.team import Member, Team

_SHRINKS = (1.0, 0.6, 0.35)
"""Shares of the prompt that are tried in turn where a model's own count says that it does not fit."""


@dataclass
class _Heard:
    """What a member did, as far as it was told: what is left where its run ends without a result."""

    tools: dict[str, ToolUse] = field(default_factory=dict[str, ToolUse])
    usage: Usage = field(default_factory=Usage)


class TeamRun:
    """One run of a team: what a flow works with."""

    def __init__(self, team: Team, journal: Journal, tell: Tell) -> None:
        if journal.head["team"] != team.name:
            raise ResumeError(f"run {journal.run_id} is of team {journal.head['team']!r}, not of {team.name!r}")
        self.team = team
        self.task: str = journal.head["task"]
        self.steps: list[StepRecord] = []
        self._journal = journal
        self._tell = tell

    @property
    def rework_rounds(self) -> int:
        """How often work may be given back."""
        return self.team.limits.rework_rounds

    async def to_the_end(self) -> TeamResult:
        """Go through the flow."""
        choices = {name: member.choice for name, member in self.team.members.items()}
        run_id = self._journal.run_id
        self._tell(TeamStarted(run_id, self.team.name, self.task, choices, len(self._journal.finished)))
        outcome = await self.team.flow(self)
        models = {name: choice.model for name, choice in choices.items()}
        result = TeamResult(
            run_id=run_id,
            team=self.team.name,
            task=self.task,
            outcome=outcome,
            steps=tuple(self.steps),
            members=totals_of(self.steps, models),
            models={name: choice.to_mapping() for name, choice in choices.items()},
        )
        self._tell(TeamEnded(result))
        return result

    async def ask(self, member: str, purpose: str, request: str, sections: Sequence[Section] = ()) -> StepRecord:
        """Ask a member.

        A member that gives nothing, or is stopped at its own limits, has an empty output, and a note says why: what
        that means is the flow's to decide.

        Args:
            member: who.
            purpose: what for, in a few words.
            request: what to do.
            sections: what to do it with.

        Raises:
            TeamRunError: the member's server failed, or a limit of the team's was reached.
        """
        digest = _digest(member, purpose, request, *(f"{part.title}\0{part.text}" for part in sections))
        known = self._finished(digest, member, purpose)
        if known is not None:
            return known
        asked = self.team.members[member]
        number = len(self.steps) + 1
        self._tell(TeamStepStarted(number, member, purpose))
        started = time.monotonic()
        try:
            said = await self._answer(asked, request, sections)
        except (AgentError, BadInputError) as error:
            self._journal.add_failure(member, purpose, str(error), getattr(error, "transcript", None))
            raise self.stopped(f"because {member} failed at {purpose!r}: {error}") from error
        return self._finish(
            replace(said, number=number, purpose=purpose, digest=digest, seconds=time.monotonic() - started)
        )

    async def do(
        self, purpose: str, of: Mapping[str, str], work: Callable[[], Awaitable[tuple[str, dict[str, Any]]]]
    ) -> StepRecord:
        """Do work that is no member's, such as running tests.

        Args:
            purpose: what for, in a few words.
            of: what it works on: a resumed run has to work on the same.
            work: gives a text for people and members, and plain JSON data for the flow.
        """
        digest = _digest("", purpose, *(f"{name}\0{text}" for name, text in sorted(of.items())))
        known = self._finished(digest, None, purpose)
        if known is not None:
            return known
        number = len(self.steps) + 1
        self._tell(TeamStepStarted(number, None, purpose))
        started = time.monotonic()
        output, data = await work()
        seconds = time.monotonic() - started
        return self._finish(StepRecord(number, None, purpose, digest, "", output, data=data, seconds=seconds))

    def stopped(self, why: str) -> TeamRunError:
        """The error of a run that ends before its time."""
        run_id = self._journal.run_id
        done = len(self.steps)
        return TeamRunError(
            f"the run {run_id} of team {self.team.name!r} was stopped after {done} steps {why}. "
            f"fix: put it right and resume the run with --resume {run_id}",
            run_id,
        )

    def _finished(self, digest: str, member: str | None, purpose: str) -> StepRecord | None:
        """The next step, where an earlier run finished it."""
        record = self._journal.finished.get(len(self.steps) + 1)
        if record is None:
            self._check_limits()
            return None
        if record.digest != digest:
            raise ResumeError(
                f"step {record.number} of run {self._journal.run_id} was {record.member or 'the team'}: "
                f"{record.purpose}; now it would be {member or 'the team'}: {purpose}, or the same with other words. "
                "The team, or what it works on, was changed. fix: begin anew"
            )
        self.steps.append(record)
        self._tell(TeamStepEnded(record, replayed=True))
        return record

    def _finish(self, record: StepRecord) -> StepRecord:
        self._journal.add(record)
        self.steps.append(record)
        self._tell(TeamStepEnded(record, replayed=False))
        return record

    def _check_limits(self) -> None:
        limits = self.team.limits
        tokens = sum(step.input_tokens + step.output_tokens for step in self.steps)
        if len(self.steps) >= limits.steps:
            raise self.stopped(f"at its limit of {limits.steps} steps")
        if tokens >= limits.total_tokens:
            raise self.stopped(f"at its limit of {limits.total_tokens} tokens")

    async def _answer(self, member: Member, request: str, sections: Sequence[Section]) -> StepRecord:
        """What a member says, as a record without its place in the run."""
        most = prompt_characters(member.choice.context_length, member.agent.instructions, with_tools=member.has_tools)
        for share in _SHRINKS:
            prompt, notes = compose(request, sections, int(most * share))
            heard = _Heard()
            blank = StepRecord(0, member.name, "", "", prompt, "", model=member.choice.model)
            try:
                result = await self._streamed(member, prompt, heard)
            except ContextWindowError:
                if share == _SHRINKS[-1]:
                    raise
                continue
            except (OutputError, LimitExceededError) as error:
                problem = f"{member.name} gave no answer: {error}"
                return self._with_usage(replace(blank, notes=(*notes, problem)), member, heard, heard.usage)
            if result.left_out.messages:
                notes = (*notes, f"{result.left_out.messages} earlier messages were not sent")
            record = replace(blank, output=_sendable(result.output).strip(), notes=notes)
            return self._with_usage(record, member, heard, result.usage)
        raise ModelFailedError(f"{member.name} was not asked")

    def _with_usage(self, record: StepRecord, member: Member, heard: _Heard, usage: Usage) -> StepRecord:
        usd, source = cost_of(usage, self.team.contract, member.choice.name)
        return replace(
            record,
            tools=tuple(heard.tools.values()),
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cost_usd=usd,
            cost_source=source,
        )

    async def _streamed(self, member: Member, prompt: str, heard: _Heard) -> AgentResult[str]:
        """Ask, pass on what happens, and collect the tools that were used."""
        result: AgentResult[Any] | None = None
        async for event in member.agent.stream(prompt):
            self._tell(MemberEvent(member.name, event))
            if isinstance(event, ToolCall):
                heard.tools[event.call_id] = ToolUse(event.name, event.arguments, "", True, event.recovered)
            elif isinstance(event, ToolResult) and event.call_id in heard.tools:
                call = heard.tools[event.call_id]
                heard.tools[event.call_id] = replace(call, result=_sendable(event.content), is_error=event.is_error)
            elif isinstance(event, UsageReported):
                heard.usage.input_tokens += event.input_tokens
                heard.usage.output_tokens += event.output_tokens
            elif isinstance(event, RunEnded):
                result = event.result
        if result is None:
            raise ModelFailedError(f"{member.name} ended without a result")
        return result


def _sendable(text: str) -> str:
    """The text without halves of characters, which broken replies hold and nothing can write down."""
    return text.encode(errors="replace").decode()


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0\0".join(parts).encode()).hexdigest()[:16]
