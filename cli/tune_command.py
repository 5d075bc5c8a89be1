"""``paddock tune``: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import JsonOption, StackOption


def tune(
    model: Annotated[str, typer.Argument(help="The model, as the stack's config names it.")],
    stack: StackOption = "dev",
    max_ttft_ms: Annotated[
        float | None, typer.Option(min=0.001, help="95 % of the requests have their first token within so many ms.")
    ] = None,
    max_itl_ms: Annotated[
        float | None, typer.Option(min=0.001, help="95 % of the requests get a token every so many ms.")
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.05, help="How long it may take at most.")] = 10.0,
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=256, help="Requests at a time; the model's parallel, or 4, by default.")
    ] = None,
    prompt_tokens: Annotated[int, typer.Option(min=8, help="About how long prompts are.")] = 256,
    answer_tokens: Annotated[int, typer.Option(min=2, help="How long answers are.")] = 64,
    rounds: Annotated[int, typer.Option(min=3, max=30, help="The most bursts of each candidate in a race.")] = 6,
    setting: Annotated[
        list[str] | None,
        typer.Option(help="Try this one; repeat for several. threads, parallel, flashAttention, ... by default."),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Put what was found into the stack's file.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Find the settings that serve a model best on this machine, on servers beside the fleet's own."""
    from cli.commands.tune import Request, run
    from cli.tuning.race import Limits

    limits = Limits(
        ttft_seconds=None if max_ttft_ms is None else max_ttft_ms / 1000,
        itl_seconds=None if max_itl_ms is None else max_itl_ms / 1000,
    )
    request = Request(
        model, stack, limits, minutes, concurrency, prompt_tokens, answer_tokens, rounds, tuple(setting or ())
    )
    run(request, as_json=as_json, write_back=write)
