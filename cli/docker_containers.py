"""How the containers of a stack on a Docker host are, asked of its daemon."""

from __future__ import annotations

from typing import Any, cast

from cli.project import Project
from components.docker.daemon import Daemon, find_daemon
from fleet_spec.contract import FleetContract
from fleet_spec.names import safe_name
from fleet_spec.stack_file import read_stack_file


def container_rows(project: Project, contract: FleetContract) -> list[dict[str, Any]]:
    """Each container of a fleet: its name, whether it is as it should be, its state, how often it was restarted.

    Empty where the daemon is reached over SSH, which only Docker's own client speaks.

    Raises:
        DaemonError: no daemon answers.
        BadInputError: its address is none.
    """
    daemon = find_daemon(_configured_host(project, contract.stack))
    if daemon is None:
        return []
    with daemon:
        return _rows(daemon, f"paddock-{safe_name(contract.stack)}")


def _configured_host(project: Project, stack: str) -> str | None:
    section: object = read_stack_file(project.directory, stack).raw.get("docker")
    host = cast("dict[str, object]", section).get("host") if isinstance(section, dict) else None
    return host if isinstance(host, str) else None


def _rows(daemon: Daemon, fleet: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for listed in daemon.containers():
        labels: dict[str, str] = listed.get("Labels") or {}
        if labels.get("paddock.fleet") != fleet:
            continue
        found = daemon.container(listed["Id"])
        if found is not None:
            rows.append(_row(found))
    return sorted(rows, key=lambda row: str(row["name"]))


def _row(found: dict[str, Any]) -> dict[str, Any]:
    state: dict[str, Any] = found["State"]
    status, code = state["Status"], state.get("ExitCode", 0)
    policy: dict[str, Any] = found["HostConfig"]["RestartPolicy"]
    checked: dict[str, Any] = state.get("Health") or {}
    health: str | None = checked.get("Status")
    if policy["Name"] in ("", "no") and status == "exited":
        word, well = ("done" if code == 0 else f"failed with {code}"), code == 0
    else:
        # One that does not run keeps what its last check found.
        word = f"{status}, {health}" if health and status == "running" else str(status)
        well = status == "running" and health in (None, "healthy")
    return {
        "name": found["Name"].lstrip("/"),
        "running": well,
        "state": word,
        "restarts": found.get("RestartCount", 0),
    }
