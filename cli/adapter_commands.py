"""``paddock models adapter``: LoRA adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import JsonOption, StackOption

adapter_app = typer.Typer(help="LoRA adapters of models.", no_args_is_help=True, rich_markup_mode=None)


@adapter_app.callback()
def _adapter() -> None:
    """Keeps ``prepare`` a command of its own, though it is the only one."""


@adapter_app.command("prepare")
def prepare_adapter(
    source: Annotated[Path, typer.Argument(help="A folder as peft saves it, its .safetensors file, or a .gguf file.")],
    base: Annotated[str, typer.Option(help="The base: its .gguf file, or a model whose weights are at hand.")],
    out: Annotated[Path, typer.Option(help="The .gguf file to write.")],
    stack: StackOption = "dev",
    scale: Annotated[float, typer.Option(help="How strong to make it; 1 is as it was trained.", min=0)] = 1.0,
    other_name: Annotated[
        bool, typer.Option("--other-name", help="Take a base that goes by another name than the adapter's own.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check that an adapter belongs to its base, and write it as a file that is served."""
    from cli.commands.adapters import prepare as run

    run(source, base, out, stack=stack, scale=scale, other_name=other_name, as_json=as_json)
