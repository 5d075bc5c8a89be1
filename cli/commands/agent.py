"""agent: a question to an agent with tools; agent eval: how well the fleet's models work as agents."""

from __future__ import annotations

import asyncio
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_runtime.fleet import Fleet
from cli.console import note, table, write, write_json
from cli.fleet_access import fleet_of
from cli.project import find_project
from fleet_spec.errors import BadInputError

if TYPE_CHECKING:
    from agent_runtime.agents.agent import Agent

SESSIONS_FILE_NAME = "sessions.sqlite"
_SHOWN_CHARS = 200


@dataclass(frozen=True)
class Question:
    """What the command line asks."""

    text: str
    stack: str
    model: str | None = None
    tools: tuple[str, ...] = ()
    sources: Path | None = None
    hosts: tuple[str, ...] = ()
    mcp_servers: tuple[str, ...] = ()
    session: str | None = None
    instructions: str = ""
    max_steps: int = 12
    temperature: float = 0.7


def ask_agent(question: Question, *, as_json: bool) -> None:
    """Let an agent work on a question; what it does goes to stderr, its answer to stdout.

    Raises:
        BadInputError: the stack is not up, or a tool, a server or the model cannot be had.
        AgentError: the run did not reach its end.
    """
    asyncio.run(_asked(question, as_json=as_json))


def evaluate_models(stack: str, models: list[str], *, as_json: bool) -> None:
    """Score models on the suite of tasks.

    Raises:
        BadInputError: the stack is not up, or it has no such model.
    """
    asyncio.run(_evaluated(stack, models, as_json=as_json))


async def _asked(question: Question, *, as_json: bool) -> None:
    fleet = fleet_of(question.stack)
    text = sys.stdin.read() if question.text == "-" else question.text
    try:
        await _run(_agent(question, fleet), text, as_json=as_json)
    finally:
        await fleet.aclose()


async def _run(agent: Agent[str], text: str, *, as_json: bool) -> None:
    from agent_runtime.agents.events import MessagesLeftOut, RunEnded, TextDelta, ToolCall, ToolResult

    async for event in agent.stream(text):
        if isinstance(event, TextDelta) and not as_json:
            sys.stdout.write(event.text)
            sys.stdout.flush()
        elif isinstance(event, ToolCall):
            written = ", ".join(f"{key}={value!r}" for key, value in event.arguments.items())
            note(f"{event.name}({_short(written)}){' (was written as text)' if event.recovered else ''}")
        elif isinstance(event, ToolResult):
            note(f"  {'failed: ' if event.is_error else ''}{_short(event.content)}  ({event.seconds:.1f} s)")
        elif isinstance(event, MessagesLeftOut):
            note(f"({event.messages} messages, about {event.tokens} tokens, did not fit and were left out)")
        elif isinstance(event, RunEnded):
            if as_json:
                write_json(event.result.to_mapping())
            else:
                write()
                used = event.result.usage
                note(f"({event.result.steps} steps, {used.total_tokens} tokens, {event.result.seconds:.1f} s)")


def _agent(question: Question, fleet: Fleet) -> Agent[str]:
    from agent_runtime.agents.agent import Agent
    from agent_runtime.agents.options import AgentOptions, RunLimits
    from agent_runtime.agents.sessions import SessionStore
    from agent_runtime.agents.tools.catalogue import ToolSettings, make_tools

    session = None
    if question.session is not None:
        directory = find_project().stack_directory(question.stack)
        session = SessionStore(directory / SESSIONS_FILE_NAME).session(question.session)
    return Agent[str](
        "agent",
        question.instructions,
        model=fleet.model(question.model).name,
        fleet=fleet,
        tools=make_tools(question.tools, ToolSettings(folder=question.sources, allowed_hosts=question.hosts)),
        options=AgentOptions(temperature=question.temperature),
        limits=RunLimits(steps=question.max_steps),
        session=session,
        mcp_servers=[_server(line) for line in question.mcp_servers],
    )


def _server(line: str) -> Any:
    from agent_runtime.agents.mcp import mcp_server, mcp_url

    if line.startswith(("http://", "https://")):
        return mcp_url(line)
    try:
        return mcp_server(shlex.split(line))
    except ValueError as error:
        raise BadInputError(f"--mcp {line!r} is no command line: {error}. fix: close its quotes") from error


async def _evaluated(stack: str, models: list[str], *, as_json: bool) -> None:
    from agent_runtime.agents.evaluation.runner import Score, evaluate

    fleet = fleet_of(stack)
    held = fleet.contract.models
    names = [fleet.model(name).name for name in models] or [
        name for name, model in held.items() if "chat" in model.capabilities
    ]
    if not names:
        raise BadInputError(f"stack {stack!r} has no model that chats. fix: name one with --model")

    def tell(score: Score) -> None:
        note(f"{score.model}: {score.task}: {'passed' if score.passed else 'failed'} ({score.seconds:.1f} s)")

    try:
        evaluation = await evaluate(names, fleet=fleet, tell=tell)
    finally:
        await fleet.aclose()
    if as_json:
        write_json(evaluation.to_mapping())
        return
    kinds = list(dict.fromkeys(score.kind for score in evaluation.scores))
    rows = [
        [
            name,
            *(f"{evaluation.share_passed(name, kind):.0%}" for kind in kinds),
            f"{evaluation.share_passed(name):.0%}",
        ]
        for name in evaluation.models
    ]
    table(["model", *kinds, "all"], rows)
    for score in evaluation.scores:
        if score.reason is not None:
            note(f"{score.model}: {score.task}: {_short(score.reason)}")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARS else f"{line[:_SHOWN_CHARS]} ..."
