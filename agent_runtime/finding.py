"""Where a program finds its fleet: the names in the environment, a pod's mounted contract, a stack's own files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from fleet_spec.contract import FleetContract
from fleet_spec.errors import BadInputError

CONTRACT_VARIABLE = "PADDOCK_FLEET_CONTRACT"
"""The contract itself, as JSON."""
FILE_VARIABLE = "PADDOCK_FLEET"
"""The path of a file with the contract."""
STACK_VARIABLE = "PADDOCK_STACK"
"""The name of a stack that is up."""
ROUTER_URL_VARIABLE = "PADDOCK_ROUTER_URL"
"""Where the router answers, in place of what the contract says."""
MOUNTED_CONTRACT = Path("/etc/paddock/fleet/contract.json")
"""Where pods have the ConfigMap with the contract."""
_PROJECT_FILE = "Pulumi.yaml"
_COMMAND_TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True)
class Source:
    """Where a contract is: one of its text, a file and a stack."""

    named: str
    """Where it was found, for messages."""
    text: str | None = None
    path: Path | None = None
    stack: str | None = None
    inside_cluster: bool = False


def find_source(mounted: Path | None = None) -> Source:
    """Where the environment says that the contract is.

    Raises:
        BadInputError: nothing says where.
    """
    mounted = mounted or MOUNTED_CONTRACT
    if text := os.environ.get(CONTRACT_VARIABLE):
        return Source(CONTRACT_VARIABLE, text=text)
    if path := os.environ.get(FILE_VARIABLE):
        return Source(FILE_VARIABLE, path=Path(path))
    if stack := os.environ.get(STACK_VARIABLE):
        return Source(STACK_VARIABLE, stack=stack)
    if mounted.is_file():
        return Source(str(mounted), path=mounted, inside_cluster=True)
    raise BadInputError(
        f"no fleet is named: none of {CONTRACT_VARIABLE}, {FILE_VARIABLE} and {STACK_VARIABLE} is set, and there is no "
        f"{mounted}. fix: export {STACK_VARIABLE}=dev where the stack dev is up"
    )


def contract_of_stack(stack: str, project: Path | None = None) -> Path | FleetContract:
    """A stack's contract: the file that its router follows where it is on this machine, else what the stack exports.

    Raises:
        BadInputError: the stack is not up, or there is no such stack.
        ContractError: what it exports is no contract.
    """
    directory = find_project(project)
    if directory is not None:
        path = directory / ".paddock" / stack / "fleet.json"
        if path.is_file():
            return path
    return _exported(stack, directory)


def stack_key_file(stack: str, project: Path | None = None) -> Path | None:
    """The key that a stack of this machine made for its router, where it made one."""
    directory = find_project(project)
    path = directory / ".paddock" / stack / "secrets" / "default" if directory is not None else None
    return path if path is not None and path.is_file() else None


def find_project(start: Path | None = None) -> Path | None:
    """The Pulumi project that ``start``, the current directory by default, is in."""
    here = (start or Path.cwd()).resolve()
    return next((directory for directory in (here, *here.parents) if (directory / _PROJECT_FILE).is_file()), None)


def _exported(stack: str, directory: Path | None) -> FleetContract:
    beside = Path(sys.executable).with_name("paddock")
    command = str(beside) if beside.is_file() else shutil.which("paddock")
    if command is None:
        raise BadInputError(
            f"no contract of stack {stack!r} is on this machine, and there is no `paddock` to ask for it. "
            "fix: Fleet.from_file with the output of `paddock outputs --json`"
        )
    asked = subprocess.run(
        [command, "outputs", "--stack", stack, "--json"],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=_COMMAND_TIMEOUT_SECONDS,
        check=False,
    )
    try:
        document = cast("dict[str, Any]", json.loads(asked.stdout))
    except ValueError:
        document = {"error": {"message": asked.stderr.strip() or "it said nothing"}}
    if asked.returncode != 0 or "error" in document:
        error = document.get("error", {})
        raise BadInputError(f"stack {stack!r} has no contract: {error.get('message', asked.stderr.strip())}")
    return FleetContract.from_mapping(document, f"the output `fleet` of stack {stack!r}")
