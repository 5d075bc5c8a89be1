"""plan: what a stack will take, cost and break, before anything exists. Needs no engine, no cluster and no network."""

from __future__ import annotations

import os
from pathlib import Path

from cli.console import note, table, write, write_json
from cli.plan.against import Comparison, against_contract, against_plan
from cli.plan.build import Plan, build_plan
from cli.plan.words import COLUMNS, change_line, difference_line, lines, not_counted_lines, rows, total_row
from cli.project import Project, find_project
from cli.stack_spec import read_stack_spec
from fleet_spec.catalogue_notes import deprecation_notes
from fleet_spec.contract import FleetContract
from fleet_spec.errors import BadInputError, PaddockError
from fleet_spec.quantities import amount
from fleet_spec.spec import FleetSpec

_PREFIX, _SUFFIX = "Pulumi.", ".yaml"


class BlockedError(PaddockError):
    """A model does not fit, or a mandatory rule is broken."""


def run(
    stack: str,
    *,
    against: str | None = None,
    as_json: bool,
    as_markdown: bool = False,
    page: Path | None = None,
) -> None:
    """Print a stack's plan.

    Args:
        stack: The stack.
        against: What to hold it against: a contract file (.json), a stack's file (Pulumi.NAME.yaml, of another folder
            for example), or a stack's name; ``up`` for what runs of the stack itself.
        as_json: Print one JSON document.
        as_markdown: Print Markdown.
        page: Write an HTML page with plots to this file, too.

    Raises:
        BadInputError: there is no such stack, its config has mistakes, or ``against`` cannot be read.
        BlockedError: a model does not fit, or a mandatory rule is broken.
    """
    if as_json and as_markdown:
        raise BadInputError("--json and --markdown print to the same place. fix: leave one of them out")
    project = find_project()
    plan = _plan(project.directory, stack, project)
    comparison = _compare(plan, against, project) if against is not None else None
    if page is not None:
        from cli.plan.page import page as html

        try:
            page.write_text(html(plan, comparison), encoding="utf-8")
        except OSError as error:
            raise PaddockError(f"cannot write {page}: {error.strerror}") from error
    if as_json:
        from cli.plan.document import document

        write_json(document(plan, comparison))
    elif as_markdown:
        from cli.plan.markdown import markdown

        write(markdown(plan, comparison).rstrip())
    else:
        _print(plan, comparison)
    if page is not None:
        note(f"wrote {page}")
    if plan.blocked:
        if as_json:
            raise SystemExit(BlockedError.exit_code)
        raise BlockedError(_why(plan))


def _plan(directory: Path, stack: str, project: Project) -> Plan:
    spec = read_stack_spec(directory, stack)
    for deprecation in deprecation_notes(spec):
        note(deprecation)
    return build_plan(spec, stack, spec.catalogue, project.directory, machine_memory_bytes=_memory_bytes(spec))


def _memory_bytes(spec: FleetSpec) -> int | None:
    """Main memory of the machine that models without a GPU share; None where there is no such, or nobody knows."""
    if spec.target == "kubernetes":
        return None
    if spec.target == "docker":
        from components.docker.daemon import HOST_VARIABLE

        if spec.docker.memory is not None:
            return int(amount(spec.docker.memory))
        host = spec.docker.host or os.environ.get(HOST_VARIABLE) or "unix://"
        if not host.startswith("unix://"):
            return None
    return _machine_memory_bytes()


def _machine_memory_bytes() -> int:
    import psutil

    return psutil.virtual_memory().total


def _compare(plan: Plan, against: str, project: Project) -> Comparison:
    if against == "up":
        from cli.contract import read_contract

        return against_contract(plan, read_contract(plan.stack), f"what runs of stack {plan.stack}")
    path = Path(against)
    if path.suffix == ".json":
        try:
            text = path.read_bytes()
        except OSError as error:
            raise BadInputError(
                f"cannot read {path}: {error.strerror}. fix: name a contract, such as `paddock outputs --json` writes"
            ) from error
        return against_contract(plan, FleetContract.parse(text, against), against)
    if path.name.startswith(_PREFIX) and path.suffix == _SUFFIX:
        name = path.name.removeprefix(_PREFIX).removesuffix(_SUFFIX)
        return against_plan(plan, _plan(path.parent, name, project), against)
    return against_plan(plan, _plan(project.directory, against, project), f"stack {against}")


def _print(plan: Plan, comparison: Comparison | None) -> None:
    table(COLUMNS, [*rows(plan), total_row(plan)])
    for line in lines(plan):
        write(line)
    if comparison is not None:
        write(f"against {comparison.source}:")
        for change in comparison.changes:
            write(f"  {change_line(change)}")
        if not comparison.changes:
            write("  no model changes")
        difference = difference_line(comparison)
        if difference is not None:
            write(f"  {difference}")
        for line in not_counted_lines(comparison):
            write(f"  {line}")
    for one in plan.verdicts:
        level = f"excepted until {one.exception.until}" if one.exception is not None else one.level
        write(f"{level}: {one.rule.name}: {one.finding.where}: {one.finding.what}")
        write(f"    why: {one.rule.why}")
        write(f"    fix: {one.finding.fix}")
    if not plan.verdicts:
        write("no policy is broken")


def _why(plan: Plan) -> str:
    broken = sorted({one.rule.name for one in plan.verdicts if one.blocks})
    reasons = [f"{', '.join(model.name for model in plan.misfits)} will not fit"] if plan.misfits else []
    reasons += [f"it breaks {', '.join(broken)}"] if broken else []
    return f"stack {plan.stack!r} must not go up: {' and '.join(reasons)}"
