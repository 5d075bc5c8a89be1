"""The command line of ``paddock demo``. What it does is in ``cli.commands.demo``."""

from __future__ import annotations

from cli.options import JsonOption, StackOption, YesOption


def demo(stack: StackOption = "dev", yes: YesOption = False, as_json: JsonOption = False) -> None:
    """Bring everything up in one call and prove it: each model, the cost-optimised service, a research team.

    A local stack comes up at once; elsewhere it asks first, because machines may cost money. Exits with 1 where a part
    does not answer.
    """
    from cli.commands.demo import run

    run(stack, yes=yes, as_json=as_json)
