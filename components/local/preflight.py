"""What keeps this machine from serving a fleet, found before anything is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from components.local.file_hash import remembered_sha256
from components.local.paths import process_directory
from components.local.plan import gather_facts, plan_fleet, weights_path
from components.local.ports import describe_holder, port_is_free
from components.local.processes import CorruptRecordError, find_supervisors, read_record
from components.local.web_ui_package import NAME as WEB_UI
from components.local.web_ui_package import installation_problems
from fleet_spec.errors import Problem, SpecError
from fleet_spec.spec import FleetSpec


def local_problems(spec: FleetSpec, project: Path, stack: str, *, progress: Callable[[str], None]) -> list[Problem]:
    """Every reason why this machine cannot serve the fleet; empty where there is none.

    Args:
        spec: The fleet.
        project: The project's directory.
        stack: The stack's name.
        progress: Told what is being read, where a file of weights takes a while.
    """
    problems: list[Problem] = []
    host = spec.router.host
    catalogue = spec.catalogue
    try:
        plan_fleet(spec, gather_facts(catalogue), catalogue, project)
    except SpecError as error:
        problems += error.problems
    problems += _weights(spec, project, progress)
    problems += _port("router.port", host, spec.router.port, process_directory(project, stack, "router"))
    if spec.web_ui.enabled:
        problems += _port("webUi.port", host, spec.web_ui.port, process_directory(project, stack, WEB_UI))
        problems += installation_problems()
    return problems


def _weights(spec: FleetSpec, project: Path, progress: Callable[[str], None]) -> Iterator[Problem]:
    """Files of the user's that are not what their hash says."""
    for name, model in spec.models.items():
        path = weights_path(model, project)
        if path is None or model.weights is None or not path.is_file():
            continue
        size_bytes = path.stat().st_size

        def tell(done_bytes: int, path: Path = path, size_bytes: int = size_bytes) -> None:
            progress(f"{path.name}: {done_bytes / 1e9:.1f} of {size_bytes / 1e9:.1f} GB")

        found = remembered_sha256(path, tell)
        if found != model.weights.sha256:
            yield Problem(
                f"models.{name}.weights.sha256",
                f"{path} fails its hash: expected {model.weights.sha256}, found {found}",
                "name the file that the hash belongs to, or correct the hash",
            )


def _port(key: str, host: str, port: int, directory: Path) -> list[Problem]:
    """A port from the config that a program holds which is not the stack's own process in ``directory``."""
    if port_is_free(host, port) or _is_own(directory, port):
        return []
    return [
        Problem(
            key,
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
