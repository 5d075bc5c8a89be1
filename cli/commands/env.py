"""env: what a plain `pulumi` needs to work on the same stack and state."""

from __future__ import annotations

import shlex

from agent_runtime.authorization import KEY_VARIABLE
from cli.console import note, write
from cli.contract import read_contract
from cli.engine.home import choose_backend, engine_environment, prepare_workspace
from cli.project import find_project
from cli.router_access import stack_key
from fleet_spec.errors import BadInputError
from fleet_spec.stack_file import stack_file_path


def run(stack: str, *, show_secrets: bool) -> None:
    """Print shell commands that set the environment. The passphrase stays in its file.

    Args:
        stack: The stack's name.
        show_secrets: Whether the key of the stack's router is among them.

    Raises:
        BadInputError: the stack is not up, or made no key.
    """
    project = find_project()
    workspace = prepare_workspace(project, stack)
    for name, value in engine_environment(project, choose_backend(project, stack)).items():
        write(f"export {name}={shlex.quote(value)}")
    if show_secrets:
        key = stack_key(project, read_contract(stack))
        if key is None:
            raise BadInputError(
                f"stack {stack!r} made no key for its router: its config names a Secret. fix: read the key from there"
            )
        write(f"export {KEY_VARIABLE}={key}")
        write(f"export OPENAI_API_KEY={key}")
    note(f"then: pulumi up --stack {stack} --config-file {stack_file_path(workspace, stack)}")
