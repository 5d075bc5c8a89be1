"""preview, refresh and destroy: one engine operation each, and what it changed."""

from __future__ import annotations

import sys
from shutil import rmtree

from cli.console import confirm, note, write, write_json
from cli.engine.operations import NoSuchStackError, Outcome, open_stack
from cli.preflight import check_stack
from cli.project import Project, find_project
from components.local.paths import processes_directory
from components.local.ports import release_port
from components.local.processes import find_supervisors_below, stop_supervisor
from fleet_spec.errors import BadInputError, PaddockError
from fleet_spec.spec import is_production
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


def destroy(stack: str, *, yes: bool, as_json: bool, name: str | None = None) -> None:
    """Take a stack down. One that is not up is no error: only what lost its state is left to stop.

    Args:
        stack: The stack.
        yes: Do not ask.
        as_json: Print one JSON document.
        name: The stack's name once more, which production asks for besides.

    Raises:
        BadInputError: there is no such stack, it is production and its name was not given, or nobody can be asked.
        PaddockError: the answer was no, or something cannot be taken down.
    """
    project = find_project()
    require_name(project, stack, name)
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


def require_name(project: Project, stack: str, name: str | None) -> None:
    """Go on over production only where somebody wrote its name: nobody does that out of habit.

    Args:
        project: The checkout.
        stack: The stack.
        name: What was written on the command line; asked for at the terminal where it is None.

    Raises:
        BadInputError: it is another name, or nobody can be asked.
    """
    try:
        protect = read_stack_file(project.directory, stack).raw.get("protect")
    except BadInputError:
        protect = None  # without a file that can be read, the name alone decides
    if not is_production(stack, protect if isinstance(protect, bool) else None):
        return
    if name is None and sys.stdin.isatty():
        note(f"stack {stack!r} is production. Write its name to take it down: ")
        name = sys.stdin.readline().strip()
    if name != stack:
        raise BadInputError(
            f"stack {stack!r} is production and is taken down only by its name"
            + (f", not by {name!r}" if name else "")
            + f"; nothing was touched. fix: paddock destroy --stack {stack} --name {stack}"
        )


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
