"""The command line of ``paddock ab``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import JsonOption, StackOption, YesOption
from fleet_spec.experiment_spec import Metric

ab_app = typer.Typer(help="A/B tests between the models behind an alias.", no_args_is_help=True, rich_markup_mode=None)

_AliasArgument = Annotated[str, typer.Argument(help="The alias that clients ask for.")]
_WriteOption = Annotated[bool, typer.Option("--write", help="Only write it into the stack's file.")]
_RouterOption = Annotated[str | None, typer.Option(help="Ask the router at this address, instead of the stack's.")]


@ab_app.command("start")
def start_test(
    alias: _AliasArgument,
    arm: Annotated[list[str], typer.Option(help="MODEL=WEIGHT; give it for each arm. Weights sum to 1 or to 100.")],
    guard: Annotated[
        list[str] | None,
        typer.Option(help="error-rate=0.05, ttft-p95-ms=800 or latency-p95-ms=9000: beyond it an arm is stopped."),
    ] = None,
    metric: Annotated[Metric, typer.Option(help="What decides.")] = "latency",
    promote: Annotated[bool, typer.Option("--promote", help="Give everything to the better arm once it is known.")] = (
        False
    ),
    min_effect: Annotated[
        float, typer.Option(help="By how much it must be better: 0.05 is 5 % of a time or cost, or 0.05 of a score.")
    ] = 0.0,
    baseline: Annotated[
        str | None, typer.Option(help="The arm to compare with. Default: what the alias stands for now.")
    ] = None,
    stack: StackOption = "dev",
    write: _WriteOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Begin a test: the alias stands for several models, by weight."""
    from cli.ab.change import Wanted, read_arms, read_guards
    from cli.commands.ab import start

    arms, guards = read_arms(arm), read_guards(guard or [])
    wanted = Wanted(alias, arms, guards, metric, promote, min_effect, baseline, "")
    start(stack, wanted, write_only=write, yes=yes, as_json=as_json)


@ab_app.command("status")
def show_status(stack: StackOption = "dev", router: _RouterOption = None, as_json: JsonOption = False) -> None:
    """How every running test does."""
    from cli.commands.ab import status

    status(stack, router=router, as_json=as_json)


@ab_app.command("report")
def show_report(
    alias: _AliasArgument,
    stack: StackOption = "dev",
    router: _RouterOption = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page with plots to this file, too.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Everything that is known of one test: effects, intervals, p-values that hold at every look."""
    from cli.commands.ab import report

    report(stack, alias, router=router, page=html, as_json=as_json)


@ab_app.command("watch")
def watch_test(
    alias: _AliasArgument,
    stack: StackOption = "dev",
    router: _RouterOption = None,
    interval_seconds: Annotated[float, typer.Option(help="How often to look.", min=0.1, max=3600)] = 5.0,
    until_decided: Annotated[bool, typer.Option("--until-decided", help="End with the first decision.")] = False,
    timeout_seconds: Annotated[float | None, typer.Option(help="End after so long.", min=0)] = None,
    as_json: JsonOption = False,
) -> None:
    """Show how a test does, again whenever that has changed."""
    from cli.commands.ab import watch

    watch(
        stack,
        alias,
        router=router,
        interval_seconds=interval_seconds,
        until_decided=until_decided,
        timeout_seconds=timeout_seconds,
        as_json=as_json,
    )


@ab_app.command("judge")
def judge_test(
    alias: _AliasArgument,
    prompts: Annotated[
        Path | None, typer.Option(help='One JSON object a line: {"prompt": "...", "expect": "..."}.')
    ] = None,
    judge: Annotated[
        str | None, typer.Option(help="The model that scores answers which no 'expect' or 'matches' checks.")
    ] = None,
    tasks: Annotated[bool, typer.Option("--tasks", help="Ask the built-in tasks of agents instead.")] = False,
    stack: StackOption = "dev",
    router: _RouterOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask every arm the same prompts, and score the answers."""
    from cli.commands.ab_judge import run

    run(stack, alias, prompts=prompts, judge=judge, tasks=tasks, router=router, as_json=as_json)


@ab_app.command("end")
def end_test(
    alias: _AliasArgument,
    keep: Annotated[str, typer.Option(help="The arm that the alias stands for from now on.")],
    stack: StackOption = "dev",
    write: _WriteOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """End a test: the alias stands for one arm."""
    from cli.commands.ab import end

    end(stack, alias, keep, write_only=write, yes=yes, as_json=as_json)
