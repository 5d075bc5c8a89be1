"""A stack's fleet as the agents of this terminal see it."""

from __future__ import annotations

import os

from agent_runtime.authorization import KEY_VARIABLE
from agent_runtime.fleet import Fleet
from cli.contract import read_contract
from cli.project import Project, find_project
from cli.router_access import require_way, stack_key
from components.local.paths import default_key_path
from fleet_spec.contract import FleetContract


def fleet_of(stack: str, contract: FleetContract | None = None, project: Project | None = None) -> Fleet:
    """The fleet of a stack that is up, with the key that the environment names, else the stack's own.

    Args:
        stack: the stack's name.
        contract: what it exports, where that was read already.
        project: where the stack is; the project that the current directory is in by default.

    Raises:
        BadInputError: the stack is not up, or its router is on a cluster that has no way in.
        ContractError: what it exports is no contract.
    """
    known = contract or read_contract(stack)
    require_way(known)
    project = project or find_project()
    key = os.environ.get(KEY_VARIABLE) or None
    if key is None and known.target == "kubernetes":
        key = stack_key(project, known)
    return Fleet(known, api_key=key, key_file=default_key_path(project.directory, known.stack))
