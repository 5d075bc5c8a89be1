"""agent: a question to an agent with tools; agent eval: how well the fleet's models work as agents."""

from __future__ import annotations

import asyncio
import shlex
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_runtime.fleet import Fleet
from cli.console import Step, note, table, write, write_json
from cli.fleet_access import fleet_of
from cli.project import find_project
from fleet_spec.errors import BadInputError

if TYPE_CHECKING:
    from agent_runtime.agents.agent import Agent
    from agent_runtime.agents.errors import TranscriptEntry
    from agent_runtime.agents.evaluation.runner import Evaluation
    from agent_runtime.agents.result import AgentResult
    from agent_runtime.fleet_models import FleetModel

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
    search_url: str | None = None
    allow_unisolated: bool = False
    mcp_servers: tuple[str, ...] = ()
    session: str | None = None
    instructions: str = ""
    max_steps: int = 12
    temperature: float = 0.7
    max_tokens: int = 1024


def ask_agent(question: Question, *, transcript: Path | None = None, as_json: bool) -> None:
    """Let an agent work on a question; what it does goes to stderr, its answer to stdout.

    Args:
        question: what to do, and with what.
        transcript: the file for what was said, as Markdown, also of a run that did not reach its end.
        as_json: print one JSON document.

    Raises:
        BadInputError: the stack is not up, or a tool, a server or the model cannot be had.
        AgentError: the run did not reach its end.
        SystemExit: the same with ``as_json``, after the document, which has the transcript.
    """
    from agent_runtime.agents.errors import AgentError, LimitExceededError

    try:
        result = asyncio.run(_asked(question, as_json=as_json))
    except AgentError as error:
        _keep(transcript, question, error.transcript)
        if as_json:
            write_json({"error": {"message": str(error), "transcript": error.transcript}})
            raise SystemExit(error.exit_code) from error
        if isinstance(error, LimitExceededError):
            note("--max-steps allows more steps; --transcript FILE keeps what was said")
        raise
    _keep(transcript, question, result.transcript)
    if as_json:
        write_json(result.to_mapping())


def evaluate_models(stack: str, models: list[str], *, as_json: bool) -> None:
    """Score models on the suite of tasks.

    Raises:
        BadInputError: the stack is not up, or it has no such model.
        SystemExit: with 1, where a model's server never answered.
    """
    asyncio.run(_evaluated(stack, models, as_json=as_json))


def _keep(path: Path | None, question: Question, entries: list[TranscriptEntry]) -> None:
    """Write a transcript where one is wanted."""
    if path is None:
        return
    from agent_runtime.agents.transcript import markdown

    path.parent.mkdir(parents=True, exist_ok=True)
    title = f"Agent on stack {question.stack}"
    path.write_text(markdown(title, entries), encoding="utf-8")
    note(f"what was said is in {path}")


async def _asked(question: Question, *, as_json: bool) -> AgentResult[str]:
    fleet = fleet_of(question.stack)
    text = sys.stdin.read() if question.text == "-" else question.text
    try:
        return await _run(_agent(question, fleet), fleet.model(question.model), text, as_json=as_json)
    finally:
        await fleet.aclose()


async def _run(agent: Agent[str], model: FleetModel, text: str, *, as_json: bool) -> AgentResult[str]:
    from agent_runtime.agents.events import (
        MessagesLeftOut,
        RunEnded,
        StepStarted,
        TextDelta,
        ToolCall,
        ToolResult,
        UsageReported,
    )

    title = f"asking {model.name} ({model.model})"
    with ExitStack() as waiting:
        async for event in agent.stream(text):
            if isinstance(event, StepStarted):
                waiting.enter_context(Step(f"{event.step}. {title}"))
            elif isinstance(event, TextDelta | ToolCall | UsageReported):
                waiting.close()
            if isinstance(event, TextDelta) and not as_json:
                sys.stdout.write(event.text)
                sys.stdout.flush()
            elif isinstance(event, ToolCall):
                written = ", ".join(f"{key}={value!r}" for key, value in event.arguments.items())
                note(f"   {event.name}({_short(written)}){' (was written as text)' if event.recovered else ''}")
            elif isinstance(event, ToolResult):
                note(f"     {'failed: ' if event.is_error else ''}{_short(event.content)}  ({event.seconds:.1f} s)")
            elif isinstance(event, MessagesLeftOut):
                note(f"   ({event.messages} messages, about {event.tokens} tokens, did not fit and were left out)")
            elif isinstance(event, RunEnded):
                if not as_json:
                    write()
                _tell_end(event.result)
                return event.result
    raise AssertionError("a run that ends without a result raises")


def _tell_end(result: AgentResult[str]) -> None:
    used = result.usage
    steps = "1 step" if result.steps == 1 else f"{result.steps} steps"
    if result.cut_off:
        note("(the reply was cut off at its longest; --max-tokens allows more)")
    cost = "" if used.cost_usd is None else f", {used.cost_usd:.6f} USD"
    note(f"({steps}, {used.input_tokens} + {used.output_tokens} tokens{cost}, {result.seconds:.1f} s)")


def _agent(question: Question, fleet: Fleet) -> Agent[str]:
    from agent_runtime.agents.agent import Agent
    from agent_runtime.agents.options import AgentOptions, RunLimits
    from agent_runtime.agents.sessions import SessionStore
    from agent_runtime.agents.tools.catalogue import ToolSettings, make_tools

    settings = ToolSettings(
        folder=question.sources,
        allowed_hosts=question.hosts,
        search_url=question.search_url,
        allow_unisolated=question.allow_unisolated,
    )
    session = None
    if question.session is not None:
        directory = find_project().stack_directory(question.stack)
        session = SessionStore(directory / SESSIONS_FILE_NAME).session(question.session)
    return Agent[str](
        "agent",
        question.instructions,
        model=fleet.model(question.model).name,
        fleet=fleet,
        tools=make_tools(question.tools, settings),
        options=AgentOptions(temperature=question.temperature, max_tokens=question.max_tokens),
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
    from agent_runtime.agents.evaluation.tasks import TASKS

    fleet = fleet_of(stack)
    held = fleet.contract.models
    names = [fleet.model(name).name for name in models] or [
        name for name, model in held.items() if "chat" in model.capabilities
    ]
    if not names:
        raise BadInputError(f"stack {stack!r} has no model that chats. fix: name one with --model")

    scored: list[Score] = []
    total = len(names) * len(TASKS)
    note(f"{len(TASKS)} tasks for {', '.join(f'{name} ({fleet.model(name).model})' for name in names)}")

    def tell(score: Score) -> None:
        scored.append(score)
        how = "passed" if score.passed else f"failed: {_short(score.reason or '')}"
        note(f"[{len(scored)}/{total}] {score.model}: {score.task} ({score.kind}): {how} ({score.seconds:.1f} s)")
        step.update(f"{len(scored)} of {total} done")

    try:
        with Step("scoring") as step:
            evaluation = await evaluate(names, fleet=fleet, tell=tell)
    finally:
        await fleet.aclose()
    silent = [name for name in evaluation.models if not evaluation.answered(name)]
    if as_json:
        write_json(evaluation.to_mapping())
    else:
        _show_scores(evaluation)
    for name in silent:
        note(f"{name} never answered: its score says nothing about the model. fix: `paddock status`")
    if silent:
        raise SystemExit(1)


def _show_scores(evaluation: Evaluation) -> None:
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


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARS else f"{line[:_SHOWN_CHARS]} ..."
