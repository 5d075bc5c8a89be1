"""team: a team of agents works on a task, and each step is shown as it happens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from agent_runtime.agents.builder import SPECIALISATIONS, OpenSourceAgentBuilder
from agent_runtime.agents.events import TextDelta, ToolCall
from agent_runtime.agents.teams import journal
from agent_runtime.agents.teams.errors import ResumeError
from agent_runtime.agents.teams.events import (
    MemberEvent,
    TeamEvent,
    TeamStarted,
    TeamStepEnded,
    TeamStepStarted,
)
from agent_runtime.agents.teams.own_team import own_team
from agent_runtime.agents.teams.records import StepRecord, TeamResult
from agent_runtime.agents.teams.systems import team_named
from agent_runtime.agents.teams.team import Team, TeamLimits
from agent_runtime.agents.teams.team_file import TeamFile, load_team_file
from agent_runtime.agents.teams.transcript import markdown, usd_text
from agent_runtime.agents.tools.catalogue import ToolSettings
from cli.console import Step, note, table, write, write_json
from cli.fleet_access import fleet_of
from cli.project import find_project
from components.local.paths import PRIVATE_DIRECTORY
from fleet_spec.errors import BadInputError

RUNS_DIRECTORY_NAME = "teams"


@dataclass(frozen=True)
class Order:
    """What was asked for. Kept with the run, so that a resumed one works with the same."""

    kind: str
    """research, software_development, or file."""
    stack: str
    task: str | None = None
    file: Path | None = None
    model: str | None = None
    sources: Path | None = None
    hosts: tuple[str, ...] = ()
    search_url: str | None = None
    rounds: int = 3
    allow_unisolated: bool = False

    def to_mapping(self) -> dict[str, Any]:
        """As plain JSON data."""
        paths = {name: str(path.resolve()) for name, path in (("file", self.file), ("sources", self.sources)) if path}
        return {**asdict(self), **paths}

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_mapping` gave."""
        paths = {name: Path(data[name]) if data.get(name) else None for name in ("file", "sources")}
        rest: dict[str, Any] = {**data, **paths, "hosts": tuple(data["hosts"])}
        return cls(**rest)


def run(
    order: Order,
    *,
    transcript: Path | None = None,
    resume: str | None = None,
    out: Path | None = None,
    as_json: bool = False,
) -> None:
    """Let a team work on a task.

    Raises:
        SystemExit: with 1, where the team did not come to a good end.
    """
    runs = find_project().directory / PRIVATE_DIRECTORY / RUNS_DIRECTORY_NAME
    if resume is not None:
        order = _resumed(order, runs, resume)
    elif not (order.task or "").strip():
        raise BadInputError(f'the task is missing. fix: paddock team {order.kind} "what to do"')
    # A mistake in the file is told before anything is asked of a fleet.
    file = load_team_file(order.file) if order.file is not None else None
    result = asyncio.run(_worked(order, file, runs, resume))
    if transcript is not None:
        transcript.parent.mkdir(parents=True, exist_ok=True)
        transcript.write_text(markdown(result), encoding="utf-8")
    if out is not None:
        _write_files(out, result)
    if as_json:
        write_json(result.to_mapping())
    else:
        _show(result, transcript, out)
    if not result.outcome.succeeded:
        raise SystemExit(1)


def _resumed(order: Order, runs: Path, run_id: str) -> Order:
    """The order that the run began with."""
    about = journal.head_of(runs, run_id)["about"]
    begun = Order.from_mapping(about)
    if begun.kind != order.kind:
        raise ResumeError(f"run {run_id} is of `paddock team {begun.kind}`. fix: resume it there")
    if order.task is not None and order.task != begun.task:
        raise ResumeError(f"run {run_id} has the task {begun.task!r}. fix: leave the task out")
    return begun


