"""``paddock models``: the catalogue of open models, and what the fleet holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.adapter_commands import adapter_app
from cli.options import JsonOption, StackOption, YesOption
from fleet_spec.errors import BadInputError

models_app = typer.Typer(
    help="The catalogue of open models, and what the fleet holds.", no_args_is_help=True, rich_markup_mode=None
)
models_app.add_typer(adapter_app, name="adapter")


@models_app.command("list")
def list_models(
    capability: Annotated[str | None, typer.Option(help="Such as chat, tools, vision, embedding.")] = None,
    use_case: Annotated[str | None, typer.Option(help="Such as code, math, reasoning, edge.")] = None,
    max_parameters: Annotated[float | None, typer.Option(help="At most so many, in billions.", min=0)] = None,
    min_parameters: Annotated[float | None, typer.Option(help="At least so many, in billions.", min=0)] = None,
    licence: Annotated[str | None, typer.Option(help="Such as Apache-2.0.")] = None,
    commercial: Annotated[bool, typer.Option("--commercial", help="Freely usable by a business.")] = False,
    fits: Annotated[str | None, typer.Option(help="GPUs that hold it, such as nvidia-l4 or nvidia-l4:2.")] = None,
    max_price: Annotated[
        float | None, typer.Option("--max-price", help="At most so many US dollars per million tokens.", min=0)
    ] = None,
    current: Annotated[bool, typer.Option("--current", help="Without those that are deprecated.")] = False,
    engine: Annotated[str, typer.Option(help="What runs them: llamacpp, ollama or vllm.")] = "ollama",
    sort: Annotated[str, typer.Option(help="By catalogue, name, size, context or price.")] = "catalogue",
    stack: StackOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """The models that meet every condition, those of the stack's own catalogues among them."""
    from cli.catalogue.listing import Wanted
    from cli.commands.catalogue import list_models as run

    wanted = Wanted(
        capability=capability,
        use_case=use_case,
        max_parameters=round(max_parameters * 1e9) if max_parameters is not None else None,
        min_parameters=round(min_parameters * 1e9) if min_parameters is not None else None,
        licence=licence,
        commercial_use="allowed" if commercial else None,
        fits=fits,
        max_usd_per_million_tokens=max_price,
        deprecated=not current,
    )
    run(wanted, stack=stack, engine=engine, order=sort, as_json=as_json)


