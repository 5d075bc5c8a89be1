"""The contract of a stack that is up, read without starting the engine where that is possible."""

from __future__ import annotations

from typing import Any

from cli.engine.home import choose_backend
from cli.engine.state import read_state
from cli.project import Project, find_project
from fleet_spec.contract import FleetContract
from fleet_spec.errors import BadInputError
from fleet_spec.stack_file import stack_file_path, stack_names


def read_outputs(project: Project, stack: str) -> dict[str, Any]:
    """A stack's plain outputs; a secret one shows as ``[secret]``.

    Raises:
        BadInputError: there is no such stack, it is not up, or its state is corrupt.
    """
    backend = choose_backend(project, stack)
    state = read_state(backend, stack)
    if state is not None:
        outputs = state.outputs
    elif backend.directory is None:
        from cli.engine.operations import open_stack

        outputs = open_stack(project, stack, create=False).outputs()
    else:
        outputs = {}
    if "fleet" not in outputs:
        if not stack_file_path(project.directory, stack).exists():
            known = ", ".join(stack_names(project.directory)) or "none"
            raise BadInputError(
                f"there is no stack {stack!r}. Stacks here: {known}. fix: name one of them with --stack"
            )
        raise BadInputError(f"stack {stack!r} is not up. fix: paddock up --stack {stack}")
    return {key: "[secret]" if is_secret(value) else value for key, value in outputs.items()}


def read_secret_outputs(project: Project, stack: str) -> dict[str, Any]:
    """A stack's outputs, secret ones as they are. Only the engine opens them."""
    from cli.engine.operations import open_stack

    return open_stack(project, stack, create=False).all_outputs()


def read_contract(stack: str) -> FleetContract:
    """The contract of a stack that is up. Raises what :func:`read_outputs` raises, and ContractError."""
    return FleetContract.from_mapping(
        read_outputs(find_project(), stack)["fleet"], f"the output `fleet` of stack {stack!r}"
    )


_SECRET_SIGNATURE_KEY = "4dabf18193072939515e22adb298388d"  # noqa: S105
"""The key by which Pulumi marks values of a special kind in a state file, ciphertexts among them."""


def is_secret(value: object) -> bool:
    """Whether a value from a state file is a ciphertext."""
    return isinstance(value, dict) and _SECRET_SIGNATURE_KEY in value
