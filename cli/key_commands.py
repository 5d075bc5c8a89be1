"""The command line of ``paddock keys``."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import JsonOption, StackOption

keys_app = typer.Typer(help="Keys that clients show to the router.", no_args_is_help=True, rich_markup_mode=None)

_WriteOption = Annotated[bool, typer.Option("--write", help="Write the change into the stack's file.")]
_NameArgument = Annotated[str, typer.Argument(help="The key's name, which logs and bills show.")]


@keys_app.command("new")
def new_key(
    name: _NameArgument,
    stack: StackOption = "dev",
    scope: Annotated[
        list[str] | None, typer.Option(help="chat, admin or metrics; may be given again. Default: chat.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="A model or alias it may ask for; may be given again. Default: all.")
    ] = None,
    monthly_usd: Annotated[float | None, typer.Option(help="The most it may spend in a month.", min=0)] = None,
    requests_per_minute: Annotated[int | None, typer.Option(help="The most requests in a minute.", min=1)] = None,
    tokens_per_minute: Annotated[int | None, typer.Option(help="The most tokens in a minute.", min=1)] = None,
    priority: Annotated[str | None, typer.Option(help="high, normal or low. Default: normal.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Whatever it asks stays in the fleet.")] = False,
    expires: Annotated[str | None, typer.Option(help="The day (UTC) from which it is refused: 2027-01-31.")] = None,
    write: _WriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a key. It is printed once, alone on stdout; the stack's file keeps a hash of it."""
    from cli.commands.keys import new

    new(
        name,
        stack,
        scopes=scope or ["chat"],
        models=model or [],
        monthly_usd=monthly_usd,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        priority=priority,
        private=private,
        expires=expires,
        write_file=write,
        as_json=as_json,
    )


@keys_app.command("list")
def list_keys(stack: StackOption = "dev", as_json: JsonOption = False) -> None:
    """The keys in the stack's file: what they may do, and until when."""
    from cli.commands.keys import list_keys as run

    run(stack, as_json=as_json)


@keys_app.command("revoke")
def revoke_key(
    name: _NameArgument, stack: StackOption = "dev", write: _WriteOption = False, as_json: JsonOption = False
) -> None:
    """Take a key out of the stack's file."""
    from cli.commands.keys import revoke

    revoke(name, stack, write_file=write, as_json=as_json)


@keys_app.command("rotate")
def rotate_key(
    name: _NameArgument,
    stack: StackOption = "dev",
    overlap_hours: Annotated[float, typer.Option(help="How long the old key stays good.", min=0, max=8760)] = 168,
    write: _WriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a new key for a name. The old one stays good for a while."""
    from cli.commands.keys import rotate

    rotate(name, stack, overlap_hours=overlap_hours, write_file=write, as_json=as_json)
