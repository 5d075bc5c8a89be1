"""What keeps this machine from serving a fleet, found before anything is touched."""

from __future__ import annotations

from pathlib import Path

from components.local.paths import process_directory
from components.local.plan import gather_facts, plan_fleet
from components.local.ports import describe_holder, port_is_free
from components.local.processes import CorruptRecordError, find_supervisors, read_record
from fleet_spec.catalogue import load_catalogue
from fleet_spec.errors import Problem, SpecError
from fleet_spec.spec import FleetSpec


def local_problems(spec: FleetSpec, project: Path, stack: str) -> list[Problem]:
    """Every reason why this machine cannot serve the fleet; empty where there is none."""
    problems: list[Problem] = []
    catalogue = load_catalogue()
    try:
        plan_fleet(spec, gather_facts(catalogue), catalogue, project)
    except SpecError as error:
        problems += error.problems
    return [*problems, *_router_port(spec, project, stack)]


def _router_port(spec: FleetSpec, project: Path, stack: str) -> list[Problem]:
    port = spec.router.port
    if port_is_free(spec.router.host, port) or _is_own(process_directory(project, stack, "router"), port):
        return []
    return [
        Problem(
            "router.port",
            f"port {port} is held by {describe_holder(port)}",
            "name another port, or end that program",
        )
    ]


def _is_own(directory: Path, port: int) -> bool:
    try:
        record = read_record(directory)
    except CorruptRecordError:
        record = None
    if record is None:
        # The record is lost; the provider sets that right, and stops the process that it was about.
        return bool(find_supervisors(directory))
    return record.port == port and record.supervisor.is_alive
