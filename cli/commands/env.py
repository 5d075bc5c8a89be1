"""env: what a plain `pulumi` needs to work on the same stack and state."""

from __future__ import annotations

import shlex

from cli.console import note, write
from cli.engine.home import choose_backend, engine_environment, prepare_workspace
from cli.project import find_project
from fleet_spec.stack_file import stack_file_path


def run(stack: str) -> None:
    """Print shell commands that set the environment. No secret is among them: the passphrase stays in its file."""
    project = find_project()
    workspace = prepare_workspace(project, stack)
    for name, value in engine_environment(project, choose_backend(project, stack)).items():
        write(f"export {name}={shlex.quote(value)}")
    note(f"then: pulumi up --stack {stack} --config-file {stack_file_path(workspace, stack)}")
