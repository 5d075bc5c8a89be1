"""The command line of ``paddock agent``: a question, or ``eval``. What it does is in ``cli.commands.agent``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cli.options import JsonOption, ModelOption, StackOption


class _AskByDefault(TyperGroup):
    """A group whose first command may be left out: ``paddock agent "question"``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``ask`` before arguments that begin with no command of the group."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["ask", *args]
        return super().parse_args(ctx, args)


agent_app = typer.Typer(
    cls=_AskByDefault,
    help='An agent with tools: paddock agent "What is 12 % of 340?" --tool calculation',
    no_args_is_help=True,
    rich_markup_mode=None,
)


@agent_app.command()
def ask(
    question: Annotated[str, typer.Argument(help="What it is to do; - reads it from standard input.")],
    stack: StackOption = "dev",
    model: ModelOption = None,
    tool: Annotated[
        list[str] | None, typer.Option(help="calculation, web_search, run_python ...; may be given again.")
    ] = None,
    sources: Annotated[Path | None, typer.Option(help="A folder whose documents may be searched and read.")] = None,
    allow_host: Annotated[list[str] | None, typer.Option(help="A host whose pages may be fetched.")] = None,
    search_url: Annotated[str | None, typer.Option(help="A SearXNG server; PADDOCK_SEARCH_URL by default.")] = None,
    allow_unisolated: Annotated[
        bool, typer.Option(help="Run code without isolation where this machine has none. Trust it.")
    ] = False,
    mcp: Annotated[list[str] | None, typer.Option(help="An MCP server: its command line, or its address.")] = None,
    session: Annotated[str | None, typer.Option(help="Go on with the conversation of this name.")] = None,
    instructions: Annotated[str, typer.Option(help="What stands before the question.")] = "",
    max_steps: Annotated[int, typer.Option(help="How often the model may be asked.", min=1)] = 12,
    temperature: Annotated[float, typer.Option(help="0 gives the likeliest answer.", min=0, max=2)] = 0.7,
    max_tokens: Annotated[int, typer.Option(help="Longest reply of each step, in tokens.", min=1)] = 1024,
    transcript: Annotated[
        Path | None, typer.Option(help="Write what was said to this file, as Markdown, also of a run that failed.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Work on a question with tools. `ask` may be left out."""
    from cli.commands.agent import Question, ask_agent

    asked = Question(
        question,
        stack,
        model=model,
        tools=tuple(tool or ()),
        sources=sources,
        hosts=tuple(allow_host or ()),
        search_url=search_url,
        allow_unisolated=allow_unisolated,
        mcp_servers=tuple(mcp or ()),
        session=session,
        instructions=instructions,
        max_steps=max_steps,
        temperature=temperature,
        max_tokens=max_tokens,
    )
    ask_agent(asked, transcript=transcript, as_json=as_json)


@agent_app.command("eval")
def evaluate(
    stack: StackOption = "dev",
    model: Annotated[
        list[str] | None, typer.Option("--model", "-m", help="A model or alias; may be given again. Default: all.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Score the fleet's models as agents: arithmetic, lookups, several steps, extraction, repair."""
    from cli.commands.agent import evaluate_models

    evaluate_models(stack, model or [], as_json=as_json)