@models_app.command("add")
def add_model(
    source: Annotated[str, typer.Argument(help="A .gguf file, a config.json or its https address, or a model's name.")],
    name: Annotated[str | None, typer.Option(help="The entry's name: family:size.")] = None,
    licence: Annotated[str | None, typer.Option(help="The key of its licence, such as Apache-2.0.")] = None,
    write_to: Annotated[Path | None, typer.Option("--write", help="The catalogue to write it to.")] = None,
    url: Annotated[str | None, typer.Option(help="The Ollama that holds it, in place of the stack's.")] = None,
    stack: StackOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """An entry of the catalogue, filled in by reading a model's own description."""
    from cli.commands.catalogue import add_model as run

    run(source, stack=stack, name=name, licence=licence, write_to=write_to, url=url, as_json=as_json)


@models_app.command("show")
def show_model(
    name: Annotated[str, typer.Argument(help="Such as llama3.1:8b, or a .gguf file, or a config.json.")],
    engine: Annotated[str, typer.Option(help="llamacpp, ollama or vllm.")] = "ollama",
    quantization: Annotated[str | None, typer.Option(help="Such as Q8_0, or bitsandbytes on vLLM.")] = None,
    context: Annotated[int | None, typer.Option(help="Tokens of one request.", min=1)] = None,
    parallel: Annotated[int, typer.Option(help="Requests at the same time.", min=1)] = 1,
    gpu: Annotated[str | None, typer.Option(help="Advice about this kind of GPU, such as nvidia-l4.")] = None,
    stack: StackOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """What is known of a model, the memory a replica of it needs, and the GPUs that hold it."""
    from cli.commands.models import show_model as run

    run(
        name,
        engine=engine,
        quantization=quantization,
        context=context,
        parallel=parallel,
        gpu=gpu,
        stack=stack,
        as_json=as_json,
    )


@models_app.command("pull")
def pull_model(
    name: Annotated[str, typer.Argument(help="A model of Ollama's library, such as llama3.1:8b.")],
    stack: StackOption = "dev",
    url: Annotated[str | None, typer.Option(help="One Ollama server, in place of the stack's.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="A registry of your own without TLS will do.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Have the stack's Ollama servers fetch a model."""
    from cli.commands.pull import pull as run

    run(name, stack, url=url, insecure=insecure, as_json=as_json)


@models_app.command("remove")
def remove_model(
    name: Annotated[str, typer.Argument(help="A model that the servers hold.")],
    stack: StackOption = "dev",
    url: Annotated[str | None, typer.Option(help="One Ollama server, in place of the stack's.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Remove a model from the stack's Ollama servers."""
    from cli.commands.pull import remove as run

    run(name, stack, url=url, as_json=as_json)


@models_app.command("swap")
def swap_model(
    name: Annotated[str | None, typer.Argument(help="What clients ask for: a model of the fleet, or an alias.")] = None,
    new_model: Annotated[str | None, typer.Argument(help="What they are to get: a model of the catalogue.")] = None,
    stack: StackOption = "dev",
    engine: Annotated[str | None, typer.Option(help="Another engine than the present model's.")] = None,
    quantization: Annotated[str | None, typer.Option(help="Such as bitsandbytes on vLLM.")] = None,
    context: Annotated[int | None, typer.Option(help="Tokens of one request.", min=128)] = None,
    weights: Annotated[Path | None, typer.Option(help="A GGUF file of your own.")] = None,
    sha256: Annotated[str | None, typer.Option(help="Its hash, as sha256sum prints it.")] = None,
    new_name: Annotated[str | None, typer.Option("--as", help="The new model's own name in the fleet.")] = None,
    check: Annotated[Path | None, typer.Option(help="Prompts to pass, one JSON object a line.")] = None,
    max_error_rate: Annotated[float, typer.Option(help="Share of them that may fail.", min=0, max=1)] = 0.0,
    max_ttft: Annotated[
        float | None, typer.Option(help="Limit of the first token's p95, in seconds.", min=0.001)
    ] = None,
    warm_seconds: Annotated[float, typer.Option(help="How long its first answer may take.", min=1)] = 600.0,
    drain_seconds: Annotated[float, typer.Option(help="How long the old one may take to end.", min=0)] = 300.0,
    resume: Annotated[bool, typer.Option("--resume", help="Finish a swap that was cut off.")] = False,
    abort: Annotated[bool, typer.Option("--abort", help="Undo a swap that was cut off.")] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Exchange a model for another while clients go on. Where the new one fails, everything is put back."""
    from cli.commands import swap

    if abort or resume:
        if (abort and resume) or name is not None:
            raise BadInputError("--resume and --abort stand alone. fix: leave out what to swap")
        if abort:
            swap.abort(stack, as_json=as_json)
            return
    elif name is None or new_model is None:
        raise BadInputError("what to swap is missing. fix: paddock models swap NAME NEW_MODEL")
    wanted = None
    if name is not None and new_model is not None:
        wanted = swap.Wanted(
            name,
            new_model,
            engine=engine,
            quantization=quantization,
            context_length_tokens=context,
            weights=str(weights) if weights is not None else None,
            sha256=sha256,
            new_name=new_name,
        )
    settings = swap.Settings(
        prompts=str(check.resolve()) if check is not None else None,
        max_error_rate=max_error_rate,
        max_ttft_seconds=max_ttft,
        warm_seconds=warm_seconds,
        drain_seconds=drain_seconds,
    )
    swap.run(wanted, stack, settings, yes=yes, as_json=as_json)
