"""models swap: exchange a model for another while clients go on, and put everything back where that fails."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cli.asking import RouterAsking
from cli.commands.lifecycle import require_consent, require_terminal
from cli.console import Step, note, table, write, write_json
from cli.contract import read_contract
from cli.engine.operations import open_stack
from cli.engine.state import LockedError
from cli.project import Project, command_name, find_project
from cli.prompts import read_prompts
from cli.router_access import KEY_VARIABLE, require_way, stack_key
from cli.stack_edit import replace_file
from cli.swap.journal import Journal, JournalFile, Settings
from cli.swap.proposal import Outlook, Wanted, examine, lines, propose
from cli.swap.run import Outcome, Swap
from cli.swap.watch import CLUSTER_PACE, Pace, SwapError
from fleet_spec.contract import FleetContract
from fleet_spec.errors import BadInputError, PaddockError
from fleet_spec.stack_file import read_stack_file

LOCK_PATIENCE_SECONDS = 60.0
"""An engine whose command was killed takes a moment to notice, and holds the stack until then."""


@dataclass(frozen=True)
class StackDeployment:
    """A stack as a swap changes it: its file, and the engine."""

    project: Project
    stack: str

    @property
    def _path(self) -> Path:
        return read_stack_file(self.project.directory, self.stack).path

    def read(self) -> str:
        """The text of its file."""
        return self._path.read_text(encoding="utf-8")

    def write(self, text: str) -> None:
        """Replace its file, whole or not at all."""
        replace_file(self._path, text)

    def up(self) -> None:
        """Bring it to what its file says.

        Raises:
            PaddockError: the engine could not, or another command is at work on the stack.
        """
        deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
        while True:
            try:
                open_stack(self.project, self.stack, create=False).up()
            except LockedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)
            else:
                return

    def contract(self) -> FleetContract:
        """What it exports now."""
        return read_contract(self.stack)


def run(wanted: Wanted | None, stack: str, settings: Settings, *, yes: bool, as_json: bool) -> None:
    """Swap a model. One that was cut off is finished where the same is asked for, or nothing (``wanted`` is None).

    Raises:
        BadInputError: it cannot be done, or another swap was cut off; nothing was touched.
        SpecError: the stack's config would have mistakes, or the machine lacks something; nothing was touched.
        PaddockError: another swap is at work, or this one failed; the text says where that leaves the stack.
    """
    project = find_project()
    contract = read_contract(stack)
    file = JournalFile(project.stack_directory(stack))
    with file.held():
        journal = file.read()
        outlook = None
        if journal is None:
            if wanted is None:
                raise BadInputError(f"no swap of stack {stack!r} was cut off. fix: name what to swap, and for what")
            require_terminal(yes)
            wanted = replace(wanted, weights=_in_project(wanted.weights, project))
            journal = propose(wanted, StackDeployment(project, stack).read(), settings)
            outlook = _examined(journal, project, stack, contract)
            for line in lines(journal, outlook, contract):
                note(line)
            require_consent(yes, f"Swap {journal.asked} of stack {stack!r}?")
        else:
            _require_same(journal, wanted, stack)
            note(f"going on with the swap of {journal.title}, which was cut off at the step {journal.step!r}")
        started = time.monotonic()
        outcome = _carry_out(_swap(project, stack, contract, journal, file), stack)
        _tell(journal, outcome, outlook, stack, time.monotonic() - started, as_json=as_json)


def abort(stack: str, *, as_json: bool) -> None:
    """Undo a swap that was cut off.

    Raises:
        BadInputError: there is none.
        PaddockError: another command is at work on it, or it cannot be undone.
    """
    project = find_project()
    contract = read_contract(stack)
    file = JournalFile(project.stack_directory(stack))
    with file.held():
        journal = file.read()
        if journal is None:
            raise BadInputError(f"no swap of stack {stack!r} was cut off: there is nothing to undo")
        note(f"undoing the swap of {journal.title}, which was cut off at the step {journal.step!r}")
        started = time.monotonic()
        swap = _swap(project, stack, contract, journal, file)
        outcome = _carry_out(swap, stack, why="it was asked for")
        _tell(journal, outcome, None, stack, time.monotonic() - started, as_json=as_json, asked_for=True)


def _in_project(weights: str | None, project: Project) -> str | None:
    """A file's path as a stack's file names it: relative to the project where it lies in it."""
    if weights is None:
        return None
    path = Path(weights).expanduser().resolve()
    return str(path.relative_to(project.directory) if path.is_relative_to(project.directory) else path)


def _examined(journal: Journal, project: Project, stack: str, contract: FleetContract) -> Outlook:
    memory_bytes = None
    if contract.target == "local":
        import psutil

        memory_bytes = psutil.virtual_memory().total
    if journal.settings.prompts is not None:
        read_prompts(Path(journal.settings.prompts))
    require_way(contract)
    with Step(f"looking whether {journal.entry['model']} can be served") as step:
        outlook = examine(journal, project, stack, contract, machine_memory_bytes=memory_bytes, progress=step.update)
        step.finish(f"{journal.entry['model']} can be served")
    return outlook


def _require_same(journal: Journal, wanted: Wanted | None, stack: str) -> None:
    if wanted is None or (wanted.asked == journal.asked and wanted.model == journal.entry["model"]):
        return
    paddock = command_name()
    raise BadInputError(
        f"a swap of {journal.title} was cut off at the step {journal.step!r}; nothing was touched. fix: "
        f"`{paddock} models swap --resume --stack {stack}` finishes it, and --abort in its place undoes it"
    )


def _swap(project: Project, stack: str, contract: FleetContract, journal: Journal, file: JournalFile) -> Swap:
    url = require_way(contract)
    asking = RouterAsking(
        url,
        api_key=os.environ.get(KEY_VARIABLE) or None,
        find_key=lambda: stack_key(project, contract),
        through_proxies=url == contract.router.external_url,
    )
    named = journal.settings.prompts
    return Swap(
        journal,
        file,
        StackDeployment(project, stack),
        asking,
        prompts=read_prompts(Path(named)) if named is not None else (),
        pace=CLUSTER_PACE if contract.target == "kubernetes" else Pace(),
    )


def _carry_out(swap: Swap, stack: str, why: str | None = None) -> Outcome:
    """Run a swap, or undo it where there is a ``why``; where it stops half-way, say how it goes on."""
    try:
        return swap.run() if why is None else swap.undo(why)
    except (PaddockError, KeyboardInterrupt):
        paddock = command_name()
        note("the swap stopped half-way; the stack serves, and its file says what it is now")
        note(f"next: {paddock} models swap --resume --stack {stack}   finishes it")
        note(f"      {paddock} models swap --abort --stack {stack}    undoes it")
        raise


def _tell(
    journal: Journal,
    outcome: Outcome,
    outlook: Outlook | None,
    stack: str,
    seconds: float,
    *,
    as_json: bool,
    asked_for: bool = False,
) -> None:
    """Print what came of it.

    Raises:
        SwapError: it was undone, and nobody had asked for that.
    """
    failed = outcome.outcome == "undone" and not asked_for
    if as_json:
        write_json(_document(journal, outcome, outlook, stack, seconds))
        if failed:
            raise SystemExit(SwapError.exit_code)
        return
    table(["step", "seconds", "what"], [[one.step, f"{one.seconds:.1f}", one.detail] for one in outcome.steps])
    if failed:
        raise SwapError(
            f"{journal.asked} was not swapped, and everything is as it was before: {outcome.why}. fix: what failed, "
            "then swap again"
        )
    if outcome.outcome == "undone":
        write(f"{journal.old} serves {journal.asked} as before")
        return
    write(f"{journal.asked} is {journal.entry['model']} now, served by {journal.new} ({seconds:.1f} s)")
    if outcome.drained is False:
        note(f"note: {journal.old} went before its last requests had ended. fix: a larger --drain-seconds")


def _document(
    journal: Journal, outcome: Outcome, outlook: Outlook | None, stack: str, seconds: float
) -> dict[str, Any]:
    return {
        "stack": stack,
        "outcome": outcome.outcome,
        "why": outcome.why or None,
        "asked": journal.asked,
        "old": journal.old,
        "new": journal.new,
        "model": journal.entry["model"],
        "seconds": round(seconds, 3),
        "steps": [{"step": one.step, "seconds": round(one.seconds, 3), "what": one.detail} for one in outcome.steps],
        "checks": outcome.verdict.to_mapping() if outcome.verdict is not None else None,
        "drained": outcome.drained,
        **(outlook.to_mapping(journal) if outlook is not None else {}),
    }
