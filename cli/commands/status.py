"""status: what runs on a stack and how it is, asked of the processes and servers themselves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from cli.console import note, table, write, write_json
from cli.contract import read_contract
from cli.docker_containers import container_rows
from cli.project import Project, find_project
from cli.router_access import require_way, router_url
from components.local.paths import processes_directory
from components.local.processes import CorruptRecordError, ProcessRecord, is_alive, list_records
from components.local.records import LOG_NAME
from fleet_spec.contract import FleetContract
from fleet_spec.errors import PaddockError

PROBE_TIMEOUT_SECONDS = 3.0
HEALTH_PATHS = {"llamacpp": "/health", "vllm": "/health", "openai": "/v1/models", "ollama": "/api/version"}


class UnhealthyError(PaddockError):
    """Something of the fleet does not run."""


@dataclass(frozen=True)
class Probe:
    """Whether one address answers."""

    name: str
    url: str
    healthy: bool
    detail: str


def run(stack: str, *, as_json: bool) -> None:
    """Print the state of everything; raise where something does not run.

    Raises:
        BadInputError: there is no such stack, it is not up, or nothing of it is reached from here.
        UnhealthyError: something does not run.
    """
    project = find_project()
    contract = read_contract(stack)
    require_way(contract)
    probes = probe_fleet(contract)
    processes = [_process_row(record) for record in _records(project, contract)]
    containers = container_rows(project, contract) if contract.target == "docker" else []
    healthy = all(probe.healthy for probe in probes) and all(row["running"] for row in (*processes, *containers))
    if as_json:
        document: dict[str, Any] = {
            "stack": stack,
            "healthy": healthy,
            "endpoints": [asdict(probe) for probe in probes],
            "processes": processes,
            **({"containers": containers} if contract.target == "docker" else {}),
        }
        write_json(document)
        if not healthy:
            raise SystemExit(UnhealthyError.exit_code)
        return
    table(["what", "address", "state"], [[p.name, p.url, "up" if p.healthy else f"DOWN: {p.detail}"] for p in probes])
    if processes:
        write()
        columns = ["process", "state", "pid", "port", "restarts", "memory"]
        table(columns, [[str(row[key]) for key in _COLUMNS] for row in processes])
        # A line of its own: in a column, paths would be broken into pieces on a narrow terminal.
        write(f"logs: {processes_directory(project.directory, stack)}/PROCESS/{LOG_NAME}")
    if containers:
        write()
        table(
            ["container", "state", "restarts"],
            [[row["name"], row["state"], str(row["restarts"])] for row in containers],
        )
        write("logs: docker logs CONTAINER")
    if not healthy:
        note(f"next: paddock refresh --stack {stack} && paddock up --stack {stack}")
        raise UnhealthyError(f"not everything of stack {stack!r} runs")


_COLUMNS = ("name", "state", "pid", "port", "restarts", "memory")


def probe_fleet(contract: FleetContract) -> list[Probe]:
    """Ask the router, and every replica that is reached from here, whether they answer, all at the same time."""
    url = router_url(contract)
    asked: list[tuple[str, str, str]] = [("router", url, "/readyz")] if url is not None else []
    if contract.target == "local":  # elsewhere model servers answer inside their own network alone
        for name, model in contract.models.items():
            asked += [(name, endpoint.url, HEALTH_PATHS[model.engine]) for endpoint in model.endpoints]
    near = url != contract.router.external_url
    with httpx.Client(timeout=PROBE_TIMEOUT_SECONDS, trust_env=not near) as client, ThreadPoolExecutor(16) as pool:
        probes = [pool.submit(_probe, client, name, url, path) for name, url, path in asked]
        return [probe.result() for probe in probes]


def _probe(client: httpx.Client, name: str, url: str, path: str) -> Probe:
    try:
        response = client.get(f"{url}{path}")
    except httpx.HTTPError as error:
        return Probe(name, url, healthy=False, detail=str(error) or type(error).__name__)
    if response.is_success:
        return Probe(name, url, healthy=True, detail="")
    return Probe(name, url, healthy=False, detail=f"{path} answered {response.status_code}: {response.text[:120]}")


def _records(project: Project, contract: FleetContract) -> list[ProcessRecord | CorruptRecordError]:
    if contract.target != "local":
        return []
    return list_records(processes_directory(project.directory, contract.stack))


def _process_row(record: ProcessRecord | CorruptRecordError) -> dict[str, Any]:
    if isinstance(record, CorruptRecordError):
        nothing = dict.fromkeys(("pid", "port", "restarts", "memory"), "-")
        return {
            "name": record.path.parent.name,
            "running": False,
            "state": "record unreadable",
            **nothing,
            "log": str(record.path.parent),
        }
    alive = is_alive(record)
    child = record.child
    return {
        "name": record.name,
        "running": alive,
        "state": record.state if alive or record.state == "backoff" else "dead",
        "pid": child.pid if child is not None and alive else "-",
        "port": record.port,
        "restarts": record.restarts,
        "memory": _memory_text(child.pid) if child is not None and alive else "-",
        "log": str(record.log_file),
    }


def _memory_text(pid: int) -> str:
    import psutil

    try:
        return f"{psutil.Process(pid).memory_info().rss / 2**20:.0f} MiB"
    except psutil.Error:
        return "-"
