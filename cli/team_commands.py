"""The command line of `paddock team`. Reads it alone; what it does is in ``cli.commands.team``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import JsonOption, StackOption

team_app = typer.Typer(help="Teams of agents that work on a task.", no_args_is_help=True, rich_markup_mode=None)

_Task = Annotated[str | None, typer.Argument(help="What to do; of a resumed run it is known already.")]
_Model = Annotated[str | None, typer.Option("--model", "-m", help="A model or alias of the fleet for every member.")]
_Transcript = Annotated[Path | None, typer.Option(help="Write the whole run to this file, as Markdown.")]
_Resume = Annotated[str | None, typer.Option(help="Go on with this run; finished steps are not done again.")]
_Sources = Annotated[Path | None, typer.Option(help="A folder whose documents may be searched and read.")]
_Hosts = Annotated[list[str] | None, typer.Option("--allow-host", help="A host whose pages may be fetched.")]
_Search = Annotated[str | None, typer.Option(help="A SearXNG server; PADDOCK_SEARCH_URL by default.")]
_Trusted = Annotated[bool, typer.Option(help="Run code without isolation where this machine has none. Trust it.")]


@team_app.command()
def research(
    question: _Task = None,
    stack: StackOption = "dev",
    model: _Model = None,
    sources: _Sources = None,
    allow_host: _Hosts = None,
    search_url: _Search = None,
    transcript: _Transcript = None,
    resume: _Resume = None,
    as_json: JsonOption = False,
) -> None:
    """Gather facts with tools, analyse them, and write an answer with its sources."""
    from cli.commands.team import Order, run

    order = Order(
        "research", stack, question, model=model, sources=sources, hosts=tuple(allow_host or ()), search_url=search_url
    )
    run(order, transcript=transcript, resume=resume, as_json=as_json)


@team_app.command("software_development")
def software_development(
    task: _Task = None,
    stack: StackOption = "dev",
    model: _Model = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the files that were made here.")] = None,
    rounds: Annotated[int, typer.Option(help="How often work is given back.", min=0, max=20)] = 3,
    allow_unisolated: _Trusted = False,
    transcript: _Transcript = None,
    resume: _Resume = None,
    as_json: JsonOption = False,
) -> None:
    """Design, code, tests that are really run, and a review. Exits with 1 where the tests or the reviewer say no."""
    from cli.commands.team import Order, run

    order = Order("software_development", stack, task, model=model, rounds=rounds, allow_unisolated=allow_unisolated)
    run(order, transcript=transcript, resume=resume, out=out, as_json=as_json)


@team_app.command("run")
def run_file(
    file: Annotated[Path, typer.Argument(help="The team: see docs/teams.md.")],
    task: _Task = None,
    stack: StackOption = "dev",
    model: _Model = None,
    sources: _Sources = None,
    allow_host: _Hosts = None,
    search_url: _Search = None,
    allow_unisolated: _Trusted = False,
    transcript: _Transcript = None,
    resume: _Resume = None,
    as_json: JsonOption = False,
) -> None:
    """Let a team of your own, from a YAML file, work on a task."""
    from cli.commands.team import Order, run

    order = Order(
        "file",
        stack,
        task,
        file=file,
        model=model,
        sources=sources,
        hosts=tuple(allow_host or ()),
        search_url=search_url,
        allow_unisolated=allow_unisolated,
    )
    run(order, transcript=transcript, resume=resume, as_json=as_json)
