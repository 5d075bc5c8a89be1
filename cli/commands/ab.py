"""ab: begin, watch, judge and end A/B tests between models.

A test stands in the stack's file: the arms and their weights under ``paddock:aliases``, what is to be found out and
what ends it under ``paddock:experiments``. The router counts, and enforces its guards.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent_runtime.experiments.page import experiment_page
from cli.ab.change import Wanted, begun, ended
from cli.ab.router import ExperimentsRouter
from cli.ab.words import ARM_COLUMNS, EFFECT_COLUMNS, arm_rows, effect_rows, heading, ruling_lines
from cli.commands.lifecycle import describe_changes, require_consent, require_terminal
from cli.console import note, table, write, write_json
from cli.engine.operations import open_stack
from cli.preflight import check_stack
from cli.project import Project, command_name, find_project
from cli.stack_changes import at, load, section
from cli.stack_edit import replace_file
from fleet_spec.errors import BadInputError, Problem, SpecError
from fleet_spec.loading import load_spec
from fleet_spec.stack_file import PROJECT, StackFile, read_stack_file

POINTS = 120
"""At how many moments a page shows the effects."""


def start(stack: str, wanted: Wanted, *, write_only: bool, yes: bool, as_json: bool) -> None:
    """Begin a test: write it into the stack's file, and bring the stack to it.

    Raises:
        BadInputError: it cannot be; nothing was touched.
        SpecError: the stack's config would have mistakes; nothing was touched.
        PaddockError: the stack could not be brought up; the test stands in its file.
    """
    wanted = replace(wanted, started=wanted.started or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    project = find_project()
    file = read_stack_file(project.directory, stack)
    text = begun(file.path.read_text(encoding="utf-8"), wanted)
    _apply(project, stack, file, text, wanted.alias, write_only=write_only, yes=yes, as_json=as_json)


def end(stack: str, alias: str, keep: str, *, write_only: bool, yes: bool, as_json: bool) -> None:
    """End a test: its alias stands for one arm from now on. Raises as :func:`start`."""
    project = find_project()
    file = read_stack_file(project.directory, stack)
    text = ended(file.path.read_text(encoding="utf-8"), alias, keep)
    _apply(project, stack, file, text, alias, write_only=write_only, yes=yes, as_json=as_json)


def _apply(
    project: Project,
    stack: str,
    file: StackFile,
    text: str,
    alias: str,
    *,
    write_only: bool,
    yes: bool,
    as_json: bool,
) -> None:
    _check(file, text)
    before = file.path.read_text(encoding="utf-8")
    data = load(text)
    entry = (at(data, section("experiments")) or {}).get(alias)
    arms = (at(data, section("aliases")) or {})[alias]
    changes: dict[str, int] | None = None
    if not write_only:
        require_terminal(yes)
        test = "ends" if entry is None else f"by {entry['metric']}"
        require_consent(yes, f"Bring stack {stack!r} to alias {alias}: {_arms_told(arms)} (test {test})?")
    replace_file(file.path, text)
    if write_only:
        note(f"wrote {file.path.name}; it comes into force with: {command_name()} up --stack {stack}")
    else:
        try:
            check_stack(project, stack)
        except BadInputError:
            replace_file(file.path, before)
            raise
        note(f"wrote {file.path.name}")
        outcome = open_stack(project, stack, create=True).up()
        changes = outcome.changes
        note(f"changed: {describe_changes(changes)}")
    if as_json:
        write_json({"stack": stack, "alias": alias, "arms": arms, "experiment": entry, "changes": changes})
    elif entry is not None:
        write(f"next: {command_name()} ab status --stack {stack}")


def _arms_told(arms: Mapping[str, float] | str) -> str:
    return arms if isinstance(arms, str) else ", ".join(f"{arm}={weight:g}" for arm, weight in arms.items())


def _check(file: StackFile, text: str) -> None:
    """Refuse a text that brings a mistake into the config that is not in it now.

    Raises:
        SpecError: with each such mistake.
    """
    config: dict[str, Any] = load(text).get("config") or {}
    changed = {**file.raw}
    for key in ("aliases", "experiments"):
        changed[key] = config.get(f"{PROJECT}:{key}") or {}
    before = {problem.key for problem in _problems(file, file.raw)}
    fresh = [problem for problem in _problems(file, changed) if problem.key not in before]
    if fresh:
        raise SpecError(fresh, file.path.name)


def _problems(file: StackFile, raw: Mapping[str, Any]) -> list[Problem]:
    try:
        load_spec(raw, source=file.path.name, secret_keys=file.secret_keys, directory=file.path.parent)
    except SpecError as error:
        return error.problems
    return []


def status(stack: str, *, router: str | None, as_json: bool) -> None:
    """Print how every test does."""
    with closing(ExperimentsRouter.of(stack, router)) as client:
        found = client.experiments()
    if as_json:
        write_json({"experiments": found})
        return
    running = {alias: told for alias, told in found.items() if told["running"]}
    for alias, told in running.items():
        _show(alias, told)
    if not running:
        note(f"no alias stands for several models. Begin a test: {command_name()} ab start ALIAS --arm MODEL=0.5 ...")


def report(stack: str, alias: str, *, router: str | None, page: Path | None, as_json: bool) -> None:
    """Print everything that is known of one test, and write it as a page where one is asked for.

    Raises:
        BadInputError: there is no such test.
    """
    with closing(ExperimentsRouter.of(stack, router)) as client:
        told = _one(client.experiments(points=POINTS if page is not None else 0), alias)
    if page is not None:
        if "declared" not in told:
            raise BadInputError(
                f"no A/B test is declared over {alias!r}, so there is nothing to compare. fix: paddock ab start {alias}"
            )
        page.write_text(experiment_page(f"A/B test of {alias}", told), encoding="utf-8")
        note(f"wrote {page}")
    if as_json:
        write_json({"alias": alias, **told})
    else:
        _show(alias, told)


def watch(
    stack: str,
    alias: str,
    *,
    router: str | None,
    interval_seconds: float,
    until_decided: bool,
    timeout_seconds: float | None,
    as_json: bool,
) -> None:
    """Print how a test does, again whenever that has changed, until Ctrl-C, a decision or the time is over.

    Raises:
        BadInputError: there is no such test, or JSON is asked for without an end.
    """
    if as_json and not until_decided and timeout_seconds is None:
        raise BadInputError("--json prints one document, at the end. fix: add --until-decided or --timeout-seconds")
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    shown: object = None
    with closing(ExperimentsRouter.of(stack, router)) as client:
        while True:
            told = _one(client.experiments(), alias)
            if not as_json and told != shown:
                _show(alias, told)
                shown = told
            decided = bool(told.get("declared", {}).get("rulings"))
            if (decided and until_decided) or (deadline is not None and time.monotonic() >= deadline):
                break
            time.sleep(interval_seconds)
    if as_json:
        write_json({"alias": alias, "decided": decided, **told})


def _one(found: Mapping[str, Any], alias: str) -> dict[str, Any]:
    told = found.get(alias)
    if told is None:
        known = ", ".join(sorted(found)) or "none"
        raise BadInputError(f"the router knows of no A/B test over {alias!r}. It knows: {known}")
    return told


def _show(alias: str, told: Mapping[str, Any]) -> None:
    write(heading(alias, told))
    table(ARM_COLUMNS, arm_rows(told))
    rows = effect_rows(told)
    if rows:
        write()
        table(EFFECT_COLUMNS, rows)
    for line in ruling_lines(alias, told, command_name()):
        write(line)
    write()
