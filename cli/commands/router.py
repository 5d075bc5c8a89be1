"""router serve: the router in the foreground."""

from __future__ import annotations

from pathlib import Path

from cli.console import note
from cli.contract import read_contract
from cli.project import find_project
from components.local.paths import contract_path
from fleet_spec.errors import BadInputError


def serve(fleet: Path | None, stack: str | None, *, host: str, port: int) -> None:
    """Run the router until it is told to stop.

    Raises:
        BadInputError: both a file and a stack were named.
    """
    if fleet is not None and stack is not None:
        raise BadInputError("--fleet and --stack were both given. fix: give one of them")
    from agent_runtime.router.server import serve as serve_router

    code = serve_router(fleet or _stack_contract(stack or "dev"), host=host, port=port)
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
