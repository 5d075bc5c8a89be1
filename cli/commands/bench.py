"""bench: puts load on models and says how they did."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent_runtime.benchmark.baseline import compare, read_baseline
from agent_runtime.benchmark.dialects import Dialect
from agent_runtime.benchmark.prompts import Prompt, built_in, read_prompts
from agent_runtime.benchmark.runner import BenchmarkRun, Results
from agent_runtime.benchmark.settings import Settings
from agent_runtime.benchmark.tables import (
    COLUMNS,
    COMPARISON_COLUMNS,
    as_csv,
    as_markdown,
    comparison_rows,
    notes,
    rows,
)
from agent_runtime.benchmark.target import Target, targets_of_fleet, targets_of_url
from agent_runtime.discovery import ContractFile
from cli.console import Step, note, table, write, write_json
from cli.contract import read_contract
from cli.fleet_access import fleet_of
from cli.project import find_project
from cli.router_access import KEY_VARIABLE, require_way
from components.local.files import atomic_write
from components.local.paths import processes_directory
from components.local.processes import ProcessRecord, list_records
from fleet_spec.contract import FleetContract
from fleet_spec.errors import BadInputError, PaddockError
from fleet_spec.governance_spec import Tier

INTERRUPTED_EXIT_CODE = 130


class IncompleteError(PaddockError):
    """Not all that was asked for could be measured."""


@dataclass(frozen=True)
class Where:
    """What is measured."""

    stack: str
    fleet: Path | None = None
    url: str | None = None
    models: tuple[str, ...] = ()
    tier: Tier | None = None
    dialect: Dialect | None = None
    key_variable: str | None = None
    usd_per_hour: float | None = None


@dataclass(frozen=True)
class Form:
    """How results are shown, and where they are written."""

    as_json: bool = False
    as_csv: bool = False
    as_markdown: bool = False
    save: Path | None = None
    report: Path | None = None
    baseline: Path | None = None


def run(where: Where, settings: Settings, prompts: Path | None, form: Form) -> None:
    """Measure, and print and write the results: all of them, or those there are when it is interrupted.

    Raises:
        BadInputError: what was asked is wrong; nothing was sent.
        ServerUnreachableError: nobody answers at ``--url``.
        IncompleteError: not all could be measured; what could is shown.
    """
    _check(where, form)
    earlier = read_baseline(form.baseline) if form.baseline is not None else None
    asked = read_prompts(prompts) if prompts is not None else built_in()
    targets, pids = find_targets(where)
    results = _measure(targets, pids, settings, asked)
    document = results.document()
    if earlier is not None:
        document["comparison"] = compare(earlier, document)
    # Printed first: what was measured is not lost where the disk has no room.
    _print(document, form)
    unwritten = _write_files(document, form)
    if results.interrupted:
        raise SystemExit(INTERRUPTED_EXIT_CODE)
    if unwritten:
        for told in unwritten:
            note(f"error: {told}")
        raise SystemExit(IncompleteError.exit_code)
    if not results.complete:
        missing = ", ".join(model.target.name for model in results.models if model.status != "complete")
        if form.as_json:
            raise SystemExit(IncompleteError.exit_code)
        raise IncompleteError(f"not all could be measured of: {missing}")


def _check(where: Where, form: Form) -> None:
    forms = [name for name, given in _FORMS.items() if getattr(form, given)]
    if len(forms) > 1:
        raise BadInputError(f"{' and '.join(forms)} print to the same place. fix: give one of them")
    if where.url is not None and (where.fleet is not None or where.tier is not None):
        raise BadInputError("--url names one server; --fleet and --tier are of fleets. fix: leave one out")
    if where.url is None and (where.key_variable is not None or where.usd_per_hour is not None):
        raise BadInputError(
            "--key-variable and --usd-per-hour are of a server at --url; a fleet's contract says its own. "
            "fix: add --url, or leave them out"
        )
    # A long run must not end in a file that cannot be written.
    for option, path in (("--save", form.save), ("--report", form.report)):
        if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
            raise BadInputError(f"{option} {path} cannot be written. fix: name a file in a folder that exists")


_FORMS = {"--json": "as_json", "--csv": "as_csv", "--markdown": "as_markdown"}


def find_targets(where: Where) -> tuple[list[Target], dict[int, int]]:
    """What is measured, and the processes behind it that are known: port -> process id.

    Raises:
        BadInputError: there is no such stack, contract, model, tier or variable, or the stack is not up.
        ContractError: the contract cannot be read.
        ServerUnreachableError: nobody answers at ``--url``.
    """
    if where.url is not None:
        key = _named_key(where.key_variable)
        found = targets_of_url(
            where.url,
            names=where.models,
            dialect=where.dialect,
            api_key=key,
            usd_per_hour=where.usd_per_hour,
        )
        return asyncio.run(found), {}
    pids: dict[int, int] = {}
    if where.fleet is not None:
        contract = ContractFile(where.fleet).load()
        key = os.environ.get(KEY_VARIABLE) or None
    else:
        contract = read_contract(where.stack)
        key = fleet_of(where.stack, contract).api_key
        pids = _known_processes(contract)
    targets = targets_of_fleet(
        contract,
        require_way(contract),
        names=where.models,
        tier=where.tier,
        dialect=where.dialect or "openai",
        api_key=key,
    )
    return targets, pids


def _named_key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable)
    if not key:
        raise BadInputError(f"--key-variable {variable} names a variable that is not set. fix: export {variable}=...")
    return key


def _known_processes(contract: FleetContract) -> dict[int, int]:
    if contract.target != "local":
        return {}
    records = list_records(processes_directory(find_project().directory, contract.stack))
    return {
        record.port: record.child.pid
        for record in records
        if isinstance(record, ProcessRecord) and record.child is not None and record.child.is_alive
    }


def _measure(targets: Sequence[Target], pids: dict[int, int], settings: Settings, prompts: Sequence[Prompt]) -> Results:
    title = f"measuring {', '.join(target.name for target in targets)}"
    with Step(title) as step:
        bench = BenchmarkRun(settings, prompts, progress=step.update, pids=pids)
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(bench.measure(targets))
        except KeyboardInterrupt:
            bench.results.interrupted = True
    return bench.results


def _loop_factory() -> Any:
    """uvloop where it is installed, which it is not on every platform."""
    try:
        return importlib.import_module("uvloop").new_event_loop
    except ImportError:
        return None


def _write_files(document: dict[str, Any], form: Form) -> list[str]:
    """Write what is to be written, each file whole or not at all. Gives what could not be."""
    texts: list[tuple[Path, str]] = []
    if form.save is not None:
        texts.append((form.save, json.dumps(document, indent=1) + "\n"))
    if form.report is not None:
        from agent_runtime.benchmark.page import benchmark_page

        names = ", ".join(model["name"] for model in document["models"])
        texts.append((form.report, benchmark_page(document, f"Benchmark of {names}")))
    problems: list[str] = []
    for path, text in texts:
        try:
            atomic_write(path, text.encode(), mode=0o644)
        except OSError as error:
            problems.append(f"{path} was not written: {error.strerror or error}")
        else:
            note(f"wrote {path}")
    return problems


def _print(document: dict[str, Any], form: Form) -> None:
    if form.as_json:
        write_json(document)
    elif form.as_csv:
        write(as_csv(document).rstrip("\n"))
    elif form.as_markdown:
        write(as_markdown(document).rstrip("\n"))
    else:
        table(COLUMNS, rows(document))
        for line in notes(document):
            write(line)
        comparison = document.get("comparison")
        if comparison is not None:
            write()
            write(f"beside the baseline of {comparison['baselineStartedAt']} ({comparison['method']})")
            table(COMPARISON_COLUMNS, comparison_rows(comparison))
            for line in comparison["warnings"]:
                write(line)
