"""The ``paddock`` command. Reads the command line alone; each command's module is imported when it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.ab_commands import ab_app
from cli.agent_commands import agent_app
from cli.bench_command import bench
from cli.console import note, write_json
from cli.demo_command import demo
from cli.key_commands import keys_app
from cli.model_commands import models_app
from cli.monitoring_command import monitoring
from cli.options import JsonOption, ModelOption, StackOption, YesOption
from cli.team_commands import team_app
from cli.tune_command import tune
from fleet_spec.errors import BadInputError, PaddockError, SpecError

app = typer.Typer(
    name="paddock",
    help="Bring up a fleet of open models from a stack's config, look after it, and talk to it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
router_app = typer.Typer(help="Run the router by hand.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(router_app, name="router")
app.add_typer(models_app, name="models")
app.add_typer(keys_app, name="keys")
app.add_typer(agent_app, name="agent")
app.add_typer(team_app, name="team")
app.add_typer(ab_app, name="ab")


@app.command()
def up(stack: StackOption = "dev", yes: YesOption = False, as_json: JsonOption = False) -> None:
    """Bring the stack to what its config says: start what is missing, replace what changed."""
    from cli.commands.up import run

    run(stack, yes=yes, as_json=as_json)


@app.command()
def preview(stack: StackOption = "dev", as_json: JsonOption = False) -> None:
    """Say what `up` would do. Nothing is touched."""
    from cli.commands.lifecycle import preview as run

    run(stack, as_json=as_json)


@app.command()
def refresh(stack: StackOption = "dev", as_json: JsonOption = False) -> None:
    """Compare the state with what really runs; the next `up` starts what died."""
    from cli.commands.lifecycle import refresh as run

    run(stack, as_json=as_json)


@app.command()
def destroy(
    stack: StackOption = "dev",
    yes: YesOption = False,
    name: Annotated[str | None, typer.Option(help="The stack's name once more; production asks for it.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Take the stack down: no process and no port stays behind."""
    from cli.commands.lifecycle import destroy as run

    run(stack, yes=yes, as_json=as_json, name=name)


@app.command()
def outputs(
    stack: StackOption = "dev",
    as_json: JsonOption = False,
    everything: Annotated[bool, typer.Option("--all", help="Every stack output, not the contract alone.")] = False,
    show_secrets: Annotated[bool, typer.Option(help="Every stack output, secret ones as they are.")] = False,
) -> None:
    """Print the fleet's contract: where everything is."""
    from cli.commands.outputs import run

    run(stack, as_json=as_json, everything=everything, show_secrets=show_secrets)


@app.command()
def status(
    stack: StackOption = "dev",
    drift: Annotated[bool, typer.Option("--drift", help="What differs from what the last `up` left.")] = False,
    as_json: JsonOption = False,
) -> None:
    """What runs and how it is. Exits with 1 where something does not, or has drifted."""
    if drift:
        from cli.commands.drift import run
    else:
        from cli.commands.status import run

    run(stack, as_json=as_json)


@app.command()
def doctor(stack: StackOption = "dev", as_json: JsonOption = False) -> None:
    """What this machine lacks for the stack, and how to get it. Exits with 1 where something is needed."""
    from cli.commands.doctor import run

    run(stack, as_json=as_json)


