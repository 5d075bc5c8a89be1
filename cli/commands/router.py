"""router serve: the router in the foreground."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cli.console import note
from cli.contract import read_contract
from cli.project import find_project
from components.local.paths import SECRETS_DIRECTORY_NAME, contract_path
from fleet_spec.errors import BadInputError


@dataclass(frozen=True)
class Serving:
    """What the command line says, beside where the contract is."""

    host: str
    port: int
    secrets: Path | None
    data: Path | None
    workers: int


def serve(fleet: Path | None, stack: str | None, serving: Serving) -> None:
    """Run the router until it is told to stop.

    Raises:
        BadInputError: both a file and a stack were named, or the router cannot be run so.
    """
    if fleet is not None and stack is not None:
        raise BadInputError("--fleet and --stack were both given. fix: give one of them")
    from agent_runtime.router.server import serve as serve_router
    from agent_runtime.router.settings import Settings

    secrets = serving.secrets
    if fleet is None:
        stack = stack or "dev"
        fleet = _stack_contract(stack)
        kept = fleet.parent / SECRETS_DIRECTORY_NAME
        secrets = secrets or (kept if kept.is_dir() else None)
    settings = Settings(fleet, serving.host, serving.port, secrets=secrets, data=serving.data, workers=serving.workers)
    code = serve_router(settings)
    if code:
        raise SystemExit(code)


def _stack_contract(stack: str) -> Path:
    """A file that holds the stack's contract; the local target's own where there is one, since `up` renews it."""
    contract = read_contract(stack)
    path = contract_path(find_project().directory, stack)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(contract.to_json(), encoding="utf-8")
        note(f"wrote the contract of {stack!r} to {path}")
    return path
