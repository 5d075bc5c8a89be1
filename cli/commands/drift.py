"""status --drift: what really runs beside what the last `up` wrote down. Changes neither."""

from __future__ import annotations

from cli.commands.lifecycle import describe_changes
from cli.console import note, table, write, write_json
from cli.engine.operations import open_stack
from cli.project import find_project
from fleet_spec.errors import PaddockError


class DriftError(PaddockError):
    """Something is not as the last `up` left it."""


def run(stack: str, *, as_json: bool) -> None:
    """Print what differs from the state, or is gone.

    Raises:
        BadInputError: there is no such stack, or it is not up.
        DriftError: something differs.
    """
    outcome = open_stack(find_project(), stack, create=False).drift()
    if as_json:
        resources = [{"resource": resource, "state": word} for resource, word in outcome.resources]
        write_json({"stack": stack, "drifted": bool(resources), "resources": resources})
        if resources:
            raise SystemExit(DriftError.exit_code)
        return
    if not outcome.resources:
        write(f"{stack}: everything is as the last `up` left it")
        return
    table(["resource", "state"], [list(one) for one in outcome.resources])
    note(f"next: paddock refresh --stack {stack} && paddock up --stack {stack}")
    raise DriftError(f"stack {stack!r} has drifted: {describe_changes(outcome.changes)}")