@app.command()
def render(
    out: Annotated[Path, typer.Option("--out", "-o", help="The directory to write to.")],
    stack: StackOption = "dev",
    target: Annotated[
        Literal["kubernetes", "docker"] | None,
        typer.Option(help="What to write for; docker takes any stack's models. The stack's own target by default."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write Kubernetes manifests or a compose file, secrets left out. Needs no engine, cluster or Docker."""
    from cli.commands.render import run

    run(stack, out, target=target, as_json=as_json)


@app.command()
def plan(
    stack: StackOption = "dev",
    against: Annotated[
        str | None,
        typer.Option(help="Show what changes: another stack, a Pulumi.NAME.yaml, a contract file, or `up`: what runs."),
    ] = None,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown, for a pull request.")] = False,
    page: Annotated[Path | None, typer.Option("--html", help="Write a page with plots to this file, too.")] = None,
    as_json: JsonOption = False,
) -> None:
    """What will fit, what it will cost and what breaks the rules. Exits with 1 where the stack must not go up."""
    from cli.commands.plan import run

    run(stack, against=against, as_json=as_json, as_markdown=as_markdown, page=page)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="What to ask; - reads it from standard input.")],
    stack: StackOption = "dev",
    model: ModelOption = None,
    max_tokens: Annotated[int, typer.Option(help="Longest reply, in tokens.", min=1)] = 256,
    temperature: Annotated[float, typer.Option(help="0 gives the likeliest reply.", min=0, max=2)] = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Ask one question and print the answer as it comes."""
    from cli.commands.talk import ask as run

    run(question, stack, model=model, max_tokens=max_tokens, temperature=temperature, as_json=as_json)


@app.command()
def chat(
    stack: StackOption = "dev",
    model: ModelOption = None,
    system: Annotated[str | None, typer.Option(help="Instructions that stand before the conversation.")] = None,
    temperature: Annotated[float, typer.Option(help="0 gives the likeliest replies.", min=0, max=2)] = 0.7,
) -> None:
    """Hold a conversation. An empty line or Ctrl-D ends it."""
    from cli.commands.talk import chat as run

    run(stack, model=model, system=system, temperature=temperature)


@app.command()
def classify(
    prompts: Annotated[list[str] | None, typer.Argument(help="Without any, one JSON object a line on stdin.")] = None,
    stack: Annotated[str | None, typer.Option("--stack", "-s", help="Judge by this stack's contract.")] = None,
    fleet: Annotated[Path | None, typer.Option(help="Judge by the contract in this file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether prompts are private and complex, which tier is tried first, and why."""
    from cli.commands.classify import run

    run(prompts or [], stack=stack, fleet=fleet, as_json=as_json)


@app.command()
def engine(as_json: JsonOption = False) -> None:
    """Print where the Pulumi engine is; gets one first where there is none."""
    from cli.commands.engine import run

    run(as_json=as_json)


@app.command()
def env(
    stack: StackOption = "dev",
    show_secrets: Annotated[bool, typer.Option(help="The key of the stack's router too.")] = False,
) -> None:
    """Print what a plain `pulumi` needs in its environment: eval "$(paddock env)"."""
    from cli.commands.env import run

    run(stack, show_secrets=show_secrets)


@app.command()
def costs(
    stack: StackOption = "dev",
    data: Annotated[Path | None, typer.Option(help="The data directory of a router, instead of the stack's.")] = None,
    router: Annotated[str | None, typer.Option(help="Ask the router at this address.")] = None,
    since: Annotated[str | None, typer.Option(help="The first day (UTC), such as 2026-11-01.")] = None,
    until: Annotated[str | None, typer.Option(help="The last day; today by default.")] = None,
    by: Annotated[Literal["tier", "key", "model", "day"], typer.Option(help="What a line stands for.")] = "tier",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write an HTML page with plots to this file, too.")] = None,
    as_json: JsonOption = False,
) -> None:
    """What was spent on what, how fast and reliable it was, and what it would have cost commercially."""
    from cli.commands.costs import run

    run(
        stack,
        data=data,
        router=router,
        since=since,
        until=until,
        by=by,
        as_csv=as_csv,
        page=report,
        as_json=as_json,
    )


app.command()(demo)
app.command()(bench)
app.command()(tune)
app.command()(monitoring)


@router_app.command()
def serve(
    fleet: Annotated[Path | None, typer.Option(help="A contract file to follow.")] = None,
    stack: Annotated[str | None, typer.Option("--stack", "-s", help="Follow this stack's contract.")] = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on; 0 takes a free one.", min=0, max=65535)] = 8080,
    secrets: Annotated[Path | None, typer.Option(help="The folder with its keys, one file each.")] = None,
    data: Annotated[Path | None, typer.Option(help="The folder for spending and A/B tests.")] = None,
    workers: Annotated[int, typer.Option(help="Processes that share the port.", min=1, max=64)] = 1,
) -> None:
    """Run the router in this terminal, from a contract file or a stack. Beyond loopback it asks for keys."""
    from cli.commands.router import Serving
    from cli.commands.router import serve as run

    run(fleet, stack, Serving(host, port, secrets, data, workers))


def main() -> None:
    """Run the command line; turns errors that are meant for a person into text and an exit code."""
    try:
        # Errors of usage are let through where they are to be a JSON document too.
        sys.exit(app(standalone_mode="--json" not in sys.argv))
    except typer.TyperException as error:
        write_json({"error": {"message": _usage(error)}})
        sys.exit(BadInputError.exit_code)
    except PaddockError as error:
        if "--json" in sys.argv:
            write_json({"error": _error_document(error)})
        else:
            note(f"error: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        note("interrupted")
        sys.exit(130)
    except BrokenPipeError:
        # The reader of a pipe went away; there is nobody left to tell.
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        told = f"{where}{error.strerror or error}"
        if "--json" in sys.argv:
            write_json({"error": {"message": told}})
        else:
            note(f"error: {told}")
        sys.exit(1)


def _usage(error: typer.TyperException) -> str:
    """What is wrong with the command line, in one sentence."""
    told = getattr(error, "format_message", error.__str__)
    return f"{told().rstrip('.')}. fix: add --help to the command to see what it takes"


def _error_document(error: PaddockError) -> dict[str, object]:
    document: dict[str, object] = {"message": str(error)}
    if isinstance(error, SpecError):
        document["problems"] = [{"key": p.key, "message": p.message, "fix": p.fix} for p in error.problems]
    return document


if __name__ == "__main__":
    main()
