"""``paddock models``: the catalogue of open models, and what the fleet holds."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import JsonOption, StackOption

models_app = typer.Typer(
    help="The catalogue of open models, and what the fleet holds.", no_args_is_help=True, rich_markup_mode=None
)


@models_app.command("list")
def list_models(
    capability: Annotated[str | None, typer.Option(help="Such as chat, tools, vision, embedding.")] = None,
    use_case: Annotated[str | None, typer.Option(help="Such as code, math, reasoning, edge.")] = None,
    max_parameters: Annotated[float | None, typer.Option(help="At most so many, in billions.", min=0)] = None,
    licence: Annotated[str | None, typer.Option(help="Such as Apache-2.0.")] = None,
    as_json: JsonOption = False,
) -> None:
    """The models that meet every condition."""
    from cli.commands.models import list_models as run

    run(
        capability=capability,
        use_case=use_case,
        max_parameters_billion=max_parameters,
        licence=licence,
        as_json=as_json,
    )


@models_app.command("show")
def show_model(
    name: Annotated[str, typer.Argument(help="Such as llama3.1:8b, or a .gguf file, or a config.json.")],
    engine: Annotated[str, typer.Option(help="llamacpp, ollama or vllm.")] = "ollama",
    quantization: Annotated[str | None, typer.Option(help="Such as Q8_0, or bitsandbytes on vLLM.")] = None,
    context: Annotated[int | None, typer.Option(help="Tokens of one request.", min=1)] = None,
    parallel: Annotated[int, typer.Option(help="Requests at the same time.", min=1)] = 1,
    gpu: Annotated[str | None, typer.Option(help="Advice about this kind of GPU, such as nvidia-l4.")] = None,
    as_json: JsonOption = False,
) -> None:
    """What is known of a model, the memory a replica of it needs, and the GPUs that hold it."""
    from cli.commands.models import show_model as run

    run(name, engine=engine, quantization=quantization, context=context, parallel=parallel, gpu=gpu, as_json=as_json)


@models_app.command("pull")
def pull_model(
    name: Annotated[str, typer.Argument(help="A model of Ollama's library, such as llama3.1:8b.")],
    stack: StackOption = "dev",
    url: Annotated[str | None, typer.Option(help="One Ollama server, in place of the stack's.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Have the stack's Ollama servers fetch a model."""
    from cli.commands.pull import pull as run

    run(name, stack, url=url, as_json=as_json)


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
