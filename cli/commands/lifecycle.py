"""preview, refresh and destroy: one engine operation each, and what it changed."""

from __future__ import annotations

import sys

from cli.console import confirm, note, write, write_json
from cli.engine.operations import NoSuchStackError, Outcome, open_stack
from cli.preflight import check_stack
from cli.project import find_project
from fleet_spec.errors import BadInputError, PaddockError


def preview(stack: str, *, as_json: bool) -> None:
    """Say what `up` would do."""
    project = find_project()
    check_stack(project, stack)
    outcome = open_stack(project, stack, create=True).preview()
    _report(stack, "would change", outcome, as_json=as_json)


def refresh(stack: str, *, as_json: bool) -> None:
    """Bring the state up to date with what really runs."""
    outcome = open_stack(find_project(), stack, create=False).refresh()
    _report(stack, "differed from the state", outcome, as_json=as_json)


def destroy(stack: str, *, yes: bool, as_json: bool) -> None:
    """Take a stack down. One that is not up is no error: there is nothing to take down."""
    try:
        operator = open_stack(find_project(), stack, create=False)
    except NoSuchStackError:
        _report(stack, "changed", Outcome({}, 0.0), as_json=as_json)
        return
    require_consent(yes, f"Take down everything of stack {stack!r}?")
    outcome = operator.destroy()
    _report(stack, "changed", outcome, as_json=as_json)


def require_consent(yes: bool, question: str) -> None:
    """Go on only where the person agreed: by --yes, or at the terminal.

    Raises:
        BadInputError: there is no terminal to ask at.
        PaddockError: the answer was no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise BadInputError("there is no terminal to ask at. fix: add --yes")
    if not confirm(question):
        raise PaddockError("nothing was touched")


def describe_changes(changes: dict[str, int]) -> str:
    """What changed, in words: ``3 created, 1 updated``, or ``nothing``."""
    return ", ".join(f"{count} {word}" for word, count in sorted(changes.items())) or "nothing"


def _report(stack: str, verb: str, outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        write_json({"stack": stack, "changes": outcome.changes, "seconds": round(outcome.seconds, 3)})
        return
    write(f"{stack}: {verb}: {describe_changes(outcome.changes)}")
    if verb == "would change" and outcome.changes:
        note(f"next: paddock up --stack {stack}")