async def _worked(order: Order, file: TeamFile | None, runs: Path, resume: str | None) -> TeamResult:
    fleet = fleet_of(order.stack)
    settings = ToolSettings(
        folder=order.sources,
        allowed_hosts=order.hosts,
        search_url=order.search_url,
        allow_unisolated=order.allow_unisolated,
    )
    models = dict.fromkeys(SPECIALISATIONS, order.model) if order.model is not None else None
    builder = OpenSourceAgentBuilder(fleet, settings=settings, models=models)
    team = _team(order, file, builder)
    with TeamProgress() as progress:
        try:
            return await team.run(
                order.task or "",
                tell=progress.tell,
                runs_directory=runs,
                resume=resume,
                about=order.to_mapping(),
            )
        except (KeyboardInterrupt, asyncio.CancelledError):
            note(f"stopped. Go on with --resume {progress.run_id}")
            raise
        finally:
            await team.aclose()


def _team(order: Order, file: TeamFile | None, builder: OpenSourceAgentBuilder) -> Team:
    if file is not None:
        return own_team(file, builder)
    return team_named(order.kind, builder, TeamLimits(rework_rounds=order.rounds))


class TeamProgress:
    """Shows a run as it goes on: each step with what its member is at. Use as a context manager."""

    def __init__(self) -> None:
        self.run_id = ""
        self._step: Step | None = None
        self._stack = ExitStack()
        self._characters = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def tell(self, event: TeamEvent) -> None:
        """Show an event."""
        match event:
            case TeamStarted():
                self.run_id = event.run_id
                note(f"team {event.team}, run {event.run_id}")
                for name, choice in event.models.items():
                    note(f"  {name}: {choice.reason if choice.is_fallback else f'{choice.name} ({choice.model})'}")
                if event.finished_steps:
                    note(f"  {event.finished_steps} steps were finished before and are not done again")
            case TeamStepStarted():
                self._characters = 0
                self._step = self._stack.enter_context(Step(f"{event.number}. {_who(event.member)}{event.purpose}"))
            case MemberEvent():
                self._member_event(event)
            case TeamStepEnded(record=record, replayed=replayed):
                self._ended(record, replayed=replayed)
            case _:
                pass

    def _member_event(self, event: MemberEvent) -> None:
        if self._step is None:
            return
        if isinstance(event.event, ToolCall):
            arguments = json.dumps(event.event.arguments, ensure_ascii=False)
            note(f"     {event.event.name} {arguments[:120]}")
            self._step.update(event.event.name)
        elif isinstance(event.event, TextDelta):
            self._characters += len(event.event.text)
            self._step.update(f"{self._characters} characters")

    def _ended(self, record: StepRecord, *, replayed: bool) -> None:
        title = f"{record.number}. {_who(record.member)}{record.purpose}"
        if replayed:
            note(f"{title} (finished before)")
            return
        if self._step is not None:
            tokens = f": {record.input_tokens} + {record.output_tokens} tokens" if record.member else ""
            self._step.finish(f"{title}{tokens}")
        self._stack.close()
        self._step = None
        for line in record.notes:
            note(f"     {line}")
        if record.member is None:
            note(f"     {record.output.splitlines()[0] if record.output else ''}")


def _who(member: str | None) -> str:
    return f"{member}: " if member else ""


def _write_files(directory: Path, result: TeamResult) -> None:
    for name, text in result.outcome.files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _show(result: TeamResult, transcript: Path | None, out: Path | None) -> None:
    write(result.output or "(no result)")
    write()
    table(
        ["member", "model", "steps", "tool calls", "tokens", "USD", "seconds"],
        [
            [
                one.member,
                one.model,
                str(one.steps),
                str(one.tool_calls),
                f"{one.input_tokens} + {one.output_tokens}",
                usd_text(one),
                f"{one.seconds:.1f}",
            ]
            for one in result.members
        ],
    )
    note(result.outcome.summary)
    if out is not None:
        note(f"{len(result.outcome.files)} files are in {out}")
    if transcript is not None:
        note(f"the whole run is in {transcript}")
