"""preview, refresh and destroy: one engine operation each, and what it changed."""

from __future__ import annotations

import sys
from shutil import rmtree

from cli.console import confirm, note, write, write_json
from cli.engine.operations import NoSuchStackError, Outcome, open_stack
from cli.preflight import check_stack
from cli.project import find_project
from components.local.paths import processes_directory
from components.local.ports import release_port
from components.local.processes import find_supervisors_below, stop_supervisor
from fleet_spec.errors import BadInputError, PaddockError
from fleet_spec.stack_file import read_stack_file

STOP_TIMEOUT_SECONDS = 35
"""For a process that lost its state: as long as a router may take to let open replies finish."""


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
    """Take a stack down. One that is not up is no error: only what lost its state is left to stop."""
    project = find_project()
    try:
        operator = open_stack(project, stack, create=False)
    except NoSuchStackError:
        read_stack_file(project.directory, stack)  # that a stack has no file either is a slip of the pen
        operator = None
    question = f"Take down everything of stack {stack!r}?"
    outcome = Outcome({}, 0.0)
    if operator is not None:
        require_consent(yes, question)
        outcome = operator.destroy()
    strays = find_supervisors_below(processes_directory(project.directory, stack))
    if strays and operator is None:
        require_consent(yes, question)
    for directory, supervisor in strays:
        stop_supervisor(supervisor, STOP_TIMEOUT_SECONDS)
        release_port(directory)
        rmtree(directory, ignore_errors=True)
        note(f"  - {directory.name} stopped; the state no longer knew of it")
    if strays:
        outcome.changes["stopped"] = len(strays)
    _report(stack, "changed", outcome, as_json=as_json)


def require_consent(yes: bool, question: str) -> None:
    """Go on only where the person agreed: by --yes, or at the terminal.

    Raises:
        BadInputError: there is no terminal to ask at.
        PaddockError: the answer was no.
    """
    require_terminal(yes)
    if not yes and not confirm(question):
        raise PaddockError("nothing was touched")


def require_terminal(yes: bool) -> None:
    """Refuse at once what could only be asked later, and nobody would answer.

    Raises:
        BadInputError: the person did not agree with --yes, and there is no terminal to ask at.
    """
    if not yes and not sys.stdin.isatty():
        raise BadInputError("there is no terminal to ask at. fix: add --yes")


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
