"""The command line of ``paddock bench``. What it does is in ``cli.commands.bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.options import JsonOption, StackOption


def bench(
    stack: StackOption = "dev",
    fleet: Annotated[Path | None, typer.Option(help="The fleet of this contract file, in place of a stack's.")] = None,
    url: Annotated[str | None, typer.Option(help="Any server instead: OpenAI's dialect, or an Ollama.")] = None,
    model: Annotated[
        list[str] | None, typer.Option("--model", "-m", help="A model or alias; may be given again. Default: all.")
    ] = None,
    tier: Annotated[
        Literal["local", "cloud", "commercial"] | None, typer.Option(help="The only tier that may answer.")
    ] = None,
    dialect: Annotated[
        Literal["openai", "ollama"] | None, typer.Option(help="How servers are asked; found out by default.")
    ] = None,
    key_variable: Annotated[
        str | None, typer.Option(help="The environment variable with the key of the server at --url.")
    ] = None,
    concurrency: Annotated[
        str | None, typer.Option(help="Closed loop: requests at once, a sweep such as 1,4,16 (the default).")
    ] = None,
    rate: Annotated[
        str | None, typer.Option(help="Open loop instead: requests a second, a sweep such as 0.5,1,2.")
    ] = None,
    arrival: Annotated[
        Literal["constant", "poisson"], typer.Option(help="How an open loop's requests come.")
    ] = "poisson",
    requests: Annotated[
        int | None, typer.Option(help="Requests of a level. Default: 40, or 4 for each at once.", min=1)
    ] = None,
    duration: Annotated[float | None, typer.Option(help="Seconds for which a level sends requests.", min=0.1)] = None,
    max_tokens: Annotated[int, typer.Option(help="Output tokens of a reply.", min=1)] = 64,
    ignore_eos: Annotated[
        bool | None,
        typer.Option("--ignore-eos/--no-ignore-eos", help="Replies of exactly that length. Default: llama.cpp, vLLM."),
    ] = None,
    warmup: Annotated[int, typer.Option(help="Requests before the first level that do not count.", min=0)] = 2,
    cold: Annotated[bool, typer.Option("--cold", help="Have Ollama unload the model first: a cold load.")] = False,
    prompts: Annotated[
        Path | None, typer.Option(help="A .txt (a prompt a line) or .jsonl file. Default: built-in ones.")
    ] = None,
    unique: Annotated[
        bool, typer.Option("--unique/--as-they-are", help="Number the prompts, so that no prefix cache knows them.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Of the prompts' order, the arrivals, and the model.", min=0)] = 1,
    slo: Annotated[
        list[str] | None, typer.Option(help="Limits of goodput in milliseconds: ttft=500,itl=50,e2e=10000.")
    ] = None,
    usd_per_hour: Annotated[float | None, typer.Option(help="What the server at --url costs.", min=0)] = None,
    timeout: Annotated[float, typer.Option(help="Seconds that a whole reply may take.", min=0.1)] = 600.0,
    baseline: Annotated[Path | None, typer.Option(help="An earlier run's --save file, to compare with.")] = None,
    save: Annotated[Path | None, typer.Option(help="Write the results to this file as JSON, too.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML page with plots to this file, too.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure models: latencies, throughput, errors, memory, price. Exits with 1 where not all could be measured."""
    from agent_runtime.benchmark.settings import Settings, limits_of, loads_of
    from cli.commands.bench import Form, Where, run

    settings = Settings(
        loads=loads_of(concurrency, rate, arrival),
        requests=requests,
        duration_seconds=duration,
        max_tokens=max_tokens,
        ignore_eos=ignore_eos,
        warmup_requests=warmup,
        unload_first=cold,
        unique_prompts=unique,
        seed=seed,
        limits=limits_of(slo or []),
        timeout_seconds=timeout,
    )
    where = Where(
        stack=stack,
        fleet=fleet,
        url=url,
        models=tuple(model or ()),
        tier=tier,
        dialect=dialect,
        key_variable=key_variable,
        usd_per_hour=usd_per_hour,
    )
    form = Form(as_json=as_json, as_csv=as_csv, as_markdown=as_markdown, save=save, report=report, baseline=baseline)
    run(where, settings, prompts, form)
